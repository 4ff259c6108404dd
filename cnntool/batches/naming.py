"""The names of a table's columns: by the filters of a bank, and by the position where there are several."""

from __future__ import annotations

import itertools
import re

from cnntool.banks.base import FilterBank
from cnntool.batches.identity import Identity
from cnntool.images.origins import About
from cnntool.layers.bank import Bank
from cnntool.network.graph import Node
from cnntool.pipeline import Pipeline
from cnntool.steps.geometry import Shape

MOST_NAMES = 2**16  # of longer rows the columns are numbers, as the head would be longer than many a table


def about_of(identity: Identity, pipeline: Pipeline, shape: tuple[int, ...] | None) -> About:
    """What a table tells of itself, of inputs of a shape (that of the first one)."""
    return About(identity.text, column_names(pipeline, shape) if shape is not None else [])  # type: ignore[arg-type]


def column_names(pipeline: Pipeline, shape: Shape) -> list[str]:
    """A name for each number of the flattened output; none where no bank names its channels.

    `gabor_0_45deg`, and `gabor_0_45deg_y1_x0` where the output has more than one position.
    """
    graph = pipeline.graph
    shapes = graph.shapes(shape)
    height, width, channels = shapes[graph.output]
    if height * width * channels > MOST_NAMES:
        return []
    found: dict[int, list[str]] = {}
    for number in graph.needed():
        node = graph.nodes[number]
        inputs = [found.get(source, []) for source in node.inputs]
        names = names_of(node, inputs, [shapes[source] for source in node.inputs])
        found[number] = names if len(names) == shapes[number][2] else []
    names = found.get(graph.output, [])
    return distinct(by_position(names, height, width)) if names else []


def names_of(node: Node, inputs: list[list[str]], shapes: list[Shape]) -> list[str]:
    """The names of a node's channels, from those of its inputs; none if they mix."""
    layer = node.layer
    if isinstance(layer, Bank):
        names = names_of_maps(layer.bank)
        repeats = layer.repeats(shapes[0])
        return names if repeats == 1 else [f"{name}_c{c}" for c in range(repeats) for name in names]
    if layer.word == "concat":
        return [*inputs[0], *inputs[1]] if all(inputs) else []
    if layer.word == "flatten":
        return by_position(inputs[0], *shapes[0][:2]) if inputs[0] else []
    return inputs[0] if layer.keeps_channels else []


def names_of_maps(bank: FilterBank) -> list[str]:
    """The names of a bank's outputs: those of its filters, or the words that the filters of one output share."""
    names = bank.names()
    if bank.reduce is None:
        return [plain(name) for name in names]
    shared = []
    for group in bank.reduce.groups:
        first, *others = (names[member].split() for member in group)
        shared.append(plain(" ".join(word for word in first if all(word in other for other in others))))
    return shared


def plain(name: str) -> str:
    """The name with nothing that needs quotes in most languages but points."""
    return re.sub(r"[^0-9A-Za-z.+-]+", "_", name).strip("_") or "map"


def by_position(names: list[str], height: int, width: int) -> list[str]:
    """In the order height, width, channels."""
    if height == width == 1:
        return names
    return [f"{name}_y{y}_x{x}" for y, x in itertools.product(range(height), range(width)) for name in names]


def distinct(names: list[str]) -> list[str]:
    """The names, where a later one that was there already gets a number."""
    taken: set[str] = set()
    found = []
    for name in names:
        candidates = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
        found.append(next(candidate for candidate in candidates if candidate not in taken))
        taken.add(found[-1])
    return found
