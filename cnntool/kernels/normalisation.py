"""Normalisation across the channels of each position, in place."""

from __future__ import annotations

import numpy as np

from cnntool.kernels.elementary import exp
from cnntool.kernels.jit import kernel

F = np.float32


@kernel
def lrn_forward(v, row, column, rows, columns, size, alpha, beta, k):
    """v[c] = v[c] / (k + alpha / size * sum of v[i]^2 for |i - c| within size) ^ beta   (Krizhevsky et al. 2012)

    The window of `size` channels begins size // 2 before c, and is cut off at the first and last channel.
    """
    channels = v.shape[2]
    squares = np.empty(channels, np.float32)
    before, after = size // 2, (size - 1) // 2
    for i in range(row, row + rows):
        for j in range(column, column + columns):
            pixel = v[i, j]
            for c in range(channels):
                squares[c] = pixel[c] * pixel[c]
            for c in range(channels):
                total = F(0)
                for n in range(max(0, c - before), min(channels, c + after + 1)):
                    total += squares[n]
                base = k + alpha / F(size) * total
                if beta == F(0.75):
                    root = np.sqrt(base)
                    pixel[c] /= root * np.sqrt(root)
                else:
                    pixel[c] /= base**beta


@kernel
def softmax_forward(v, row, column, rows, columns):
    """v[c] = exp(v[c] - max v) / sum of exp(v - max v)"""
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
