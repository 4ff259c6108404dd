"""Gradients of the activation functions: d_input[i] = d_output[i] * f'(x[i]) over flat pieces of volumes.

`x` is what went into the function. At a kink the slope is that of the left side, as in PyTorch (zero for |x|);
at NaN it is NaN.
"""

from __future__ import annotations

import numpy as np

from cnntool.kernels.sources.elementary import bounded, erfc_positive, exp, sigmoid, tanh
from cnntool.kernels.sources.jit import inlined, kernel

F = np.float32
ZERO, ONE, HALF = F(0), F(1), F(0.5)
SQRT_HALF, DENSITY = F(0.70710678118654752), F(0.39894228040143268)


@inlined
def _slope(x, below, above):
    """One of the slopes on either side of zero, or the NaN that x is."""
    return above if x > ZERO else below if x <= ZERO else x


@kernel
def relu_backward(x, d_output, d_input):
    """f' = 1 for x > 0, 0 below"""
    for i in range(x.shape[0]):
        d_input[i] = _slope(x[i], ZERO, d_output[i])


@kernel
def leaky_relu_backward(x, d_output, d_input, slope):
    """f' = 1 for x > 0, slope below"""
    for i in range(x.shape[0]):
        d_input[i] = d_output[i] * _slope(x[i], slope, ONE)


@kernel
def prelu_backward(x, d_output, d_input, alpha, d_alpha):
    """x: P, C; f' = 1 for x > 0, alpha[c] below; d_alpha[c] += sum of d_output x over the x <= 0, in float64"""
    channels = x.shape[1]
    line = np.empty(channels, np.float32)
    for p in range(x.shape[0]):
        if p % 64 == 0:
            line[:] = ZERO
        v, d, out = x[p], d_output[p], d_input[p]
        for c in range(channels):
            out[c] = d[c] * _slope(v[c], alpha[c], ONE)
            line[c] += ZERO if v[c] > ZERO else d[c] * v[c]
        if p % 64 == 63 or p == x.shape[0] - 1:
            for c in range(channels):
                d_alpha[c] += line[c]


@kernel
def sigmoid_backward(x, d_output, d_input):
    """f' = s (1 - s), s the sigmoid of -|x|, which keeps the digits of 1 - s"""
    for i in range(x.shape[0]):
        s = sigmoid(-abs(x[i]))
        d_input[i] = d_output[i] * s * (ONE - s)


@kernel
def tanh_backward(x, d_output, d_input):
    """f' = 1 - tanh(x)^2"""
    for i in range(x.shape[0]):
        t = tanh(x[i])
        d_input[i] = d_output[i] * (ONE - t * t)


@kernel
def elu_backward(x, d_output, d_input, alpha):
    """f' = 1 for x > 0, alpha exp(x) below"""
    for i in range(x.shape[0]):
        v = x[i]
        d_input[i] = d_output[i] * (ONE if v > ZERO else alpha * exp(v))


@kernel
def gelu_backward(x, d_output, d_input):
    """f' = Phi(x) + x phi(x), the normal distribution and its density"""
    for i in range(x.shape[0]):
        v = x[i]
        tail = HALF * erfc_positive(abs(v) * SQRT_HALF)
        below = tail if v < ZERO else ONE - tail
        d_input[i] = d_output[i] * (below + bounded(v) * DENSITY * exp(-HALF * v * v))


@kernel
def silu_backward(x, d_output, d_input):
    """f' = s (1 + x (1 - s)), s the sigmoid of x"""
    for i in range(x.shape[0]):
        s = sigmoid(x[i])
        d_input[i] = d_output[i] * s * (ONE + bounded(x[i]) * (ONE - s))


@kernel
def softplus_backward(x, d_output, d_input):
    """f' = the sigmoid of x"""
    for i in range(x.shape[0]):
        d_input[i] = d_output[i] * sigmoid(x[i])


@kernel
def hard_sigmoid_backward(x, d_output, d_input):
    """f' = 1/6 for |x| < 3, 0 beyond"""
    for i in range(x.shape[0]):
        size = abs(x[i])
        d_input[i] = d_output[i] * (ONE / F(6) if size < F(3) else ZERO if size >= F(3) else size)


@kernel
def hard_swish_backward(x, d_output, d_input):
    """f' = 0 below -3, x / 3 + 1/2 to 3, 1 above"""
    for i in range(x.shape[0]):
        v = x[i]
        slope = v / F(3) + HALF
        slope = ZERO if v <= F(-3) else slope
        d_input[i] = d_output[i] * (ONE if v >= F(3) else slope)


@kernel
def absolute_backward(x, d_output, d_input):
    """f' = the sign of x"""
    for i in range(x.shape[0]):
        sign = _slope(x[i], -ONE, ONE)
        d_input[i] = d_output[i] * (ZERO if x[i] == ZERO else sign)
