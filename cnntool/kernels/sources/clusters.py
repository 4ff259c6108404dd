"""Patches and their distances to centroids, for k-means and its features.

A patch is a row of D numbers in the order kernel row, kernel column, channel. Products of patches and centroids are
computed by the convolution kernel; this is what comes before and after.
"""

from __future__ import annotations

import numpy as np

from cnntool.kernels.sources.jit import kernel

F = np.float32
NONE = F(1e-13)  # times the square of the mean: float32 rounding errors
NEAR = F(0.02)  # distances whose square is below this share of |w|^2 are recomputed from differences


@kernel
def patches_normalised_forward(source, channels, patches, size, window, eps):
    """source: H, W * C padded; patches: rows * columns, D

    patches[i] = (p - mean p) / sqrt(var p + eps) of the window p
    A patch whose variance is within rounding errors of its mean becomes zero.
    """
    (x, x_row, _), (rows, columns) = source, size
    (kh, kw), (stride_y, stride_x), _, _ = window
    length, line = kh * kw * channels, kw * channels
    for oy in range(rows):
        for ox in range(columns):
            patch = patches[oy * columns + ox]
            total = F(0)
            for ky in range(kh):
                pixels = x[x_row + stride_y * oy + ky]
                start = stride_x * ox * channels
                for i in range(line):
                    value = pixels[start + i]
                    patch[ky * line + i] = value
                    total += value
            mean = total / F(length)
            squares = F(0)
            for i in range(length):
                patch[i] -= mean
                squares += patch[i] * patch[i]
            spread = squares / F(length) + eps
            scale = F(0) if spread <= NONE * mean * mean else F(1) / np.sqrt(spread)
            for i in range(length):
                patch[i] *= scale


@kernel
def distances_forward(w, centroids, out, out_row, out_column, rows, columns):
    """w: rows * columns, D; centroids: K, D; out[k] = |w - c_k|, from out[k] = |c_k|^2 - 2 w.c_k

    Cancellation makes that inaccurate where w is near c_k, so there the distance is computed directly.
    """
    length, count = w.shape[1], centroids.shape[0]
    for oy in range(rows):
        for ox in range(columns):
            patch, z = w[oy * columns + ox], out[out_row + oy, out_column + ox]
            square = F(0)
            for i in range(length):
                square += patch[i] * patch[i]
            smallest = square
            for k in range(count):
                d = z[k] + square
                z[k] = d
                smallest = min(smallest, d)
            if smallest < NEAR * square:
                for k in range(count):
                    if z[k] < NEAR * square:
                        d = F(0)
                        for i in range(length):
                            d += (patch[i] - centroids[k, i]) * (patch[i] - centroids[k, i])
                        z[k] = d
            for k in range(count):
                z[k] = np.sqrt(z[k])


@kernel
def triangle_forward(v, row, column, rows, columns):
    """v[c] = max(0, mean(v) - v[c])"""
    channels = v.shape[2]
    for i in range(row, row + rows):
        for j in range(column, column + columns):
            pixel = v[i, j]
            total = F(0)
            for c in range(channels):
                total += pixel[c]
            mean = total / F(channels)
            for c in range(channels):
                value = mean - pixel[c]
                pixel[c] = F(0) if value < F(0) else value


@kernel
def nearest_forward(scores, first, rows, out):
    """scores: N, K, of which the first `rows` are used; out[first + i] = the k of the largest scores[i, k]"""
    count = scores.shape[1]
    for i in range(rows):
        line = scores[i]
        largest = line[0]
        for k in range(count):
            largest = max(largest, line[k])
        best = 0
        while best < count - 1 and line[best] != largest:
            best += 1
        out[first + i] = best


@kernel
def cluster_sums_forward(x, nearest, first, last, sums, counts):
    """x: N, D; sums[k] += x[i], counts[k] += 1 for k = nearest[i], first <= i < last"""
    length = x.shape[1]
    for i in range(first, last):
        k = nearest[i]
        counts[k] += 1
        line = sums[k]
        for j in range(length):
            line[j] += x[i, j]
