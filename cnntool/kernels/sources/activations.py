"""Elementwise activation functions f and their gradients.

Forward, out[out_row + i, out_start + j] = f(x[x_row + i, x_start + j]) for i < rows, j < length: `x` and `out` are flat
rows of volumes and may be the same memory, since each vector is read before it is written. Scalar loops would need two
passes, a copy and the function in place, since LLVM does not vectorise a loop over two arrays that might alias.

Backward, d_input[i] = d_output[i] * f'(x[i]) over flat pieces of volumes; `x` is the input of the function. At a kink
the slope is that of the left side, as in PyTorch (zero for |x|).

Every f and f' propagates NaN.
"""

from __future__ import annotations

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


@inlined
def _slope(x, below, above):
    """One of the slopes on either side of zero, or the NaN that x is."""
    return above if x > ZERO else below if x <= ZERO else x


@inlined
def _relu(x, _):
    return where_less(x, ZERO, ZERO, x)


@kernel
def relu_forward(x, x_row, x_start, out, out_row, out_start, rows, length):
    """max(0, x)"""
    elementwise(_relu, x, x_row, x_start, out, out_row, out_start, rows, length, ZERO)


@kernel
def relu_backward(x, d_output, d_input):
    """f' = 1 for x > 0, 0 below"""
    for i in range(x.shape[0]):
        d_input[i] = _slope(x[i], ZERO, d_output[i])


@inlined
def _leaky_relu(x, slope):
    return where_less(x, ZERO, slope * x, x)


@kernel
def leaky_relu_forward(x, x_row, x_start, out, out_row, out_start, rows, length, slope):
    """x for x >= 0, slope x below"""
    elementwise(_leaky_relu, x, x_row, x_start, out, out_row, out_start, rows, length, slope)


@kernel
def leaky_relu_backward(x, d_output, d_input, slope):
    """f' = 1 for x > 0, slope below"""
    for i in range(x.shape[0]):
        d_input[i] = d_output[i] * _slope(x[i], slope, ONE)


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


@inlined
def _sigmoid(x, _):
    return sigmoid(x)


_vector_tanh = tanh_by_table if HOST.tanh_by_table else tanh


@kernel
def sigmoid_forward(x, x_row, x_start, out, out_row, out_start, rows, length):
    """1 / (1 + exp(-x))"""
    elementwise(_sigmoid, x, x_row, x_start, out, out_row, out_start, rows, length, ZERO)


@kernel
def sigmoid_backward(x, d_output, d_input):
    """f' = s (1 - s), s the sigmoid of -|x|, which keeps the digits of 1 - s"""
    for i in range(x.shape[0]):
        s = sigmoid(-abs(x[i]))
        d_input[i] = d_output[i] * s * (ONE - s)


@inlined
def _tanh(x, _):
    return _vector_tanh(x)


@kernel
def tanh_forward(x, x_row, x_start, out, out_row, out_start, rows, length):
    """(exp(x) - exp(-x)) / (exp(x) + exp(-x))"""
    elementwise(_tanh, x, x_row, x_start, out, out_row, out_start, rows, length, ZERO)


@kernel
def tanh_backward(x, d_output, d_input):
    """f' = 1 - tanh(x)^2"""
    for i in range(x.shape[0]):
        t = tanh(x[i])
        d_input[i] = d_output[i] * (ONE - t * t)


@inlined
def _elu(x, alpha):
    return where_less(x, ZERO, alpha * expm1_negative(where_less(x, ZERO, x, x * ZERO)), x)


@kernel
def elu_forward(x, x_row, x_start, out, out_row, out_start, rows, length, alpha):
    """x for x >= 0, alpha (exp(x) - 1) below"""
    elementwise(_elu, x, x_row, x_start, out, out_row, out_start, rows, length, alpha)


@kernel
def elu_backward(x, d_output, d_input, alpha):
    """f' = 1 for x > 0, alpha exp(x) below"""
    for i in range(x.shape[0]):
        v = x[i]
        d_input[i] = d_output[i] * (ONE if v > ZERO else alpha * exp(v))


@inlined
def _gelu(x, _):
    tail = erfc_positive(absolute(x) * SQRT_HALF)
    return HALF * not_minus_infinity(x) * where_less(x, ZERO, tail, TWO - tail)


@kernel
def gelu_forward(x, x_row, x_start, out, out_row, out_start, rows, length):
    """x / 2 erfc(-x / sqrt 2)"""
    elementwise(_gelu, x, x_row, x_start, out, out_row, out_start, rows, length, ZERO)


@kernel
def gelu_backward(x, d_output, d_input):
    """f' = Phi(x) + x phi(x), the normal distribution and its density"""
    for i in range(x.shape[0]):
        v = x[i]
        tail = HALF * erfc_positive(abs(v) * SQRT_HALF)
        below = tail if v < ZERO else ONE - tail
        d_input[i] = d_output[i] * (below + bounded(v) * DENSITY * exp(-HALF * v * v))


@inlined
def _silu(x, _):
    return not_minus_infinity(x) * sigmoid(x)


@kernel
def silu_forward(x, x_row, x_start, out, out_row, out_start, rows, length):
    """x / (1 + exp(-x))"""
    elementwise(_silu, x, x_row, x_start, out, out_row, out_start, rows, length, ZERO)


@kernel
def silu_backward(x, d_output, d_input):
    """f' = s (1 + x (1 - s)), s the sigmoid of x"""
    for i in range(x.shape[0]):
        s = sigmoid(x[i])
        d_input[i] = d_output[i] * s * (ONE + bounded(x[i]) * (ONE - s))


@inlined
def _softplus(x, _):
    return where_less(x, ZERO, ZERO, x) + log1p(exp_negative(ZERO - absolute(x)))


@kernel
def softplus_forward(x, x_row, x_start, out, out_row, out_start, rows, length):
    """log(1 + exp(x))"""
    elementwise(_softplus, x, x_row, x_start, out, out_row, out_start, rows, length, ZERO)


@kernel
def softplus_backward(x, d_output, d_input):
    """f' = the sigmoid of x"""
    for i in range(x.shape[0]):
        d_input[i] = d_output[i] * sigmoid(x[i])


@inlined
def _hard_gate(x):
    gate = where_less(x + THREE, ZERO, ZERO, x + THREE)
    return where_less(SIX, gate, SIX, gate) / SIX


@inlined
def _hard_sigmoid(x, _):
    return _hard_gate(x)


@kernel
def hard_sigmoid_forward(x, x_row, x_start, out, out_row, out_start, rows, length):
    """min(max(x + 3, 0), 6) / 6"""
    elementwise(_hard_sigmoid, x, x_row, x_start, out, out_row, out_start, rows, length, ZERO)


@kernel
def hard_sigmoid_backward(x, d_output, d_input):
    """f' = 1/6 for |x| < 3, 0 beyond"""
    for i in range(x.shape[0]):
        size = abs(x[i])
        d_input[i] = d_output[i] * (ONE / F(6) if size < F(3) else ZERO if size >= F(3) else size)


@inlined
def _hard_swish(x, _):
    return not_minus_infinity(x) * _hard_gate(x)


@kernel
def hard_swish_forward(x, x_row, x_start, out, out_row, out_start, rows, length):
    """x min(max(x + 3, 0), 6) / 6"""
    elementwise(_hard_swish, x, x_row, x_start, out, out_row, out_start, rows, length, ZERO)


@kernel
def hard_swish_backward(x, d_output, d_input):
    """f' = 0 below -3, x / 3 + 1/2 to 3, 1 above"""
    for i in range(x.shape[0]):
        v = x[i]
        slope = v / F(3) + HALF
        slope = ZERO if v <= F(-3) else slope
        d_input[i] = d_output[i] * (ONE if v >= F(3) else slope)


@inlined
def _abs(x, _):
    return absolute(x)


@kernel
def abs_forward(x, x_row, x_start, out, out_row, out_start, rows, length):
    """|x|"""
    elementwise(_abs, x, x_row, x_start, out, out_row, out_start, rows, length, ZERO)


@kernel
def abs_backward(x, d_output, d_input):
    """f' = the sign of x"""
    for i in range(x.shape[0]):
        sign = _slope(x[i], -ONE, ONE)
        d_input[i] = d_output[i] * (ZERO if x[i] == ZERO else sign)
