"""The slow, obvious fully connected layer, and what surrounds it."""

from __future__ import annotations

import numpy as np


def flatten(x: np.ndarray) -> np.ndarray:
    """x[H, W, C] -> y[1, 1, H W C] in the order h, w, c"""
    return np.asarray(x, dtype=np.float64).reshape(1, 1, -1)


def fc(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """x[H, W, C], weight[H W C, OC], bias[OC] -> y[1, 1, OC] = flatten(x) weight + bias"""
    y = flatten(x) @ np.asarray(weight, dtype=np.float64)
    return y if bias is None else y + np.asarray(bias, dtype=np.float64)


def softmax(x: np.ndarray) -> np.ndarray:
    """x[H, W, C] -> y[c] = exp(x[c]) / sum of exp(x) over the channels; the largest is subtracted first"""
    x = np.asarray(x, dtype=np.float64)
    powers = np.exp(x - x.max(axis=2, keepdims=True))
    return powers / powers.sum(axis=2, keepdims=True)
