"""Moments of the channels of many volumes, one volume after another: memory does not grow with their number."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

PIECE = 2**20  # float64 numbers of a volume that are looked at together


class Part(NamedTuple):
    """`positions`, their number, the mean of each channel, and the sums of products of the differences from it.

    `second` is (C, C) for a covariance, (C,) for variances, and zeros where only the mean is wanted.
    """

    positions: int
    mean: np.ndarray
    second: np.ndarray

    def merged(self, other: Part) -> Part:
        """T. Chan, G. Golub, R. LeVeque 1983: no digits are lost, however far the mean is from zero."""
        count = self.positions + other.positions
        apart = other.mean - self.mean
        products = np.outer(apart, apart) if self.second.ndim == 2 else apart * apart
        second = self.second + other.second + products * (self.positions * other.positions / count)
        return Part(count, self.mean + apart * (other.positions / count), second)


def part_of(volume: np.ndarray, order: str) -> Part:
    """The moments of a volume H x W x C up to `order`: `mean`, `variance` or `covariance`. In float64."""
    channels = volume.shape[2]
    rows = volume.reshape(-1, channels)
    step = max(1, PIECE // channels)
    total: Part | None = None
    for first in range(0, len(rows), step):
        piece = rows[first : first + step].astype(np.float64)
        mean = piece.mean(axis=0)
        piece -= mean
        second = piece.T @ piece if order == "covariance" else np.einsum("pc,pc->c", piece, piece)
        part = Part(len(piece), mean, second)
        total = part if total is None else total.merged(part)
    assert total is not None
    return total


class StreamedMoments:
    """What `layers.affine.Moments` is of a batch, of everything that was added."""

    def __init__(self) -> None:
        self._total: Part | None = None

    def add(self, part: Part) -> None:
        """Parts are added in one order, so that the result does not depend on who computed them when."""
        if self._total is None:
            self._total = part
        elif len(part.mean) != len(self._total.mean):
            raise ValueError(f"{len(part.mean)} channels, and the images before have {len(self._total.mean)}")
        else:
            self._total = self._total.merged(part)

    @property
    def total(self) -> Part:
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
