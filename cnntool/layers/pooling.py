"""Pooling: maximum, mean or length of a window that slides over each channel."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from cnntool import kernels
from cnntool.declare import Choice, Flag, Padding, Pair, argument, option
from cnntool.kernels import RANGE
from cnntool.kernels.arguments import Corner, Sides, Size, Window
from cnntool.late import np
from cnntool.layers.base import Arrays, Gradients, Layer, require
from cnntool.steps import borders
from cnntool.steps.geometry import Shape, counted_sizes, output_size, place_window
from cnntool.steps.step import AnyStep, Band, Call, Parallel, Whole, Windowed, row_blocks

if TYPE_CHECKING:
    from cnntool.steps.training import Training

INFINITY = float("inf")


@dataclass(frozen=True)
class Pool(Layer):
    """Base of pooling with a window on each channel."""

    keeps_channels: ClassVar[bool] = True
    pads_half_at_most: ClassVar[bool] = True

    kernel_size: tuple[int, int] = argument(Pair(), "Height x width of the window.")
    stride: tuple[int, int] | None = option(None, Pair(), "Step between windows; their size when not given.")
    padding: Sides | str = option((0, 0, 0, 0), Padding(), "Border around the input, at most half the window.")
    dilation: tuple[int, int] = option((1, 1), Pair(), "Distance between the elements of a window.")
    ceil: bool = option(False, Flag(), "Keep a last, partial window (PyTorch's ceil_mode).")

    pad_value: ClassVar[float] = 0.0

    def window(self, shape: Shape) -> Window:
        return place_window(self.padding, shape[:2], self.kernel_size, self.stride or self.kernel_size, self.dilation)

    def output_shape(self, shape: Shape, *others: Shape) -> Shape:
        window = self.window(shape)
        top, left, bottom, right = window.padding
        limits = [size // 2 for size in self.kernel_size]
        require(
            isinstance(self.padding, str) or (max(top, bottom) <= limits[0] and max(left, right) <= limits[1]),
            f"--padding {Padding().word(self.padding)} is more than half the window of "
            f"{self.kernel_size[0]}x{self.kernel_size[1]}: expected at most {limits[0]}x{limits[1]}",
        )
        return *output_size(window, shape[:2], self.ceil), shape[2]

    def pool_step(self, shape: Shape, forward: Any, sizes: tuple[np.ndarray, np.ndarray] | None = None) -> Windowed:
        """`sizes`: the counted heights and widths of the windows of each output row and column."""
        output_shape = self.output_shape(shape)
        window = reaching(self.window(shape), shape, output_shape)
        columns = output_shape[1]

        def calls(source: Corner, target: Corner, band: Band) -> list[Call]:
            counted = () if sizes is None else (sizes[0][band.first : band.first + band.rows], sizes[1])
            return [(forward, (source, target, Size(band.rows, columns), window, *counted))]

        overread = max(0, kernels.pooling.PIXELS - columns) * window.stride[1] * shape[2]
        return Windowed(shape, output_shape, window, calls, pad_value=self.pad_value, overread=overread)


def max_with_index(x: np.ndarray, window: Window, output_shape: Shape, training: Training) -> tuple:
    """The largest value of each window, and its index in the window."""
    shape, elements = (len(x), *output_shape), window.kernel_size[0] * window.kernel_size[1]
    out = training.array("output", shape)
    index = training.array("index", shape, np.uint8 if elements <= 256 else np.int32)
    forward = kernels.pooling_backward.maxpool_index_forward
    training.over_images(len(x), forward.over(x, RANGE, out, index, window))
    return out, index


def pool_gradient(
    backward: Any, values: tuple, window: Window, shape: tuple[int, ...], training: Training
) -> np.ndarray:
    """`backward(*values, first, last, d_input, window)` over all images."""
    d_input = training.array("d_input", shape)
    training.over_images(shape[0], backward.over(*values, RANGE, d_input, window))
    return d_input


def reaching(window: Window, shape: Shape, output_shape: Shape) -> Window:
    """The window with enough padding at the bottom and right for partial windows (`ceil`)."""
    reach = [
        (outputs - 1) * stride + extent - before - size
        for outputs, stride, extent, before, size in zip(
            output_shape, window.stride, window.extent, window.padding, shape, strict=False
        )
    ]
    top, left, bottom, right = window.padding
    return window._replace(padding=(top, left, max(bottom, reach[0]), max(right, reach[1])))


@dataclass(frozen=True)
class MaxPool(Pool):
    """Max pooling: the largest value of each window. Padding never wins."""

    word: ClassVar[str] = "maxpool"
    transparent: ClassVar[bool] = True
    cost_kind: ClassVar[str] = "pool"
    pad_value: ClassVar[float] = -INFINITY

    def kept_bytes(self, shape: Shape) -> int:
        return 8 * math.prod(self.output_shape(shape))

    def halves(self, shape: Shape) -> bool:
        height, width, channels = shape
        return self.window(shape) == Window((2, 2), (2, 2)) and self.output_shape(shape) == (
            height // 2, width // 2, channels
        )  # fmt: skip

    def steps(self, shapes: list[Shape], arrays: Arrays) -> list[AnyStep]:
        return [self.pool_step(shapes[0], kernels.pooling.maxpool_forward)]

    def train(self, inputs: list[np.ndarray], arrays: Arrays, training: Training) -> tuple[np.ndarray, Any]:
        (x,) = inputs
        shape = x.shape[1:]
        out, index = max_with_index(x, self.window(shape), self.output_shape(shape), training)
        return out, (x.shape, index)

    def gradient(self, d_output: np.ndarray, saved: Any, arrays: Arrays, training: Training) -> Gradients:
        shape, index = saved
        backward, window = kernels.pooling_backward.maxpool_backward, self.window(shape[1:])
        return [pool_gradient(backward, (d_output, index), window, shape, training)], {}


@dataclass(frozen=True)
class AvgPool(Pool):
    """Average pooling: the mean of each window. Padding is not counted, as in ONNX and Keras; PyTorch counts it."""

    word: ClassVar[str] = "avgpool"
    transparent: ClassVar[bool] = True
    cost_kind: ClassVar[str] = "pool"

    count_padding: bool = option(False, Flag(), "Count the padding's zeros in the mean, as PyTorch does by default.")
    border: str = option(borders.ZERO, Choice(*borders.MODES), borders.HELP)

    def __post_init__(self) -> None:
        require(
            self.border == borders.ZERO or not self.ceil,
            f"--border {self.border} and --ceil: windows would reach beyond the border; give one of them",
        )

    def inside(self, shape: Shape) -> tuple[list[AnyStep], Shape, AvgPool]:
        """The steps of the border, the shape behind them, and the pool of that, where all in a window counts."""
        before, shape, window = borders.with_border(shape, self.window(shape), self.border)
        return before, shape, replace(self, padding=window.padding, border=borders.ZERO) if before else self

    def sizes(self, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
        """The counted heights and widths of the windows of each output row and column."""
        (kh, kw), (sy, sx), (dy, dx), (top, left, bottom, right) = self.window(shape)
        height, width, _ = shape
        rows, columns, _ = self.output_shape(shape)
        heights = counted_sizes(height, kh, sy, dy, top, bottom, rows, self.count_padding)
        widths = counted_sizes(width, kw, sx, dx, left, right, columns, self.count_padding)
        return np.array(heights, np.float32), np.array(widths, np.float32)

    def steps(self, shapes: list[Shape], arrays: Arrays) -> list[AnyStep]:
        before, shape, pool = self.inside(shapes[0])
        return [*before, pool.pool_step(shape, kernels.pooling.avgpool_forward, pool.sizes(shape))]

    def gradient(self, d_output: np.ndarray, saved: Any, arrays: Arrays, training: Training) -> Gradients:
        images, *shape = saved[0].shape
        _, inner, pool = self.inside((shape[0], shape[1], shape[2]))
        values, window = (d_output, *pool.sizes(inner)), pool.window(inner)
        backward = kernels.pooling_backward.avgpool_backward
        d_input = pool_gradient(backward, values, window, (images, *inner), training)
        return [borders.gradient_without_border(d_input, self.window((shape[0], shape[1], shape[2])), self.border)], {}


@dataclass(frozen=True)
class L2Pool(Pool):
    """L2 pooling: the root of the sum of squares of each window."""

    word: ClassVar[str] = "l2pool"

    def steps(self, shapes: list[Shape], arrays: Arrays) -> list[AnyStep]:
        return [self.pool_step(shapes[0], kernels.pooling.l2pool_forward)]

    def gradient(self, d_output: np.ndarray, saved: Any, arrays: Arrays, training: Training) -> Gradients:
        x, out = saved
        window = self.window(x.shape[1:])
        values = (d_output, x, out)
        return [pool_gradient(kernels.pooling_backward.l2pool_backward, values, window, x.shape, training)], {}


@dataclass(frozen=True)
class GlobalPool(Layer):
    """Global pooling: each channel becomes one number, its maximum, mean or length over the whole volume."""

    word: ClassVar[str] = "globalpool"
    kept: ClassVar[tuple[str, ...]] = ()
    cost_kind: ClassVar[str] = "global pool"
    keeps_channels: ClassVar[bool] = True

    how: str = argument(Choice("max", "avg", "l2"), "The maximum, the mean, or the root of the sum of squares.")

    def window(self, shape: Shape) -> Window:
        return Window(kernel_size=shape[:2])

    def output_shape(self, shape: Shape, *others: Shape) -> Shape:
        return 1, 1, shape[2]

    def steps(self, shapes: list[Shape], arrays: Arrays) -> list[AnyStep]:
        shape = shapes[0]
        if shape[0] * shape[1] <= kernels.pooling.SLICE:
            return [self.of_few_pixels(shape)]

        def compute(batch: np.ndarray, parallel: Parallel) -> np.ndarray:
            return global_pool(batch, self.how, parallel)

        return [Whole(shape, self.output_shape(shape), compute)]

    def of_few_pixels(self, shape: Shape) -> Windowed:
        """As a single window, which a plan can record: 7x7x2048 takes 0.02 ms, in blocks of rows 0.15."""
        pooling = kernels.pooling
        operation = {"max": pooling.MAXIMUM, "avg": pooling.SCALED_SUM, "l2": pooling.ROOT_OF_SQUARES}[self.how]
        factor = np.array([1 / (shape[0] * shape[1])], np.float32)

        def calls(source: Corner, target: Corner, band: Band) -> list[Call]:
            return [(pooling.globalpool_forward, (source, shape[0], target, factor, operation))]

        return Windowed(shape, self.output_shape(shape), self.window(shape), calls, alone=True)

    def gradient(self, d_output: np.ndarray, saved: Any, arrays: Arrays, training: Training) -> Gradients:
        x, out = saved
        shape, window = x.shape, Window(kernel_size=x.shape[1:3])
        backward = kernels.pooling_backward
        if self.how == "max":
            _, index = max_with_index(x, window, self.output_shape(shape[1:]), training)
            return [pool_gradient(backward.maxpool_backward, (d_output, index), window, shape, training)], {}
        if self.how == "avg":
            sizes = (np.array([size], np.float32) for size in shape[1:3])
            return [pool_gradient(backward.avgpool_backward, (d_output, *sizes), window, shape, training)], {}
        return [pool_gradient(backward.l2pool_backward, (d_output, x, out), window, shape, training)], {}


def global_pool(batch: np.ndarray, how: str, parallel: Parallel) -> np.ndarray:
    """N x 1 x 1 x C: one number a channel of each image, summed block by block in float64."""
    pooling = kernels.pooling
    forward = {
        "max": pooling.globalmax_forward,
        "avg": pooling.globalsum_forward,
        "l2": pooling.globalsquares_forward,
    }[how]
    images, height, width, channels = batch.shape
    blocks = row_blocks(height, 8)  # with 16, calls took as long as the sums of 56x56x256

    def piece(task: tuple[int, tuple[int, int]]) -> np.ndarray:
        image, (first, last) = task
        start = np.full(channels, -INFINITY, np.float32) if how == "max" else np.zeros(channels, np.float64)
        forward(batch[image], first, last, start)
        return start

    pieces = parallel(piece, [(image, block) for image in range(images) for block in blocks])
    joined = np.stack(pieces).reshape(images, len(blocks), channels)
    if how == "max":
        result = joined.max(axis=1)  # propagates NaN
    else:
        with np.errstate(invalid="ignore"):  # of both infinities
            total = joined.sum(axis=1)
        power = 1 if how == "avg" else 2
        lost = ~np.isfinite(total)  # more than float32 holds, at times
        if how == "l2":
            lost |= total <= pooling.SMALLEST_SQUARES * height * width
        for image, channel in np.argwhere(lost) if lost.any() else ():
            total[image, channel] = (batch[image, :, :, channel].astype(np.float64) ** power).sum()
        result = total / (height * width) if how == "avg" else np.sqrt(total)
    return result.astype(np.float32).reshape(images, 1, 1, channels)
