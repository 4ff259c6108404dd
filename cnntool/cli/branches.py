"""The rows of a network's table with its branches: `mark` and `from` among the layers, and lines that connect them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cnntool.cli.streams import printable
from cnntool.layers.base import Layer
from cnntool.layers.branches import From, Mark
from cnntool.network.graph import INPUT

MOST_LANES = 8  # lines side by side; further branches have their words only
START, BETWEEN, LAST, DOWN, ACROSS, CROSSING = "┌├└│─┼"


@dataclass(eq=False)
class Entry:
    """A layer with its row of the summary, or a `mark` or `from` without one.

    `node`: whose volume it leaves; `source`: the mark that it takes a volume from. `lanes` is drawn before its words,
    `below` before further lines of them.
    """

    words: str
    node: int
    row: dict[str, Any] | None = None
    source: Entry | None = None
    is_mark: bool = False
    shape: Sequence[int] = ()
    lanes: str = ""
    below: str = ""


def entries_of(layers: Sequence[Layer], summary: dict[str, Any]) -> list[Entry]:
    """The layers that the output depends on, with the marks and returns among them, in the order of the words."""
    rows = {row["row"] - 1: row for row in summary["layers"]}
    shapes = {INPUT: summary["input"]} | {number: row["output_shape"] for number, row in rows.items()}
    found = [entry for entry, after in typed(layers, rows) if is_shown(entry, after, rows, shapes)]
    for entry in found:
        entry.shape = shapes[entry.node]
    draw(found)
    return found


def typed(layers: Sequence[Layer], rows: dict[int, dict[str, Any]]) -> list[tuple[Entry, int]]:
    """An entry for each layer, and the number of the node that follows it."""
    marks: dict[str, Entry] = {}
    found: list[tuple[Entry, int]] = []
    number, present = 0, INPUT
    for layer in layers:
        entry = Entry(printable(shlex.join(layer.words())), present)
        if isinstance(layer, Mark):
            entry.is_mark = True
            marks[layer.name] = entry
        elif isinstance(layer, From):
            entry.source = marks[layer.name]
            entry.node = entry.source.node
        else:
            entry.node, entry.row, number = number, rows.get(number), number + 1
            entry.source = None if layer.joins is None else marks[layer.joins]
        present = entry.node
        found.append((entry, number))
    return found


def is_shown(entry: Entry, after: int, rows: dict[int, Any], shapes: dict[int, Any]) -> bool:
    """Whether the output depends on a layer, or on one that a mark or a return stands for."""
    if entry.is_mark:
        return entry.node in shapes and after <= max(rows, default=-1) + 1
    return entry.row is not None or (entry.source is not None and entry.node in shapes and after in rows)


def draw(entries: Sequence[Entry]) -> None:
    """Gives each entry its piece of the lines that lead from each mark to all that take its volume."""
    takers: dict[int, list[int]] = {}
    for place, entry in enumerate(entries):
        if entry.source is not None:
            takers.setdefault(id(entry.source), []).append(place)
    lanes: list[list[list[int]]] = []  # by lane, the places of each line: its mark, then what takes it
    for place, entry in enumerate(entries):
        if id(entry) in takers:
            free = next((lane for lane in lanes if lane[-1][-1] < place), None)
            if free is None and len(lanes) < MOST_LANES:
                lanes.append(free := [])
            if free is not None:
                free.append([place, *takers[id(entry)]])
    for place, entry in enumerate(entries) if lanes else ():
        entry.lanes = piece(lanes, place)
        entry.below = "".join(DOWN if is_within(lane, place) else " " for lane in lanes) + " "


def piece(lanes: list[list[list[int]]], place: int) -> str:
    """The lanes at a place, and a line from one of them to its right, if the words take part in it."""
    found, line = "", " "
    for lane in lanes:
        here = next((places for places in lane if places[0] <= place <= places[-1]), None)
        if here is None:
            found += line
        elif place not in here:
            found += DOWN if line == " " else CROSSING
        else:
            found += START if place == here[0] else LAST if place == here[-1] else BETWEEN
            line = ACROSS
    return found + line


def is_within(lane: list[list[int]], place: int) -> bool:
    return any(places[0] <= place < places[-1] for places in lane)
