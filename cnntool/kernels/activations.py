"""Activation functions, in place: v[row : row + rows, start : start + length] = f(v[...]), `v` a volume's rows, flat.

In place only: given two arrays that may be one, LLVM guards its vector loop against overlap and takes the scalar one.
Each f lets NaN through.
"""

from __future__ import annotations

import numpy as np

from cnntool.kernels.elementary import erfc_positive, exp, expm1, log1p, sigmoid, tanh
from cnntool.kernels.jit import kernel

F = np.float32
ZERO, ONE, HALF = F(0), F(1), F(0.5)
SQRT_HALF = F(0.70710678118654752)


@kernel
def relu_forward(v, row, start, rows, length):
    """max(0, x)"""
    for i in range(row, row + rows):
        line = v[i, start : start + length]
        for j in range(length):
            x = line[j]
            line[j] = ZERO if x < ZERO else x


@kernel
def leaky_relu_forward(v, row, start, rows, length, slope):
    """x for x >= 0, slope x below"""
    for i in range(row, row + rows):
        line = v[i, start : start + length]
        for j in range(length):
            x = line[j]
            line[j] = slope * x if x < ZERO else x


@kernel
def prelu_forward(v, row, start, rows, length, alpha):
    """x for x >= 0, alpha x below; `alpha` is one period of the channels' slopes along a row."""
    period = alpha.shape[0]
    for i in range(row, row + rows):
        for first in range(0, length, period):
            count = min(period, length - first)
            line = v[i, start + first : start + first + count]
            for j in range(count):
                x = line[j]
                line[j] = alpha[j] * x if x < ZERO else x


@kernel
def sigmoid_forward(v, row, start, rows, length):
    """1 / (1 + exp(-x))"""
    for i in range(row, row + rows):
        line = v[i, start : start + length]
        for j in range(length):
            line[j] = sigmoid(line[j])


@kernel
def tanh_forward(v, row, start, rows, length):
    """(exp(x) - exp(-x)) / (exp(x) + exp(-x))"""
    for i in range(row, row + rows):
        line = v[i, start : start + length]
        for j in range(length):
            line[j] = tanh(line[j])


@kernel
def elu_forward(v, row, start, rows, length, alpha):
    """x for x >= 0, alpha (exp(x) - 1) below"""
    for i in range(row, row + rows):
        line = v[i, start : start + length]
        for j in range(length):
            x = line[j]
            line[j] = alpha * expm1(x) if x < ZERO else x


@kernel
def gelu_forward(v, row, start, rows, length):
    """x / 2 erfc(-x / sqrt 2)"""
    for i in range(row, row + rows):
        line = v[i, start : start + length]
        for j in range(length):
            x = line[j]
            tail = erfc_positive(abs(x) * SQRT_HALF)
            line[j] = HALF * x * (tail if x < ZERO else F(2) - tail)


@kernel
def silu_forward(v, row, start, rows, length):
    """x / (1 + exp(-x))"""
    for i in range(row, row + rows):
        line = v[i, start : start + length]
        for j in range(length):
            line[j] *= sigmoid(line[j])


@kernel
def softplus_forward(v, row, start, rows, length):
    """log(1 + exp(x))"""
    for i in range(row, row + rows):
        line = v[i, start : start + length]
        for j in range(length):
            x = line[j]
            line[j] = (x if x > ZERO else ZERO) + (log1p(exp(-abs(x))) if x == x else x)


@kernel
def hard_sigmoid_forward(v, row, start, rows, length):
    """min(max(x + 3, 0), 6) / 6"""
    for i in range(row, row + rows):
        line = v[i, start : start + length]
        for j in range(length):
            x = line[j] + F(3)
            x = ZERO if x < ZERO else x
            line[j] = (F(6) if x > F(6) else x) / F(6)


@kernel
def hard_swish_forward(v, row, start, rows, length):
    """x min(max(x + 3, 0), 6) / 6"""
    for i in range(row, row + rows):
        line = v[i, start : start + length]
        for j in range(length):
            gate = line[j] + F(3)
            gate = ZERO if gate < ZERO else gate
            line[j] *= (F(6) if gate > F(6) else gate) / F(6)


@kernel
def absolute_forward(v, row, start, rows, length):
    """|x|"""
    for i in range(row, row + rows):
        line = v[i, start : start + length]
        for j in range(length):
            line[j] = abs(line[j])
