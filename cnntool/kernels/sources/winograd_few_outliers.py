"""Tiles of `winograd_few` whose transforms would lose the windows of some outputs, as `winograd_outliers` has others.

A tile is computed directly if a value in its patch is not less than a limit, or if the largest one of a window is less
than 1 / CONTRAST of the largest of the patch. A window that sees nothing but zeros gives the bias. A row of tiles is
looked at as a whole first, and tile by tile only if something in it is faint.
"""

from __future__ import annotations

import numpy as np

from cnntool.kernels.sources.jit import inlined, kernel
from cnntool.kernels.sources.lanes import larger_size, largest_size_of_lanes, smallest_of_lanes, swapped
from cnntool.kernels.sources.simd import copy_floats, load, load_first, splat, store, where_less
from cnntool.kernels.sources.tile import address_of, keep_alive
from cnntool.kernels.vectors import LANES
from cnntool.kernels.winograd import DIRECT
from cnntool.kernels.winograd_few import TILE

F = np.float32
ZERO, INFINITY = F(0), F(np.inf)
CONTRAST = F(48)


@inlined
def _larger(x, y):
    return where_less(x, y, y, x)


@inlined
def _largest_around(sizes, span):
    """In each lane the largest of the `span` lanes, a power of two, that lie in one piece."""
    if span > 1:
        sizes = _larger(sizes, swapped(sizes, 1))
    if span > 2:
        sizes = _larger(sizes, swapped(sizes, 2))
    if span > 4 and LANES > 4:
        sizes = _larger(sizes, swapped(sizes, 4))
    return sizes


@inlined
def _largest_of_rows(at, line, rows, count):
    """Of |x| in a few rows, `line` bytes apart, of the first `count` numbers, as many as a vector holds."""
    sizes = splat(ZERO)
    for i in range(rows):
        sizes = larger_size(sizes, load_first(at + i * line, min(count, LANES)))
    return largest_size_of_lanes(sizes)


@kernel
def few_rows_are_plain(source, size, window, limit):
    """Whether no tile of a row needs mending; if not, it may be so still.

    Each window holds a whole block of half its height, and in it one of half its length; at the border the first and
    the last window see least.
    """
    (x, y0, x0), (rows, columns), ((kernel_height, kernel_width), (stride_y, stride_x), _, _) = source, size, window
    height, width, channels = x.shape
    seen, length, tall = stride_y * (rows - 1) + kernel_height, width * channels, (kernel_height + 1) // 2
    last, line = x0 + stride_x * (columns - 1), 4 * width * channels
    if x0 + kernel_width <= 0 or last >= width or length < LANES:
        return False
    span = 1
    while 4 * span - 1 <= kernel_width * channels and 2 * span <= min(LANES, 8):
        span *= 2
    left, right = (min(width, x0 + kernel_width)) * channels, (width - max(0, last)) * channels
    largest, faintest, faint = splat(ZERO), splat(INFINITY), INFINITY
    for i in range(0, seen, tall):
        first, stop = max(0, y0 + i), min(height, y0 + min(seen, i + tall))
        count, at = stop - first, address_of(x) + first * line
        for start in range(0, length if count > 0 else 0, LANES):
            sizes, here = splat(ZERO), at + 4 * min(start, length - LANES)
            for row in range(count):
                sizes = larger_size(sizes, load(here + row * line))
            largest = larger_size(largest, sizes)
            if i + tall <= seen:
                pieces = _largest_around(sizes, span)
                faintest = where_less(pieces, faintest, pieces, faintest)
        if i + tall <= seen:
            if count <= 0:
                return False  # there may be a window that sees nothing of x
            if x0 < 0:
                faint = min(faint, _largest_of_rows(at, line, count, left))
            if last + kernel_width > width:
                faint = min(faint, _largest_of_rows(at + 4 * (length - right), line, count, right))
    peak = largest_size_of_lanes(largest)
    return peak < limit and peak <= CONTRAST * min(faint, smallest_of_lanes(faintest))


@inlined
def _slide(at, length, count):
    """The largest of `count` numbers from each of `length` on, in place, in a logarithmic number of passes."""
    span = 1
    while span < count:
        more = min(span, count - span)
        for i in range(0, length, LANES):
            here = at + 4 * i
            store(here, larger_size(load(here), load(here + 4 * more)))
        span += more


@inlined
def _largest_rows(from_at, line, rows, to_at, length):
    """Of |x| over some rows, `line` bytes apart."""
    for i in range(0, length, LANES):
        sizes = splat(ZERO)
        for row in range(rows):
            sizes = larger_size(sizes, load(from_at + row * line + 4 * i))
        store(to_at + 4 * i, sizes)


@kernel
def few_states(source, size, of_window, patch_size, limit, states):
    """states[t] = DIRECT, or the bits TILE i + j of windows that see nothing but zeros, for the tiles of a row"""
    (x, y0, x0), (rows, columns), ((kernel_height, kernel_width), (stride_y, stride_x), _, _) = source, size, of_window
    height, width, channels = x.shape
    seen, tiles = stride_y * (rows - 1) + kernel_height, -(-columns // TILE)
    window, patch, step = kernel_width * channels, patch_size * stride_x * channels, stride_x * channels
    length = TILE * tiles * step
    wide = length + 2 * max(window, patch) + 2 * LANES  # zeros behind, as far as passes look ahead
    canvas, peaks = np.zeros((seen, wide), np.float32), np.zeros((rows + 1, wide), np.float32)
    first, last = max(0, x0), min(width, x0 + wide // channels)
    line, canvas_at, peaks_at = 4 * wide, address_of(canvas), address_of(peaks)
    for i in range(max(0, -y0), min(seen, height - y0)):
        x_at = address_of(x) + 4 * ((y0 + i) * width + first) * channels
        copy_floats(canvas_at + i * line + 4 * (first - x0) * channels, x_at, max(0, last - first) * channels)
    reach = wide - max(window, patch) - LANES
    for i in range(rows):
        at = peaks_at + i * line
        _largest_rows(canvas_at + stride_y * i * line, line, kernel_height, at, reach)
        _slide(at, reach, window)
    _largest_rows(canvas_at, line, seen, peaks_at + rows * line, reach)
    _slide(peaks_at + rows * line, reach, patch)
    for t in range(tiles):
        brightest, state = peaks[rows, TILE * t * step], 0
        for i in range(rows):
            for j in range(min(TILE, columns - TILE * t)):
                peak = peaks[i, (TILE * t + j) * step]
                if peak == ZERO and brightest > ZERO:
                    state |= 1 << (TILE * i + j)
                elif not brightest <= CONTRAST * peak:
                    state = DIRECT  # all bits
        states[t] = state if brightest < limit else DIRECT
    keep_alive(canvas)
    keep_alive(peaks)
