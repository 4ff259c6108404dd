"""Networks as graphs: a chain in which each layer takes the output of the one before, with branches at marks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cnntool.declare import did_you_mean, is_integer, listed
from cnntool.errors import CnntoolError
from cnntool.layers.base import Layer
from cnntool.limits import MOST_LAYERS
from cnntool.steps.geometry import Shape

INPUT = -1  # the number of the network's input; nodes are numbered from 0


class Node(NamedTuple):
    """A layer and the sources of its inputs."""

    layer: Layer
    inputs: tuple[int, ...]  # numbers of nodes, or INPUT


class Graph:
    """Nodes in topological order; `output` is the node whose volume is the result."""

    def __init__(self, nodes: list[Node], marks: dict[str, int], output: int) -> None:
        self.nodes, self.marks, self.output = nodes, marks, output

    def until(self, stop: str) -> Graph:
        """The graph that ends at a row's number (from 1) or at a mark."""
        if stop in self.marks:
            return Graph(self.nodes, self.marks, self.marks[stop])
        if is_integer(stop) and 1 <= int(stop) <= len(self.nodes):
            return Graph(self.nodes, self.marks, int(stop) - 1)
        names = f" or one of the marks {listed(self.marks)}" if self.marks else ""
        raise CnntoolError(
            f"--until {stop}: no such row{did_you_mean(stop, self.marks)}; "
            f"expected a number from 1 to {len(self.nodes)}{names}"
        )

    def needed(self) -> list[int]:
        """The nodes that the output depends on, in order."""
        wanted = {self.output}
        for number in range(len(self.nodes) - 1, -1, -1):
            if number in wanted:
                wanted.update(self.nodes[number].inputs)
        return sorted(wanted - {INPUT})

    def shapes(self, input_shape: Shape) -> dict[int, Shape]:
        """The output shape of each needed node, and of the input; a CnntoolError names the layer that does not fit."""
        found = {INPUT: input_shape}
        for number in self.needed():
            layer, inputs = self.nodes[number]
            with named(layer, number):
                found[number] = layer.output_shape(*(found[i] for i in inputs))
        return found


class named:
    """Puts `conv (layer 3): ` before the message of a CnntoolError."""

    def __init__(self, layer: Layer | str, number: int) -> None:
        self.word = layer if isinstance(layer, str) else layer.word
        self.number = number

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, CnntoolError):
            raise type(error)(f"{self.word} (layer {self.number + 1}): {error}") from None


def connect(layers: Sequence[Layer]) -> Graph:
    """The graph of a chain; `mark` and `from` only connect, and are not nodes."""
    from cnntool.layers.branches import From, Mark

    if len(layers) > MOST_LAYERS:
        raise CnntoolError(f"{len(layers)} layers: expected at most {MOST_LAYERS}")
    nodes: list[Node] = []
    marks: dict[str, int] = {}
    current = INPUT

    def marked(name: str, word: str) -> int:
        if name not in marks:
            known = f"the marks before it are {listed(marks)}" if marks else f"put `mark {name}` before it"
            near = did_you_mean(name, marks)
            raise CnntoolError(f"{word} (layer {len(nodes) + 1}): no volume is marked `{name}`{near}; {known}")
        return marks[name]

    for layer in layers:
        if isinstance(layer, Mark):
            marks[layer.name] = current
        elif isinstance(layer, From):
            current = marked(layer.name, layer.word)
        else:
            second = () if layer.joins is None else (marked(layer.joins, layer.word),)
            nodes.append(Node(layer, (current, *second)))
            current = len(nodes) - 1
    if not nodes:
        raise CnntoolError("no layers: expected at least one, such as `relu`; `cnntool layers` lists them")
    return Graph(nodes, marks, current)
