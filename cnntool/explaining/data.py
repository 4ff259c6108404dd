"""What an explanation is made of, independent of the language and the form it is shown in.

Sentences are keys of the message files with the values that go into them; numbers are float64, computed plainly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from cnntool.layers.base import Arrays, Layer
from cnntool.steps.geometry import Shape

Place = tuple[int, int, int]  # row, column, channel


class Grid(NamedTuple):
    """A matrix of numbers under a title. `rows` and `columns` number its sides, where they mean something.

    `outside`: which numbers are of the padding. `marked`: the one that counts.
    """

    title: str
    numbers: np.ndarray
    rows: list[int] | None = None
    columns: list[int] | None = None
    outside: np.ndarray | None = None
    marked: tuple[int, int] | None = None


class Sum(NamedTuple):
    """term + term + ... = total."""

    terms: list[float]
    total: float


class Equation(NamedTuple):
    """A formula in plain text, the numbers of the names in it, and what comes out."""

    formula: str
    numbers: dict[str, float]
    result: float


class Step(NamedTuple):
    """A sentence, and the numbers that it is about. Neighbours of one key are alike: a form may show the first few."""

    key: str
    values: dict[str, Any] = {}
    grids: tuple[Grid, ...] = ()
    work: Sum | Equation | None = None


class Unit(NamedTuple):
    """One number of a layer's output, with all that it comes from."""

    layer: Layer
    arrays: Arrays
    inputs: list[np.ndarray]  # float32 H x W x C
    output: np.ndarray
    at: Place

    @property
    def shape(self) -> Shape:
        height, width, channels = self.inputs[0].shape
        return height, width, channels

    @property
    def pixel(self) -> np.ndarray:
        """The input's channels at the place of this output, in float64."""
        return self.inputs[0][self.at[0], self.at[1]].astype(np.float64)


@dataclass
class Account:
    """How one number comes about: the steps, the value in float64, and what it follows from.

    `scale`: the size of the numbers that were added, which rounding is relative to. `sources`: of each input the place
    that counted most, to be explained next.
    """

    value: float
    scale: float
    sources: list[Place]
    steps: list[Step] = field(default_factory=list)


@dataclass
class Explanation:
    """The account of one output of one layer, and how it compares with what the kernels computed."""

    row: int
    words: str
    word: str
    input_shapes: list[Shape]
    output_shape: Shape
    at: Place
    account: Account
    computed: float
    field: tuple[tuple[int, int], tuple[int, int]]  # first and last row, first and last column of the image

    @property
    def agrees(self) -> bool:
        return agree(self.account.value, self.computed, self.account.scale)


ROUNDING = 2e-5  # float32 sums by Winograd's algorithm or Fourier transforms lose some of their seven digits


def agree(value: float, computed: float, scale: float) -> bool:
    """Whether a float32 result is `value` but for rounding; no number is only like itself."""
    if not np.isfinite(value) or not np.isfinite(computed):
        return bool(np.isnan(value) == np.isnan(computed)) and (bool(np.isnan(value)) or value == computed)
    return abs(value - computed) <= ROUNDING * max(scale, abs(value)) + 1e-30


def largest(numbers: np.ndarray) -> tuple[int, ...]:
    """The place of the number of the largest magnitude; NaN counts as none."""
    magnitudes = np.nan_to_num(np.abs(numbers), nan=-1.0, posinf=np.inf)
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(magnitudes)), numbers.shape))
