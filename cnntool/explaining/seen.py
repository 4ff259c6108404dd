"""Which pixels of a network's input one output depends on: rows and columns of each way through the graph.

What statistics of the whole image add (`whiten` without saved ones, `batchnorm` of one batch) is left out.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from cnntool.explaining.data import Place
from cnntool.explaining.view import border_of
from cnntool.layers.base import Layer
from cnntool.layers.descriptors import GridPool, cells
from cnntool.network.graph import INPUT, Graph
from cnntool.steps import borders
from cnntool.steps.geometry import Shape

Axis = frozenset[int]


class Part(NamedTuple):
    """All combinations of these rows, columns and channels (from the first up to, without, the last)."""

    rows: Axis
    columns: Axis
    first: int
    last: int

    def holds(self, other: Part) -> bool:
        """Whether the other lies within."""
        inside = other.rows <= self.rows and other.columns <= self.columns
        return inside and self.first <= other.first and other.last <= self.last


class Seen(NamedTuple):
    """What of the input is seen, as parts that may overlap."""

    parts: list[Part]

    @property
    def bounds(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """First and last row, first and last column; (0, -1) of a window that lies in the padding alone."""
        rows = sorted(set().union(*(part.rows for part in self.parts)))
        columns = sorted(set().union(*(part.columns for part in self.parts)))
        return ((rows[0], rows[-1]), (columns[0], columns[-1])) if rows and columns else ((0, -1), (0, -1))


def seen_of(graph: Graph, shapes: dict[int, Shape], number: int, at: Place) -> Seen:
    """Back from an output through all layers to the input."""
    y, x, c = at
    waiting: dict[int, list[Part]] = {number: [Part(frozenset([y]), frozenset([x]), c, c + 1)]}
    for node in range(number, INPUT, -1):
        for part in waiting.pop(node, []):
            layer, inputs = graph.nodes[node]
            for place, before in through(layer, [shapes[i] for i in inputs], part):
                join(waiting.setdefault(inputs[place], []), before)
    return Seen(waiting.get(INPUT, []))


def through(layer: Layer, shapes: list[Shape], part: Part) -> list[tuple[int, Part]]:
    """What a part of the output sees, of which of the layer's inputs."""
    if layer.word == "flatten":
        places = [np.unravel_index(c, shapes[0]) for c in range(part.first, part.last)]
        if len(places) == 1:
            y, x, c = (int(i) for i in places[0])
            return [(0, Part(frozenset([y]), frozenset([x]), c, c + 1))]
    rows, columns = (axis_of(layer, shapes[0], seen, axis) for axis, seen in enumerate((part.rows, part.columns)))
    return [(source, Part(rows, columns, *span)) for source, span in channels_of(layer, shapes, part)]


def axis_of(layer: Layer, shape: Shape, places: Axis, axis: int) -> Axis:
    """The rows or columns of the input that those of the output see."""
    size, window = shape[axis], layer.window(shape)
    if isinstance(layer, GridPool):
        spans = cells(size, layer.number)
        return frozenset(i for place in places for i in range(*spans[place]))
    kernel, stride, dilation = (values[axis] for values in window[:3])
    before, border = window.padding[axis], border_of(layer)
    seen = (o * stride - before + k * dilation for o in places for k in range(kernel))
    if border != borders.ZERO:
        return frozenset(borders.place(place, size, border) for place in seen)
    return frozenset(place for place in seen if 0 <= place < size)


# How channels of the output depend on those of the input, for the words that do not take all of them.
BY_CHANNEL = {
    "relu", "leaky-relu", "prelu", "sigmoid", "tanh", "elu", "gelu", "silu", "softplus", "hard-sigmoid", "hard-swish",
    "abs", "maxpool", "avgpool", "l2pool", "globalpool", "gridpool", "batchnorm", "dropout", "center", "standardize",
    "add",
}  # fmt: skip


def rule_of(layer: Layer, shapes: list[Shape]) -> dict[str, Any]:
    """The rule as data: `same`, `all`, `groups` of sizes, `near` channels, `concat` after so many."""
    channels = shapes[0][2]
    if layer.word in BY_CHANNEL or (layer.word == "whiten" and getattr(layer, "how", "") == "std"):
        return {"kind": "same"}
    if layer.word == "concat":
        return {"kind": "concat", "first": channels}
    if layer.word == "lrn":
        return {"kind": "near", "size": getattr(layer, "size")}  # noqa: B009  # a field of this class alone
    groups = getattr(layer, "groups", 1)
    if getattr(layer, "per_channel", False):
        groups = channels
    if groups > 1:
        return {"kind": "groups", "inputs": channels // groups, "outputs": layer.output_shape(*shapes)[2] // groups}
    return {"kind": "all"}


def channels_of(layer: Layer, shapes: list[Shape], part: Part) -> list[tuple[int, tuple[int, int]]]:
    """Of which input, from which channel up to which."""
    rule, first, last, channels = rule_of(layer, shapes), part.first, part.last, shapes[0][2]
    if rule["kind"] == "same":
        return [(source, (first, last)) for source in range(len(shapes))]
    if rule["kind"] == "concat":
        spans = [(first, min(last, channels)), (max(first, channels) - channels, last - channels)]
        return [(source, span) for source, span in enumerate(spans) if span[0] < span[1]]
    if rule["kind"] == "near":
        half = rule["size"] // 2
        return [(0, (max(0, first - half), min(channels, last - 1 - half + rule["size"])))]
    if rule["kind"] == "groups":
        each, made = rule["inputs"], rule["outputs"]
        return [(0, (first // made * each, ((last - 1) // made + 1) * each))]
    return [(0, (0, channels))]


def join(parts: list[Part], new: Part) -> None:
    """Adds a part, unless it lies in one that is there; those that lie in it go."""
    if any(part.holds(new) for part in parts):
        return
    parts[:] = [part for part in parts if not new.holds(part)]
    parts.append(new)
