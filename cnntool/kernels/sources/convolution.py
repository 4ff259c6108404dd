"""Convolution (cross-correlation) by the register tile.

    out[oy, ox, oc] = bias[oc] + sum over ky, kx, ic of x[sy * oy + dy * ky, sx * ox + dx * kx, ic] * w[ky, kx, ic, oc]

`x` is padded by the caller. On five shapes from 224x224x3 to 28x28x256 the direct kernel reaches 85 to 98 % of the
float32 peak of an AVX-512 core.
"""

from __future__ import annotations

from cnntool.kernels.arguments import Size
from cnntool.kernels.convolution import BLOCK, CHANNEL_PIXELS, CHANNEL_VECTORS, NONE
from cnntool.kernels.pooling import MULTIPLY
from cnntool.kernels.sources.channel_tile import channel_tile, depthwise_tile
from cnntool.kernels.sources.jit import inlined, kernel
from cnntool.kernels.sources.tile import address_of, dense_tile
from cnntool.kernels.vectors import HOST, LANES, NARROW_PIXELS, PIXELS, VECTORS

DEPTHWISE_ROWS = 2  # by CHANNEL_PIXELS; on 112x112x128 tiles of 2x4 took 0.37 ms, 2x7 0.41, 4x4 0.40, 3x4 0.41
# Rows that go through all filters before the next rows, if the filters fit into the L2 cache: 108 GFLOP/s instead of 98
# to 102 with whole bands on 112x112x64 -> 128.
FEW_ROWS, FILTERS_IN_CACHE = 4, HOST.l2_cache
# Filters that fit into the L1 cache are applied row by row, so that pixels are completed while their lines are cached.
FILTERS_AT_HAND = HOST.l1_cache


@inlined
def dense_row(
    x_at, w_at, bias_at, y_at, columns, height, width, depth,
    x_step_y, x_step_x, x_pixel, out_pixel, channels, other_at, low, vectors,
):  # fmt: skip
    """One row of output pixels: full tiles, and a narrow one for a short remainder.

    The last tile is shifted left to overlap the one before, if the row is long enough.
    """
    ox = 0
    while ox < columns:
        if columns - ox > NARROW_PIXELS:
            start = max(0, min(ox, columns - PIXELS))
            count = min(PIXELS, columns - start)
            other = other_at + 4 * start * out_pixel if other_at != 0 else 0
            dense_tile(
                x_at + 4 * start * x_pixel, w_at, bias_at, y_at + 4 * start * out_pixel, height, width, depth,
                x_step_y, x_step_x, x_pixel, out_pixel, count, channels, other, low, PIXELS, vectors,
            )  # fmt: skip
        else:
            start = max(0, min(ox, columns - NARROW_PIXELS))
            count = min(NARROW_PIXELS, columns - start)
            other = other_at + 4 * start * out_pixel if other_at != 0 else 0
            dense_tile(
                x_at + 4 * start * x_pixel, w_at, bias_at, y_at + 4 * start * out_pixel, height, width, depth,
                x_step_y, x_step_x, x_pixel, out_pixel, count, channels, other, low, NARROW_PIXELS, vectors,
            )  # fmt: skip
        ox = start + count


@kernel
def dense_rows_wide(at, down, size, taps, steps, channels, low):
    """Rows of one block of VECTORS registers of output channels; `down`: bytes from row to row of x, out and other.

    Not inlined, so that LLVM has enough registers for the addresses: inlined, 3x3 convolution of 224x224x3 -> 64 took
    1.77 ms instead of 1.69.
    """
    (x_at, w_at, bias_at, y_at, other_at), (x_down, y_down, other_down), (rows, columns) = at, down, size
    (height, width, depth), (x_step_y, x_step_x, x_pixel, out_pixel) = taps, steps
    for i in range(rows):
        dense_row(
            x_at + i * x_down, w_at, bias_at, y_at + i * y_down, columns, height, width, depth,
            x_step_y, x_step_x, x_pixel, out_pixel, channels, other_at + i * other_down if other_at != 0 else 0,
            low, VECTORS,
        )  # fmt: skip


@kernel
def dense_rows_narrow(at, down, size, taps, steps, channels, low):
    """As `dense_rows_wide`, for one register of output channels."""
    (x_at, w_at, bias_at, y_at, other_at), (x_down, y_down, other_down), (rows, columns) = at, down, size
    (height, width, depth), (x_step_y, x_step_x, x_pixel, out_pixel) = taps, steps
    for i in range(rows):
        dense_row(
            x_at + i * x_down, w_at, bias_at, y_at + i * y_down, columns, height, width, depth,
            x_step_y, x_step_x, x_pixel, out_pixel, channels, other_at + i * other_down if other_at != 0 else 0,
            low, 1,
        )  # fmt: skip


@kernel
def conv_direct_forward(source, filters, target, size, window, low, span, added):
    """source: H, W, C padded. `added` is added, unless its row is NONE; `low` is the lower bound of results (0: ReLU).

    Computes a span of blocks of BLOCK output channels (EVERY_BLOCK), counted through all groups. Reads up to PIXELS - 1
    pixels past a row shorter than a tile.
    """
    (x, x_row, _), (out, out_row, out_column), (other, other_row, _) = source, target, added
    (rows, columns), (first_block, last_block) = size, span
    weight, bias, groups, in_channels, out_channels = filters
    (kernel_height, kernel_width), (stride_y, stride_x), (dilation_y, dilation_x), _ = window
    per_group = out_channels // groups
    x_line, out_line, out_pixel = x.shape[1] * x.shape[2], out.shape[1] * out.shape[2], out.shape[2]
    x_pixel, other_line = stride_x * x.shape[2], other.shape[1] * other.shape[2]
    x_step_y, x_step_x = dilation_y * x_line, dilation_x * x.shape[2]
    height, width, depth = kernel_height, kernel_width, in_channels
    if x.shape[2] == in_channels and dilation_x == 1:  # a row of the window is one contiguous piece
        width, depth = 1, kernel_width * in_channels
    taps, steps = (height, width, depth), (x_step_y, x_step_x, x_pixel, out_pixel)
    down = 4 * stride_y * x_line, 4 * out_line, 4 * other_line
    blocks = -(-per_group // BLOCK)
    w_block = 4 * kernel_height * kernel_width * in_channels  # bytes of a block's filters, for one lane
    lines = FEW_ROWS if 4 * weight.size <= FILTERS_IN_CACHE else rows
    if 4 * weight.size <= FILTERS_AT_HAND:
        lines = 1
    for top in range(0, rows, lines):
        for block in range(first_block, min(last_block, groups * blocks)):
            group, first = block // blocks, block % blocks * BLOCK
            channels = min(BLOCK, per_group - first)
            wide = channels > LANES
            last = per_group - (blocks - 1) * BLOCK
            group_lanes = (blocks - 1) * BLOCK + (BLOCK if last > LANES else LANES)
            w_at = address_of(weight) + w_block * (group * group_lanes + first)
            bias_at = address_of(bias) + 4 * (group * blocks * BLOCK + first)
            x_at = address_of(x) + 4 * ((x_row + stride_y * top) * x_line + group * in_channels)
            channel = group * per_group + first
            y_at = address_of(out) + 4 * ((out_row + top) * out_line + out_column * out_pixel + channel)
            other_at = 0
            if other_row != NONE:
                other_at = address_of(other) + 4 * ((other_row + top) * other_line + channel)
            at, part = (x_at, w_at, bias_at, y_at, other_at), Size(min(lines, rows - top), columns)
            if wide:
                dense_rows_wide(at, down, part, taps, steps, channels, low)
            else:
                dense_rows_narrow(at, down, part, taps, steps, channels, low)


@kernel
def conv_depthwise_forward(source, weight, bias, target, size, window):
    """source: H, W, C padded; weight: kh, kw, C; bias: C; target[.., c] from source[.., c] alone."""
    (x, x_row, _), (out, out_row, out_column), (rows, columns) = source, target, size
    (kernel_height, kernel_width), (stride_y, stride_x), (dilation_y, dilation_x), _ = window
    all_channels = x.shape[2]
    x_line, out_line = x.shape[1] * all_channels, out.shape[1] * all_channels
    x_pixel = stride_x * all_channels
    for oy in range(rows):
        x_at = address_of(x) + 4 * (x_row + stride_y * oy) * x_line
        y_at = address_of(out) + 4 * ((out_row + oy) * out_line + out_column * all_channels)
        for ox in range(0, columns, CHANNEL_PIXELS):
            start = max(0, min(ox, columns - CHANNEL_PIXELS))
            count = min(CHANNEL_PIXELS, columns - start)
            for c in range(0, all_channels, LANES * CHANNEL_VECTORS):
                channel_tile(
                    x_at + 4 * (start * x_pixel + c), address_of(weight) + 4 * c, address_of(bias) + 4 * c,
                    y_at + 4 * (start * all_channels + c), kernel_height, kernel_width,
                    dilation_y * x_line, dilation_x * all_channels, x_pixel, all_channels, all_channels,
                    count, min(LANES * CHANNEL_VECTORS, all_channels - c),
                    MULTIPLY, CHANNEL_PIXELS, CHANNEL_VECTORS,
                )  # fmt: skip


@inlined
def depthwise_rows(source, weight, bias, target, size, low, stride):
    """The last tiles are shifted up and left to overlap those before, if there is room."""
    (x, x_row, x_column), (out, out_row, out_column), (rows, columns) = source, target, size
    height, width, channels = x.shape
    x_line, out_line = width * channels, out.shape[1] * channels
    for row in range(0, rows, DEPTHWISE_ROWS):
        oy = max(0, min(row, rows - DEPTHWISE_ROWS))
        top = x_row + stride * oy
        for column in range(0, columns, CHANNEL_PIXELS):
            ox = max(0, min(column, columns - CHANNEL_PIXELS))
            left = x_column + stride * ox
            x_at = address_of(x) + 4 * (top * x_line + left * channels)
            y_at = address_of(out) + 4 * ((out_row + oy) * out_line + (out_column + ox) * channels)
            for c in range(0, channels, LANES):
                depthwise_tile(
                    x_at + 4 * c, address_of(weight) + 4 * c, address_of(bias) + 4 * c, y_at + 4 * c,
                    x_line, out_line, channels, -top, -left, height - top, width - left,
                    min(DEPTHWISE_ROWS, rows - oy), min(CHANNEL_PIXELS, columns - ox), min(LANES, channels - c),
                    low, 3, stride, DEPTHWISE_ROWS, CHANNEL_PIXELS,
                )  # fmt: skip


@kernel
def conv_depthwise_3x3_forward(source, weight, bias, target, size, stride, low):
    """source: H, W, C, zero beyond; weight: 3, 3, C; bias: C; `stride`: 1 or 2; results are at least `low`."""
    if stride == 1:
        depthwise_rows(source, weight, bias, target, size, low, 1)
    else:
        depthwise_rows(source, weight, bias, target, size, low, 2)
