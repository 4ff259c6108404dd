"""Data augmentation: random changes that preserve the class, drawn for each image and epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from cnntool.declare import did_you_mean
from cnntool.errors import CnntoolError

SHARE = 8  # an image moves by at most 1 / 8 of its side


def flipped(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirrored left to right with probability 1/2."""
    return image[:, ::-1] if rng.random() < 0.5 else image


def upended(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirrored top to bottom with probability 1/2."""
    return image[::-1] if rng.random() < 0.5 else image


def cropped(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random crop of the original size from the image with a reflected border."""
    return _moved(image, rng, "symmetric")


def shifted(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shifted, with zeros moving in."""
    return _moved(image, rng, "constant")


def erased(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A rectangle of a quarter of each side filled with the image's mean (T. DeVries, G. Taylor 2017)."""
    height, width = (max(1, size // 4) for size in image.shape[:2])
    row, column = (int(rng.integers(0, size)) for size in image.shape[:2])
    out = image.copy()
    out[max(0, row - height // 2) : row + height // 2 + 1, max(0, column - width // 2) : column + width // 2 + 1] = (
        image.mean(axis=(0, 1))
    )
    return out


def _moved(image: np.ndarray, rng: np.random.Generator, mode: str) -> np.ndarray:
    height, width = image.shape[:2]
    reach = [max(1, size // SHARE) for size in (height, width)]
    row, column = (int(rng.integers(0, 2 * most + 1)) for most in reach)
    padded = np.pad(image, ((reach[0], reach[0]), (reach[1], reach[1]), (0, 0)), mode=mode)  # type: ignore[call-overload]
    return padded[row : row + height, column : column + width]


AUGMENTATIONS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "flip": flipped, "vflip": upended, "crop": cropped, "shift": shifted, "erase": erased,
}  # fmt: skip


def parse_augmentation(text: str) -> tuple[str, ...]:
    """Parses `flip,crop`: names from AUGMENTATIONS, in order of application; a CnntoolError for others."""
    names = tuple(name for name in text.split(",") if name)
    for name in names:
        if name not in AUGMENTATIONS:
            near = did_you_mean(name, AUGMENTATIONS) or f"; expected some of {','.join(AUGMENTATIONS)}"
            raise CnntoolError(f"{name!r} is no augmentation{near}")
    return names


def augmented(batch: np.ndarray, names: Sequence[str], rng: np.random.Generator) -> np.ndarray:
    """A new, augmented batch N x H x W x C."""
    out = np.empty_like(batch)
    for index, image in enumerate(batch):
        for name in names:
            image = AUGMENTATIONS[name](image, rng)
        out[index] = image
    return out
