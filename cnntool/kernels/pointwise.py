"""Kernels that treat each position by itself: affine maps of the channels, sums of volumes, reductions over channels.

`v` is in place, flat rows: v[row : row + rows, start : start + length]. A `period` array holds one value a channel,
repeated a few times so that short pixels still fill the vectors; it is walked along the row.
"""

from __future__ import annotations

import numpy as np

from cnntool.kernels.jit import kernel

F = np.float32
MAX, ABSOLUTE_MAX, MODULUS = range(3)


@kernel
def affine_forward(v, row, start, rows, length, mean, scale, shift):
    """v = (v - mean[c]) * scale[c] + shift[c]; subtracting first keeps the digits of values far from zero."""
    period = scale.shape[0]
    for i in range(row, row + rows):
        for first in range(0, length, period):
            count = min(period, length - first)
            line = v[i, start + first : start + first + count]
            for j in range(count):
                line[j] = (line[j] - mean[j]) * scale[j] + shift[j]


@kernel
def channel_reduce_forward(x, x_row, x_column, out, out_row, out_column, rows, columns, members, starts, how):
    """out[y, x, g] = `how[g]` of x[y, x, members[starts[g] : starts[g + 1]]]"""
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
