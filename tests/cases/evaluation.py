"""What a chain computes, by the naive twins or by an oracle: its shapes, the arrays it needs, its values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from tests.cases.words import Layer, pair, sides
from tests.naive import geometry

Shape = tuple[int, int, int]
Value = TypeVar("Value")

POOLS = ("maxpool", "avgpool", "l2pool")
# Done without any implementation: rearranging, joining, and what does nothing at inference.
PLAIN = ("flatten", "dropout", "add", "concat")
# The names of a layer's arrays that the implementations call otherwise.
RENAMED = {"running_mean": "mean", "running_var": "var"}


@dataclass(frozen=True)
class Row:
    """One layer of a chain with its shapes, and the operation with the options that computes it."""

    layer: Layer
    input_shape: Shape
    output_shape: Shape
    operation: str
    options: Mapping[str, Any]

    @property
    def work(self) -> int:
        """Multiply-adds, or comparisons of a pool."""
        rows, columns, channels = self.output_shape
        if self.operation == "conv":
            kernel_height, kernel_width = pair(self.layer.arguments[1])
            per_group = self.input_shape[2] // self.options["groups"]
            return rows * columns * channels * kernel_height * kernel_width * per_group
        if self.operation in POOLS:
            kernel_height, kernel_width = self.options["kernel_size"]
            return rows * columns * channels * kernel_height * kernel_width
        return int(np.prod(self.input_shape)) * (channels if self.operation == "fc" else 1)

    @property
    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """The arrays of the layer by name: trainable ones and running statistics."""
        channels = self.input_shape[2]
        if self.operation == "conv":
            kernel = (*pair(self.layer.arguments[1]), channels // self.options["groups"], self.output_shape[2])
            bias = {} if "--no-bias" in self.layer.options else {"bias": (self.output_shape[2],)}
            return {"weight": kernel, **bias}
        if self.operation == "fc":
            return {"weight": (int(np.prod(self.input_shape)), self.output_shape[2]), "bias": (self.output_shape[2],)}
        if self.operation == "batchnorm":
            return dict.fromkeys(("gamma", "beta", "running_mean", "running_var"), (channels,))
        if self.operation == "prelu":
            return {"alpha": (channels if "--per-channel" in self.layer.options else 1,)}
        return {}


def rows_of(layers: Sequence[Layer], shape: Shape) -> list[Row]:
    """The rows of the chain's table for volumes of this shape; directives have none."""
    rows: list[Row] = []

    def step(layer: Layer, inputs: list[Shape]) -> Shape:
        operation, options = operation_of(layer, inputs[0])
        output = output_shape(layer, operation, options, inputs)
        rows.append(Row(layer, inputs[0], output, operation, options))
        return output

    walk(layers, shape, step)
    return rows


def evaluate(
    layers: Sequence[Layer], x: np.ndarray, weights: Sequence[Mapping[str, np.ndarray]], implementation: Any
) -> np.ndarray:
    """The chain's last volume in float64. `weights` has a mapping for every row, in order."""
    left = list(weights)

    def step(layer: Layer, inputs: list[np.ndarray]) -> np.ndarray:
        arrays = {RENAMED.get(name, name): array for name, array in left.pop(0).items()}
        operation, options = operation_of(layer, inputs[0].shape)
        if operation in PLAIN:
            return plain(operation, inputs)
        return getattr(implementation, operation)(inputs[0], **arrays, **options)

    y = walk(layers, np.asarray(x, dtype=np.float64), step)
    if left:
        raise ValueError(f"weights for {len(weights)} rows were given, {len(left)} more than the chain has")
    return y


def walk(layers: Sequence[Layer], start: Value, step: Callable[[Layer, list[Value]], Value]) -> Value:
    """Takes a value through the chain and its branches; `step` makes a layer's output from its inputs."""
    current, marks = start, {}
    for layer in layers:
        if layer.word == "mark":
            marks[layer.arguments[0]] = current
        elif layer.word == "from":
            current = marks[layer.arguments[0]]
        elif layer.word in ("add", "concat"):
            current = step(layer, [current, marks[layer.arguments[0]]])
        else:
            current = step(layer, [current])
    return current


def operation_of(layer: Layer, shape: Sequence[int]) -> tuple[str, dict[str, Any]]:
    """The implementation's function for a layer, and its options with every default and padding resolved."""
    operation = layer.word.replace("-", "_")
    if operation == "conv":
        options = window_options(layer, pair(layer.arguments[1]), (1, 1), shape)
        del options["kernel_size"]
        return operation, {**options, "groups": int(layer.options.get("--groups", 1))}
    if operation in POOLS:
        kernel_size = pair(layer.arguments[0])
        options = {**window_options(layer, kernel_size, kernel_size, shape), "ceil": "--ceil" in layer.options}
        return operation, options | ({"count_padding": True} if "--count-padding" in layer.options else {})
    if operation in ("globalpool", "whiten") and layer.arguments:
        return operation, {"how": layer.arguments[0]}
    if operation == "leaky_relu" and "--slope" in layer.options:
        return operation, {"slope": float(layer.options["--slope"])}
    return operation, {}


def window_options(
    layer: Layer, kernel_size: tuple[int, int], stride: tuple[int, int], shape: Sequence[int]
) -> dict[str, Any]:
    stride, dilation = layer.pair("--stride", stride), layer.pair("--dilation", (1, 1))
    word = layer.options.get("--padding", "0")
    if word == "same":
        (top, bottom), (left, right) = (
            geometry.same_padding(shape[axis], kernel_size[axis], stride[axis], dilation[axis]) for axis in (0, 1)
        )
        padding = top, left, bottom, right
    else:
        padding = sides("0" if word == "valid" else word)
    return {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation}


def output_shape(layer: Layer, operation: str, options: Mapping[str, Any], inputs: list[Shape]) -> Shape:
    rows, columns, channels = inputs[0]
    if operation == "conv" or operation in POOLS:
        kernel_size = pair(layer.arguments[1]) if operation == "conv" else options["kernel_size"]
        window = kernel_size, options["stride"], options["padding"], options["dilation"]
        outputs = geometry.output_sizes((rows, columns), *window, options.get("ceil", False))
        return *outputs, int(layer.arguments[0]) if operation == "conv" else channels
    if operation == "fc":
        return 1, 1, int(layer.arguments[0])
    if operation == "flatten":
        return 1, 1, rows * columns * channels
    if operation == "globalpool":
        return 1, 1, channels
    if operation == "concat":
        return rows, columns, channels + inputs[1][2]
    return inputs[0]


def plain(operation: str, inputs: list[np.ndarray]) -> np.ndarray:
    if operation == "flatten":
        return inputs[0].reshape(1, 1, -1)
    if operation == "add":
        if inputs[0].shape != inputs[1].shape:
            raise ValueError(f"cannot add {inputs[0].shape} and {inputs[1].shape}")
        return inputs[0] + inputs[1]
    if operation == "concat":
        return np.concatenate(inputs, axis=2)
    return inputs[0]
