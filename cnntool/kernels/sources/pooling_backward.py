"""Gradients of pooling over batches. Inputs are not padded; windows are given by their geometry.

Element (ky, kx) of the window of output (oy, ox) is the pixel (sy oy + dy ky - top, sx ox + dx kx - left), if that is
inside the image.
"""

from __future__ import annotations

import numpy as np

from cnntool.kernels.sources.jit import inlined, kernel

F = np.float32


@inlined
def largest_of_four(p, q, r, s):
    """The largest, NaN before all, and which it is: the first of equal ones."""
    upper = q if q > p or q != q else p
    lower = s if s > r or s != s else r
    from_upper, from_lower = np.int32(upper != p), np.int32(lower != r) + np.int32(2)
    below = lower > upper or lower != lower
    return lower if below else upper, from_lower if below else from_upper


@kernel
def _maxpool_halving(x, first, last, out, index):
    """2x2 windows, the usual case: four pixels at once, in a third of the time."""
    channels = x.shape[3]
    for n in range(first, last):
        for oy in range(out.shape[1]):
            for ox in range(out.shape[2]):
                p, q = x[n, 2 * oy, 2 * ox], x[n, 2 * oy, 2 * ox + 1]
                r, s = x[n, 2 * oy + 1, 2 * ox], x[n, 2 * oy + 1, 2 * ox + 1]
                best, where = out[n, oy, ox], index[n, oy, ox]
                for c in range(channels):
                    best[c], where[c] = largest_of_four(p[c], q[c], r[c], s[c])


@kernel
def maxpool_index_forward(x, first, last, out, index, window):
    """out = the largest value of each window, index = ky * kw + kx of the first one that is as large"""
    (kh, kw), (sy, sx), (dy, dx), (top, left, _, _) = window
    _, height, width, channels = x.shape
    inside = height >= 2 * out.shape[1] and width >= 2 * out.shape[2]
    if inside and (kh, kw, sy, sx, dy, dx, top, left) == (2, 2, 2, 2, 1, 1, 0, 0):
        _maxpool_halving(x, first, last, out, index)
        return
    for n in range(first, last):
        for oy in range(out.shape[1]):
            for ox in range(out.shape[2]):
                best, where = out[n, oy, ox], index[n, oy, ox]
                for c in range(channels):
                    best[c] = F(-np.inf)
                    where[c] = 0
                for ky in range(kh):
                    iy = sy * oy + dy * ky - top
                    if not 0 <= iy < height:
                        continue
                    for kx in range(kw):
                        ix = sx * ox + dx * kx - left
                        if not 0 <= ix < width:
                            continue
                        pixel = x[n, iy, ix]
                        for c in range(channels):
                            take = pixel[c] > best[c] or pixel[c] != pixel[c]
                            best[c] = pixel[c] if take else best[c]
                            where[c] = ky * kw + kx if take else where[c]


@kernel
def _maxpool_doubling(d_output, index, first, last, d_input):
    """The gradient of 2x2 windows, each pixel written once. One loop for all is not vectorised: 4 times slower."""
    channels = d_input.shape[3]
    for n in range(first, last):
        for oy in range(d_output.shape[1]):
            for ox in range(d_output.shape[2]):
                d, where = d_output[n, oy, ox], index[n, oy, ox]
                for tap in range(4):
                    pixel = d_input[n, 2 * oy + tap // 2, 2 * ox + tap % 2]
                    for c in range(channels):
                        pixel[c] = d[c] if where[c] == tap else F(0)
        d_input[n, 2 * d_output.shape[1] :] = F(0)
        d_input[n, :, 2 * d_output.shape[2] :] = F(0)


@kernel
def maxpool_backward(d_output, index, first, last, d_input, window):
    """d_input at the largest element of each window += d_output; 0 elsewhere"""
    (kh, kw), (sy, sx), (dy, dx), (top, left, _, _) = window
    _, height, width, channels = d_input.shape
    inside = height >= 2 * d_output.shape[1] and width >= 2 * d_output.shape[2]
    if inside and (kh, kw, sy, sx, dy, dx, top, left) == (2, 2, 2, 2, 1, 1, 0, 0):
        _maxpool_doubling(d_output, index, first, last, d_input)
        return
    for n in range(first, last):
        d_input[n] = F(0)
        for oy in range(d_output.shape[1]):
            for ox in range(d_output.shape[2]):
                d, where = d_output[n, oy, ox], index[n, oy, ox]
                for ky in range(kh):
                    iy = sy * oy + dy * ky - top
                    if not 0 <= iy < height:
                        continue
                    for kx in range(kw):
                        ix = sx * ox + dx * kx - left
                        if not 0 <= ix < width:
                            continue
                        pixel = d_input[n, iy, ix]
                        for c in range(channels):
                            pixel[c] += d[c] if where[c] == ky * kw + kx else F(0)


@kernel
def avgpool_backward(d_output, heights, widths, first, last, d_input, window):
    """d_input += d_output / (heights[oy] widths[ox]), the counted sizes of the window, at each of its elements"""
    (kh, kw), (sy, sx), (dy, dx), (top, left, _, _) = window
    _, height, width, channels = d_input.shape
    share = np.empty(channels, np.float32)
    for n in range(first, last):
        d_input[n] = F(0)
        for oy in range(d_output.shape[1]):
            for ox in range(d_output.shape[2]):
                size = heights[oy] * widths[ox]
                for c in range(channels):
                    share[c] = d_output[n, oy, ox, c] / size
                for ky in range(kh):
                    iy = sy * oy + dy * ky - top
                    if not 0 <= iy < height:
                        continue
                    for kx in range(kw):
                        ix = sx * ox + dx * kx - left
                        if 0 <= ix < width:
                            pixel = d_input[n, iy, ix]
                            for c in range(channels):
                                pixel[c] += share[c]


@inlined
def _spread(share, x, d_input, n, top, left, window):
    """d_input += share * x over the window at `top` and `left`."""
    (kh, kw), _, (dy, dx), _ = window
    for ky in range(kh):
        iy = top + dy * ky
        if not 0 <= iy < d_input.shape[1]:
            continue
        for kx in range(kw):
            ix = left + dx * kx
            if 0 <= ix < d_input.shape[2]:
                pixel, value = d_input[n, iy, ix], x[n, iy, ix]
                for c in range(d_input.shape[3]):
                    pixel[c] += F(share[c] * value[c])


@kernel
def l2pool_backward(d_output, x, out, first, last, d_input, window):
    """d_input += d_output * x / out at each element of the window; 0 where the window's length `out` is 0"""
    _, (sy, sx), _, (top, left, _, _) = window
    channels = d_input.shape[3]
    share = np.empty(channels, np.float32)
    wide = np.empty(channels, np.float64)  # where float32 holds the products, but not d_output / out
    for n in range(first, last):
        d_input[n] = F(0)
        for oy in range(d_output.shape[1]):
            for ox in range(d_output.shape[2]):
                d, length = d_output[n, oy, ox], out[n, oy, ox]
                large = 0
                for c in range(channels):
                    share[c] = d[c] / length[c] if length[c] != F(0) else F(0)
                    large += not abs(share[c]) < F(1e38)
                row, column = sy * oy - top, sx * ox - left
                if not large:
                    _spread(share, x, d_input, n, row, column, window)
                    continue
                for c in range(channels):
                    wide[c] = np.float64(d[c]) / length[c] if length[c] != F(0) else 0.0
                _spread(wide, x, d_input, n, row, column, window)
