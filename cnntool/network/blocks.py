"""A graph in fewer pieces, as people draw it: a layer with the normalisation and activation that only it leads to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cnntool.kernels.arguments import POINT
from cnntool.network.graph import INPUT, Graph
from cnntool.steps.geometry import Shape


@dataclass
class Block:
    """One layer or several in a row. `inputs` are numbers of blocks, or INPUT; `level` is the longest way from the
    input, `lane` a column of the drawing: 0 for the main path, more for branches beside it."""

    nodes: list[int]
    lines: list[str]
    shape: Shape
    parameters: int
    inputs: list[int]
    kind: str
    level: int = 0
    lane: int = 0
    marks: list[str] = field(default_factory=list)


def blocks_of(graph: Graph, summary: dict[str, Any]) -> list[Block]:
    """The blocks of the layers that the output depends on, in order; `summary` is that of `network.summary`."""
    rows = {row["row"] - 1: row for row in summary["layers"]}
    uses: dict[int, int] = {}
    for number in graph.needed():
        for source in graph.nodes[number].inputs:
            uses[source] = uses.get(source, 0) + 1
    marked = set(graph.marks.values())
    blocks: list[Block] = []
    home: dict[int, int] = {INPUT: INPUT}
    for number in graph.needed():
        layer, inputs = graph.nodes[number]
        row = rows[number]
        words = " ".join(layer.words())
        before = inputs[0]
        joins = (
            layer.keeps_channels
            and layer.joins is None
            and layer.window(tuple(row["input_shape"])) == POINT
            and before != INPUT
            and uses[before] == 1
            and before not in marked
        )
        if joins:
            block = blocks[home[before]]
            block.nodes.append(number)
            block.lines.append(words)
            block.parameters += row["parameters"]
            home[number] = home[before]
            continue
        home[number] = len(blocks)
        shape = tuple(row["output_shape"])
        blocks.append(Block([number], [words], shape, row["parameters"], [home[i] for i in inputs], layer.word))
    for mark, number in graph.marks.items():
        if number in home and home[number] != INPUT:
            blocks[home[number]].marks.append(mark)
    place(blocks)
    return blocks


def place(blocks: list[Block]) -> None:
    """Gives each block its level and lane; no two have the same of both."""
    taken: set[tuple[int, int]] = set()
    for block in blocks:
        sources = [blocks[i] for i in block.inputs if i != INPUT]
        block.level = 1 + max((source.level for source in sources), default=0)
        block.lane = min((source.lane for source in sources), default=0)
        while (block.level, block.lane) in taken:
            block.lane += 1
        taken.add((block.level, block.lane))
