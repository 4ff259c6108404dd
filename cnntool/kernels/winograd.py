"""3x3 convolution by Winograd's minimal filtering F(4x4, 3x3): 36 products for 16 outputs instead of 144.

    y = A^T [(G g G^T) * (B^T d B)] A      A. Lavin, S. Gray, "Fast algorithms for convolutional neural networks", 2016

For each of the 36 places of a transformed 6x6 tile, filters and tiles meet in a matrix product over the input channels,
which the register tile of direct convolution computes. Errors are about 5e-6 of the largest output, ten times those of
direct convolution. A value that is not finite would spread over its whole tile; rows of tiles where that happens are
flagged, for the caller to compute directly.
"""

from __future__ import annotations

import numpy as np

from cnntool.kernels.convolution import BLOCK, dense_row, pack_filters
from cnntool.kernels.jit import inlined, kernel
from cnntool.kernels.tile import address_of
from cnntool.kernels.vectors import LANES, VECTORS

TILE = 4  # outputs of a tile along one axis
PATCH = TILE + 2  # inputs that it sees
PLACES = PATCH * PATCH
TILES_AT_ONCE = 28  # two register tiles; more would leave the second cache
F = np.float32
TWO, FOUR, FIVE, EIGHT = F(2), F(4), F(5), F(8)

_G = np.array(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ]
)


def transform_filters(weight: np.ndarray) -> np.ndarray:
    """Filters (3, 3, in, out) as 36 matrices (in, out), each packed for the register tile."""
    turned = np.einsum("ay,bx,yxio->abio", _G, _G, weight.astype(np.float64), optimize=True)
    matrices = turned.reshape(PLACES, 1, 1, *weight.shape[2:]).astype(np.float32)
    return np.stack([pack_filters(matrix, 1) for matrix in matrices])


@inlined
def _input_line(d0, d1, d2, d3, d4, d5):
    return (
        FOUR * d0 - FIVE * d2 + d4,
        d4 + d3 - FOUR * (d1 + d2),
        FOUR * (d1 - d2) + d4 - d3,
        TWO * (d3 - d1) + d4 - d2,
        TWO * (d1 - d3) + d4 - d2,
        FOUR * d1 - FIVE * d3 + d5,
    )


@inlined
def _output_line(m0, m1, m2, m3, m4, m5):
    a, b, c, d = m1 + m2, m1 - m2, m3 + m4, m3 - m4
    return m0 + a + c, b + TWO * d, a + FOUR * c, b + EIGHT * d + m5


@kernel
def winograd_input_forward(x, y0, tiles, v, first, half):
    """v[a, b, first + t, c] = (B^T d B)[a, b] of the 6x6 tile of x at (y0, 4 t); `half`: 6, 6, C for the rows' sums."""
    channels = x.shape[2]
    for t in range(tiles):
        x0 = TILE * t
        for j in range(PATCH):
            p0, p1, p2 = x[y0, x0 + j], x[y0 + 1, x0 + j], x[y0 + 2, x0 + j]
            p3, p4, p5 = x[y0 + 3, x0 + j], x[y0 + 4, x0 + j], x[y0 + 5, x0 + j]
            h0, h1, h2, h3, h4, h5 = half[0, j], half[1, j], half[2, j], half[3, j], half[4, j], half[5, j]
            for c in range(channels):
                h0[c], h1[c], h2[c], h3[c], h4[c], h5[c] = _input_line(p0[c], p1[c], p2[c], p3[c], p4[c], p5[c])
        for i in range(PATCH):
            h0, h1, h2, h3, h4, h5 = half[i, 0], half[i, 1], half[i, 2], half[i, 3], half[i, 4], half[i, 5]
            at = first + t
            v0, v1, v2 = v[PATCH * i, at], v[PATCH * i + 1, at], v[PATCH * i + 2, at]
            v3, v4, v5 = v[PATCH * i + 3, at], v[PATCH * i + 4, at], v[PATCH * i + 5, at]
            for c in range(channels):
                v0[c], v1[c], v2[c], v3[c], v4[c], v5[c] = _input_line(h0[c], h1[c], h2[c], h3[c], h4[c], h5[c])


@kernel
def winograd_output_forward(m, first, tiles, bias, out, out_row, out_column, rows, columns, half):
    """out = A^T m A + bias, cut off at `rows` x `columns`; returns not zero if a result is not finite."""
    channels = out.shape[2]
    trouble = F(0)
    for t in range(tiles):
        at = first + t
        for j in range(PATCH):
            m0, m1, m2 = m[j, at], m[PATCH + j, at], m[2 * PATCH + j, at]
            m3, m4, m5 = m[3 * PATCH + j, at], m[4 * PATCH + j, at], m[5 * PATCH + j, at]
            h0, h1, h2, h3 = half[0, j], half[1, j], half[2, j], half[3, j]
            for o in range(channels):
                h0[o], h1[o], h2[o], h3[o] = _output_line(m0[o], m1[o], m2[o], m3[o], m4[o], m5[o])
        x0 = out_column + TILE * t
        wide = min(TILE, columns - TILE * t)
        for i in range(min(TILE, rows)):
            h0, h1, h2, h3, h4, h5 = half[i, 0], half[i, 1], half[i, 2], half[i, 3], half[i, 4], half[i, 5]
            if wide == TILE:
                y0, y1, y2, y3 = (
                    out[out_row + i, x0],
                    out[out_row + i, x0 + 1],
                    out[out_row + i, x0 + 2],
                    out[out_row + i, x0 + 3],
                )
                for o in range(channels):
                    a, b, c, d = _output_line(h0[o], h1[o], h2[o], h3[o], h4[o], h5[o])
                    y0[o], y1[o], y2[o], y3[o] = a + bias[o], b + bias[o], c + bias[o], d + bias[o]
                    trouble += ((a + b) + (c + d)) * F(0)
            else:
                y0, y1, y2 = (
                    out[out_row + i, x0],
                    out[out_row + i, x0 + min(1, wide - 1)],
                    out[out_row + i, x0 + wide - 1],
                )
                for o in range(channels):
                    a, b, c, d = _output_line(h0[o], h1[o], h2[o], h3[o], h4[o], h5[o])
                    # the last assignment wins where fewer than three columns are left
                    y2[o] = (c if wide == 3 else b if wide == 2 else a) + bias[o]
                    y1[o] = (b if wide > 1 else a) + bias[o]
                    y0[o] = a + bias[o]
                    trouble += ((a + b) + (c + d)) * F(0)
    return trouble


@kernel
def conv_winograd_forward(x, x_row, u, bias, out, out_row, out_column, rows, columns, v, m, half, flags):
    """x: H, W, C padded, reaching over the last tiles; u: `transform_filters`; bias: O; out: rows x columns.

    v: 36, T, C and m: 36, T, O are scratch for T tiles, half: 6, 6, max(C, O); flags[i] becomes 1 for a row of tiles
    with a result that is not finite.
    """
    in_channels, out_channels = x.shape[2], out.shape[2]
    tiles = -(-columns // TILE)
    lines = -(-rows // TILE)
    together = max(1, v.shape[1] // tiles)
    v_place, m_place = v.shape[1] * in_channels, m.shape[1] * out_channels
    zeros = np.zeros(BLOCK, np.float32)
    for line in range(0, lines, together):
        count = min(together, lines - line)
        for i in range(count):
            winograd_input_forward(x, x_row + TILE * (line + i), tiles, v, i * tiles, half)
        for place in range(PLACES):
            w_at = address_of(u) + 4 * place * u.shape[1]
            x_at = address_of(v) + 4 * place * v_place
            for first in range(0, out_channels, BLOCK):
                channels = min(BLOCK, out_channels - first)
                y_at = address_of(m) + 4 * (place * m_place + first)
                if channels > LANES:
                    dense_row(
                        x_at, w_at, address_of(zeros), y_at, count * tiles, 1, 1, in_channels,
                        0, 0, in_channels, out_channels, channels, VECTORS,
                    )  # fmt: skip
                    w_at += 4 * in_channels * BLOCK
                else:
                    dense_row(
                        x_at, w_at, address_of(zeros), y_at, count * tiles, 1, 1, in_channels,
                        0, 0, in_channels, out_channels, channels, 1,
                    )  # fmt: skip
                    w_at += 4 * in_channels * LANES
        for i in range(count):
            left = rows - TILE * (line + i)
            to = out_row + TILE * (line + i)
            trouble = winograd_output_forward(m, i * tiles, tiles, bias, out, to, out_column, left, columns, half)
            flags[line + i] = trouble != F(0)
