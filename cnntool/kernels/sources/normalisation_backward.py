"""Gradients of normalisation over channels, and dropout. x, d_output, d_input are flat pieces P, C."""

from __future__ import annotations

import numpy as np

from cnntool.kernels.sources.jit import inlined, kernel
from cnntool.kernels.sources.normalisation import FAINT, LARGE

F = np.float32


@inlined
def _lrn_pixel(v, d, out, power, term, size, alpha, beta, k, zero):
    """`lrn_backward` of one pixel, in the type of `zero`, `power` and `term`."""
    channels = v.shape[0]
    before, after = size // 2, (size - 1) // 2
    weight = (zero + alpha) / F(size)
    for c in range(channels):
        total = zero
        for i in range(max(0, c - before), min(channels, c + after + 1)):
            total += (zero + v[i]) * (zero + v[i])
        base = k + weight * total
        power[c] = base ** (zero - beta)
        term[c] = (zero + d[c]) * v[c] * power[c] / base
    for i in range(channels):
        total = zero
        for c in range(max(0, i - after), min(channels, i + before + 1)):
            total += term[c]
        out[i] = d[i] * power[i] - F(2) * weight * beta * v[i] * total


@kernel
def lrn_backward(x, d_output, d_input, size, alpha, beta, k):
    """y[c] = x[c] b[c]^-beta, b[c] = k + alpha / size * sum of x[i]^2 over the `size` neighbours i of c

    d_x[i] = d_y[i] b[i]^-beta - 2 alpha beta / size x[i] * sum of d_y[c] x[c] b[c]^(-beta - 1) over the c with i near.
    As in `lrn_forward`, pixels with numbers whose squares float32 does not hold are computed in float64.
    """
    channels = x.shape[1]
    power, term = np.empty(channels, np.float32), np.empty(channels, np.float32)
    wide_power, wide_term = np.empty(channels, np.float64), np.empty(channels, np.float64)
    limit = LARGE / (F(size) * max(F(1), abs(alpha))) if abs(k) >= FAINT else F(0)
    for p in range(x.shape[0]):
        v, d = x[p], d_output[p]
        large = 0
        for c in range(channels):
            large += (not v[c] * v[c] < limit) | (not abs(d[c] * v[c]) < limit)
        if not large:
            _lrn_pixel(v, d, d_input[p], power, term, size, alpha, beta, k, F(0))
        else:
            _lrn_pixel(v, d, d_input[p], wide_power, wide_term, size, alpha, beta, k, np.float64(0))


@kernel
def softmax_backward(y, d_output, d_input):
    """d_x[c] = y[c] (d_y[c] - sum of d_y y), y what came out of the softmax"""
    for p in range(y.shape[0]):
        v, d, out = y[p], d_output[p], d_input[p]
        total = F(0)
        for c in range(y.shape[1]):
            total += v[c] * d[c]
        for c in range(y.shape[1]):
            out[c] = v[c] * (d[c] - total)


@kernel
def dropout_forward(x, first, last, size, seed, dropped, scale, out):
    """x, out: flat; out[i] = x[i] * scale, or 0 where the hash of `seed` and i is below `dropped`, all uint32

    For images `first` to `last` of `size` numbers each. The gradient is the same pass over d_output, since the seed
    determines which values are dropped. The hash is C. Wellons's lowbias32; NumPy's generator took ten times as long as
    the pass.
    """
    start, salt, limit = first * size, np.uint32(seed), np.uint32(dropped)
    part, result = x[start : last * size], out[start : last * size]
    for i in range(part.shape[0]):
        h = np.uint32(np.uint32(start + i) * np.uint32(0x9E3779B9))  # a product of uint32 is uint64 to Numba
        h = np.uint32((h ^ (h >> np.uint32(16))) + salt)
        h = np.uint32(h ^ (h >> np.uint32(16)))
        h = np.uint32(h * np.uint32(0x7FEB352D))
        h = np.uint32(h ^ (h >> np.uint32(15)))
        h = np.uint32(h * np.uint32(0x846CA68B))
        h = np.uint32(h ^ (h >> np.uint32(16)))
        result[i] = F(0) if h < limit else part[i] * scale
