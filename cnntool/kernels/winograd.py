"""3x3 convolution by Winograd's minimal filtering F(4x4, 3x3): 36 products for 16 outputs instead of 144.

    y = A^T [(G g G^T) * (B^T d B)] A      A. Lavin, S. Gray, "Fast algorithms for convolutional neural networks", 2016

For each of the 36 places of a transformed 6x6 tile, filters and tiles meet in a matrix product over the input channels,
which the register tile of direct convolution computes. Errors are about 5e-6 of the largest output, ten times those of
direct convolution. A value that is not finite would spread over its whole tile, so rows of tiles where that happens are
computed directly.
"""

from __future__ import annotations

import numpy as np

from cnntool.kernels.convolution import BLOCK, NO_LIMIT, conv_direct_forward, dense_row, pack_filters
from cnntool.kernels.jit import inlined, kernel
from cnntool.kernels.simd import load, load_first, splat, store, store_first, where_less
from cnntool.kernels.tile import address_of
from cnntool.kernels.vectors import LANES, VECTORS

TILE = 4  # outputs of a tile along one axis
PATCH = TILE + 2  # inputs that it sees
PLACES = PATCH * PATCH
TILES_AT_ONCE = 28  # two register tiles; more would leave the second cache
F = np.float32
BYTES = 4 * LANES
ZERO, TWO, FOUR, FIVE, EIGHT = F(0), F(2), F(4), F(5), F(8)

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
    two, four, five = splat(TWO), splat(FOUR), splat(FIVE)
    low, high = d4 - four * d2, d3 - four * d1
    near, far = d4 - d2, two * (d3 - d1)
    return four * d0 - five * d2 + d4, low + high, low - high, near + far, near - far, four * d1 - five * d3 + d5


@inlined
def _output_line(m0, m1, m2, m3, m4, m5):
    two, four, eight = splat(TWO), splat(FOUR), splat(EIGHT)
    a, b, c, d = m1 + m2, m1 - m2, m3 + m4, m3 - m4
    return m0 + a + c, b + two * d, a + four * c, b + eight * d + m5


@inlined
def _load_six(at, step, count):
    if count == LANES:
        return (
            load(at), load(at + step), load(at + 2 * step), load(at + 3 * step), load(at + 4 * step),
            load(at + 5 * step),
        )  # fmt: skip
    return (
        load_first(at, count), load_first(at + step, count), load_first(at + 2 * step, count),
        load_first(at + 3 * step, count), load_first(at + 4 * step, count), load_first(at + 5 * step, count),
    )  # fmt: skip


@inlined
def _store_one(at, value, count):
    if count == LANES:
        store(at, value)
    else:
        store_first(at, value, count)


@inlined
def _load_one(at, count):
    return load(at) if count == LANES else load_first(at, count)


@inlined
def _at_least(least, value):
    return where_less(value, least, least, value)


@kernel
def winograd_input_forward(x, y0, tiles, v, first, half):
    """v[a, b, first + t, c] = (B^T d B)[a, b] of the 6x6 tile of x at (y0, 4 t); `half`: 36, LANES of scratch."""
    channels = x.shape[2]
    pixel, line, place = 4 * channels, 4 * x.shape[1] * channels, 4 * v.shape[1] * channels
    half_at, row = address_of(half), PATCH * BYTES
    for t in range(tiles):
        for c in range(0, channels, LANES):
            count = min(LANES, channels - c)
            x_at = address_of(x) + y0 * line + TILE * t * pixel + 4 * c
            v_at = address_of(v) + (first + t) * pixel + 4 * c
            for j in range(PATCH):
                d0, d1, d2, d3, d4, d5 = _load_six(x_at + j * pixel, line, count)
                h0, h1, h2, h3, h4, h5 = _input_line(d0, d1, d2, d3, d4, d5)
                at = half_at + j * BYTES
                store(at, h0)
                store(at + row, h1)
                store(at + 2 * row, h2)
                store(at + 3 * row, h3)
                store(at + 4 * row, h4)
                store(at + 5 * row, h5)
            for i in range(PATCH):
                d0, d1, d2, d3, d4, d5 = _load_six(half_at + i * row, BYTES, LANES)
                h0, h1, h2, h3, h4, h5 = _input_line(d0, d1, d2, d3, d4, d5)
                at = v_at + i * PATCH * place
                _store_one(at, h0, count)
                _store_one(at + place, h1, count)
                _store_one(at + 2 * place, h2, count)
                _store_one(at + 3 * place, h3, count)
                _store_one(at + 4 * place, h4, count)
                _store_one(at + 5 * place, h5, count)


@kernel
def winograd_output_forward(m, first, tiles, bias, out, out_row, out_column, rows, columns, half, low):
    """out = max(low, A^T m A + bias), cut off at `rows` x `columns`; returns not zero if a result is not finite."""
    channels = out.shape[2]
    pixel, line, place = 4 * channels, 4 * out.shape[1] * channels, 4 * m.shape[1] * channels
    half_at, row = address_of(half), PATCH * BYTES
    trouble, least = splat(ZERO), splat(low)
    for t in range(tiles):
        wide = min(TILE, columns - TILE * t)
        for o in range(0, channels, LANES):
            count = min(LANES, channels - o)
            m_at = address_of(m) + (first + t) * pixel + 4 * o
            y_at = address_of(out) + out_row * line + (out_column + TILE * t) * pixel + 4 * o
            for j in range(PATCH):
                d0, d1, d2, d3, d4, d5 = _load_six(m_at + j * place, PATCH * place, count)
                h0, h1, h2, h3 = _output_line(d0, d1, d2, d3, d4, d5)
                at = half_at + j * BYTES
                store(at, h0)
                store(at + row, h1)
                store(at + 2 * row, h2)
                store(at + 3 * row, h3)
            offset = _load_one(address_of(bias) + 4 * o, count)
            for i in range(min(TILE, rows)):
                d0, d1, d2, d3, d4, d5 = _load_six(half_at + i * row, BYTES, LANES)
                h0, h1, h2, h3 = _output_line(d0, d1, d2, d3, d4, d5)
                trouble = trouble + ((h0 + h1) + (h2 + h3)) * splat(ZERO)
                at = y_at + i * line
                _store_one(at, _at_least(least, h0 + offset), count)
                if wide > 1:
                    _store_one(at + pixel, _at_least(least, h1 + offset), count)
                if wide > 2:
                    _store_one(at + 2 * pixel, _at_least(least, h2 + offset), count)
                if wide > 3:
                    _store_one(at + 3 * pixel, _at_least(least, h3 + offset), count)
    store(half_at, trouble)
    total = ZERO
    for lane in range(LANES):
        total += half[0, lane]
    return total


@inlined
def products(u, v, m, tiles, out_channels):
    """m[p, t, oc] = sum over ic of v[p, t, ic] * u[p, ic, oc] for the 36 places p and the first `tiles` t"""
    in_channels = v.shape[2]
    zeros = np.zeros(BLOCK, np.float32)
    for p in range(PLACES):
        w_at = address_of(u) + 4 * p * u.shape[1]
        x_at = address_of(v) + 4 * p * v.shape[1] * in_channels
        for first in range(0, out_channels, BLOCK):
            channels = min(BLOCK, out_channels - first)
            y_at = address_of(m) + 4 * (p * m.shape[1] * out_channels + first)
            if channels > LANES:
                dense_row(
                    x_at, w_at, address_of(zeros), y_at, tiles, 1, 1, in_channels,
                    0, 0, in_channels, out_channels, channels, NO_LIMIT, VECTORS,
                )  # fmt: skip
                w_at += 4 * in_channels * BLOCK
            else:
                dense_row(
                    x_at, w_at, address_of(zeros), y_at, tiles, 1, 1, in_channels,
                    0, 0, in_channels, out_channels, channels, NO_LIMIT, 1,
                )  # fmt: skip
                w_at += 4 * in_channels * LANES


@kernel
def conv_winograd_forward(x, x_row, u, bias, out, out_row, out_column, rows, columns, v, m, half, low, weight):
    """x: H, W, C padded, reaching over the last tiles; u: `transform_filters`; bias: packed; out: >= low.

    v: 36, T, C and m: 36, T, O are scratch for T tiles, half: 36, LANES. A row of tiles with a result that is not
    finite is computed anew by direct convolution with `weight`, the same filters packed for it.
    """
    out_channels = out.shape[2]
    tiles = -(-columns // TILE)
    lines = -(-rows // TILE)
    together = max(1, v.shape[1] // tiles)
    for line in range(0, lines, together):
        count = min(together, lines - line)
        for i in range(count):
            winograd_input_forward(x, x_row + TILE * (line + i), tiles, v, i * tiles, half)
        products(u, v, m, count * tiles, out_channels)
        for i in range(count):
            left = rows - TILE * (line + i)
            to = out_row + TILE * (line + i)
            trouble = winograd_output_forward(m, i * tiles, tiles, bias, out, to, out_column, left, columns, half, low)
            if trouble != F(0):
                conv_direct_forward(
                    x, x_row + TILE * (line + i), weight, bias, out, to, out_column, min(TILE, left), columns,
                    3, 3, 1, 1, 1, 1, 1, out_channels, low,
                )  # fmt: skip
