"""Tiles whose transforms would lose the windows of some outputs.

A tile of 4x4 outputs mixes the 6x6 inputs that it sees, so that each of its outputs errs by a share of the largest
input. (With tiles of 2x2 outputs what only one window sees is part of that output's products alone.) Where the energy,
the sum of squares, of a window of 3x3 inputs is less than 1 / CONTRAST of that of the whole patch, the tile is computed
directly: the error of an output stays below 1e-4 of the sum of |x| |w| over its window, for w the largest weight of its
filter on a channel. A window that sees nothing but zeros gives the bias.

The transform of inputs adds up the energy of the patch while its values are in registers. Four pixels lie so that each
window sees one of them; only if they are faint all windows are looked at.
"""

from __future__ import annotations

import numpy as np

from cnntool.kernels.arguments import Corner, Size, Span, Window
from cnntool.kernels.convolution import BLOCK, NONE
from cnntool.kernels.sources.convolution import conv_direct_forward
from cnntool.kernels.sources.jit import inlined, kernel
from cnntool.kernels.sources.lanes import largest_of_lanes, sum_of_lanes
from cnntool.kernels.sources.separate import separate
from cnntool.kernels.sources.simd import absolute, copy_floats, load, load_first, splat, where_less
from cnntool.kernels.sources.tile import address_of, keep_alive
from cnntool.kernels.vectors import LANES, PIXELS
from cnntool.kernels.winograd import DIRECT, TILE

F = np.float32
ZERO, ONE = F(0), F(1)
CONTRAST = F(4096)
LEAST, MOST = F(1e-30), F(1e38)  # of energies that float32 holds with all that matters beside them
SIZE = 3  # of a window
convolve = separate(conv_direct_forward)


@inlined
def _load_some(at, count):
    return load(at) if count >= LANES else load_first(at, count)


@inlined
def are_plain(energy, patch_from, line, channels, rows, columns):
    """Whether all windows of `rows` x `columns` outputs are bright enough; if not, they may be so still.

    energy: the sum of squares of the patch at `patch_from`, whose rows lie `line` bytes apart, as a vector.
    """
    # each window holds the pixel of its half: the only windows of an axis, or the first and the last two, share it
    top, left = min(SIZE - 1, max(1, rows - 1)), min(SIZE - 1, max(1, columns - 1))
    down, right = max(1, rows - 1) - top, max(1, columns - 1) - left
    at = patch_from + top * line + 4 * left * channels
    down_by, right_by = down * line, 4 * right * channels
    a = b = c = d = splat(ZERO)
    for channel in range(0, channels, LANES):
        count = channels - channel
        here = at + 4 * channel
        p, q = _load_some(here, count), _load_some(here + right_by, count)
        r, s = _load_some(here + down_by, count), _load_some(here + down_by + right_by, count)
        a, b, c, d = a + p * p, b + q * q, c + r * r, d + s * s
    total, enough = sum_of_lanes(energy), False
    if LEAST < total < MOST:
        e, f = where_less(a, b, a, b), where_less(c, d, c, d)
        enough = total <= CONTRAST * largest_of_lanes(where_less(e, f, e, f))  # some channels of all four
        if not enough:
            faintest = min(min(sum_of_lanes(a), sum_of_lanes(b)), min(sum_of_lanes(c), sum_of_lanes(d)))
            enough = total <= CONTRAST * faintest
    return enough


@inlined
def _largest(patch_from, line, channels, height, width):
    """Of |x| over some pixels."""
    largest = splat(ZERO)
    for i in range(height):
        for c in range(0, width * channels, LANES):
            size = absolute(_load_some(patch_from + i * line + 4 * c, width * channels - c))
            largest = where_less(largest, size, size, largest)
    return largest_of_lanes(largest)


@inlined
def _energies(patch_from, line, channels, patch, scale, room):
    """room[p, 0] = the energy of `scale` times each pixel; returns their sum"""
    total = ZERO
    for i in range(patch):
        for j in range(patch):
            energy = splat(ZERO)
            for c in range(0, channels, LANES):
                value = _load_some(patch_from + i * line + 4 * (j * channels + c), channels - c) * splat(scale)
                energy = energy + value * value
            room[patch * i + j, 0] = sum_of_lanes(energy)
            total += room[patch * i + j, 0]
    return total


@kernel
def state_of(patch_from, line, channels, patch, rows, columns, room):
    """The state of a tile by all of its windows, of `rows` x `columns` outputs. `room`: a row for each position."""
    total = _energies(patch_from, line, channels, patch, ONE, room)
    if not LEAST < total < MOST:
        largest = _largest(patch_from, line, channels, patch, patch)
        if largest == ZERO:
            return 0
        total = _energies(patch_from, line, channels, patch, ONE / largest, room)
    state = 0
    for i in range(rows):
        for j in range(columns):
            window = ZERO
            for ky in range(SIZE):
                for kx in range(SIZE):
                    window += room[patch * (i + ky) + j + kx, 0]
            at = patch_from + i * line + 4 * j * channels
            if window == ZERO and _largest(at, line, channels, SIZE, SIZE) == ZERO:
                state |= 1 << (TILE * i + j)
            elif not total <= CONTRAST * window:  # or not a number
                return DIRECT
    return state


@kernel
def direct_rows(source, whole, target, number, span, size, stride, low):
    """A few rows by direct convolution, of a copy with its border: windows of `size` on each axis."""
    (x, y0, x0), (rows, columns) = source, number
    height, width, channels = x.shape
    wide = stride * (max(columns, PIXELS) - 1) + size
    canvas = np.zeros((stride * (rows - 1) + size, wide, channels), np.float32)
    left, right = max(0, -x0), min(wide, width - x0)
    for i in range(max(0, -y0), min(len(canvas), height - y0)):
        to_at = address_of(canvas) + 4 * (i * wide + left) * channels
        from_at = address_of(x) + 4 * ((y0 + i) * width + x0 + left) * channels
        copy_floats(to_at, from_at, max(0, right - left) * channels)
    convolve(
        Corner(canvas, 0, 0), whole, target, number, Window((size, size), (stride, stride), (1, 1), (0, 0, 0, 0)), low,
        Span(span.first // BLOCK, -(-span.last // BLOCK)), Corner(target.array, NONE, 0),
    )  # fmt: skip
    keep_alive(canvas)


separate_rows = separate(direct_rows)


@inlined
def _fill_tile(state, bias, out, out_row, out_column, rows, columns, first, last, low):
    for i in range(rows):
        for j in range(columns):
            if state >> (TILE * i + j) & 1:
                for c in range(first, last):
                    out[out_row + i, out_column + j, c] = low if bias[c] < low else bias[c]


@kernel
def fill_empty(states, done, tiles, bias, target, size, span, low):
    """Of a row of tiles, whose states begin at `done`, the outputs whose windows see nothing but zeros."""
    (out, out_row, out_column), (rows, columns), (first, last) = target, size, span
    for t in range(tiles):
        if states[done + t] > 0:
            column, wide = out_column + TILE * t, min(TILE, columns - TILE * t)
            _fill_tile(states[done + t], bias, out, out_row, column, rows, wide, first, last, low)


@kernel
def mend_tiles(states, done, tiles, source, whole, target, size, span, low):
    """Of a row of tiles, whose states begin at `done`: the output channels of `span` of those that need it."""
    (x, y0, x0), (out, out_row, out_column), (rows, columns) = source, target, size
    for t in range(tiles):
        if states[done + t] == DIRECT:
            column, number = out_column + TILE * t, Size(rows, min(TILE, columns - TILE * t))
            separate_rows(Corner(x, y0, x0 + TILE * t), whole, Corner(out, out_row, column), number, span, SIZE, 1, low)
    fill_empty(states, done, tiles, whole.bias, target, size, span, low)


@kernel
def has_outlier(states, done, tiles):
    """Whether any of a row of tiles, whose states begin at `done`, must be computed directly."""
    found = False
    for t in range(tiles):
        found |= states[done + t] == DIRECT
    return found
