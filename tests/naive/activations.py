"""The slow, obvious activations, element by element on float64. A NaN in is a NaN out."""

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


def gated(x: np.ndarray, gate: np.ndarray) -> np.ndarray:
    """x * gate, and its limit where x is minus infinity and the gate zero"""
    return np.where(x == -np.inf, -0.0, x * gate)


@elementwise
def relu(x: np.ndarray) -> np.ndarray:
    """max(x, 0)"""
    return np.maximum(x, 0.0)


@elementwise
def leaky_relu(x: np.ndarray, slope: float = 0.01) -> np.ndarray:
    """x where x > 0, else slope * x"""
    return np.where(x > 0, x, slope * x)


@elementwise
def prelu(x: np.ndarray, alpha: np.ndarray | float = 0.25) -> np.ndarray:
    """x where x > 0, else alpha * x; alpha is one number or one a channel."""
    return np.where(x > 0, x, np.asarray(alpha, dtype=np.float64) * x)


@elementwise
def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), written so that nothing overflows"""
    decay = np.exp(-np.abs(x))
    return np.where(x < 0, decay, 1.0) / (1.0 + decay)


@elementwise
def tanh(x: np.ndarray) -> np.ndarray:
    return np.tanh(x)


@elementwise
def elu(x: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    """x where x > 0, else alpha * (exp(x) - 1)"""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0)))


@elementwise
def gelu(x: np.ndarray) -> np.ndarray:
    """x times the normal distribution function at x: x erfc(-x / sqrt 2) / 2, not its tanh approximation"""
    return gated(x, 0.5 * erfc(-x / math.sqrt(2.0)))


@elementwise
def silu(x: np.ndarray) -> np.ndarray:
    """x sigmoid(x)"""
    return gated(x, sigmoid(x))


@elementwise
def softplus(x: np.ndarray) -> np.ndarray:
    """log(1 + exp(x))"""
    return np.logaddexp(0.0, x)


@elementwise
def hard_sigmoid(x: np.ndarray) -> np.ndarray:
    """relu6(x + 3) / 6"""
    return np.clip(x + 3.0, 0.0, 6.0) / 6.0


@elementwise
def hard_swish(x: np.ndarray) -> np.ndarray:
    """x hard_sigmoid(x)"""
    return gated(x, hard_sigmoid(x))


@elementwise
def abs(x: np.ndarray) -> np.ndarray:
    return np.abs(x)
