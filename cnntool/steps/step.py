"""What a layer asks the plan to compute: passes over a volume, most of them a band of rows at a time.

A step says which kernels to call with what, and computes nothing itself: the plan may call them from Python, or record
them as a program that runs without Python.

A layer makes its steps once for an input shape. A row step reads and writes pieces of larger arrays, so that the plan
can run several steps on a band that stays in the processor's cache. All have one contract, `calls(source, target,
band)`:

- `InPlace`, `PixelInPlace`: each position by itself.
- `Joined`: a position of this volume with the same position of another.
- `Windowed`: output rows from the padded input rows that their windows cover.
- `Convolution` says what is to be computed; an algorithm answers with the `Windowed` step that says how.

A whole step needs the entire batch before it can answer: `Whole` gives a new batch, `Adaptive` gives the row steps that
depend on what it saw. A `View` computes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool import kernels
from cnntool.steps.geometry import POINT, Shape, Window, output_size

if TYPE_CHECKING:
    import numpy as np

    from cnntool.steps.memory import Scratch


Parallel = Callable[[Callable[[Any], Any], Iterable[Any]], list[Any]]
"""`parallel(function, items)`: the results in order, computed by the plan's threads."""


Call = tuple[Callable[..., Any], tuple]
"""A kernel, or a function of Python that calls some, and its arguments."""


class Part(NamedTuple):
    """One of several nearly equal parts of a step's filters."""

    number: int
    of: int


WHOLE = Part(0, 1)


class Corner(NamedTuple):
    """An array, and the row and column in it where the rows of a band begin."""

    array: np.ndarray
    row: int
    column: int


class Band(NamedTuple):
    """Output rows of a step: `rows` of them, from number `first` of the whole output on.

    `scratch` is memory until the band is done, `part` the part of the step's filters that is to be computed, `second`
    the same rows of the other volume where the step takes one in.
    """

    first: int
    rows: int
    scratch: Scratch
    part: Part = WHOLE
    second: Corner | None = None


Calls = Callable[[Corner, Corner, Band], list[Call]]
"""`calls(source, target, band)`: what computes a band into the rows from `target` on.

`source` is where the first of the band's windows begins, padding included. It is `target` itself where a step that
works in place finds its input there already.
"""


def run_calls(calls: Iterable[Call]) -> None:
    for function, arguments in calls:
        function(*arguments)


def copied(source: Corner, target: Corner, rows: int, channel: int = 0) -> Call:
    """Copies whole rows into the target's channels from number `channel` on."""
    assert source.column == 0
    array, row, _ = source
    return kernels.pointwise.copy_forward, (*target, array, row, rows, array.shape[1], channel)


class Step:
    """Base of the row steps. `pad_value` fills the border that the window needs around its input."""

    window: Window = POINT
    pad_value = 0.0
    filter_bytes = 0  # of filters that the kernel reads, where it can compute a part of them
    in_place = False  # the input rows may lie where the output rows will
    elementwise = False  # in place, and channels do not mix either
    alone = False  # has a run of its own
    heavy = False  # so much work a row that computing rows twice costs more than storing them
    overread = 0  # float32 that may be read beyond the last window
    crosses_border = False  # the kernel may be given rows and columns outside of its input, and takes them for zeros
    is_native = True  # whether its calls are of kernels alone, and none of a function of Python
    fair_rows = 1  # with fewer rows in a band the kernel is much slower
    row_multiple = 1  # rows come in groups of so many, counted from the first row of the volume
    algorithm = ""  # of a convolution
    costs: Mapping[str, float] = {}  # of all algorithms that the convolution could be computed by

    def __init__(self, input_shape: Shape, output_shape: Shape) -> None:
        self.input_shape, self.output_shape = input_shape, output_shape

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

    in_place = True

    def __init__(self, shape: Shape, kernel: Callable, *arguments: Any) -> None:
        super().__init__(shape, shape)
        self.kernel, self.arguments = kernel, arguments

    def calls(self, source: Corner, target: Corner, band: Band) -> list[Call]:
        before = [] if source is target else [copied(source, target, band.rows)]
        return [*before, (self.kernel, (*target, band.rows, self.input_shape[1], *self.arguments))]


class Joined(Step):
    """`kernel(out, row, column, other, other_row, rows, columns, *arguments)`: the second volume joins the first."""

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
    """The sum of both, which a convolution before it may do at little cost."""


class Windowed(Step):
    """Output rows from the padded input rows that their windows cover; `properties` are those of `Step`."""

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
    """What a convolution with `weight` (kh, kw, in // groups, out) gives. How it is computed is the answer of an
    algorithm, which is another step.

    `adds`: the second volume is added to the result; `rectified`: max(0, x) of that.
    """

    def __init__(
        self, shape: Shape, window: Window, weight: np.ndarray, bias: np.ndarray | None, groups: int = 1, *,
        adds: bool = False, rectified: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(shape, (*output_size(window, shape[:2]), weight.shape[3]))
        self.window, self.weight, self.bias, self.groups = window, weight, bias, groups
        self.adds, self.rectified = adds, rectified
        # a few channels of a pixel cost less than a volume written and read again
        self.heavy = weight.size > 1024 or not window.is_point


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
