"""Steps: what a layer asks the engine to compute, usually a band of rows at a time.

A step returns kernel calls and computes nothing itself: the plan calls the kernels from Python, or records the calls as
a program that runs without Python.

A layer makes its steps once for an input shape. A row step reads and writes parts of larger arrays, so that several
steps can run on a band that stays in the cache. All row steps have one method, `calls(source, target, band)`:

- `InPlace`, `PixelInPlace`: each position by itself.
- `Joined`: each position together with the same position of a second volume.
- `Windowed`: output rows from the padded input rows under their windows.
- `Convolution` says what to compute; an algorithm returns the `Windowed` step that says how.

Other steps need the entire batch: `Whole` returns a new batch, `Adaptive` returns row steps that depend on the data. A
`View` computes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool import kernels
from cnntool.kernels.arguments import POINT, Corner, Window
from cnntool.late import np
from cnntool.steps.geometry import Shape, output_size

if TYPE_CHECKING:
    from cnntool.steps.memory import Scratch


Parallel = Callable[[Callable[[Any], Any], Iterable[Any]], list[Any]]
"""`parallel(function, items)`: the results in order, computed by the plan's threads."""


def one_after_another(function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """`parallel` with a single thread."""
    return [function(item) for item in items]


Call = tuple[Callable[..., Any], tuple]
"""A kernel, or a Python function that calls kernels, and its arguments."""


class Part(NamedTuple):
    """One of several nearly equal parts of a step's filters."""

    number: int
    of: int


WHOLE = Part(0, 1)


class Band(NamedTuple):
    """`rows` output rows of a step, beginning with row `first` of the output.

    `scratch` is memory until the band is done, `part` the part of the filters to compute, `second` the same rows of the
    second volume, if the step has one.
    """

    first: int
    rows: int
    scratch: Scratch
    part: Part = WHOLE
    second: Corner | None = None


Calls = Callable[[Corner, Corner, Band], list[Call]]
"""`calls(source, target, band)`: the calls that compute a band into the rows at `target`.

`source` is where the band's first window begins, with padding. It is `target` itself for an in-place step whose input
is already there.
"""


def run_calls(calls: Iterable[Call]) -> None:
    for function, arguments in calls:
        function(*arguments)


def copied(source: Corner, target: Corner, rows: int, channel: int = 0) -> Call:
    """Copies rows into the target's channels, beginning with `channel`."""
    assert source.column == 0
    array, row, _ = source
    return kernels.pointwise.copy_forward, (*target, array, row, rows, array.shape[1], channel)


class Step:
    """Base of the row steps. `pad_value` fills the padding around the input."""

    window: Window = POINT
    pad_value = 0.0
    filter_bytes = 0  # bytes of filters that the kernel reads, if it can compute a part of them
    in_place = False  # input and output rows may share memory
    elementwise = False  # in place, and channels do not mix
    alone = False  # has a run of its own
    heavy = False  # computing rows twice costs more than storing them
    overread = 0  # float32 read beyond the last window
    crosses_border = False  # the kernel treats rows and columns outside of its input as zeros
    is_native = True  # all calls are of kernels, none of Python functions
    likely: Calls | None = None  # if not: the calls of kernels that these functions will make, if nothing is unusual
    fair_rows = 1  # the kernel is much slower with fewer rows in a band
    row_multiple = 1  # rows are computed in aligned groups of so many
    algorithm = ""  # of a convolution
    costs: Mapping[str, float] = {}  # of all algorithms that support the convolution

    def __init__(self, input_shape: Shape, output_shape: Shape) -> None:
        self.input_shape, self.output_shape = input_shape, output_shape

    def needed_rows(self, first: int, last: int) -> tuple[int, int]:
        """The input rows, from first to last, that output rows first to last are computed from; some may be padding."""
        stride, top = self.window.stride[0], self.window.padding[0]
        last += (first - last) % self.row_multiple  # rounded up to a multiple of `row_multiple`
        return first * stride - top, (last - 1) * stride - top + self.window.extent[0]

    def calls(self, source: Corner, target: Corner, band: Band) -> list[Call]:
        """See `Calls`."""
        raise NotImplementedError


class InPlace(Step):
    """`kernel(x, x_row, x_start, out, out_row, out_start, rows, length, *arguments)` over flat rows."""

    in_place = elementwise = True

    def __init__(self, shape: Shape, kernel: Callable, *arguments: Any) -> None:
        super().__init__(shape, shape)
        self.kernel, self.arguments = kernel, arguments

    def calls(self, source: Corner, target: Corner, band: Band) -> list[Call]:
        _, width, channels = self.input_shape
        flat = [(array.reshape(len(array), -1), row, column * channels) for array, row, column in (source, target)]
        return [(self.kernel, (*flat[0], *flat[1], band.rows, width * channels, *self.arguments))]


class Rectifier(InPlace):
    """max(0, x), which a preceding convolution can fuse at no cost."""


class Affine(InPlace):
    """(x - mean) * scale + shift for each channel, which the plan may fold into a neighbouring convolution.

    Subtracting the mean first avoids cancellation for values far from zero.
    """

    def __init__(self, shape: Shape, kernel: Callable, mean: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> None:
        channels = shape[2]
        self.mean, self.scale, self.shift = mean, scale, shift
        rounded = mean.astype(np.float32)
        # the rounding error of the mean goes into the shift, unless it is infinite
        with np.errstate(invalid="ignore"):
            lost = np.nan_to_num((rounded - mean) * scale)
        super().__init__(shape, kernel, *(period(values, channels) for values in (rounded, scale, shift + lost)))


class PixelInPlace(Step):
    """`kernel(v, row, column, rows, columns, *arguments)` over pixels, each of which mixes its channels."""

    in_place = True

    def __init__(self, shape: Shape, kernel: Callable, *arguments: Any) -> None:
        super().__init__(shape, shape)
        self.kernel, self.arguments = kernel, arguments

    def calls(self, source: Corner, target: Corner, band: Band) -> list[Call]:
        before = [] if source is target else [copied(source, target, band.rows)]
        return [*before, (self.kernel, (*target, band.rows, self.input_shape[1], *self.arguments))]


class Joined(Step):
    """`kernel(out, row, column, other, other_row, rows, columns, *arguments)`: joins a second volume."""

    def __init__(self, input_shape: Shape, output_shape: Shape, kernel: Callable, *arguments: Any) -> None:
        super().__init__(input_shape, output_shape)
        self.in_place = input_shape == output_shape
        self.kernel, self.arguments = kernel, arguments

    def calls(self, source: Corner, target: Corner, band: Band) -> list[Call]:
        assert band.second is not None
        before = [] if source is target else [copied(source, target, band.rows)]
        other, other_row, _ = band.second
        call = self.kernel, (*target, other, other_row, band.rows, self.output_shape[1], *self.arguments)
        return [*before, call]


class Added(Joined):
    """The sum of two volumes, which a preceding convolution can fuse as a residual."""


class Windowed(Step):
    """Output rows from the padded input rows under their windows; `properties` are attributes of `Step`."""

    def __init__(
        self, input_shape: Shape, output_shape: Shape, window: Window, calls: Calls, **properties: Any
    ) -> None:
        super().__init__(input_shape, output_shape)
        self.window = window
        self.calls = calls  # type: ignore[method-assign,assignment]
        for name, value in properties.items():
            assert hasattr(Step, name)
            setattr(self, name, value)


class Convolution(Step):
    """A convolution with `weight` (kh, kw, in // groups, out), to be computed by the step of an algorithm.

    `adds`: adds a residual; `rectified`: applies ReLU afterwards.
    """

    def __init__(
        self, shape: Shape, window: Window, weight: np.ndarray, bias: np.ndarray | None, groups: int = 1, *,
        adds: bool = False, rectified: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(shape, (*output_size(window, shape[:2]), weight.shape[3]))
        self.window, self.weight, self.bias, self.groups = window, weight, bias, groups
        self.adds, self.rectified = adds, rectified
        # a small 1x1 convolution costs less than storing and reading a volume
        self.heavy = weight.size > 1024 or not window.is_point


class Whole:
    """`compute(batch, parallel)`: N x H x W x C in, N x h x w x c in new memory out."""

    def __init__(self, input_shape: Shape, output_shape: Shape, compute: Callable[[Any, Parallel], Any]) -> None:
        self.input_shape, self.output_shape, self.compute = input_shape, output_shape, compute


class Adaptive:
    """`resolve(batch, parallel)`: the row steps for each image of the batch; `mixes`: they depend on all images."""

    def __init__(
        self,
        input_shape: Shape,
        output_shape: Shape,
        resolve: Callable[[Any, Parallel], list[list[Step]]],
        *,
        mixes: bool = False,
    ) -> None:
        self.input_shape, self.output_shape, self.resolve, self.mixes = input_shape, output_shape, resolve, mixes


class View:
    """The same numbers in another shape, without a copy: the result shares the memory of the input, which must live as
    long."""

    def __init__(self, input_shape: Shape, output_shape: Shape) -> None:
        self.input_shape, self.output_shape = input_shape, output_shape

    def of(self, batch: np.ndarray) -> np.ndarray:
        return batch.reshape(len(batch), *self.output_shape)


AnyStep = Step | Whole | Adaptive | View


def row_blocks(height: int, pieces: int = 16) -> list[tuple[int, int]]:
    """Ranges of rows whose sums are added in order, so that results do not depend on threads."""
    rows = max(1, -(-height // pieces))
    return [(first, min(first + rows, height)) for first in range(0, height, rows)]


def period(values: Any, channels: int) -> np.ndarray:
    """One value a channel (or one for all), repeated to fill a few vector registers."""
    values = np.broadcast_to(np.asarray(values, np.float32), channels)
    return np.ascontiguousarray(np.tile(values, max(1, -(-256 // channels))))
