"""Normalisation across the channels of each position, in place."""

from __future__ import annotations

import numpy as np

from cnntool.kernels.sources.elementary import exp
from cnntool.kernels.sources.jit import inlined, kernel
from cnntool.kernels.sources.simd import (
    absolute,
    load,
    load_first,
    splat,
    square_root,
    store,
    store_first,
    where_less,
)
from cnntool.kernels.sources.tile import address_of, keep_alive
from cnntool.kernels.vectors import LANES

F = np.float32


LARGE = F(1e18)  # from here on the sum of a few squares may overflow float32


@inlined
def _has_large(at, count, room_at, room):
    """Whether the magnitude of any of `count` numbers is at least LARGE; `room`: LANES numbers at `room_at`."""
    largest, full = splat(F(0)), count // LANES * LANES
    for j in range(0, full, LANES):
        size = absolute(load(at + 4 * j))
        largest = where_less(size, largest, largest, size)
    if full < count:
        size = absolute(load_first(at + 4 * full, count - full))
        largest = where_less(size, largest, largest, size)
    store(room_at, largest)
    found = False
    for lane in range(LANES):
        found |= room[lane] >= LARGE
    return found


@inlined
def _pixel_in_float64(pixel, copy, size, alpha, beta, k):
    """`lrn_forward` of one pixel."""
    channels = pixel.shape[0]
    for c in range(channels):
        copy[c] = pixel[c]
    for c in range(channels):
        total = 0.0
        for i in range(max(0, c - size // 2), min(channels, c - size // 2 + size)):
            total += np.float64(copy[i]) * np.float64(copy[i])
        pixel[c] = copy[c] / (k + np.float64(alpha) / size * total) ** np.float64(beta)


@kernel
def lrn_forward(v, row, column, rows, columns, size, alpha, beta, k):
    """v[c] = v[c] / (k + alpha / size * sum of v[i]^2 for |i - c| within size) ^ beta   (Krizhevsky et al. 2012)

    The window of `size` channels begins size // 2 before c and is clipped at the first and last channel. Rows with
    large numbers, whose squares overflow float32, are computed in float64.
    """
    channels = v.shape[2]
    vectors = -(-channels // LANES)
    squares = np.zeros(size - 1 + vectors * LANES, np.float32)  # with zeros before the first and after the last channel
    bases = np.empty(vectors * LANES, np.float32)
    windows_at, bases_at = address_of(squares), address_of(bases)
    squares_at = windows_at + 4 * (size // 2)
    for i in range(row, row + rows):
        row_at = address_of(v) + 4 * (i * v.shape[1] + column) * channels
        if _has_large(row_at, columns * channels, bases_at, bases):
            for j in range(column, column + columns):
                _pixel_in_float64(v[i, j], bases, size, alpha, beta, k)
            continue
        for j in range(column, column + columns):
            pixel_at = address_of(v) + 4 * (i * v.shape[1] + j) * channels
            for c in range(0, channels, LANES):
                x = load_first(pixel_at + 4 * c, min(LANES, channels - c))
                store(squares_at + 4 * c, x * x)
            for c in range(0, channels, LANES):
                total = load(windows_at + 4 * c)
                for n in range(1, size):
                    total = total + load(windows_at + 4 * (c + n))
                base = total * (alpha / F(size)) + k
                if beta == F(0.75):
                    root = square_root(base)
                    count = min(LANES, channels - c)
                    x = load_first(pixel_at + 4 * c, count)
                    store_first(pixel_at + 4 * c, x / (root * square_root(root)), count)
                else:
                    store(bases_at + 4 * c, base)
            if beta != F(0.75):
                for c in range(channels):
                    v[i, j, c] /= bases[c] ** beta
    keep_alive(squares)
    keep_alive(bases)


@kernel
def softmax_forward(v, row, column, rows, columns):
    """v[c] = exp(v[c] - max v) / sum of exp(v - max v)

    Vectorised over channels, 3 of them took four times as long, and 21 as long: horizontal reductions cost too much.
    """
    channels = v.shape[2]
    for i in range(row, row + rows):
        for j in range(column, column + columns):
            pixel = v[i, j]
            largest = pixel[0]
            for c in range(channels):
                largest = pixel[c] if pixel[c] > largest or pixel[c] != pixel[c] else largest
            total = F(0)
            for c in range(channels):
                e = exp(pixel[c] - largest)
                pixel[c] = e
                total += e
            for c in range(channels):
                pixel[c] /= total
