"""Patches of images: random samples, normalisation and whitening."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

from cnntool.errors import BadInput
from cnntool.layers.affine import ROUNDING, principal_axes
from cnntool.learning.statistics import StreamedMoments, partial_moments

LARGEST_SAMPLE = 2**28  # numbers of all patches together: 1 GiB
ROWS = 2**14  # patches processed at a time


def sample_size(wanted: int, length: int) -> int:
    """How many patches of `length` numbers are sampled: as many as wanted, within the memory limit."""
    return min(wanted, LARGEST_SAMPLE // length)


def share(number: int, images: int, patches: int) -> int:
    """How many of all patches come from image `number`: an equal share, give or take one."""
    return (number + 1) * patches // images - number * patches // images


def sampled(volume: np.ndarray, size: tuple[int, int], count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` patches at distinct positions of a volume H x W x C, or all: (count, height * width * C)."""
    height, width = volume.shape[0] - size[0] + 1, volume.shape[1] - size[1] + 1
    if height < 1 or width < 1:
        raise BadInput(f"a volume of {volume.shape[0]}x{volume.shape[1]} has no patch of {size[0]}x{size[1]}")
    indices = rng.choice(height * width, min(count, height * width), replace=False)
    windows = np.lib.stride_tricks.sliding_window_view(volume, size, axis=(0, 1))  # H', W', C, height, width
    patches = windows[indices // width, indices % width]
    return np.ascontiguousarray(patches.transpose(0, 2, 3, 1), np.float32).reshape(len(patches), -1)


class Sample:
    """Collects patches of images in order."""

    def __init__(self) -> None:
        self._pieces: list[np.ndarray] = []

    def add(self, piece: np.ndarray) -> None:
        if self._pieces and piece.shape[1] != self._pieces[0].shape[1]:
            raise ValueError(f"patches of {piece.shape[1]} numbers, and those before have {self._pieces[0].shape[1]}")
        self._pieces.append(piece)

    def taken(self) -> np.ndarray:
        """All patches (N, D); the sample is then empty."""
        if not self._pieces:
            raise ValueError("no image to learn from")
        patches = np.concatenate(self._pieces)
        self._pieces.clear()
        return patches


def distinct(patches: np.ndarray, order: Sequence[int] | np.ndarray | None = None) -> Iterator[int]:
    """Indices into `order` of the patches (N, D) that are not duplicates of an earlier one."""
    seen: set[bytes] = set()
    for index, number in enumerate(range(len(patches)) if order is None else order):
        content = hashlib.blake2b((patches[number] + np.float32(0)).data, digest_size=16).digest()  # -0 is 0
        if content not in seen:
            seen.add(content)
            yield index


def normalise_contrast(patches: np.ndarray, eps: float) -> None:
    """p = (p - mean p) / sqrt(var p + eps) for each row p, in place, as `kernels.clusters` does it."""
    for first in range(0, len(patches), ROWS):
        piece = patches[first : first + ROWS].astype(np.float64)
        mean = piece.mean(axis=1, keepdims=True)
        piece -= mean
        spread = np.square(piece).mean(axis=1, keepdims=True) + eps
        none = spread <= 1e-13 * mean * mean
        patches[first : first + ROWS] = np.where(none, 0, piece / np.sqrt(np.where(none, 1, spread)))


def zca(patches: np.ndarray, eps: float) -> tuple[np.ndarray, np.ndarray]:
    """mean (D,) and W (D, D), float64: (p - mean) W has variance v / (v + eps) along an axis of variance v."""
    moments = StreamedMoments()
    for first in range(0, len(patches), ROWS):
        moments.add(partial_moments(patches[None, first : first + ROWS], "covariance"))
    variances, axes = principal_axes(moments.covariance())
    there = variances + eps > ROUNDING * variances.max(initial=0)
    scale = np.where(there, 1 / np.sqrt(np.where(there, variances + eps, 1)), 0)
    return moments.mean, (axes * scale) @ axes.T


def whiten(patches: np.ndarray, mean: np.ndarray, matrix: np.ndarray) -> None:
    """p = (p - mean) W, in place."""
    for first in range(0, len(patches), ROWS):
        patches[first : first + ROWS] = (patches[first : first + ROWS] - mean) @ matrix
