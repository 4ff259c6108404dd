"""k-means: matrix products of points and centroids by the register tile, with the points divided among threads."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from cnntool import kernels
from cnntool.algorithms.direct import Product
from cnntool.engine.threads import parallel
from cnntool.kernels.arguments import Corner
from cnntool.learning.patches import distinct
from cnntool.steps.step import run_calls

SCORES = 2**17  # float32 products at a time, which stay in the cache
SAMPLE = 1024  # points among which an empty cluster finds a new centroid
PIECES = 64  # of the points, whatever the number of threads


def kmeans(
    points: np.ndarray,
    number: int,
    iterations: int,
    spherical: bool,
    rng: np.random.Generator,
    threads: int,
    advance: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """`number` centroids (K, D), float32, of points (N, D), float32; at least as many points as centroids.

    Plain: each point belongs to the nearest centroid, and a centroid is the mean of its points. Spherical: each point
    belongs to the centroid with the largest dot product, and a centroid is the normalised sum of its points. Centroids
    start as random points; one without points is restarted from another.
    """
    count, length = points.shape
    room = np.empty((count + kernels.vectors.PIXELS, length), np.float32)  # a tile may read past the last point
    room[:count] = points
    centroids = points[rng.choice(count, number, replace=False)].astype(np.float64)
    nearest = np.full(count, -1)
    for _ in range(iterations):
        if spherical:
            centroids /= np.maximum(np.sqrt(np.square(centroids).sum(axis=1, keepdims=True)), 1e-12)
        found = assigned(room, count, centroids, spherical, threads)
        advance()
        if np.array_equal(found, nearest):
            break
        nearest = found
        sums, sizes = np.zeros((number, length)), np.zeros(number, np.int64)
        kernels.clusters.cluster_sums_forward(points, nearest, 0, count, sums, sizes)
        empty = np.flatnonzero(sizes == 0)
        if len(empty):
            sums[empty] = points[restarts(points, centroids, nearest, len(empty), rng)]
        centroids = sums if spherical else sums / np.maximum(sizes, 1)[:, None]
    if spherical:
        centroids /= np.maximum(np.sqrt(np.square(centroids).sum(axis=1, keepdims=True)), 1e-12)
    return centroids.astype(np.float32)


def restarts(
    points: np.ndarray, centroids: np.ndarray, nearest: np.ndarray, number: int, rng: np.random.Generator
) -> np.ndarray:
    """Indices of random points to restart empty clusters from, duplicates last.

    Duplicates equal a centroid or an earlier point of the sample.
    """
    sample = rng.choice(len(points), min(len(points), max(number, SAMPLE)), replace=False)
    taken = (points[sample] == centroids[nearest[sample]].astype(np.float32)).all(axis=1)
    order = sample[np.argsort(taken, kind="stable")]
    firsts = np.fromiter(itertools.islice(distinct(points, order), number), np.int64)
    return np.concatenate([order[firsts], np.delete(order, firsts)])[:number]


def assigned(room: np.ndarray, count: int, centroids: np.ndarray, spherical: bool, threads: int) -> np.ndarray:
    """The index of each point's centroid: |x - c|^2 is smallest where x.c - |c|^2 / 2 is largest."""
    number = len(centroids)
    offsets = np.zeros(number) if spherical else -np.square(centroids).sum(axis=1) / 2
    product = Product(centroids.T, offsets)
    nearest = np.empty(count, np.int64)
    rows = max(kernels.vectors.PIXELS, SCORES // number)

    def piece(span: tuple[int, int]) -> None:
        scores = np.empty((1, rows, number), np.float32)
        for first in range(*span, rows):
            here = min(rows, span[1] - first)
            run_calls([product.call(room[None, first:], Corner(scores, 0, 0), 1, here)])
            kernels.clusters.nearest_forward(scores[0], first, here, nearest)

    size = -(-count // PIECES)
    parallel(threads, piece, [(first, min(first + size, count)) for first in range(0, count, size)])
    return nearest
