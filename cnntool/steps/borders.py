"""What stands around a volume where windows reach over its edge, other than zeros: a copy of it with a border.

| mode | around `a b c d` | SciPy | OpenCV | NumPy's pad |
| --- | --- | --- | --- | --- |
| reflect | `b a | a b c d | d c` | reflect | BORDER_REFLECT | symmetric |
| mirror | `c b | a b c d | c b` | mirror | BORDER_REFLECT_101 | reflect |
| replicate | `a a | a b c d | d d` | nearest | BORDER_REPLICATE | edge |
| wrap | `c d | a b c d | a b` | wrap | BORDER_WRAP | wrap |

A border wider than the volume goes on in the same way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnntool import kernels
from cnntool.kernels.arguments import Corner, Sides, Window
from cnntool.steps.geometry import Shape
from cnntool.steps.step import AnyStep, Band, Call, Step

if TYPE_CHECKING:
    import numpy as np

HELP = "What stands in the padding: zeros, the picture reflected with or without its edge, its edge, its other side."
ZERO, REFLECT, MIRROR, REPLICATE, WRAP = MODES = ("zero", "reflect", "mirror", "replicate", "wrap")


def place(index: int, size: int, mode: str) -> int:
    """Which of `size` pixels in a line stands at a place that may lie outside of them."""
    if mode == REPLICATE:
        return min(max(index, 0), size - 1)
    if mode == WRAP:
        return index % size
    index %= max(1, 2 * size - 2 * (mode == MIRROR))
    return index if index < size else 2 * size - 1 - (mode == MIRROR) - index


class Border(Step):
    """The volume with a border of pixels around it."""

    def __init__(self, shape: Shape, sides: Sides, mode: str) -> None:
        top, left, bottom, right = sides
        super().__init__(shape, (shape[0] + top + bottom, shape[1] + left + right, shape[2]))
        # Of the columns all are read in any case: only rows matter to what a band needs.
        self.window = Window(padding=(top, 0, bottom, 0))
        self.sides, self.mode = sides, mode
        self.alone = mode == WRAP  # the first rows need the last ones

    def needed_rows(self, first: int, last: int) -> tuple[int, int]:
        height, top = self.input_shape[0], self.sides[0]
        above, below = range(first - top, min(0, last - top)), range(max(height, first - top), last - top)
        rows = [place(row, height, self.mode) for row in (*above, *below)]
        if max(0, first - top) < min(height, last - top):
            rows += [max(0, first - top), min(height, last - top) - 1]
        return min(rows), max(rows) + 1

    def calls(self, source: Corner, target: Corner, band: Band) -> list[Call]:
        height, width, _ = self.input_shape
        top, left, _, right = self.sides
        present, _ = self.needed_rows(band.first, band.first + band.rows)
        x, x_row, _ = source
        lines = x, x_row - present, *target, band.first - top, band.rows, height, left, width, right
        return [(kernels.pointwise.border_forward, (*lines, MODES.index(self.mode)))]


def with_border(shape: Shape, window: Window, mode: str) -> tuple[list[AnyStep], Shape, Window]:
    """The steps that put a border into the place of the window's padding, and the shape and window behind them."""
    if mode == ZERO or not any(window.padding):
        return [], shape, window
    step = Border(shape, window.padding, mode)
    return [step], step.output_shape, window._replace(padding=(0, 0, 0, 0))


def batch_with_border(x: np.ndarray, window: Window, mode: str) -> tuple[np.ndarray, Window]:
    """A batch N x H x W x C with the border that `with_border` gives each volume, and the window behind it."""
    if mode == ZERO or not any(window.padding):
        return x, window
    top, left, bottom, right = window.padding
    for axis, before, after in ((1, top, bottom), (2, left, right)):
        size = x.shape[axis]
        x = x.take([place(index, size, mode) for index in range(-before, size + after)], axis)
    return x, window._replace(padding=(0, 0, 0, 0))


def gradient_without_border(d: np.ndarray, window: Window, mode: str) -> np.ndarray:
    """By the batch without its border: each pixel gets what all its copies get; `window` is that before."""
    if mode == ZERO or not any(window.padding):
        return d
    top, left, bottom, right = window.padding
    for axis, before, after in ((2, left, right), (1, top, bottom)):
        lines = d.swapaxes(0, axis)
        size = len(lines) - before - after
        inner = lines[before : before + size].copy()
        for index in (*range(-before, 0), *range(size, size + after)):
            inner[place(index, size, mode)] += lines[before + index]
        d = inner.swapaxes(0, axis)
    return d.copy() if not d.flags.c_contiguous else d
