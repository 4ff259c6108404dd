"""Labelled images in memory, their split into training and validation, and batches."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from cnntool.steps.geometry import Shape

LEVELS = np.float32(255)


class ImageStore(Sequence[np.ndarray]):
    """Volumes of one shape, added one by one; stored as bytes while every value is a byte / 255.

    Indexing with an array of numbers gives a float32 batch N x H x W x C. Only one thread may `put`.
    """

    def __init__(self, count: int, shape: Shape) -> None:
        self.shape = shape
        self._values: np.ndarray = np.empty((count, *shape), np.uint8)

    def put(self, index: int, volume: np.ndarray) -> None:
        if self._values.dtype == np.uint8:
            with np.errstate(invalid="ignore"):
                levels = np.rint(volume * LEVELS)
                bytes_ = levels.astype(np.uint8)
            if (bytes_.astype(np.float32) / LEVELS == volume).all():
                self._values[index] = bytes_
                return
            self._values = self._values.astype(np.float32) / LEVELS
        self._values[index] = volume

    def shorten(self, count: int) -> None:
        """Drops all but the first images."""
        self._values = self._values[:count]

    def digest(self) -> str:
        """A digest of all images in order."""
        return digest_of([self._values])

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, indices: int | slice | np.ndarray) -> np.ndarray:  # type: ignore[override]
        chosen = self._values[indices]
        return chosen.astype(np.float32) / LEVELS if chosen.dtype == np.uint8 else chosen


def split(labels: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of training and of validation images: `share` of each class, at least one if it has two."""
    rng = np.random.default_rng([seed, 0x5B11])
    held: list[np.ndarray] = []
    for label in np.unique(labels):
        indices = rng.permutation(np.flatnonzero(labels == label))
        count = min(max(round(share * len(indices)), 1), len(indices) - 1) if share else 0
        held.append(indices[:count])
    back = np.sort(np.concatenate(held)).astype(np.int64)
    return np.setdiff1d(np.arange(len(labels)), back), back


def batches(indices: np.ndarray, size: int) -> list[np.ndarray]:
    """`indices` in order, in batches of nearly equal length: at most `size`, or one more to avoid a batch of one.

    A much smaller batch would have noisier statistics that count as much as the others'.
    """
    count = -(-len(indices) // size)
    if size > 1:
        count = max(1, min(count, len(indices) // 2))
    return np.array_split(indices, count)


def digest_of(arrays: Iterable[np.ndarray]) -> str:
    """A digest of arrays."""
    found = hashlib.blake2b(digest_size=16)
    for array in arrays:
        found.update(f"{array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()
