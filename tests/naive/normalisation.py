"""The slow, obvious normalisations."""

from __future__ import annotations

import numpy as np


def batchnorm(
    x: np.ndarray,
    gamma: np.ndarray | float = 1.0,
    beta: np.ndarray | float = 0.0,
    mean: np.ndarray | None = None,
    var: np.ndarray | None = None,
    eps: float = 1e-5,
) -> np.ndarray:
    """x[..., C] -> y = gamma * (x - mean) / sqrt(var + eps) + beta, all one a channel.

    Without `mean` and `var`: those of x itself over all but its channels, the variance biased.
    """
    x = np.asarray(x, dtype=np.float64)
    if mean is None or var is None:
        rest = tuple(range(x.ndim - 1))
        mean, var = x.mean(axis=rest), x.var(axis=rest)
    gamma, beta, mean, var = (np.asarray(array, dtype=np.float64) for array in (gamma, beta, mean, var))
    return gamma * (x - mean) / np.sqrt(var + eps) + beta


def lrn(x: np.ndarray, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> np.ndarray:
    """x[H, W, C] -> y[c] = x[c] / (k + alpha / size * sum of x[j]^2) ** beta, j over `size` channels around c.

    Krizhevsky et al. 2012 with alpha divided by the size, as PyTorch and ONNX have it; missing neighbours are zero.
    An even size reaches one channel further down than up, as PyTorch's (ONNX's reaches further up).
    """
    x = np.asarray(x, dtype=np.float64)
    channels = x.shape[2]
    y = np.empty_like(x)
    for c in range(channels):
        neighbours = x[:, :, max(0, c - size // 2) : min(channels, c + (size - 1) // 2 + 1)]
        y[:, :, c] = x[:, :, c] / (k + alpha / size * (neighbours**2).sum(axis=2)) ** beta
    return y
