"""What the channels of a network's output are called, and how a sheet of them is best laid out."""

from __future__ import annotations

from typing import NamedTuple

from cnntool.network.graph import INPUT, Graph
from cnntool.steps.geometry import Shape


class Maps(NamedTuple):
    """One name a channel, and row and column of each, or None where there is no order but their number.

    `named`: whether the names say what each channel is; else they are that of a layer, and a number.
    """

    names: list[str]
    places: list[tuple[int, int]] | None
    named: bool

    def above(self, other: Maps, mark: str) -> Maps:
        """Both, one below the other where the first has an order that fills more than one column.

        Where names are those of the first, too, the `mark` is put behind them.
        """
        taken = set(self.names)
        names, places = self.names + [f"{name} ({mark})" if name in taken else name for name in other.names], None
        if self.places and other.places and max(column for _, column in self.places):
            down = 1 + max(row for row, _ in self.places)
            places = self.places + [(row + down, column) for row, column in other.places]
        return Maps(names, places, self.named and other.named)


def maps_of(graph: Graph, input_shape: Shape) -> Maps:
    """The channels of the graph's output: those of the last layer that made new ones, a bank's by their filters."""
    shapes = graph.shapes(input_shape)
    found = {INPUT: Maps([f"channel {channel}" for channel in range(input_shape[2])], None, False)}
    for number in graph.needed():
        layer, inputs = graph.nodes[number]
        first = found[inputs[0]]
        if layer.keeps_channels:
            found[number] = first
        elif layer.joins is not None:
            found[number] = first.above(found[inputs[1]], layer.joins)
        else:
            shape = shapes[inputs[0]]
            names = layer.map_names(shape, first.names if first.named else [])
            plain = [f"{layer.word} {channel}" for channel in range(shapes[number][2])]
            found[number] = Maps(names or plain, layer.map_places(shape), bool(names))
    return found[graph.output]
