"""Streaming moments of the channels of many volumes, in constant memory."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

PIECE = 2**20  # float64 numbers processed at a time


class PartialMoments(NamedTuple):
    """The number of positions, the mean of each channel, and sums of products of deviations from it.

    `second` is (C, C) for a covariance, (C,) for variances, and zeros where only the mean is wanted.
    """

    positions: int
    mean: np.ndarray
    second: np.ndarray

    def merged(self, other: PartialMoments) -> PartialMoments:
        """Numerically stable for means far from zero (T. Chan, G. Golub, R. LeVeque 1983)."""
        count = self.positions + other.positions
        apart = other.mean - self.mean
        products = np.outer(apart, apart) if self.second.ndim == 2 else apart * apart
        second = self.second + other.second + products * (self.positions * other.positions / count)
        return PartialMoments(count, self.mean + apart * (other.positions / count), second)


def partial_moments(volume: np.ndarray, order: str) -> PartialMoments:
    """The moments of a volume H x W x C up to `order`: `mean`, `variance` or `covariance`. In float64."""
    channels = volume.shape[2]
    rows = volume.reshape(-1, channels)
    step = max(1, PIECE // channels)
    if order == "covariance":
        step = max(step, channels)  # else adding the matrices takes longer than computing them
    total: PartialMoments | None = None
    for first in range(0, len(rows), step):
        piece = rows[first : first + step].astype(np.float64)
        mean = piece.mean(axis=0)
        piece -= mean
        second = piece.T @ piece if order == "covariance" else np.einsum("pc,pc->c", piece, piece)
        partial = PartialMoments(len(piece), mean, second)
        total = partial if total is None else total.merged(partial)
    assert total is not None
    return total


def piece_of(volume: np.ndarray, order: str) -> PartialMoments | np.ndarray:
    """What `StreamedMoments.add` takes: the moments of a volume, or the volume itself if that is smaller."""
    height, width, channels = volume.shape
    return volume.copy() if order == "covariance" and height * width < channels else partial_moments(volume, order)


class StreamedMoments:
    """`layers.affine.Moments` of everything added, instead of a batch.

    Volumes with fewer positions than channels are gathered first, since their covariance is far larger than they are.
    """

    def __init__(self) -> None:
        self._total: PartialMoments | None = None
        self._waiting: list[np.ndarray] = []
        self._channels: int | None = None

    def add(self, piece: PartialMoments | np.ndarray) -> None:
        """Pieces must be added in a fixed order, so that the result does not depend on threads."""
        channels = len(piece.mean) if isinstance(piece, PartialMoments) else piece.shape[2]
        if self._channels not in (None, channels):
            raise ValueError(f"{channels} channels, and the images before have {self._channels}")
        self._channels = channels
        if isinstance(piece, PartialMoments):
            self._merge(piece)
            return
        self._waiting.append(piece.reshape(-1, channels))
        if sum(map(len, self._waiting)) >= channels:
            self._gather()

    def _gather(self) -> None:
        if self._waiting:
            rows = np.concatenate(self._waiting)
            self._waiting.clear()
            self._merge(partial_moments(rows[None], "covariance"))

    def _merge(self, partial: PartialMoments) -> None:
        self._total = partial if self._total is None else self._total.merged(partial)

    @property
    def total(self) -> PartialMoments:
        self._gather()
        if self._total is None:
            raise ValueError("no image to learn from")
        return self._total

    @property
    def count(self) -> int:
        return self.total.positions

    @property
    def mean(self) -> np.ndarray:
        return self.total.mean

    def variance(self) -> np.ndarray:
        second = self.total.second
        return (np.diagonal(second) if second.ndim == 2 else second) / self.total.positions

    def covariance(self) -> np.ndarray:
        return self.total.second / self.total.positions
