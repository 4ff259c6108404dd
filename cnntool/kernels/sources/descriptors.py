"""Global descriptors of volumes: sums over a grid, Gram matrices."""

from __future__ import annotations

import numpy as np

from cnntool.kernels.sources.jit import kernel

F = np.float32


@kernel
def gridpool_forward(source, target, size, row_starts, row_stops, column_starts, column_stops):
    """target[oy, ox, c] = sum of source[row_starts[oy] : row_stops[oy], column_starts[ox] : column_stops[ox], c]

    Each row is summed in float32, rows are added in float64.
    """
    (x, x_row, _), (out, out_row, out_column), (rows, columns) = source, target, size
    channels = x.shape[2]
    line, total = np.empty(channels, np.float32), np.empty(channels, np.float64)
    for oy in range(rows):
        for ox in range(columns):
            total[:] = 0.0
            for i in range(x_row + row_starts[oy], x_row + row_stops[oy]):
                line[:] = F(0)
                for j in range(column_starts[ox], column_stops[ox]):
                    pixel = x[i, j]
                    for c in range(channels):
                        line[c] += pixel[c]
                for c in range(channels):
                    total[c] += line[c]
            pixel = out[out_row + oy, out_column + ox]
            for c in range(channels):
                pixel[c] = total[c]


@kernel
def gram_forward(x, first, last, out):
    """x: P, C; out[a, b] += sum over first <= p < last of x[p, a] x[p, b] for b >= a

    Four positions are summed in float32, then added in float64.
    """
    channels = x.shape[1]
    p = first
    while p + 4 <= last:
        u, v, w, z = x[p], x[p + 1], x[p + 2], x[p + 3]
        for a in range(channels):
            line, ua, va, wa, za = out[a], u[a], v[a], w[a], z[a]
            for b in range(a, channels):
                line[b] += (ua * u[b] + va * v[b]) + (wa * w[b] + za * z[b])
        p += 4
    while p < last:
        u = x[p]
        for a in range(channels):
            line, ua = out[a], u[a]
            for b in range(a, channels):
                line[b] += ua * u[b]
        p += 1
