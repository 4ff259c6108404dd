"""Fully connected against convolutional layers, and batch normalisation: the numbers of what is said of them."""

from __future__ import annotations

from typing import NamedTuple

from cnntool.late import np
from cnntool.pipeline import Pipeline

SIDES = (8, 16, 32, 64, 128, 256, 512, 1024)
UNITS = 64
CONV, FC = f"conv {UNITS} 3 --padding 1", f"fc {UNITS}"
CANVAS, PATTERN, FIRST, SECOND = 64, 24, (6, 6), (30, 35)  # pixels a side, and where the pattern lies
MIXED = 32  # pixels a side of the image that is permuted


class Growth(NamedTuple):
    """Parameters for an image of `side` x `side`."""

    side: int
    fc: int
    conv: int


class Moved(NamedTuple):
    """Two inputs H x W x C, and what a convolution and a fully connected layer of the same seed make of each.

    `conv_difference`: largest difference of the maps where each is moved as its input was; `fc_difference`: of the
    outputs, in relation to the largest of them.
    """

    inputs: tuple[np.ndarray, np.ndarray]
    maps: tuple[np.ndarray, np.ndarray]
    outputs: tuple[np.ndarray, np.ndarray]
    conv_difference: float
    fc_difference: float


class Normalised(NamedTuple):
    """Activations (positions, channels) before and after batch normalisation, and with the parameters that undo it."""

    before: np.ndarray
    after: np.ndarray
    undone: np.ndarray

    @property
    def identity_error(self) -> float:
        """The largest difference of `undone` and `before`, in relation to the largest activation."""
        return float(np.abs(self.undone - self.before).max() / np.abs(self.before).max())


def growth(depth: int) -> list[Growth]:
    """The parameters of FC and CONV on larger and larger images of so many channels."""

    def parameters(words: str, side: int) -> int:
        return Pipeline.parse(words).shape((side, side, depth))["totals"]["parameters"]

    return [Growth(side, parameters(FC, side), parameters(CONV, side)) for side in SIDES]


def gray_square(image: np.ndarray, side: int) -> np.ndarray:
    """`side` x `side` x 1, the means of boxes of the largest square in the middle; repeated where it is smaller."""
    gray = image.mean(axis=2, dtype=np.float64)
    size = min(gray.shape)
    top, left = (gray.shape[0] - size) // 2, (gray.shape[1] - size) // 2
    square = gray[top : top + size, left : left + size]
    edges = np.arange(side + 1) * size // side
    if size < side:
        return square[np.arange(side) * size // side][:, np.arange(side) * size // side, None].astype(np.float32)
    boxes = np.add.reduceat(np.add.reduceat(square, edges[:-1], axis=0), edges[:-1], axis=1)
    counts = np.diff(edges)
    return (boxes / np.outer(counts, counts))[:, :, None].astype(np.float32)


def shifted(image: np.ndarray, seed: int) -> Moved:
    """The same pattern at two places of a canvas of zeros."""
    pattern = gray_square(image, PATTERN)
    canvases = []
    for y, x in (FIRST, SECOND):
        canvas = np.zeros((CANVAS, CANVAS, 1), np.float32)
        canvas[y : y + PATTERN, x : x + PATTERN] = pattern
        canvases.append(canvas)
    one, other = canvases
    conv = Pipeline.parse("conv 1 5 --padding 2 --no-bias", seed=seed)
    maps = conv.run(one)[:, :, 0], conv.run(other)[:, :, 0]
    back = (FIRST[0] - SECOND[0], FIRST[1] - SECOND[1])
    difference = float(np.abs(np.roll(maps[1], back, axis=(0, 1)) - maps[0]).max())
    fc = Pipeline.parse("fc 16", seed=seed)
    return Moved((one, other), maps, outputs := (fc.run(one).ravel(), fc.run(other).ravel()), difference,
                 relative(*outputs))  # fmt: skip


def permuted(image: np.ndarray, seed: int) -> Moved:
    """An image and the same pixels in another order, with a fully connected layer whose weights are so ordered, too."""
    one = gray_square(image, MIXED)
    order = np.random.default_rng(seed).permutation(MIXED * MIXED)
    other = one.reshape(-1)[order].reshape(one.shape)
    conv = Pipeline.parse("conv 1 5 --padding 2 --no-bias", seed=seed)
    maps = conv.run(one)[:, :, 0], conv.run(other)[:, :, 0]
    moved_map = maps[0].reshape(-1)[order].reshape(maps[0].shape)
    fc = Pipeline.parse("fc 16", seed=seed)
    arrays = fc.weights(one.shape)
    first = fc.run(one).ravel()
    fc.set_weights([{**arrays[0], "weight": np.ascontiguousarray(arrays[0]["weight"][order])}])
    outputs = (first, fc.run(other).ravel())
    return Moved((one, other), maps, outputs, float(np.abs(moved_map - maps[1]).max()), relative(*outputs))


def relative(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference in relation to the largest magnitude."""
    return float(np.abs(one - other).max() / max(float(np.abs(one).max()), 1e-30))


def normalised(image: np.ndarray, seed: int, channels: int = 4) -> Normalised:
    """The activations of a convolution of the image through `batchnorm`, plain and with the parameters that undo it."""
    before = Pipeline.parse(f"conv {channels} 5 --stride 2", seed=seed).run(image)
    plain = Pipeline.parse("batchnorm")
    after = plain.run(before)
    eps = plain.layers[0].eps  # type: ignore[attr-defined]
    pixels = before.reshape(-1, channels).astype(np.float64)
    undoing = Pipeline.parse("batchnorm")
    undoing.set_weights(
        [{
            "gamma": np.sqrt(pixels.var(axis=0) + eps).astype(np.float32),
            "beta": pixels.mean(axis=0).astype(np.float32),
        }]
    )  # fmt: skip
    undone = undoing.run(before)
    return Normalised(*(array.reshape(-1, channels) for array in (before, after, undone)))
