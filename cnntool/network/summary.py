"""The shape calculator: shapes, parameters, cost and receptive field of each layer, from integers alone."""

from __future__ import annotations

import math
import shlex
from typing import Any, NamedTuple

from cnntool.network.conventions import CONVENTIONS
from cnntool.network.graph import INPUT, Graph, named
from cnntool.steps.geometry import Shape


class Field(NamedTuple):
    """The receptive field along one axis, in pixels of the network's input.

    `size` of one position's field, `jump` between fields of neighbouring positions, `center` of the first field.
    """

    size: int = 1
    jump: int = 1
    center: float = 0.0

    def through(self, kernel: int, stride: int, dilation: int, before: int) -> Field:
        """W. Luo et al., "Understanding the effective receptive field", 2016; A. Araujo et al., Distill 2019."""
        reach = dilation * (kernel - 1)
        return Field(
            self.size + reach * self.jump,
            self.jump * stride,
            self.center + (reach / 2 - before) * self.jump,
        )

    def hull(self, other: Field) -> Field:
        """The smallest interval that holds both."""
        low = min(f.center - (f.size - 1) / 2 for f in (self, other))
        high = max(f.center + (f.size - 1) / 2 for f in (self, other))
        return Field(int(high - low) + 1, max(self.jump, other.jump), (low + high) / 2)


def summarise(
    graph: Graph,
    input_shape: Shape,
    *,
    convention: str = "cnntool",
    without_sharing: bool = False,
    as_fc: bool = False,
) -> dict[str, Any]:
    """One object for the whole network, as `cnntool shape --json` prints it.

    `input`, and `layers` with `row`, `layer`, `words`, `inputs` (rows, 0 for the input), `options`, `input_shape`,
    `output_shape`, `parameters`, `buffers`, `macs`, `receptive_field`, `jump`, `center`, `output_bytes` (float32), and
    `totals`. Layers that the output does not depend on are left out. `convention` counts `macs` as another tool does.
    `without_sharing` adds the parameters that a convolution would have if each position had filters of its own; `as_fc`
    those of a full connection of the same shapes.
    """
    shapes = graph.shapes(input_shape)
    fields = {INPUT: (Field(), Field())}
    count = CONVENTIONS[convention].cost
    rows: list[dict[str, Any]] = []
    for number in graph.needed():
        layer, inputs = graph.nodes[number]
        shape, output = shapes[inputs[0]], shapes[number]
        with named(layer, number):
            window = layer.window(shape)
            parameters = total(layer.parameter_shapes(shape))
            top, left, _, _ = window.padding
            axes = zip(fields[inputs[0]], window.kernel_size, window.stride, window.dilation, (top, left), strict=True)
            fields[number] = tuple(field.through(*rest) for field, *rest in axes)  # type: ignore[assignment]
            for second in inputs[1:]:
                pairs = zip(fields[number], fields[second], strict=True)
                fields[number] = tuple(a.hull(b) for a, b in pairs)  # type: ignore[assignment]
            row: dict[str, Any] = {
                "row": number + 1,
                "layer": layer.word,
                "words": shlex.join(layer.words()),
                "inputs": [source + 1 for source in inputs],
                "options": layer.options(),
                "input_shape": list(shape),
                "output_shape": list(output),
                "parameters": parameters,
                "buffers": total(layer.buffer_shapes(shape)),
                "macs": count(layer, shape, output),
                "receptive_field": [field.size for field in fields[number]],
                "jump": [field.jump for field in fields[number]],
                "center": [_plain(field.center) for field in fields[number]],
                "output_bytes": 4 * math.prod(output),
            }
            if without_sharing:
                positions = output[0] * output[1] if layer.macs(shape) else 1
                row["parameters_without_sharing"] = parameters * positions
            if as_fc:
                inputs_and_bias = math.prod(shape) + 1
                row["parameters_as_fc"] = inputs_and_bias * math.prod(output) if layer.macs(shape) else parameters
            rows.append(row)
    extra = {"parameters_without_sharing": without_sharing, "parameters_as_fc": as_fc}
    summed = ["parameters", "buffers", "macs", *(key for key, asked in extra.items() if asked)]
    totals: dict[str, int] = {key: sum(row[key] for row in rows) for key in summed}
    totals["activation_bytes"] = sum(row["output_bytes"] for row in rows)
    summary = {"input": list(input_shape), "layers": rows, "totals": totals}
    return summary if convention == "cnntool" else summary | {"convention": convention}


def total(shapes: dict[str, tuple[int, ...]]) -> int:
    return sum(map(math.prod, shapes.values()))


def _plain(value: float) -> float | int:
    return int(value) if value == int(value) else value
