"""Kernels without windows: affine maps and reductions of channels, copies, sums, borders."""

from __future__ import annotations

import numpy as np

from cnntool.kernels.pointwise import ABSOLUTE_MAX, MIRROR, MODULUS, REPLICATE, WRAP
from cnntool.kernels.sources.jit import inlined, kernel
from cnntool.kernels.sources.simd import copy_floats, load, load_first, splat, store, store_first
from cnntool.kernels.sources.tile import address_of
from cnntool.kernels.vectors import LANES

F = np.float32


@kernel
def affine_forward(x, x_row, x_start, out, out_row, out_start, rows, length, mean, scale, shift):
    """out = (x - mean[c]) * scale[c] + shift[c]; subtracting first avoids cancellation far from zero.

    Pieces as in `activations`; `mean`, `scale` and `shift` hold one period of the channels' values along a row.
    """
    period = scale.shape[0]
    for i in range(rows):
        x_at = address_of(x) + 4 * ((x_row + i) * x.shape[1] + x_start)
        y_at = address_of(out) + 4 * ((out_row + i) * out.shape[1] + out_start)
        for first in range(0, length, period):
            for j in range(0, min(period, length - first), LANES):
                count = min(LANES, period - j, length - first - j)
                value = load_first(x_at + 4 * (first + j), count) - load_first(address_of(mean) + 4 * j, count)
                value = value * load_first(address_of(scale) + 4 * j, count)
                value = value + load_first(address_of(shift) + 4 * j, count)
                store_first(y_at + 4 * (first + j), value, count)


@kernel
def channel_reduce_forward(source, target, size, members, starts, how):
    """target[y, x, g] = `how[g]` of source[y, x, members[starts[g] : starts[g + 1]]]"""
    (x, x_row, x_column), (out, out_row, out_column), (rows, columns) = source, target, size
    for i in range(rows):
        for j in range(columns):
            pixel, result = x[x_row + i, x_column + j], out[out_row + i, out_column + j]
            for g in range(how.shape[0]):
                first = pixel[members[starts[g]]]
                if how[g] == MODULUS:
                    total = first * first
                    for m in range(starts[g] + 1, starts[g + 1]):
                        total += pixel[members[m]] * pixel[members[m]]
                    result[g] = np.sqrt(total)
                else:
                    best = abs(first) if how[g] == ABSOLUTE_MAX else first
                    for m in range(starts[g] + 1, starts[g + 1]):
                        value = abs(pixel[members[m]]) if how[g] == ABSOLUTE_MAX else pixel[members[m]]
                        best = value if value > best or value != value else best
                    result[g] = best


@kernel
def copy_forward(out, row, column, x, x_row, rows, columns, channel):
    """Pixels of x from (x_row, 0) into out at (row, column), the channels of x from `channel` of out on."""
    channels, width = x.shape[2], out.shape[2]
    for i in range(rows):
        x_at = address_of(x) + 4 * (x_row + i) * x.shape[1] * channels
        y_at = address_of(out) + 4 * (((row + i) * out.shape[1] + column) * width + channel)
        if channels == width:
            copy_floats(y_at, x_at, columns * channels)
        else:
            for j in range(columns):
                copy_floats(y_at + 4 * j * width, x_at + 4 * j * channels, channels)


@kernel
def gather_forward(out, source, size, window):
    """out[y, x] = source[stride_y * y, stride_x * x], the pixels of `out` with more channels than those of `source`"""
    (x, x_row, _), (rows, columns), (stride_y, stride_x) = source, size, window.stride
    channels, width = x.shape[2], out.shape[2]
    for i in range(rows):
        x_at = address_of(x) + 4 * (x_row + stride_y * i) * x.shape[1] * channels
        for j in range(columns):
            y_at = address_of(out) + 4 * (i * columns + j) * width
            copy_floats(y_at, x_at + 4 * j * stride_x * channels, channels)


@kernel
def add_forward(out, row, column, x, x_row, rows, columns):
    """out += x for pixels of x from (x_row, 0) and of out from (row, column)"""
    channels = x.shape[2]
    length = columns * channels
    for i in range(rows):
        x_at = address_of(x) + 4 * (x_row + i) * x.shape[1] * channels
        y_at = address_of(out) + 4 * ((row + i) * out.shape[1] + column) * channels
        full = length // LANES * LANES
        for j in range(0, full, LANES):
            store(y_at + 4 * j, load(y_at + 4 * j) + load(x_at + 4 * j))
        if full < length:
            at, rest = 4 * full, length - full
            store_first(y_at + at, load_first(y_at + at, rest) + load_first(x_at + at, rest), rest)


@inlined
def _fill(at, length, value):
    for j in range(0, length, LANES):
        store_first(at + 4 * j, splat(value), min(LANES, length - j))


@kernel
def frame_forward(out, rows, top, left, height, width, value):
    """Fills the first `rows` rows of `out` with `value`, except `height` x `width` pixels at (top, left)."""
    line, channels = out.shape[1] * out.shape[2], out.shape[2]
    for y in range(rows):
        at = address_of(out) + 4 * y * line
        if top <= y < top + height:
            last = (left + width) * channels
            _fill(at, left * channels, value)
            _fill(at + 4 * last, line - last, value)
        else:
            _fill(at, line, value)


@inlined
def _place(index, size, mode):
    if 0 <= index < size:
        return index
    if mode == REPLICATE:
        return min(max(index, 0), size - 1)
    if mode == WRAP:
        return index % size
    edge = 1 if mode == MIRROR else 0
    index = index % max(1, 2 * size - 2 * edge)
    return index if index < size else 2 * size - 1 - edge - index


@kernel
def border_forward(x, x_row, out, out_row, out_column, first, rows, height, left, width, right, mode):
    """out[out_row + i, out_column + j] = x[x_row + p(first + i), q(j - left)]

    p and q give the pixel of `height` rows and `width` columns for a position outside of them: see
    `steps.borders`. Row 0 of the volume is row `x_row` of x, which may hold some of the rows only.
    """
    channels = x.shape[2]
    for i in range(rows):
        x_at = address_of(x) + 4 * (x_row + _place(first + i, height, mode)) * width * channels
        y_at = address_of(out) + 4 * ((out_row + i) * out.shape[1] + out_column) * channels
        copy_floats(y_at + 4 * left * channels, x_at, width * channels)
        for j in range(left):
            copy_floats(y_at + 4 * j * channels, x_at + 4 * _place(j - left, width, mode) * channels, channels)
        for j in range(left + width, left + width + right):
            copy_floats(y_at + 4 * j * channels, x_at + 4 * _place(j - left, width, mode) * channels, channels)
