"""Pooling of windows by the register tile, and of entire volumes.

`x` is padded by the caller: with minus infinity for the maximum, with zero for sums.
"""

from __future__ import annotations

import numpy as np

from cnntool.kernels.pooling import MAXIMUM, PIXELS, ROOT_OF_SQUARES, SCALED_SUM, SLICE, VECTORS, WIDE_PIXELS
from cnntool.kernels.sources.channel_tile import channel_tile
from cnntool.kernels.sources.jit import inlined, kernel
from cnntool.kernels.sources.simd import load, load_first, splat, store
from cnntool.kernels.sources.tile import address_of, keep_alive
from cnntool.kernels.vectors import LANES

WIDE = VECTORS * LANES


@inlined
def _window_row(
    x, x_row, factors_at, out, out_row, out_column, columns, kh, kw, stride_x, dilation_y, dilation_x, operation
):  # fmt: skip
    channels = x.shape[2]
    x_line, out_line = x.shape[1] * channels, out.shape[1] * channels
    x_at = address_of(x) + 4 * x_row * x_line
    y_at = address_of(out) + 4 * (out_row * out_line + out_column * channels)
    window = kh, kw, dilation_y * x_line, dilation_x * channels, stride_x * channels
    wide = min(channels, (channels + WIDE // 2 - 1) // WIDE * WIDE)
    _tiles(x_at, factors_at, y_at, columns, channels, 0, wide, window, operation, WIDE_PIXELS, VECTORS)
    _tiles(x_at, factors_at, y_at, columns, channels, wide, channels, window, operation, PIXELS, 1)


@inlined
def _tiles(x_at, factors_at, y_at, columns, channels, first, last, window, operation, pixels, vectors):
    """Channels `first` to `last` of a row that starts at `x_at` and `y_at`."""
    kh, kw, x_row, x_column, x_pixel = window
    for ox in range(0, columns, pixels):
        start = max(0, min(ox, columns - pixels))
        for c in range(first, last, vectors * LANES):
            channel_tile(
                x_at + 4 * (start * x_pixel + c), 0, factors_at + 4 * start, y_at + 4 * (start * channels + c), kh, kw,
                x_row, x_column, x_pixel, 0, channels, min(pixels, columns - start), min(vectors * LANES, last - c),
                operation, pixels, vectors,
            )  # fmt: skip


@kernel
def _window_in_float64(x, top, left, c, kh, kw, dilation_y, dilation_x, operation):
    """The sum of one window and channel, or the root of its sum of squares, where float32 overflows."""
    total = 0.0
    for ky in range(kh):
        for kx in range(kw):
            value = np.float64(x[top + dilation_y * ky, left + dilation_x * kx, c])
            total += value * value if operation == ROOT_OF_SQUARES else value
    return np.sqrt(total) if operation == ROOT_OF_SQUARES else total


@inlined
def _is_finite(at, count, room):
    """Whether `count` numbers are finite; `room`: LANES numbers."""
    trouble, full = splat(np.float32(0)), count // LANES * LANES
    for j in range(0, full, LANES):
        trouble = trouble + load(at + 4 * j) * splat(np.float32(0))
    if full < count:
        trouble = trouble + load_first(at + 4 * full, count - full) * splat(np.float32(0))
    store(address_of(room), trouble)
    total = np.float32(0)
    for lane in range(LANES):
        total += room[lane]
    return total == np.float32(0)


@kernel
def _mend_row(
    x, x_row, out, out_row, out_column, columns, kh, kw, stride_x, dilation_y, dilation_x, factors, operation, room
):  # fmt: skip
    """Recomputes non-finite outputs of a row in float64: large values may have a finite mean."""
    channels = out.shape[2]
    if _is_finite(address_of(out) + 4 * (out_row * out.shape[1] + out_column) * channels, columns * channels, room):
        return
    for ox in range(columns):
        for c in range(channels):
            if not np.isfinite(out[out_row, out_column + ox, c]):
                total = _window_in_float64(x, x_row, stride_x * ox, c, kh, kw, dilation_y, dilation_x, operation)
                out[out_row, out_column + ox, c] = total if operation == ROOT_OF_SQUARES else total * factors[ox]


@kernel
def maxpool_forward(x, x_row, out, out_row, out_column, rows, columns, kh, kw, sy, sx, dy, dx):
    """out[oy, ox, c] = max over ky, kx of x[sy oy + dy ky, sx ox + dx kx, c]"""
    for oy in range(rows):
        _window_row(x, x_row + sy * oy, 0, out, out_row + oy, out_column, columns, kh, kw, sx, dy, dx, MAXIMUM)


@kernel
def avgpool_forward(x, x_row, out, out_row, out_column, rows, columns, kh, kw, sy, sx, dy, dx, height, width):
    """out[oy, ox, c] = (sum over the window of x[.., c]) / (height[oy] * width[ox]), the counted sizes of the window"""
    factors, room = np.zeros(columns + PIXELS, np.float32), np.empty(LANES, np.float32)
    for oy in range(rows):
        for ox in range(columns):
            factors[ox] = np.float32(1) / (height[oy] * width[ox])
        at = address_of(factors)
        _window_row(x, x_row + sy * oy, at, out, out_row + oy, out_column, columns, kh, kw, sx, dy, dx, SCALED_SUM)
        _mend_row(
            x, x_row + sy * oy, out, out_row + oy, out_column, columns, kh, kw, sx, dy, dx, factors, SCALED_SUM, room
        )  # fmt: skip
    keep_alive(factors)


@kernel
def l2pool_forward(x, x_row, out, out_row, out_column, rows, columns, kh, kw, sy, sx, dy, dx):
    """out[oy, ox, c] = sqrt(sum over the window of x[.., c]^2)"""
    room = np.empty(LANES, np.float32)
    for oy in range(rows):
        _window_row(x, x_row + sy * oy, 0, out, out_row + oy, out_column, columns, kh, kw, sx, dy, dx, ROOT_OF_SQUARES)
        _mend_row(
            x, x_row + sy * oy, out, out_row + oy, out_column, columns, kh, kw, sx, dy, dx, room, ROOT_OF_SQUARES, room
        )  # fmt: skip


@kernel
def globalpool_forward(x, x_row, rows, out, out_row, out_column, factor, operation):
    """x: H, W, C of few pixels, W of them in a row; out[c] = the `operation` over all of `rows` rows, in float32."""
    channels = x.shape[2]
    line = x.shape[1] * channels
    x_at = address_of(x) + 4 * x_row * line
    y_at = address_of(out) + 4 * (out_row * out.shape[1] + out_column) * channels
    for c in range(0, channels, WIDE):
        here, to, count = x_at + 4 * c, y_at + 4 * c, min(WIDE, channels - c)
        if operation == MAXIMUM:
            _pixels_together(here, address_of(factor), to, rows, x.shape[1], line, channels, count, MAXIMUM)
        elif operation == SCALED_SUM:
            _pixels_together(here, address_of(factor), to, rows, x.shape[1], line, channels, count, SCALED_SUM)
        else:
            _pixels_together(here, address_of(factor), to, rows, x.shape[1], line, channels, count, ROOT_OF_SQUARES)
    if operation != MAXIMUM:
        room = np.empty(LANES, np.float32)
        _mend_row(x, x_row, out, out_row, out_column, 1, rows, x.shape[1], 1, 1, 1, factor, operation, room)


@inlined
def _pixels_together(x_at, factor_at, y_at, rows, columns, line, pixel, channels, operation):
    channel_tile(
        x_at, 0, factor_at, y_at, rows, columns, line, pixel, 0, 0, 0, 1, channels, operation, 1, VECTORS
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
