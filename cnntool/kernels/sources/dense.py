"""Fully connected layers."""

from __future__ import annotations

import numpy as np

from cnntool.kernels.sources.jit import kernel

SLICE = 64  # inputs summed in float32 before they are added to the float64 total, to bound rounding errors


@kernel
def dense_forward(x, weight, bias, out, first, last):
    """x: I; weight: I, O; out[o] = bias[o] + sum over i of x[i] * weight[i, o], for first <= o < last

    Bound by reading the weights; four rows at a time, so that the sums are loaded and stored once for four.
    """
    inputs, width = x.shape[0], last - first
    part = np.empty(width, np.float32)
    total = np.empty(width, np.float64)
    for o in range(width):
        total[o] = bias[first + o]
    for start in range(0, inputs, SLICE):
        for o in range(width):
            part[o] = np.float32(0)
        stop = min(start + SLICE, inputs)
        i = start
        while i + 4 <= stop:
            a, b = weight[i, first:last], weight[i + 1, first:last]
            c, d = weight[i + 2, first:last], weight[i + 3, first:last]
            xa, xb, xc, xd = x[i], x[i + 1], x[i + 2], x[i + 3]
            for o in range(width):
                part[o] += (xa * a[o] + xb * b[o]) + (xc * c[o] + xd * d[o])
            i += 4
        while i < stop:
            a, xa = weight[i, first:last], x[i]
            for o in range(width):
                part[o] += xa * a[o]
            i += 1
        for o in range(width):
            total[o] += part[o]
    for o in range(width):
        out[first + o] = total[o]
