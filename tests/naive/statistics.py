"""The slow, obvious centring, standardising, whitening and decorrelation, by the statistics of the volume itself.

Means and covariances are over the N = H W pixels; covariances are biased (divided by N). A direction counts as without
variance when its variance is at most 1e-8 of the largest, and becomes zero.
"""

from __future__ import annotations

import numpy as np

RELATIVE_EPS = 1e-8


def center(x: np.ndarray) -> np.ndarray:
    """x[H, W, C] -> y = x - mean, channel by channel"""
    x = np.asarray(x, dtype=np.float64)
    return x - x.mean(axis=(0, 1))


def standardize(x: np.ndarray) -> np.ndarray:
    """x[H, W, C] -> y = (x - mean) / std, channel by channel"""
    centred = center(x)
    return centred * inverse_root((centred**2).mean(axis=(0, 1)))


def whiten(x: np.ndarray, how: str = "zca") -> np.ndarray:
    """x[H, W, C] -> y of unit covariance. V has the principal axes in its columns, lambda their variances.

    std: (x - mean) / std; pca: (x - mean) V / sqrt(lambda); zca: (x - mean) V / sqrt(lambda) V^T
    """
    if how == "std":
        return standardize(x)
    axes, variances = principal_axes(x)
    pca = center(x) @ axes * inverse_root(variances)
    return {"pca": pca, "zca": pca @ axes.T}[how]


def decorrelate(x: np.ndarray) -> np.ndarray:
    """Two channels A, B: (A + B) / 2, A - B, as they are. Otherwise y = (x - mean) V, by decreasing variance."""
    x = np.asarray(x, dtype=np.float64)
    if x.shape[2] == 2:
        a, b = x[:, :, 0], x[:, :, 1]
        return np.stack([(a + b) / 2, a - b], axis=2)
    axes, _ = principal_axes(x)
    return center(x) @ axes


def principal_axes(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x[H, W, C] -> V[C, C] with one axis a column, and the variances, decreasing.

    The sign of an axis is free: its component of the largest magnitude is made positive.
    """
    pixels = center(x).reshape(-1, x.shape[2])
    variances, axes = np.linalg.eigh(pixels.T @ pixels / len(pixels))
    variances, axes = variances[::-1], axes[:, ::-1]
    largest = np.abs(axes).argmax(axis=0)
    return axes * np.where(axes[largest, np.arange(len(largest))] < 0, -1.0, 1.0), variances


def inverse_root(variances: np.ndarray) -> np.ndarray:
    """1 / sqrt(variance), or 0 for those that count as none."""
    there = variances > RELATIVE_EPS * variances.max()
    return np.where(there, 1.0 / np.sqrt(np.where(there, variances, 1.0)), 0.0)
