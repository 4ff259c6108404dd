"""The curvature of a linear classifier's objective, as a preconditioner that saves iterations."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from cnntool.engine.threads import parallel
from cnntool.steps.blas import one_blas_thread

BLOCK = 4096  # rows of one BLAS call
AXES = 256


class Curvature:
    """A low-rank approximation of G, the mean of x x^T over features x (N, D); G itself is large for large D.

    Its eigenvectors come from random directions multiplied by G once (N. Halko, P.-G. Martinsson, J. Tropp 2011). A few
    directions dominate features of images, so that without this the minimum takes ten times the evaluations: over 250
    instead of about 30 for 80,000 rows of 3,600 features of CIFAR-10. The approximation costs as much as 15.
    """

    def __init__(self, features: np.ndarray, threads: int) -> None:
        length = features.shape[1]
        directions = np.random.default_rng(0).standard_normal((length, min(length, AXES)), np.float32)
        spread, projected = np.zeros(directions.shape), np.zeros((directions.shape[1],) * 2)
        with one_blas_thread():
            for product in over_blocks(features, threads, lambda x: x.T @ (x @ directions)):
                spread += product
            basis = np.linalg.qr(spread)[0].astype(np.float32)
            for along in over_blocks(features, threads, lambda x: x @ basis):
                projected += along.T @ along
            variances, axes = np.linalg.eigh(projected / len(features))
        self.variances, self.axes = np.maximum(variances, 0), basis @ axes

    def inverse(self, factor: float) -> Callable[[np.ndarray], np.ndarray]:
        """Multiplies by about (1 + factor G)^-1; outside the known eigenvectors, G is its smallest eigenvalue."""
        rest = 1 / (1 + factor * self.variances[0])
        along = 1 / (1 + factor * self.variances) - rest
        return lambda gradient: rest * gradient + self.axes @ (along[:, None] * (self.axes.T @ gradient))


def over_blocks(features: np.ndarray, threads: int, work: Callable[[np.ndarray], np.ndarray]) -> Iterator[np.ndarray]:
    """`work(block)` of all blocks of rows, in order, in a thread pool."""
    starts = range(0, len(features), BLOCK)
    for start in range(0, len(starts), threads):
        together = starts[start : start + threads]
        yield from parallel(threads, lambda first: work(features[first : first + BLOCK]), together)
