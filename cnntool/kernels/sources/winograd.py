"""3x3 and 5x5 Winograd convolution.

3x3 filters take 36 products for 16 outputs, or 16 for 4, instead of 144 and 36; with stride 2, 25 for 4 instead of 36.
5x5 filters take 36 products for 4 outputs instead of 100.

For each element of a transformed patch, the register tile of direct convolution computes a matrix product over the
input channels. Errors are about 5e-6 of the largest output with tiles of 4x4, ten times those of direct convolution,
and a tenth of that with tiles of 2x2. A non-finite value would spread over its tile, so such rows of tiles are computed
directly.
"""

from __future__ import annotations

import numpy as np

from cnntool.kernels.arguments import Corner, Size, Span
from cnntool.kernels.convolution import BLOCK, NO_LIMIT
from cnntool.kernels.sources.jit import inlined, kernel
from cnntool.kernels.sources.separate import separate
from cnntool.kernels.sources.tile import address_of, dense_tile
from cnntool.kernels.sources.winograd_outliers import mend_tiles, separate_rows
from cnntool.kernels.sources.winograd_small_tiles import (
    winograd_5x5_output_forward,
    winograd_small_input_forward,
    winograd_small_output_forward,
    winograd_strided_input_forward,
    winograd_strided_output_forward,
)
from cnntool.kernels.sources.winograd_tiles import winograd_input_forward, winograd_output_forward
from cnntool.kernels.vectors import LANES, PIXELS, VECTORS
from cnntool.kernels.winograd import PATCH, SHORT, SMALL_PATCH, SMALL_TILE, STRIDED_PATCH, TILE

F = np.float32


@inlined
def product_row(x_at, w_at, bias_at, y_at, tiles, depth, channels, vectors):
    """As `dense_row`, for `tiles` tiles, one element of the patch; the 16 tiles of 14x14 outputs are two short ones."""
    t = 0
    while t < tiles:
        rest = tiles - t
        if rest <= SHORT or PIXELS < rest <= 2 * SHORT:
            start = max(0, min(t, tiles - SHORT))
            count = min(SHORT, tiles - start)
            dense_tile(
                x_at + 4 * start * depth, w_at, bias_at, y_at + 4 * start * BLOCK, 1, 1, depth,
                0, 0, depth, BLOCK, count, channels, 0, NO_LIMIT, SHORT, vectors,
            )  # fmt: skip
        else:
            start = max(0, min(t, tiles - PIXELS))
            count = min(PIXELS, tiles - start)
            dense_tile(
                x_at + 4 * start * depth, w_at, bias_at, y_at + 4 * start * BLOCK, 1, 1, depth,
                0, 0, depth, BLOCK, count, channels, 0, NO_LIMIT, PIXELS, vectors,
            )  # fmt: skip
        t = start + count


@kernel
def products_forward(u, v, m, zeros, tiles, channel, last):
    """m[p, t, oc - channel] = sum over ic of v[p, t, ic] * u[p, ic, oc] for all elements p and the first `tiles` t

    For one block of output channels, from `channel` on and before `last`. The filters of a block are contiguous, so
    that those of the next element are prefetched, even if another thread computes the next block.
    """
    elements, in_channels, channels = v.shape[0], v.shape[2], min(BLOCK, last - channel)
    w_at = address_of(u) + 4 * elements * in_channels * channel
    for p in range(elements):
        x_at = address_of(v) + 4 * p * v.shape[1] * in_channels
        y_at = address_of(m) + 4 * p * m.shape[1] * BLOCK
        if channels > LANES:
            product_row(x_at, w_at, address_of(zeros), y_at, tiles, in_channels, channels, VECTORS)
            w_at += 4 * in_channels * BLOCK
        else:
            product_row(x_at, w_at, address_of(zeros), y_at, tiles, in_channels, channels, 1)
            w_at += 4 * in_channels * LANES


products = separate(products_forward)


@inlined
def _plain_input(x, y0, x0, tiles, v, first, half, edge, states, rows, columns):
    return winograd_input_forward(x, y0, x0, TILE, tiles, v, first, half, edge, states, rows, columns)


@inlined
def _five_input(x, y0, x0, tiles, v, first, half, edge, states, rows, columns):
    return winograd_input_forward(x, y0, x0, SMALL_TILE, tiles, v, first, half, edge, states, rows, columns)


@inlined
def _small_input(x, y0, x0, tiles, v, first, half, edge, states, rows, columns):
    winograd_small_input_forward(x, y0, x0, tiles, v, first, half, edge)
    return False


@inlined
def _strided_input(x, y0, x0, tiles, v, first, half, edge, states, rows, columns):
    winograd_strided_input_forward(x, y0, x0, tiles, v, first, half, edge)
    return False


@inlined
def _nothing(states, done, tiles, source, whole, target, size, span, low):
    """Instead of `mend_tiles`: small tiles need none."""


@inlined
def convolution(
    transform, conclude, mend, tile, patch, stride, source, u, whole, target, size, scratch, low, span
):  # fmt: skip
    """What all kernels do, by the functions of one kind of tiles. Each is compiled only if it is called."""
    (x, x_row, x_column), (out, out_row, out_column), (rows, columns) = source, target, size
    (v, m, half, edge), (first, last) = scratch, span
    tiles, lines = -(-columns // tile), -(-rows // tile)
    together = max(1, v.shape[1] // tiles)
    zeros, states = np.zeros(BLOCK, np.float32), np.zeros(v.shape[1], np.int64)
    for line in range(0, lines, together):
        count, mends = min(together, lines - line), False
        for i in range(count):
            y0 = x_row + stride * tile * (line + i)
            left = rows - tile * (line + i)
            mends |= transform(x, y0, x_column, tiles, v, i * tiles, half, edge, states, left, columns)
        for channel in range(first, last, BLOCK):
            block = Span(channel, min(last, channel + BLOCK))
            products(u, v, m, zeros, count * tiles, block.first, block.last)
            for i in range(count):
                done, number = i * tiles, Size(min(tile, rows - tile * (line + i)), columns)
                here = Corner(x, x_row + stride * tile * (line + i), x_column)
                to = Corner(out, out_row + tile * (line + i), out_column)
                trouble = conclude(m, done, tiles, whole.bias, to, number, block, half, low)
                if mends:
                    mend(states, done, tiles, here, whole, to, number, block, low)
                if trouble != F(0):
                    separate_rows(here, whole, to, number, block, patch - stride * (tile - 1), stride, low)


@kernel
def conv_winograd_forward(source, u, whole, target, size, scratch, low, span):
    """3x3 filters, tiles of 4x4 outputs.

    source: H, W, C, zero beyond; u: `transform_filters`; target: >= low. scratch, for P elements and T tiles: P, T, C;
    P, T, BLOCK; 36, LANES; a patch and LANES more. Computes a span of output channels, whose first is a multiple of
    BLOCK. A row of tiles with a result that is not finite is computed anew by direct convolution with the `whole`
    filters.
    """
    convolution(
        _plain_input, winograd_output_forward, mend_tiles, TILE, PATCH, 1,
        source, u, whole, target, size, scratch, low, span,
    )  # fmt: skip


@kernel
def conv_winograd_small_forward(source, u, whole, target, size, scratch, low, span):
    """As `conv_winograd_forward`, tiles of 2x2 outputs."""
    convolution(
        _small_input, winograd_small_output_forward, _nothing, SMALL_TILE, SMALL_PATCH, 1,
        source, u, whole, target, size, scratch, low, span,
    )  # fmt: skip


@kernel
def conv_winograd_strided_forward(source, u, whole, target, size, scratch, low, span):
    """As `conv_winograd_small_forward`, with stride 2."""
    convolution(
        _strided_input, winograd_strided_output_forward, _nothing, SMALL_TILE, STRIDED_PATCH, 2,
        source, u, whole, target, size, scratch, low, span,
    )  # fmt: skip


@kernel
def conv_winograd_5x5_forward(source, u, whole, target, size, scratch, low, span):
    """As `conv_winograd_small_forward`, of 5x5 filters."""
    convolution(
        _five_input, winograd_5x5_output_forward, _nothing, SMALL_TILE, PATCH, 1,
        source, u, whole, target, size, scratch, low, span,
    )  # fmt: skip
