"""The slow, obvious maps of learned banks, and what they are learned by."""

from __future__ import annotations

import numpy as np

from tests.naive.convolution import conv

Size = tuple[int, int]


def patches(x: np.ndarray, size: Size, stride: Size = (1, 1)) -> np.ndarray:
    """x[H, W, C] -> the windows at all positions: [OH, OW, height * width * C]"""
    x = np.asarray(x, dtype=np.float64)
    rows = range(0, x.shape[0] - size[0] + 1, stride[0])
    columns = range(0, x.shape[1] - size[1] + 1, stride[1])
    return np.array([[x[r : r + size[0], c : c + size[1]].ravel() for c in columns] for r in rows])


def normalised(p: np.ndarray, eps: float) -> np.ndarray:
    """(p - mean) / sqrt(var + eps) of each patch p, the last axis; zero where float32 knows no variance"""
    mean = p.mean(axis=-1, keepdims=True)
    spread = np.sqrt(((p - mean) ** 2).mean(axis=-1, keepdims=True) + eps)
    there = spread > 3e-7 * np.abs(mean)
    return np.where(there, (p - mean) / np.where(there, spread, 1), 0)


def kmeans_distances(
    x: np.ndarray, mean: np.ndarray, whitening: np.ndarray, weight: np.ndarray, eps: float, stride: Size = (1, 1)
) -> np.ndarray:
    """x[H, W, C], weight[kh, kw, C, K] -> z[OH, OW, K], the distance of the whitened patch to each centroid"""
    w = (normalised(patches(x, weight.shape[:2], stride), eps) - mean) @ whitening
    centroids = weight.reshape(-1, weight.shape[3]).T.astype(np.float64)
    return np.sqrt(((w[:, :, None, :] - centroids) ** 2).sum(axis=3))


def pca_responses(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The product of each patch, less its own mean, with each component."""
    p = patches(x, weight.shape[:2])
    return (p - p.mean(axis=2, keepdims=True)) @ weight.reshape(-1, weight.shape[3])


def convolution(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return conv(x, weight, bias)


def zca(p: np.ndarray, eps: float) -> tuple[np.ndarray, np.ndarray]:
    """p[N, D] -> mean, W = V diag(1 / sqrt(variances + eps)) V^T"""
    mean = p.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov(p.T, bias=True))
    return mean, axes @ np.diag(1 / np.sqrt(np.maximum(variances, 0) + eps)) @ axes.T


def nearest(points: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """points[N, D], centroids[K, D] -> the number of the nearest centroid of each point"""
    return ((points[:, None] - centroids) ** 2).sum(axis=2).argmin(axis=1)


def lloyd(points: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """One round of k-means; a centroid without points stays."""
    numbers = nearest(points, centroids)
    means = [points[numbers == k].mean(axis=0) if (numbers == k).any() else c for k, c in enumerate(centroids)]
    return np.array(means)


def squared_hinge_objective(theta: np.ndarray, x: np.ndarray, labels: np.ndarray, c: float) -> float:
    """theta[D + 1, K], its last row the bias: 0.5 |theta|^2 + C mean(sum over classes of max(0, 1 - y s)^2)"""
    scores = np.column_stack([x, np.ones(len(x))]) @ theta
    total = 0.0
    for row, label in zip(scores, labels, strict=True):
        for k, score in enumerate(row):
            y = 1 if k == label else -1
            total += max(0.0, 1 - y * score) ** 2
    return 0.5 * float((theta**2).sum()) + c * total / len(x)


def cross_entropy_objective(theta: np.ndarray, x: np.ndarray, labels: np.ndarray, c: float) -> float:
    """The same with -log softmax(s)[label] in the place of the margins."""
    scores = np.column_stack([x, np.ones(len(x))]) @ theta
    total = sum(np.log(np.exp(row).sum()) - row[label] for row, label in zip(scores, labels, strict=True))
    return 0.5 * float((theta**2).sum()) + c * float(total) / len(x)
