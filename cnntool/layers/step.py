"""What a layer asks the plan to compute: passes over a volume, most of them a band of rows at a time.

A layer makes its steps once for an input shape. A row step reads and writes pieces of larger arrays, so that the plan
can run several steps on a band that stays in the processor's cache:

- `InPlace`, `PixelInPlace`: each position by itself, over the values that are there.
- `Windowed`: output rows from the padded input rows that their windows cover.
- `Joined`: a position of this volume with the same position of another.

A whole step needs the entire batch before it can answer: `Whole` gives a new batch, `Adaptive` gives the row steps that
depend on what it saw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from cnntool.layers.geometry import POINT, Shape, Window

if TYPE_CHECKING:
    import numpy as np

Parallel = Callable[[Callable[[Any], Any], Iterable[Any]], list[Any]]
"""`parallel(function, items)`: the results in order, computed by the plan's threads."""


class Step:
    """Base of the row steps. `pad_value` fills the border that the window needs around its input."""

    window: Window = POINT
    pad_value = 0.0
    heavy = False  # so much work a row that computing rows twice costs more than storing them

    def __init__(self, input_shape: Shape, output_shape: Shape) -> None:
        self.input_shape, self.output_shape = input_shape, output_shape


class InPlace(Step):
    """`kernel(flat, row, start, rows, length, *arguments)` over flat rows, where channels do not mix."""

    def __init__(self, shape: Shape, kernel: Callable, *arguments: Any) -> None:
        super().__init__(shape, shape)
        self.kernel, self.arguments = kernel, arguments

    def apply(self, v: np.ndarray, row: int, column: int, rows: int) -> None:
        _, width, channels = self.input_shape
        flat = v.reshape(v.shape[0], -1)
        self.kernel(flat, row, column * channels, rows, width * channels, *self.arguments)


class PixelInPlace(Step):
    """`kernel(v, row, column, rows, columns, *arguments)` over pixels, where the channels of each mix."""

    def __init__(self, shape: Shape, kernel: Callable, *arguments: Any) -> None:
        super().__init__(shape, shape)
        self.kernel, self.arguments = kernel, arguments

    def apply(self, v: np.ndarray, row: int, column: int, rows: int) -> None:
        self.kernel(v, row, column, rows, self.input_shape[1], *self.arguments)


class Windowed(Step):
    """`kernel(x, x_row, x_column, out, out_row, out_column, first, rows, columns)`: rows `first` on of the output.

    The first of their windows begins at (x_row, x_column) of `x`.
    """

    def __init__(
        self, input_shape: Shape, output_shape: Shape, window: Window, kernel: Callable, *,
        pad_value: float = 0.0, heavy: bool = False, overread: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(input_shape, output_shape)
        self.window, self.kernel, self.pad_value, self.heavy = window, kernel, pad_value, heavy
        self.overread = overread  # float32 that the kernel may read beyond the last window

    def apply(
        self, x: np.ndarray, x_row: int, x_column: int, out: np.ndarray, out_row: int, out_column: int,
        first: int, rows: int,
    ) -> None:  # fmt: skip
        self.kernel(x, x_row, x_column, out, out_row, out_column, first, rows, self.output_shape[1])


class Joined(Step):
    """`combine(v, other)` of equal positions of two volumes: `v` is the band's, (rows, width, channels)."""

    def __init__(self, input_shape: Shape, output_shape: Shape, combine: Callable) -> None:
        super().__init__(input_shape, output_shape)
        self.combine = combine


class Whole:
    """`compute(batch, parallel)`: N x H x W x C in, N x h x w x c out."""

    def __init__(self, input_shape: Shape, output_shape: Shape, compute: Callable[[Any, Parallel], Any]) -> None:
        self.input_shape, self.output_shape, self.compute = input_shape, output_shape, compute


class Adaptive:
    """`resolve(batch, parallel)`: for each image of the batch, the row steps that suit it."""

    def __init__(
        self, input_shape: Shape, output_shape: Shape, resolve: Callable[[Any, Parallel], list[list[Step]]]
    ) -> None:
        self.input_shape, self.output_shape, self.resolve = input_shape, output_shape, resolve


AnyStep = Step | Whole | Adaptive


def row_blocks(height: int, pieces: int = 16) -> list[tuple[int, int]]:
    """Pieces of a volume's rows whose sums are added in order, so that no result depends on the threads."""
    rows = max(1, -(-height // pieces))
    return [(first, min(first + rows, height)) for first in range(0, height, rows)]
