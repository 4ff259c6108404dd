"""Elementwise activation functions f and their gradients.

Forward, out[out_row + i, out_start + j] = f(x[x_row + i, x_start + j]) for i < rows, j < length: `x` and `out` are flat
rows of volumes and may be the same memory, since each vector is read before it is written. Scalar loops would need two
passes, a copy and the function in place, since LLVM does not vectorise a loop over two arrays that might alias.

Backward, d_input[i] = d_output[i] * f'(x[i]) over flat pieces of volumes; `x` is the input of the function. At a kink
the slope is that of the left side, as in PyTorch (zero for |x|).

Every f and f' propagates NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cnntool.kernels.sources.elementary import (
    bounded,
    erfc_positive,
    exp,
    exp_negative,
    expm1_negative,
    log1p,
    not_minus_infinity,
    sigmoid,
    tanh,
    tanh_by_table,
)
from cnntool.kernels.sources.jit import inlined, kernel
from cnntool.kernels.sources.simd import absolute, load, load_first, store, store_first, where_less
from cnntool.kernels.sources.tile import address_of
from cnntool.kernels.vectors import HOST, LANES

F = np.float32
ZERO, ONE, TWO, THREE, SIX, HALF = F(0), F(1), F(2), F(3), F(6), F(0.5)
SQRT_HALF, DENSITY = F(0.70710678118654752), F(0.39894228040143268)


@inlined
def elementwise(function, x, x_row, x_start, out, out_row, out_start, rows, length, constant):
    """Applies `function(vector, constant)` to all vectors.

    Two vectors are loaded before the first is stored, against 4K aliasing: a load may wait for an earlier store whose
    address has the same last 12 bits. ReLU of 224x224x64 takes 0.44 ms instead of 0.47.
    """
    if length == x.shape[1] and length == out.shape[1]:  # full rows, which are one long piece
        rows, length = 1, rows * length
    for i in range(rows):
        x_at = address_of(x) + 4 * ((x_row + i) * x.shape[1] + x_start)
        y_at = address_of(out) + 4 * ((out_row + i) * out.shape[1] + out_start)
        pairs = length // (2 * LANES) * (2 * LANES)
        for j in range(0, pairs, 2 * LANES):
            first, second = load(x_at + 4 * j), load(x_at + 4 * (j + LANES))
            store(y_at + 4 * j, function(first, constant))
            store(y_at + 4 * (j + LANES), function(second, constant))
        for j in range(pairs, length, LANES):
            count = min(LANES, length - j)
            store_first(y_at + 4 * j, function(load_first(x_at + 4 * j, count), constant), count)


def activation(function: Callable) -> Any:
    """The kernel of the function f(vector), or f(vector, constant)."""
    applied = inlined(function)
    if function.__code__.co_argcount == 2:

        @kernel
        def with_constant(x, x_row, x_start, out, out_row, out_start, rows, length, constant):
            elementwise(applied, x, x_row, x_start, out, out_row, out_start, rows, length, constant)

        return with_constant

    @inlined
    def of_vector(x, _):
        return applied(x)

    @kernel
    def forward(x, x_row, x_start, out, out_row, out_start, rows, length):
        elementwise(of_vector, x, x_row, x_start, out, out_row, out_start, rows, length, ZERO)

    return forward


def gradient(function: Callable) -> Any:
    """The kernel of d_input = function(x, d_output) or function(x, d_output, constant), of single numbers."""
    applied = inlined(function)
    if function.__code__.co_argcount == 3:

        @kernel
        def with_constant(x, d_output, d_input, constant):
            for i in range(x.shape[0]):
                d_input[i] = applied(x[i], d_output[i], constant)

        return with_constant

    @kernel
    def backward(x, d_output, d_input):
        for i in range(x.shape[0]):
            d_input[i] = applied(x[i], d_output[i])

    return backward


@inlined
def _slope(x, below, above):
    """One of the slopes on either side of zero, or the NaN that x is."""
    return above if x > ZERO else below if x <= ZERO else x


@activation
def relu_forward(x):
    """max(0, x)"""
    return where_less(x, ZERO, ZERO, x)


@gradient
def relu_backward(x, d):
    """f' = 1 for x > 0, 0 below"""
    return _slope(x, ZERO, d)


@activation
def leaky_relu_forward(x, slope):
    """x for x >= 0, slope x below"""
    return where_less(x, ZERO, slope * x, x)


@gradient
def leaky_relu_backward(x, d, slope):
    """f' = 1 for x > 0, slope below"""
    return d * _slope(x, slope, ONE)


@kernel
def prelu_forward(x, x_row, x_start, out, out_row, out_start, rows, length, alpha):
    """x for x >= 0, alpha x below; `alpha` is one period of the channels' slopes along a row."""
    period = alpha.shape[0]
    for i in range(rows):
        x_at = address_of(x) + 4 * ((x_row + i) * x.shape[1] + x_start)
        y_at = address_of(out) + 4 * ((out_row + i) * out.shape[1] + out_start)
        for first in range(0, length, period):
            for j in range(0, min(period, length - first), LANES):
                count = min(LANES, period - j, length - first - j)
                value, slope = load_first(x_at + 4 * (first + j), count), load_first(address_of(alpha) + 4 * j, count)
                store_first(y_at + 4 * (first + j), where_less(value, ZERO, slope * value, value), count)


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


@activation
def sigmoid_forward(x):
    """1 / (1 + exp(-x))"""
    return sigmoid(x)


@gradient
def sigmoid_backward(x, d):
    """f' = s (1 - s), s the sigmoid of -|x|, which keeps the digits of 1 - s"""
    s = sigmoid(-abs(x))
    return d * s * (ONE - s)


_vector_tanh = tanh_by_table if HOST.tanh_by_table else tanh


@activation
def tanh_forward(x):
    """(exp(x) - exp(-x)) / (exp(x) + exp(-x))"""
    return _vector_tanh(x)


@gradient
def tanh_backward(x, d):
    """f' = 1 - tanh(x)^2"""
    t = tanh(x)
    return d * (ONE - t * t)


@activation
def elu_forward(x, alpha):
    """x for x >= 0, alpha (exp(x) - 1) below"""
    return where_less(x, ZERO, alpha * expm1_negative(where_less(x, ZERO, x, x * ZERO)), x)


@gradient
def elu_backward(x, d, alpha):
    """f' = 1 for x > 0, alpha exp(x) below"""
    return d * (ONE if x > ZERO else alpha * exp(x))


@activation
def gelu_forward(x):
    """x / 2 erfc(-x / sqrt 2)"""
    tail = erfc_positive(absolute(x) * SQRT_HALF)
    return HALF * not_minus_infinity(x) * where_less(x, ZERO, tail, TWO - tail)


@gradient
def gelu_backward(x, d):
    """f' = Phi(x) + x phi(x), the normal distribution and its density"""
    tail = HALF * erfc_positive(abs(x) * SQRT_HALF)
    below = tail if x < ZERO else ONE - tail
    return d * (below + bounded(x) * DENSITY * exp(-HALF * x * x))


@activation
def silu_forward(x):
    """x / (1 + exp(-x))"""
    return not_minus_infinity(x) * sigmoid(x)


@gradient
def silu_backward(x, d):
    """f' = s (1 + x (1 - s)), s the sigmoid of x"""
    s = sigmoid(x)
    return d * s * (ONE + bounded(x) * (ONE - s))


@activation
def softplus_forward(x):
    """log(1 + exp(x))"""
    return where_less(x, ZERO, ZERO, x) + log1p(exp_negative(ZERO - absolute(x)))


@gradient
def softplus_backward(x, d):
    """f' = the sigmoid of x"""
    return d * sigmoid(x)


@inlined
def _hard_gate(x):
    gate = where_less(x + THREE, ZERO, ZERO, x + THREE)
    return where_less(SIX, gate, SIX, gate) / SIX


@activation
def hard_sigmoid_forward(x):
    """min(max(x + 3, 0), 6) / 6"""
    return _hard_gate(x)


@gradient
def hard_sigmoid_backward(x, d):
    """f' = 1/6 for |x| < 3, 0 beyond"""
    size = abs(x)
    return d * (ONE / F(6) if size < F(3) else ZERO if size >= F(3) else size)


@activation
def hard_swish_forward(x):
    """x min(max(x + 3, 0), 6) / 6"""
    return not_minus_infinity(x) * _hard_gate(x)


@gradient
def hard_swish_backward(x, d):
    """f' = 0 below -3, x / 3 + 1/2 to 3, 1 above"""
    slope = x / F(3) + HALF
    slope = ZERO if x <= F(-3) else slope
    return d * (ONE if x >= F(3) else slope)


@activation
def abs_forward(x):
    """|x|"""
    return absolute(x)


@gradient
def abs_backward(x, d):
    """f' = the sign of x"""
    sign = _slope(x, -ONE, ONE)
    return d * (ZERO if x == ZERO else sign)
