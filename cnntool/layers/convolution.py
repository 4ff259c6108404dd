"""Convolution with learnable filters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from cnntool.declare import Choice, File, Flag, Integer, Padding, Pair, argument, option
from cnntool.kernels.arguments import POINT, Sides, Window
from cnntool.layers.base import Arrays, Gradients, Layer, require
from cnntool.layers.initial import load_weights, random_weights
from cnntool.steps import borders
from cnntool.steps.geometry import Shape, output_size, place_window
from cnntool.steps.step import AnyStep, Convolution

if TYPE_CHECKING:
    import numpy as np

    from cnntool.steps.training import Training


@dataclass(frozen=True)
class Conv(Layer):
    """Convolution: learnable filters slide over the volume, each through the whole depth of its group.

    Every position is the dot product of a filter with the window there, plus one bias a filter (cross-correlation, as
    in all deep-learning libraries). Parameters: OUT_CHANNELS x (KERNEL_SIZE x input channels / groups + 1).
    """

    word: ClassVar[str] = "conv"
    cost_kind: ClassVar[str] = "convolution"

    out_channels: int = argument(Integer(1, 2**20, "OUT_CHANNELS"), "Number of filters, the depth of the output.")
    kernel_size: tuple[int, int] = argument(Pair(1, metavar="KERNEL_SIZE"), "Height x width of a filter.")
    stride: tuple[int, int] = option((1, 1), Pair(), "Step between positions.")
    padding: Sides | str = option((0, 0, 0, 0), Padding(), "Border around the input.")
    border: str = option(borders.ZERO, Choice(*borders.MODES), borders.HELP)
    dilation: tuple[int, int] = option((1, 1), Pair(), "Distance between the elements of a filter.")
    groups: int = option(1, Integer(1), "Cut the channels into groups that do not mix; as many as channels: depthwise.")
    bias: bool = option(True, Flag(), "Leave the bias out.", name="no-bias")
    weights: str | None = option(None, File(".npy", ".npz"), "Filters (and `bias` in a .npz) to use instead.")
    init: str = option("auto", Choice("auto", "he", "glorot", "lecun", "zeros"), "How random filters are drawn.")

    def window(self, shape: Shape) -> Window:
        return place_window(self.padding, shape[:2], self.kernel_size, self.stride, self.dilation)

    def output_shape(self, shape: Shape, *others: Shape) -> Shape:
        channels = shape[2]
        for what, count in (("input channels", channels), ("OUT_CHANNELS", self.out_channels)):
            require(
                count % self.groups == 0,
                f"--groups {self.groups} does not divide the {count} {what}: expected a common divisor of {channels} "
                f"and {self.out_channels}",
            )
        return *output_size(self.window(shape), shape[:2]), self.out_channels

    def parameter_shapes(self, shape: Shape) -> dict[str, tuple[int, ...]]:
        shapes: dict[str, tuple[int, ...]] = {"weight": (*self.kernel_size, shape[2] // self.groups, self.out_channels)}
        return shapes | {"bias": (self.out_channels,)} if self.bias else shapes

    def macs(self, shape: Shape) -> int:
        height, width, channels = self.output_shape(shape)
        kh, kw = self.kernel_size
        return height * width * channels * kh * kw * (shape[2] // self.groups)

    def initial(self, shape: Shape, rng: np.random.Generator, rectified: bool) -> Arrays:
        shapes = self.parameter_shapes(shape)
        if self.weights is not None:
            return load_weights(self.weights, shapes)
        return random_weights(shapes, self.init, rectified, rng)

    def convolution(self, shape: Shape, window: Window, arrays: Arrays) -> Convolution:
        return Convolution(shape, window, arrays["weight"], arrays.get("bias"), self.groups)

    def steps(self, shapes: list[Shape], arrays: Arrays) -> list[AnyStep]:
        before, shape, window = borders.with_border(shapes[0], self.window(shapes[0]), self.border)
        return [*before, self.convolution(shape, window, arrays)]

    def gradient(self, d_output: np.ndarray, saved: Any, arrays: Arrays, training: Training) -> Gradients:
        from cnntool.algorithms.batches import bias_gradient, input_gradient, weight_gradient

        window = self.window(saved[0].shape[1:])
        x, inner = borders.batch_with_border(saved[0], window, self.border)
        convolution = self.convolution(x.shape[1:], inner, arrays)
        d_input = None
        if training.needs_input:
            d_input = borders.gradient_without_border(
                input_gradient(d_output, convolution, training), window, self.border
            )
        d_arrays = {"weight": weight_gradient(x, d_output, convolution, training)}
        if self.bias:
            d_arrays["bias"] = bias_gradient(d_output, training)
        return [d_input], d_arrays


def matrix_step(shape: Shape, matrix: np.ndarray) -> Convolution:
    """The step that multiplies the channels of each pixel by `matrix` (in, out): a 1x1 convolution."""
    return Convolution(shape, POINT, matrix[None, None], None)
