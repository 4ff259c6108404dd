"""Normalisation across the channels of each position, in place."""

from __future__ import annotations

import numpy as np

from cnntool.kernels.sources.elementary import exp
from cnntool.kernels.sources.jit import inlined, kernel
from cnntool.kernels.sources.lanes import all_less
from cnntool.kernels.sources.simd import load, load_first, square_root, store, store_first
from cnntool.kernels.sources.tile import address_of, keep_alive
from cnntool.kernels.vectors import LANES

F = np.float32


LARGE = F(1e37)  # a few times this is what float32 holds
FAINT = F(1e-20)  # beside less than this, squares that float32 loses would matter


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

    The window of `size` channels begins size // 2 before c, and is cut off at the first and last channel. Pixels with
    numbers whose squares, or their weighted sum, float32 does not hold, are computed in float64.
    """
    channels = v.shape[2]
    vectors = -(-channels // LANES)
    squares = np.zeros(size - 1 + vectors * LANES, np.float32)  # with zeros before the first and after the last channel
    bases = np.empty(vectors * LANES, np.float32)
    windows_at, bases_at = address_of(squares), address_of(bases)
    squares_at = windows_at + 4 * (size // 2)
    limit = LARGE / (F(size) * max(F(1), abs(alpha))) if abs(k) >= FAINT else F(0)  # of a square
    for i in range(row, row + rows):
        for j in range(column, column + columns):
            pixel_at = address_of(v) + 4 * (i * v.shape[1] + j) * channels
            ordinary = True
            for c in range(0, channels, LANES):
                x = load_first(pixel_at + 4 * c, min(LANES, channels - c))
                ordinary &= all_less(x * x, limit)
                store(squares_at + 4 * c, x * x)
            if not ordinary:
                _pixel_in_float64(v[i, j], bases, size, alpha, beta, k)
                continue
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
