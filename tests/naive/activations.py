"""The slow, obvious activations and their gradients, element by element on float64. A NaN in is a NaN out."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

erfc = np.vectorize(math.erfc, otypes=[np.float64])


def elementwise(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """`function` on x as float64, quiet about infinities and NaN."""

    @functools.wraps(function)
    def on_float64(x: np.ndarray, *arguments: Any, **options: Any) -> np.ndarray:
        with np.errstate(invalid="ignore", over="ignore"):
            return function(np.asarray(x, dtype=np.float64), *arguments, **options)

    return on_float64


def derivative(slope: Callable[..., np.ndarray]) -> Callable[..., tuple[np.ndarray, dict[str, np.ndarray]]]:
    """The gradient of an activation whose derivative at x is `slope`; NaN where x is NaN."""

    @functools.wraps(slope)
    def backward(d_y: np.ndarray, x: np.ndarray, **options: Any) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        return d_y * np.where(np.isnan(x), np.nan, slope(x, **options)), {}

    return backward


def gated(x: np.ndarray, gate: np.ndarray) -> np.ndarray:
    """x * gate, and its limit where x is minus infinity and the gate zero"""
    return np.where(x == -np.inf, -0.0, x * gate)


def finite(x: np.ndarray) -> np.ndarray:
    """A number as far out as any result depends on x, whose product with zero is zero."""
    return np.clip(x, -1e30, 1e30)


@elementwise
def relu(x: np.ndarray) -> np.ndarray:
    """max(x, 0)"""
    return np.maximum(x, 0.0)


@derivative
def relu_backward(x):
    return np.where(x > 0, 1.0, 0.0)


@elementwise
def leaky_relu(x: np.ndarray, slope: float = 0.01) -> np.ndarray:
    """x where x > 0, else slope * x"""
    return np.where(x > 0, x, slope * x)


@derivative
def leaky_relu_backward(x, slope=0.01):
    return np.where(x > 0, 1.0, slope)


@elementwise
def prelu(x: np.ndarray, alpha: np.ndarray | float = 0.25) -> np.ndarray:
    """x where x > 0, else alpha * x; alpha is one number or one a channel."""
    return np.where(x > 0, x, np.asarray(alpha, dtype=np.float64) * x)


def prelu_backward(d_y, x, alpha):
    below = np.where(x > 0, 0.0, d_y * x).sum(axis=(0, 1))
    slope = np.where(np.isnan(x), np.nan, np.where(x > 0, 1.0, alpha))
    return d_y * slope, {"alpha": below if len(alpha) > 1 else below.sum(keepdims=True)}


@elementwise
def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), written so that nothing overflows"""
    decay = np.exp(-np.abs(x))
    return np.where(x < 0, decay, 1.0) / (1.0 + decay)


@derivative
def sigmoid_backward(x):
    return sigmoid(x) * sigmoid(-x)


@elementwise
def tanh(x: np.ndarray) -> np.ndarray:
    return np.tanh(x)


@derivative
def tanh_backward(x):
    return 1 - np.tanh(x) ** 2


@elementwise
def elu(x: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    """x where x > 0, else alpha * (exp(x) - 1)"""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0)))


@derivative
def elu_backward(x, alpha=1.0):
    return np.where(x > 0, 1.0, alpha * np.exp(np.minimum(x, 0)))


@elementwise
def gelu(x: np.ndarray) -> np.ndarray:
    """x times the normal distribution function at x: x erfc(-x / sqrt 2) / 2, not its tanh approximation"""
    return gated(x, 0.5 * erfc(-x / math.sqrt(2.0)))


@derivative
def gelu_backward(x):
    return 0.5 * erfc(-x / math.sqrt(2)) + finite(x) * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


@elementwise
def silu(x: np.ndarray) -> np.ndarray:
    """x sigmoid(x)"""
    return gated(x, sigmoid(x))


@derivative
def silu_backward(x):
    return sigmoid(x) * (1 + finite(x) * sigmoid(-x))


@elementwise
def softplus(x: np.ndarray) -> np.ndarray:
    """log(1 + exp(x))"""
    return np.logaddexp(0.0, x)


@derivative
def softplus_backward(x):
    return sigmoid(x)


@elementwise
def hard_sigmoid(x: np.ndarray) -> np.ndarray:
    """relu6(x + 3) / 6"""
    return np.clip(x + 3.0, 0.0, 6.0) / 6.0


@derivative
def hard_sigmoid_backward(x):
    return np.where(np.abs(x) < 3, 1 / 6, 0.0)


@elementwise
def hard_swish(x: np.ndarray) -> np.ndarray:
    """x hard_sigmoid(x)"""
    return gated(x, hard_sigmoid(x))


@derivative
def hard_swish_backward(x):
    return hard_sigmoid(x) + finite(x) * hard_sigmoid_backward(1.0, x)[0]


@elementwise
def abs(x: np.ndarray) -> np.ndarray:
    return np.abs(x)


@derivative
def abs_backward(x):
    return np.sign(x)
