"""How a linear classifier's objective bends, so that its minimum is found in few steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from cnntool.engine.threads import parallel
from cnntool.steps.blas import one_blas_thread

BLOCK = 4096  # rows that go through BLAS together
AXES = 256


class Curvature:
    """The matrix G, the mean of x x^T of features x (N, D), by its main axes: for D in the thousands G itself is large.

    The axes are found by random directions that are multiplied by G once (N. Halko, P.-G. Martinsson, J. Tropp 2011).
    Features of images are so alike in a few directions that without this the minimum takes ten times the evaluations:
    for 80,000 rows of 3,600 features of CIFAR-10 about 30 instead of over 250, and the axes cost as much as 15.
    """

    def __init__(self, features: np.ndarray, threads: int) -> None:
        length = features.shape[1]
        directions = np.random.default_rng(0).standard_normal((length, min(length, AXES)), np.float32)
        spread, projected = np.zeros(directions.shape), np.zeros((directions.shape[1],) * 2)
        with one_blas_thread():
            for product in each_block(features, threads, lambda x: x.T @ (x @ directions)):
                spread += product
            basis = np.linalg.qr(spread)[0].astype(np.float32)
            for along in each_block(features, threads, lambda x: x @ basis):
                projected += along.T @ along
            variances, axes = np.linalg.eigh(projected / len(features))
        self.variances, self.axes = np.maximum(variances, 0), basis @ axes

    def inverse(self, factor: float) -> Callable[[np.ndarray], np.ndarray]:
        """Times about (1 + factor G)^-1; across the axes that are known, G is taken for its least variance of them."""
        rest = 1 / (1 + factor * self.variances[0])
        along = 1 / (1 + factor * self.variances) - rest
        return lambda gradient: rest * gradient + self.axes @ (along[:, None] * (self.axes.T @ gradient))


def each_block(features: np.ndarray, threads: int, work: Callable[[np.ndarray], np.ndarray]) -> Iterator[np.ndarray]:
    """`work` of all blocks of rows in order, of as many at a time as there are threads."""
    starts = range(0, len(features), BLOCK)
    for start in range(0, len(starts), threads):
        together = starts[start : start + threads]
        yield from parallel(threads, lambda first: work(features[first : first + BLOCK]), together)
