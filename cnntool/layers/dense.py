"""Layers without positions: flattening, full connection, class probabilities."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from cnntool import kernels
from cnntool.declare import Choice, File, Flag, Integer, argument, option
from cnntool.kernels.arguments import Corner, Window
from cnntool.late import np
from cnntool.layers.base import Arrays, Gradients, Layer, by_position
from cnntool.layers.initial import load_weights, random_weights
from cnntool.steps.geometry import Shape
from cnntool.steps.step import AnyStep, Band, Call, PixelInPlace, View, Windowed, run_calls

if TYPE_CHECKING:
    from cnntool.steps.training import Training

# Outputs computed at a time. With 25088 inputs and 4096 outputs, 512 at a time took 27.6 ms, all 16.5, since longer
# reads of rows of weights are faster.
COLUMNS = 4096
# Outputs of a thread are a multiple of this. The compiler computes the remainder of other slices one by one, which
# rounds differently without fused multiply-add.
BLOCK = 64


@dataclass(frozen=True)
class Flatten(Layer):
    """Make one vector of the volume, in the order height, width, channels."""

    word: ClassVar[str] = "flatten"
    kept: ClassVar[tuple[str, ...]] = ()
    passes_gradient: ClassVar[bool] = True
    reshapes: ClassVar[bool] = True
    transparent: ClassVar[bool] = True

    def output_shape(self, shape: Shape, *others: Shape) -> Shape:
        return 1, 1, math.prod(shape)

    def window(self, shape: Shape) -> Window:
        return Window(kernel_size=shape[:2])

    def map_names(self, shape: Shape, names: list[str]) -> list[str]:
        return by_position(names, shape)

    def steps(self, shapes: list[Shape], arrays: Arrays) -> list[AnyStep]:
        return [View(shapes[0], self.output_shape(shapes[0]))]

    def gradient(self, d_output: np.ndarray, saved: Any, arrays: Arrays, training: Training) -> Gradients:
        return [d_output.reshape(saved[0].shape)], {}


@dataclass(frozen=True)
class FullyConnected(Layer):
    """Fully connected layer: every output is a weighted sum of all inputs, which it flattens by itself."""

    word: ClassVar[str] = "fc"

    out_features: int = argument(Integer(1, 2**24, "OUT_FEATURES"), "Number of outputs.")
    bias: bool = option(True, Flag(), "Leave the bias out.", name="no-bias")
    weights: str | None = option(None, File(".npy", ".npz"), "A matrix (inputs, outputs) to use instead.")
    init: str = option("auto", Choice("auto", "he", "glorot", "lecun", "zeros"), "How random weights are drawn.")

    def output_shape(self, shape: Shape, *others: Shape) -> Shape:
        return 1, 1, self.out_features

    def window(self, shape: Shape) -> Window:
        return Window(kernel_size=shape[:2])

    def parameter_shapes(self, shape: Shape) -> dict[str, tuple[int, ...]]:
        shapes: dict[str, tuple[int, ...]] = {"weight": (math.prod(shape), self.out_features)}
        return shapes | {"bias": (self.out_features,)} if self.bias else shapes

    def macs(self, shape: Shape) -> int:
        return math.prod(shape) * self.out_features

    def initial(self, shape: Shape, rng: np.random.Generator, rectified: bool) -> Arrays:
        shapes = self.parameter_shapes(shape)
        if self.weights is not None:
            return load_weights(self.weights, shapes)
        return random_weights(shapes, self.init, rectified, rng)

    def steps(self, shapes: list[Shape], arrays: Arrays) -> list[AnyStep]:
        weight = np.ascontiguousarray(arrays["weight"], np.float32)
        bias = arrays.get("bias", np.zeros(self.out_features, np.float32))
        outputs = self.out_features

        def calls(source: Corner, target: Corner, band: Band) -> list[Call]:
            flat = source.array[source.row : source.row + shapes[0][0]].reshape(-1)
            result = target.array[target.row, target.column]
            blocks, (part, parts) = -(-outputs // BLOCK), band.part
            start, stop = (min(outputs, blocks * number // parts * BLOCK) for number in (part, part + 1))
            edges = [*range(start, stop, COLUMNS), stop]
            forward = kernels.dense.dense_forward
            return [(forward, (flat, weight, bias, result, *piece)) for piece in itertools.pairwise(edges)]

        shape, window = self.output_shape(shapes[0]), self.window(shapes[0])
        return [Windowed(shapes[0], shape, window, calls, filter_bytes=weight.nbytes, alone=True, heavy=True)]

    def train(self, inputs: list[np.ndarray], arrays: Arrays, training: Training) -> tuple[np.ndarray, Any]:
        (x,) = inputs
        flat = with_room(x, "input", training)
        output = product(flat, len(x), arrays["weight"], arrays.get("bias"), "output", training)
        return output.reshape(len(x), 1, 1, -1), (x.shape, flat)

    def gradient(self, d_output: np.ndarray, saved: Any, arrays: Arrays, training: Training) -> Gradients:
        shape, flat = saved
        d_flat = with_room(d_output, "d_output", training)
        inputs = flat.shape[1]
        d_weight = np.zeros((inputs, self.out_features), np.float32)

        def rows(first: int, last: int) -> None:
            kernels.convolution_backward.dense_weight_backward(flat, d_flat, shape[0], first, last, d_weight)

        training.over_images(inputs, rows)
        d_arrays = {"weight": d_weight}
        if self.bias:
            d_arrays["bias"] = d_flat.sum(axis=0, dtype=np.float64).astype(np.float32)
        if not training.needs_input:
            return [None], d_arrays
        d_input = product(d_flat, shape[0], arrays["weight"].T, None, "d_input", training)
        return [d_input.reshape(shape)], d_arrays


@dataclass(frozen=True)
class Softmax(Layer):
    """Softmax over the channels of each position: positive numbers that sum to 1."""

    word: ClassVar[str] = "softmax"
    kept: ClassVar[tuple[str, ...]] = ("output",)
    gives_probabilities: ClassVar[bool] = True
    keeps_channels: ClassVar[bool] = True

    def steps(self, shapes: list[Shape], arrays: Arrays) -> list[AnyStep]:
        return [PixelInPlace(shapes[0], kernels.normalisation.softmax_forward)]

    def gradient(self, d_output: np.ndarray, saved: Any, arrays: Arrays, training: Training) -> Gradients:
        _, y = saved
        d_input = training.array("d_input", y.shape)
        training.over_pixels(kernels.normalisation_backward.softmax_backward, y, d_output, d_input)
        return [d_input], {}


def with_room(x: np.ndarray, name: str, training: Training) -> np.ndarray:
    """The batch as rows, padded with rows of zeros that the last tile may read."""
    rows = training.array(name, (len(x) + kernels.vectors.PIXELS, math.prod(x.shape[1:])))
    rows[: len(x)] = x.reshape(len(x), -1)
    rows[len(x) :] = 0
    return rows


def product(
    rows: np.ndarray, count: int, matrix: np.ndarray, bias: np.ndarray | None, name: str, training: Training
) -> np.ndarray:
    """The first `count` rows times the matrix (inputs, outputs)."""
    from cnntool.algorithms.direct import Product

    made, out = Product(matrix, bias), training.array(name, (count, matrix.shape[1]))

    def piece(first: int, last: int) -> None:
        run_calls([made.call(rows[None, first:last], Corner(out[None, first:last], 0, 0), 1, last - first)])

    training.over_images(count, piece)
    return out
