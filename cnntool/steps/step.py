"""What a layer asks the plan to compute: passes over a volume, most of them a band of rows at a time.

A step says which kernels to call with what, and computes nothing itself: the plan may call them from Python, or keep
the list and have it worked off without Python.

A layer makes its steps once for an input shape. A row step reads and writes pieces of larger arrays, so that the plan
can run several steps on a band that stays in the processor's cache:

- `InPlace`, `PixelInPlace`: each position by itself, over the values that are there.
- `Windowed`: output rows from the padded input rows that their windows cover; `Convolution` is one of them.
- `Joined`: a position of this volume with the same position of another.

A whole step needs the entire batch before it can answer: `Whole` gives a new batch, `Adaptive` gives the row steps that
depend on what it saw. A `View` computes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.steps.geometry import POINT, Shape, Window, output_size

if TYPE_CHECKING:
    import numpy as np


Parallel = Callable[[Callable[[Any], Any], Iterable[Any]], list[Any]]
"""`parallel(function, items)`: the results in order, computed by the plan's threads."""


Call = tuple[Callable[..., Any], tuple]
"""A kernel, or a function of Python that calls some, and its arguments."""


class Part(NamedTuple):
    """One of several nearly equal parts of a step's filters."""

    number: int
    of: int


WHOLE = Part(0, 1)


WindowCalls = Callable[..., list[Call]]
"""`calls(x, x_row, x_column, out, out_row, out_column, first, rows, scratch)`: rows `first` on of the output.

The first of their windows begins at (x_row, x_column). A step with `filter_bytes` also takes the `part` of its filters
that is to be computed, and a convolution that `adds` takes `other`, the volume and its row.
"""


def run_calls(calls: Iterable[Call]) -> None:
    for function, arguments in calls:
        function(*arguments)


class Step:
    """Base of the row steps. `pad_value` fills the border that the window needs around its input."""

    window: Window = POINT
    pad_value = 0.0
    filter_bytes = 0  # of filters that the kernel reads, where it can compute a part of them
    alone = False  # has a run of its own
    heavy = False  # so much work a row that computing rows twice costs more than storing them
    overread = 0  # float32 that may be read beyond the last window
    crosses_border = False  # the kernel may be given rows and columns outside of its input, and takes them for zeros
    is_native = True  # whether its calls are of kernels alone, and none of a function of Python
    fair_rows = 1  # with fewer rows in a band the kernel is much slower
    row_multiple = 1  # rows come in groups of so many, counted from the first row of the volume

    def __init__(self, input_shape: Shape, output_shape: Shape) -> None:
        self.input_shape, self.output_shape = input_shape, output_shape


class InPlace(Step):
    """`kernel(x, x_row, x_start, out, out_row, out_start, rows, length, *arguments)` over flat rows.

    Channels do not mix, and `x` and `out` may be the same rows.
    """

    def __init__(self, shape: Shape, kernel: Callable, *arguments: Any) -> None:
        super().__init__(shape, shape)
        self.kernel, self.arguments = kernel, arguments

    def calls(
        self, x: np.ndarray, x_row: int, x_column: int, out: np.ndarray, out_row: int, out_column: int, rows: int
    ) -> list[Call]:
        _, width, channels = self.input_shape
        length = width * channels
        flat, flat_out = x.reshape(x.shape[0], -1), out.reshape(out.shape[0], -1)
        x_start, out_start = x_column * channels, out_column * channels
        return [(self.kernel, (flat, x_row, x_start, flat_out, out_row, out_start, rows, length, *self.arguments))]


class Rectifier(InPlace):
    """max(0, x), which a convolution before it may do at no cost."""


class Affine(InPlace):
    """(x - mean) * scale + shift for each channel, which the plan may fold into a convolution beside it.

    The mean goes first, since that keeps the digits of values far from zero.
    """

    def __init__(self, shape: Shape, kernel: Callable, mean: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> None:
        import numpy as np

        channels = shape[2]
        self.mean, self.scale, self.shift = mean, scale, shift
        rounded = mean.astype(np.float32)
        # what float32 cannot hold of the mean goes into the shift; nothing of an infinite one
        with np.errstate(invalid="ignore"):
            lost = np.nan_to_num((rounded - mean) * scale)
        super().__init__(shape, kernel, *(period(values, channels) for values in (rounded, scale, shift + lost)))


class PixelInPlace(Step):
    """`kernel(v, row, column, rows, columns, *arguments)` over pixels, where the channels of each mix."""

    def __init__(self, shape: Shape, kernel: Callable, *arguments: Any) -> None:
        super().__init__(shape, shape)
        self.kernel, self.arguments = kernel, arguments

    def calls(self, v: np.ndarray, row: int, column: int, rows: int) -> list[Call]:
        return [(self.kernel, (v, row, column, rows, self.input_shape[1], *self.arguments))]


class Windowed(Step):
    """Output rows from the padded input rows that their windows cover."""

    calls: WindowCalls

    def __init__(
        self, input_shape: Shape, output_shape: Shape, window: Window, calls: WindowCalls | None = None, *,
        pad_value: float = 0.0, overread: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(input_shape, output_shape)
        self.window, self.pad_value, self.overread = window, pad_value, overread
        if calls is not None:
            self.calls = calls


class Convolution(Windowed):
    """A convolution with `weight` (kh, kw, in // groups, out); the plan chooses the algorithm that gives its calls."""

    algorithm = ""
    adds = False  # another volume to what comes out
    rectified = False  # max(0, x) of that
    costs: dict[str, float]  # of each algorithm that fits: what was weighed

    def __init__(
        self, shape: Shape, window: Window, weight: np.ndarray, bias: np.ndarray | None, groups: int = 1
    ) -> None:
        super().__init__(shape, (*output_size(window, shape[:2]), weight.shape[3]), window)
        self.weight, self.bias, self.groups = weight, bias, groups
        # a few channels of a pixel cost less than a volume written and read again
        self.heavy = weight.size > 1024 or not window.is_point


class Joined(Step):
    """`kernel(out, row, column, other, other_row, rows, columns, *arguments)`: `other` joins rows that are there."""

    def __init__(self, input_shape: Shape, output_shape: Shape, kernel: Callable, *arguments: Any) -> None:
        super().__init__(input_shape, output_shape)
        self.kernel, self.arguments = kernel, arguments

    def calls(self, out: np.ndarray, row: int, column: int, other: np.ndarray, other_row: int, rows: int) -> list[Call]:
        return [(self.kernel, (out, row, column, other, other_row, rows, self.output_shape[1], *self.arguments))]


class Added(Joined):
    """The sum of both, which a convolution before it may do at little cost."""


class Whole:
    """`compute(batch, parallel)`: N x H x W x C in, N x h x w x c in new memory out."""

    def __init__(self, input_shape: Shape, output_shape: Shape, compute: Callable[[Any, Parallel], Any]) -> None:
        self.input_shape, self.output_shape, self.compute = input_shape, output_shape, compute


class Adaptive:
    """`resolve(batch, parallel)`: for each image of the batch, the row steps that suit it."""

    def __init__(
        self, input_shape: Shape, output_shape: Shape, resolve: Callable[[Any, Parallel], list[list[Step]]]
    ) -> None:
        self.input_shape, self.output_shape, self.resolve = input_shape, output_shape, resolve


class View:
    """The same numbers in another shape. Nothing is computed, and nothing is copied: the result lies in the memory of
    the input, which must live as long."""

    def __init__(self, input_shape: Shape, output_shape: Shape) -> None:
        self.input_shape, self.output_shape = input_shape, output_shape

    def of(self, batch: np.ndarray) -> np.ndarray:
        return batch.reshape(len(batch), *self.output_shape)


AnyStep = Step | Whole | Adaptive | View


def row_blocks(height: int, pieces: int = 16) -> list[tuple[int, int]]:
    """Pieces of a volume's rows whose sums are added in order, so that no result depends on the threads."""
    rows = max(1, -(-height // pieces))
    return [(first, min(first + rows, height)) for first in range(0, height, rows)]


def period(values: Any, channels: int) -> np.ndarray:
    """One value a channel (or one for all), repeated until short pixels fill a few vector registers."""
    import numpy as np

    values = np.broadcast_to(np.asarray(values, np.float32), channels)
    return np.ascontiguousarray(np.tile(values, max(1, -(-256 // channels))))
