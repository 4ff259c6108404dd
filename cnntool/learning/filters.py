"""Learned banks: from a sample of patches to the layer's arrays."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from cnntool.banks.learned import KMeans, Learned, Patches, PrincipalComponents
from cnntool.errors import CnntoolError
from cnntool.layers.affine import principal_axes
from cnntool.learning import patches as samples
from cnntool.learning.kmeans import kmeans
from cnntool.learning.statistics import partial_moments

if TYPE_CHECKING:
    from cnntool.layers.base import Arrays


def learn_bank(
    bank: Learned, patches: np.ndarray, channels: int, rng: np.random.Generator, threads: int,
    advance: Callable[[], None],
) -> Arrays:  # fmt: skip
    """The arrays of a bank, of its `buffer_shapes`, from patches (N, D), which are overwritten.

    `advance` is called after each of `rounds(bank)` rounds of work.
    """
    shape = (*bank.size, channels, bank.number)
    if isinstance(bank, KMeans):
        samples.normalise_contrast(patches, bank.eps_contrast)
        require_distinct(bank, patches)
        mean, whitening = samples.zca(patches, bank.eps_zca)
        samples.whiten(patches, mean, whitening)
        centroids = kmeans(patches, bank.number, bank.iterations, bank.spherical, rng, threads, advance)
        return {"mean": mean, "whitening": whitening, "weight": as_filters(centroids, shape)}
    if isinstance(bank, PrincipalComponents):
        remove_mean(patches)
        require_distinct(bank, patches)
        part = partial_moments(patches[None], "covariance")
        _, axes = principal_axes(part.second / part.positions + np.outer(part.mean, part.mean))
        return {"weight": as_filters(axes.T[: bank.number], shape)}
    assert isinstance(bank, Patches)
    mean, whitening = samples.zca(patches, bank.eps_zca)
    order = rng.permutation(len(patches))
    chosen = patches[order]
    samples.whiten(chosen, mean, whitening)
    lengths = np.sqrt(np.square(chosen, dtype=np.float64).sum(axis=1))
    long = lengths > 1e-6 * lengths.max(initial=0)
    found = (index for index in samples.distinct(patches, order) if long[index])
    there = list(itertools.islice(found, bank.number))
    require_patches(bank, len(there))
    filters = whitening @ (chosen[there] / lengths[there, None]).T
    return {"weight": as_filters(filters.T, shape), "bias": (-mean @ filters).astype(np.float32)}


def rounds(bank: Learned) -> int:
    return bank.iterations if isinstance(bank, KMeans) else 0


def remove_mean(patches: np.ndarray) -> None:
    """Subtracts the mean of each patch, in place."""
    for first in range(0, len(patches), samples.ROWS):
        piece = patches[first : first + samples.ROWS]
        piece -= piece.mean(axis=1, keepdims=True, dtype=np.float64)


def as_filters(rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Rows (K, D) as filters (kernel_height, kernel_width, channels, K)."""
    return np.ascontiguousarray(rows.T.reshape(shape), np.float32)


def require_distinct(bank: Learned, patches: np.ndarray) -> None:
    """Refuses patches (N, D) with fewer than K distinct ones."""
    require_patches(bank, sum(1 for _ in itertools.islice(samples.distinct(patches), bank.number)))


def require_patches(bank: Learned, there: int) -> None:
    """Refuses to learn more filters than there are patches to learn from."""
    if there < bank.number:
        raise CnntoolError(
            f"{bank.number} filters need at least as many different patches, and {there} were found: give more, larger "
            "or other images, more --patches, or make K smaller"
        )
