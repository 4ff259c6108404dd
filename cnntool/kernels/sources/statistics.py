"""Sums that means, variances and covariances of the channels are made of, in float64."""

from __future__ import annotations

import numpy as np

from cnntool.kernels.sources.jit import kernel


@kernel
def channel_sums_forward(x, first, last, out):
    """x: H, W, C; out[c] += sum of x[first:last, :, c]"""
    for i in range(first, last):
        for j in range(x.shape[1]):
            pixel = x[i, j]
            for c in range(x.shape[2]):
                out[c] += np.float64(pixel[c])


@kernel
def channel_squares_forward(x, first, last, mean, out):
    """out[c] += sum of (x[first:last, :, c] - mean[c])^2"""
    for i in range(first, last):
        for j in range(x.shape[1]):
            pixel = x[i, j]
            for c in range(x.shape[2]):
                d = np.float64(pixel[c]) - mean[c]
                out[c] += d * d


@kernel
def channel_products_forward(x, first, last, mean, out):
    """out[a, b] += sum of (x[.., a] - mean[a]) (x[.., b] - mean[b]) over the rows first to last"""
    channels = x.shape[2]
    d = np.empty(channels, np.float64)
    for i in range(first, last):
        for j in range(x.shape[1]):
            pixel = x[i, j]
            for c in range(channels):
                d[c] = np.float64(pixel[c]) - mean[c]
            for a in range(channels):
                line = out[a]
                for b in range(channels):
                    line[b] += d[a] * d[b]
