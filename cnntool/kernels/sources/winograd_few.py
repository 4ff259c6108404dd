"""Winograd convolution with few input channels, whose transforms stay in the L1 cache.

F(4x4, 3x3) takes 36 products per channel for 16 outputs instead of 144, F(4x4, 4x4) 49 instead of 256. A stride splits
filters and inputs into phases, each like one more channel: 7x7 filters with stride 2 become four of 4x4.

With few channels most of the work is in the transforms. Four tiles at a time share each load of a filter: for each row
of the patch, the products of all four stay in registers, where they are transformed to a row of outputs; after the last
row these are transformed to the outputs and stored. A 3x3 convolution of 224x224x3 -> 64 takes one thread 0.91 ms, 7x7
with stride 2 takes 0.79 ms; direct convolution takes 1.73 and 2.1, F(3x3, 4x4) 1.13 for the latter. All filters are
applied to four tiles before the next four, so that pixels are written completely: with full rows of tiles the first
took 1.2 to 1.6 ms. Prefetching the lines of outputs gained nothing and cost 5 % with pooling fused behind; non-temporal
stores saved 10 % where nobody reads the outputs, and doubled the time of pooling.

Errors are about 4e-6 of the largest output.
"""

from __future__ import annotations

import numpy as np

from cnntool.kernels.arguments import Corner, Size
from cnntool.kernels.convolution import NONE
from cnntool.kernels.sources.jit import inlined, kernel
from cnntool.kernels.sources.simd import copy_floats, load, load_first, splat, store, store_first, where_less
from cnntool.kernels.sources.tile import address_of
from cnntool.kernels.sources.winograd_few_outliers import few_rows_are_plain, few_states
from cnntool.kernels.sources.winograd_few_tile import few_input_tile, few_output_tile, few_products_tile
from cnntool.kernels.vectors import LANES
from cnntool.kernels.winograd import DIRECT
from cnntool.kernels.winograd_few import PIECE, TILE, TILES_AT_ONCE

ZERO = np.float32(0)


@inlined
def _fill_zeros(at, count):
    """At least `count` float32, at most LANES - 1 more."""
    for c in range(0, count, LANES):
        store(at + 4 * c, splat(ZERO))


@inlined
def _input_tiles(edge_at, line_at, pixel, tiles, patch):
    """B^T of the pixels of each tile, `pixel` float32 apart, to tiles x patch x PIECE."""
    for t in range(tiles):
        few_input_tile(edge_at + 4 * t * TILE * pixel, pixel, line_at + 4 * t * patch * PIECE, PIECE, PIECE, patch)


@inlined
def _input_row(x, y, x_column, edge, line_at, stride, patch, tiles, pieces, depth):
    """Row y of x from `x_column` on, zero-padded, as B^T of the pixels of each tile.

    Output: stride * pieces, tiles, patch, PIECE at `line_at`. `edge`: scratch for the padded row.
    """
    height, columns, channels = x.shape
    length = tiles * patch * PIECE
    if y < 0 or y >= height:
        _fill_zeros(line_at, stride * pieces * length)
        return
    edge_at, wanted = address_of(edge), (TILE * (tiles - 1) + patch) * stride
    first, last = max(0, x_column), min(columns, x_column + wanted)
    before, there = (first - x_column) * channels, max(0, last - first) * channels
    _fill_zeros(edge_at, before)
    copy_floats(edge_at + 4 * before, address_of(x) + 4 * (y * columns + first) * channels, there)
    _fill_zeros(edge_at + 4 * (before + there), wanted * channels + PIECE - before - there)
    for phase in range(stride):
        for piece in range(pieces):
            from_at = edge_at + 4 * (phase * channels + piece * depth)
            to_at = line_at + 4 * (phase * pieces + piece) * length
            _input_tiles(from_at, to_at, stride * channels, tiles, patch)


@kernel
def few_input_row_3_forward(x, y, x_column, edge, line_at, stride, tiles, pieces, depth):
    """For filters with 3 taps."""
    _input_row(x, y, x_column, edge, line_at, stride, 6, tiles, pieces, depth)


@kernel
def few_input_row_4_forward(x, y, x_column, edge, line_at, stride, tiles, pieces, depth):
    """For filters with 4 taps."""
    _input_row(x, y, x_column, edge, line_at, stride, 7, tiles, pieces, depth)


@inlined
def _direct_pixel(x, y0, x0, weight, w_at, lanes):
    """The sum over a window for one vector of outputs; of few lines of code, for it is rarely needed."""
    height, width, in_channels = x.shape
    total = splat(ZERO)
    for ky in range(weight.shape[0]):
        for kx in range(weight.shape[1]):
            inside = 0 <= y0 + ky < height and 0 <= x0 + kx < width
            for ic in range(in_channels):
                at = w_at + 4 * ((ky * weight.shape[1] + kx) * in_channels + ic) * lanes
                total = total + splat(x[y0 + ky, x0 + kx, ic] if inside else ZERO) * load(at)
    return total


@kernel
def mend_few_tiles(states, source, weight, bias, target, size, stride, low, added):
    """Of a row of tiles, the outputs of those that are DIRECT, and those whose windows see nothing but zeros."""
    (x, y0, x0), (out, out_row, out_column), (other, other_row, _) = source, target, added
    (rows, columns), (stride_y, stride_x) = size, stride
    channels, lanes, bound = out.shape[2], weight.shape[3], splat(low)
    for oy in range(rows):
        for ox in range(columns):
            state = states[ox // TILE]
            if state == DIRECT or state >> (TILE * oy + ox % TILE) & 1:
                for oc in range(0, channels, LANES):
                    left = min(LANES, channels - oc)
                    total = load(address_of(bias) + 4 * oc)
                    if state == DIRECT:
                        w_at = address_of(weight) + 4 * oc
                        total = total + _direct_pixel(x, y0 + stride_y * oy, x0 + stride_x * ox, weight, w_at, lanes)
                    if other_row != NONE:
                        pixel = (other_row + oy) * other.shape[1] + ox
                        total = total + load_first(address_of(other) + 4 * (pixel * channels + oc), left)
                    to = ((out_row + oy) * out.shape[1] + out_column + ox) * channels + oc
                    store_first(address_of(out) + 4 * to, where_less(total, bound, bound, total), left)


@inlined
def _line(lines, u, v, h, bias, target, size, stride_y, low, added, patch):
    """A row of tiles: target = max(low, A^T (u * v) A + bias + added), cut off at `size`.

    lines, u: see `conv_winograd_few_3_forward`; scratch for TILES_AT_ONCE: v, h.
    """
    (out, out_row, out_column), (rows, columns), (other, other_row, _) = target, size, added
    blocks, depth, row_pieces, length = len(u), u.shape[4], lines.shape[1], lines.shape[2]
    pieces, together = stride_y * row_pieces, TILES_AT_ONCE * patch * PIECE
    channels, y_line, other_line = out.shape[2], out.shape[1] * out.shape[2], other.shape[1] * other.shape[2]
    line_step, v_step = stride_y * row_pieces * length, pieces * together
    u_step, h_step, h_tile = 4 * pieces * depth * patch * LANES, 4 * TILE * LANES, 4 * patch * TILE * LANES
    v_at, h_at = address_of(v), address_of(h)
    for start in range(0, -(-columns // TILE), TILES_AT_ONCE):
        for piece in range(pieces):
            line_at = address_of(lines) + 4 * (piece * length + start * patch * PIECE)
            for i in range(0, together, LANES):
                few_input_tile(line_at + 4 * i, line_step, v_at + 4 * (piece * together + i), v_step, LANES, patch)
        for block in range(blocks):
            oc = block * LANES
            u_at, bias_at = address_of(u) + patch * u_step * block, address_of(bias) + 4 * oc
            for a in range(patch):
                few_products_tile(
                    v_at + 4 * a * v_step, u_at + a * u_step, h_at + a * h_step, pieces, depth, together, patch
                )
            for t in range(TILES_AT_ONCE):
                ox = TILE * (start + t)
                if ox < columns:
                    y_at = address_of(out) + 4 * (out_row * y_line + (out_column + ox) * channels + oc)
                    other_at = 0
                    if other_row != NONE:
                        other_at = address_of(other) + 4 * (other_row * other_line + ox * channels + oc)
                    few_output_tile(
                        h_at + t * h_tile, bias_at, y_at, other_at, y_line, channels, other_line,
                        rows, min(TILE, columns - ox), min(LANES, channels - oc), low, patch,
                    )  # fmt: skip


@kernel
def few_line_3_forward(lines, u, v, h, bias, target, size, stride_y, low, added):
    """For filters with 3 taps."""
    _line(lines, u, v, h, bias, target, size, stride_y, low, added, 6)


@kernel
def few_line_4_forward(lines, u, v, h, bias, target, size, stride_y, low, added):
    """For filters with 4 taps."""
    _line(lines, u, v, h, bias, target, size, stride_y, low, added, 7)


@inlined
def convolution(input_row, line, patch, source, u, limit, bias, target, size, window, weight, low, scratch, added):
    """What both kernels do, by the functions for their number of taps."""
    (x, x_row, x_column), (out, out_row, out_column), (other, other_row, _) = source, target, added
    (rows, columns), (edge, lines, v, h) = size, scratch
    (kernel_height, _), (stride_y, stride_x), _, _ = window
    pieces, depth = u.shape[3] // stride_x, u.shape[4]
    row = lines.shape[1] * lines.shape[2]
    tiles = lines.shape[2] // (patch * PIECE)
    all_rows, step = stride_y * patch, stride_y * TILE
    known = 0  # lines left by the previous row of tiles
    for top in range(0, rows, TILE):
        y0, left = x_row + stride_y * top, min(TILE, rows - top)
        here, to, number = Corner(x, y0, x_column), Corner(out, out_row + top, out_column), Size(left, columns)
        # rows of a patch that no output needs count as zeros, since a band may not hold them
        seen = stride_y * (left - 1) + kernel_height
        for i in range(known):
            copy_floats(address_of(lines) + 4 * i * row, address_of(lines) + 4 * (i + step) * row, row)
        for i in range(known, all_rows):
            y = y0 + i if i < seen else -1
            line_at = address_of(lines) + 4 * i * row
            input_row(x, y, x_column, edge, line_at, stride_x, tiles, pieces, depth)
        known = seen - step
        besides = Corner(other, other_row + top if other_row != NONE else NONE, 0)
        line(lines, u, v, h, bias, to, number, stride_y, low, besides)
        if not few_rows_are_plain(here, number, window, limit):
            states = np.empty(tiles, np.int64)
            few_states(here, number, window, patch, limit, states)
            mend_few_tiles(states, here, weight, bias, to, number, window.stride, low, besides)


@kernel
def conv_winograd_few_3_forward(source, u, limit, bias, target, size, window, weight, low, scratch, added):
    """Filters with up to 3 taps for each phase of the stride.

    source: H, W, C, zero beyond; u: by `transform_few_filters`; bias: packed; target: >= low.

    `added` is added, unless its row is NONE. scratch: a row of x; patch * sy, sx * pieces of channels,
    tiles * patch * PIECE; patch, as many pieces as in sy lines, TILES_AT_ONCE * patch * PIECE; TILES_AT_ONCE,
    patch * TILE, LANES.
    Tiles with an input of `limit` or more, one that is not finite, or one beside which a window would be lost, are
    computed directly with `weight`: kh, kw, C, whole vectors of output channels.
    """
    convolution(
        few_input_row_3_forward, few_line_3_forward, 6,
        source, u, limit, bias, target, size, window, weight, low, scratch, added,
    )  # fmt: skip


@kernel
def conv_winograd_few_4_forward(source, u, limit, bias, target, size, window, weight, low, scratch, added):
    """As `conv_winograd_few_3_forward`, with 4 taps."""
    convolution(
        few_input_row_4_forward, few_line_4_forward, 7,
        source, u, limit, bias, target, size, window, weight, low, scratch, added,
    )  # fmt: skip
