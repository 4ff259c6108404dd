"""The slow, obvious triangle activation, sums over a grid, and Gram matrix."""

from __future__ import annotations

import numpy as np


def triangle(x: np.ndarray) -> np.ndarray:
    """x[H, W, C] -> y = max(0, mean of the position's channels - x)"""
    x = np.asarray(x, dtype=np.float64)
    return np.maximum(0.0, x.mean(axis=2, keepdims=True) - x)


def gridpool(x: np.ndarray, number: int) -> np.ndarray:
    """x[H, W, C] -> y[N, N, C], the sums of N x N cells; the first cells have the rows and columns that are over"""
    rows = np.array_split(np.asarray(x, dtype=np.float64), number, axis=0)
    cells = [np.array_split(row, number, axis=1) for row in rows]
    return np.array([[cell.sum(axis=(0, 1)) for cell in row] for row in cells])


def gram(x: np.ndarray) -> np.ndarray:
    """x[H, W, C] -> y[1, 1, C (C + 1) / 2]: the mean of x[a] x[b] over the positions, a <= b, row by row"""
    pixels = np.asarray(x, dtype=np.float64).reshape(-1, x.shape[2])
    means = pixels.T @ pixels / len(pixels)
    return np.concatenate([means[a, a:] for a in range(len(means))])[None, None]
