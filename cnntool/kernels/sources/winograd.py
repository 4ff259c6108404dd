"""3x3 and 5x5 convolution by Winograd's minimal filtering.

Of 3x3 filters 36 products for 16 outputs, or 16 for 4, instead of 144 and 36, with stride 2 25 for 4; of 5x5 filters 36
for 4 instead of 100.

For each place of a transformed patch, filters and patches meet in a matrix product over the input channels, which the
register tile of direct convolution computes. Errors are about 5e-6 of the largest output with tiles of 4x4, ten times
those of direct convolution, and a tenth of that with tiles of 2x2. A value that is not finite would spread over its
whole tile, so rows of tiles where that happens are computed directly.
"""

from __future__ import annotations

import numpy as np

from cnntool.kernels.convolution import BLOCK, NO_LIMIT, NONE
from cnntool.kernels.sources.convolution import conv_direct_forward
from cnntool.kernels.sources.jit import inlined, kernel
from cnntool.kernels.sources.tile import address_of, dense_tile
from cnntool.kernels.sources.winograd_tiles import (
    winograd_input_forward,
    winograd_output_forward,
    winograd_small_input_forward,
    winograd_small_output_forward,
    winograd_strided_input_forward,
)
from cnntool.kernels.vectors import LANES, PIXELS, VECTORS
from cnntool.kernels.winograd import PATCH, SHORT, STRIDED_PATCH, TILE

F = np.float32


@inlined
def product_row(x_at, w_at, bias_at, y_at, tiles, depth, out_pixel, channels, vectors):
    """As `dense_row`, of the `tiles` pixels of v for one place: 16 of them, which 14x14 outputs make, are two tiles."""
    t = 0
    while t < tiles:
        rest = tiles - t
        if rest <= SHORT or PIXELS < rest <= 2 * SHORT:
            start = max(0, min(t, tiles - SHORT))
            count = min(SHORT, tiles - start)
            dense_tile(
                x_at + 4 * start * depth, w_at, bias_at, y_at + 4 * start * out_pixel, 1, 1, depth,
                0, 0, depth, out_pixel, count, channels, 0, NO_LIMIT, SHORT, vectors,
            )  # fmt: skip
        else:
            start = max(0, min(t, tiles - PIXELS))
            count = min(PIXELS, tiles - start)
            dense_tile(
                x_at + 4 * start * depth, w_at, bias_at, y_at + 4 * start * out_pixel, 1, 1, depth,
                0, 0, depth, out_pixel, count, channels, 0, NO_LIMIT, PIXELS, vectors,
            )  # fmt: skip
        t = start + count


@inlined
def products(u, v, m, tiles, first, last):
    """m[p, t, oc - first] = sum over ic of v[p, t, ic] * u[p, ic, oc] for all places p and the first `tiles` t

    For output channels from `first`, a multiple of BLOCK, to `last`.
    """
    in_channels, width = v.shape[2], m.shape[2]
    zeros = np.zeros(BLOCK, np.float32)
    for p in range(u.shape[0]):
        w_at = address_of(u) + 4 * (p * u.shape[1] + in_channels * first)
        x_at = address_of(v) + 4 * p * v.shape[1] * in_channels
        for channel in range(first, last, BLOCK):
            channels = min(BLOCK, last - channel)
            y_at = address_of(m) + 4 * (p * m.shape[1] * width + channel - first)
            if channels > LANES:
                product_row(x_at, w_at, address_of(zeros), y_at, tiles, in_channels, width, channels, VECTORS)
                w_at += 4 * in_channels * BLOCK
            else:
                product_row(x_at, w_at, address_of(zeros), y_at, tiles, in_channels, width, channels, 1)
                w_at += 4 * in_channels * LANES


@inlined
def _direct_rows(x, y0, x0, weight, bias, out, out_row, out_column, rows, columns, first, last, size, stride, low):
    """A few rows by direct convolution, of a copy with its border."""
    height, width, channels = x.shape
    wide = stride * (max(columns, PIXELS) - 1) + size
    canvas = np.zeros((stride * (rows - 1) + size, wide, channels), np.float32)
    for i in range(max(0, -y0), min(len(canvas), height - y0)):
        for j in range(max(0, -x0), min(wide, width - x0)):
            canvas[i, j] = x[y0 + i, x0 + j]
    conv_direct_forward(
        canvas, 0, weight, bias, out, out_row, out_column, rows, columns, size, size, stride, stride, 1, 1, 1,
        channels,
        out.shape[2], low, first // BLOCK, -(-last // BLOCK), out, NONE,
    )  # fmt: skip


@kernel
def conv_winograd_forward(
    x, x_row, x_column, u, bias, out, out_row, out_column, rows, columns, v, m, half, edge, low, weight,
    first, last, tile, patch,
):  # fmt: skip
    """x: H, W, C, first window at (x_row, x_column), zero beyond; u: `transform_filters`; bias: packed; out: >= low.

    v: P, T, C and m: P, T, O are scratch for P places and T tiles, half: 36, LANES, edge: a patch and LANES more. Of
    the output channels those from `first`, a multiple of BLOCK, to `last` are computed, O of them. A row of tiles with
    a result that is not finite is computed anew by direct convolution with `weight`, the same filters packed for it.
    """
    tiles, lines, stride = -(-columns // tile), -(-rows // tile), 2 if patch == STRIDED_PATCH else 1
    together = max(1, v.shape[1] // tiles)
    for line in range(0, lines, together):
        count = min(together, lines - line)
        for i in range(count):
            y0 = x_row + stride * tile * (line + i)
            if patch == PATCH:
                winograd_input_forward(x, y0, x_column, tile, tiles, v, i * tiles, half, edge)
            elif patch == STRIDED_PATCH:
                winograd_strided_input_forward(x, y0, x_column, tiles, v, i * tiles, half, edge)
            else:
                winograd_small_input_forward(x, y0, x_column, tiles, v, i * tiles, half, edge)
        products(u, v, m, count * tiles, first, last)
        for i in range(count):
            left = min(tile, rows - tile * (line + i))
            to, done = out_row + tile * (line + i), i * tiles
            if tile == TILE:
                trouble = winograd_output_forward(
                    m, done, tiles, bias, out, to, out_column, first, left, columns, half, low
                )
            else:
                trouble = winograd_small_output_forward(
                    m, patch, done, tiles, bias, out, to, out_column, first, left, columns, half, low
                )
            if trouble != F(0):
                y0, size = x_row + stride * tile * (line + i), patch - stride * (tile - 1)
                _direct_rows(
                    x, y0, x_column, weight, bias, out, to, out_column, left, columns, first, last, size, stride, low
                )
