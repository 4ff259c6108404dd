"""Pooling of windows by the register tile, and of entire volumes.

`x` is padded by the caller: with minus infinity for the maximum, with zero for sums.
"""

from __future__ import annotations

import numpy as np

from cnntool.kernels.arguments import Window
from cnntool.kernels.pooling import (
    MAXIMUM,
    PIXELS,
    ROOT_OF_SQUARES,
    SCALED_SUM,
    SLICE,
    SMALLEST_SQUARES,
    VECTORS,
    WIDE_PIXELS,
)
from cnntool.kernels.sources.channel_tile import channel_tile
from cnntool.kernels.sources.jit import inlined, kernel
from cnntool.kernels.sources.lanes import sum_of_lanes
from cnntool.kernels.sources.simd import load, splat, store
from cnntool.kernels.sources.tile import address_of, keep_alive
from cnntool.kernels.vectors import LANES

F = np.float32
WIDE = VECTORS * LANES


@inlined
def _window_row(
    x, x_row, trouble_at, factors_at, out, out_row, out_column, columns, window, operation
):  # fmt: skip
    (kh, kw), (_, stride_x), (dilation_y, dilation_x), _ = window
    channels = x.shape[2]
    x_line, out_line = x.shape[1] * channels, out.shape[1] * channels
    x_at = address_of(x) + 4 * x_row * x_line
    y_at = address_of(out) + 4 * (out_row * out_line + out_column * channels)
    steps = kh, kw, dilation_y * x_line, dilation_x * channels, stride_x * channels
    wide = min(channels, (channels + WIDE // 2 - 1) // WIDE * WIDE)
    _tiles(x_at, trouble_at, factors_at, y_at, columns, channels, 0, wide, steps, operation, WIDE_PIXELS, VECTORS)
    _tiles(x_at, trouble_at, factors_at, y_at, columns, channels, wide, channels, steps, operation, PIXELS, 1)


@inlined
def _tiles(x_at, trouble_at, factors_at, y_at, columns, channels, first, last, steps, operation, pixels, vectors):
    """Channels `first` to `last` of a row, of which `x_at` and `y_at` are the start."""
    kh, kw, x_row, x_column, x_pixel = steps
    for ox in range(0, columns, pixels):
        start = max(0, min(ox, columns - pixels))
        for c in range(first, last, vectors * LANES):
            channel_tile(
                x_at + 4 * (start * x_pixel + c), trouble_at, factors_at + 4 * start, y_at + 4 * (start * channels + c),
                kh, kw, x_row, x_column, x_pixel, 0, channels, min(pixels, columns - start),
                min(vectors * LANES, last - c), operation, pixels, vectors,
            )  # fmt: skip


@kernel
def _window_in_float64(x, top, left, c, window, operation):
    """The sum of one window and channel, or the root of its sum of squares, where float32 overflows."""
    (kh, kw), _, (dilation_y, dilation_x), _ = window
    total = 0.0
    for ky in range(kh):
        for kx in range(kw):
            value = np.float64(x[top + dilation_y * ky, left + dilation_x * kx, c])
            total += value * value if operation == ROOT_OF_SQUARES else value
    return np.sqrt(total) if operation == ROOT_OF_SQUARES else total


@kernel
def _mend_row(x, x_row, out, out_row, out_column, columns, window, factors, operation):
    """Computes again in float64 what float32 does not hold on the way: sums that overflow, squares that are lost."""
    for ox in range(columns):
        for c in range(out.shape[2]):
            value = out[out_row, out_column + ox, c]
            if not np.isfinite(value) or (operation == ROOT_OF_SQUARES and value * value <= F(SMALLEST_SQUARES)):
                total = _window_in_float64(x, x_row, window.stride[1] * ox, c, window, operation)
                out[out_row, out_column + ox, c] = total if operation == ROOT_OF_SQUARES else total * factors[ox]


@inlined
def _is_in_trouble(trouble_at):
    """Whether a row of sums must be mended; what tells of it is zero again."""
    found = sum_of_lanes(load(trouble_at)) != F(0)
    store(trouble_at, splat(F(0)))
    return found


@kernel
def maxpool_forward(source, target, size, window):
    """target[oy, ox, c] = max over ky, kx of source[sy oy + dy ky, sx ox + dx kx, c]"""
    (x, x_row, _), (out, out_row, out_column), (rows, columns) = source, target, size
    sy = window.stride[0]
    for oy in range(rows):
        _window_row(x, x_row + sy * oy, 0, 0, out, out_row + oy, out_column, columns, window, MAXIMUM)


@kernel
def avgpool_forward(source, target, size, window, height, width):
    """target[oy, ox, c] = (sum over the window of source[.., c]) / (height[oy] * width[ox]), its counted sizes"""
    (x, x_row, _), (out, out_row, out_column), (rows, columns) = source, target, size
    sy = window.stride[0]
    factors, trouble = np.zeros(columns + PIXELS, np.float32), np.zeros(LANES, np.float32)
    at, trouble_at = address_of(factors), address_of(trouble)
    for oy in range(rows):
        for ox in range(columns):
            factors[ox] = np.float32(1) / (height[oy] * width[ox])
        row, to = x_row + sy * oy, out_row + oy
        _window_row(x, row, trouble_at, at, out, to, out_column, columns, window, SCALED_SUM)
        if _is_in_trouble(trouble_at):
            _mend_row(x, row, out, to, out_column, columns, window, factors, SCALED_SUM)
    keep_alive(factors)
    keep_alive(trouble)


@kernel
def l2pool_forward(source, target, size, window):
    """target[oy, ox, c] = sqrt(sum over the window of source[.., c]^2)"""
    (x, x_row, _), (out, out_row, out_column), (rows, columns) = source, target, size
    sy = window.stride[0]
    trouble = np.zeros(LANES, np.float32)
    trouble_at = address_of(trouble)
    for oy in range(rows):
        row, to = x_row + sy * oy, out_row + oy
        _window_row(x, row, trouble_at, 0, out, to, out_column, columns, window, ROOT_OF_SQUARES)
        if _is_in_trouble(trouble_at):
            _mend_row(x, row, out, to, out_column, columns, window, trouble, ROOT_OF_SQUARES)
    keep_alive(trouble)


@kernel
def globalpool_forward(source, rows, target, factor, operation):
    """source: H, W, C of few pixels; target[c] = the `operation` over all of `rows` rows, in float32."""
    (x, x_row, _), (out, out_row, out_column) = source, target
    channels = x.shape[2]
    line = x.shape[1] * channels
    x_at = address_of(x) + 4 * x_row * line
    y_at = address_of(out) + 4 * (out_row * out.shape[1] + out_column) * channels
    trouble = np.zeros(LANES, np.float32)
    trouble_at, factor_at = address_of(trouble), address_of(factor)
    for c in range(0, channels, WIDE):
        here, to, count = x_at + 4 * c, y_at + 4 * c, min(WIDE, channels - c)
        if operation == MAXIMUM:
            _pixels_together(here, trouble_at, factor_at, to, rows, x.shape[1], line, channels, count, MAXIMUM)
        elif operation == SCALED_SUM:
            _pixels_together(here, trouble_at, factor_at, to, rows, x.shape[1], line, channels, count, SCALED_SUM)
        else:
            _pixels_together(here, trouble_at, factor_at, to, rows, x.shape[1], line, channels, count, ROOT_OF_SQUARES)
    if operation != MAXIMUM and _is_in_trouble(trouble_at):
        window = Window((rows, x.shape[1]), (1, 1), (1, 1), (0, 0, 0, 0))
        _mend_row(x, x_row, out, out_row, out_column, 1, window, factor, operation)
    keep_alive(trouble)


@inlined
def _pixels_together(x_at, trouble_at, factor_at, y_at, rows, columns, line, pixel, channels, operation):
    channel_tile(
        x_at, trouble_at, factor_at, y_at, rows, columns, line, pixel, 0, 0, 0, 1, channels, operation, 1, VECTORS
    )  # fmt: skip


@kernel
def globalmax_forward(x, first, last, out):
    """x: H, W, C; out[c] = max of out[c] and of x[first:last, :, c]"""
    for i in range(first, last):
        for j in range(x.shape[1]):
            pixel = x[i, j]
            for c in range(x.shape[2]):
                out[c] = pixel[c] if pixel[c] > out[c] or pixel[c] != pixel[c] else out[c]


@kernel
def globalsum_forward(x, first, last, out):
    """x: H, W, C; out[c] += sum of x[first:last, :, c], SLICE pixels at a time in float32, their sum in float64"""
    part = np.empty(x.shape[2], np.float32)
    for i in range(first, last):
        for start in range(0, x.shape[1], SLICE):
            part[:] = np.float32(0)
            for j in range(start, min(start + SLICE, x.shape[1])):
                pixel = x[i, j]
                for c in range(x.shape[2]):
                    part[c] += pixel[c]
            for c in range(x.shape[2]):
                out[c] += part[c]


@kernel
def globalsquares_forward(x, first, last, out):
    """x: H, W, C; out[c] += sum of x[first:last, :, c]^2, SLICE pixels at a time in float32, their sum in float64"""
    part = np.empty(x.shape[2], np.float32)
    for i in range(first, last):
        for start in range(0, x.shape[1], SLICE):
            part[:] = np.float32(0)
            for j in range(start, min(start + SLICE, x.shape[1])):
                pixel = x[i, j]
                for c in range(x.shape[2]):
                    part[c] += pixel[c] * pixel[c]
            for c in range(x.shape[2]):
                out[c] += part[c]
