"""`cnntool shape --train`: the memory of a training step as a table or JSON."""

from __future__ import annotations

import json
import sys
import textwrap
from typing import Any, NamedTuple

import click

from cnntool.cli.branches import Entry, entries_of
from cnntool.cli.report import console_width, short_bytes
from cnntool.cli.streams import results
from cnntool.learning.optimisers import OPTIMISERS
from cnntool.network.training import training_memory
from cnntool.pipeline import Pipeline

SIZES = {"weight_bytes": "weights", "kept_bytes": "kept"}


class Cells(NamedTuple):
    """A row of the table."""

    row: str
    lanes: str
    words: str
    output: str
    sizes: list[str]


def show_training(pipeline: Pipeline, summary: dict[str, Any], batch: int, optimizer: str, as_json: bool) -> None:
    """Prints the memory of a step on stdout."""
    height, width, channels = summary["input"]
    training = training_memory(
        pipeline.graph, (height, width, channels), batch, optimizer, OPTIMISERS[optimizer].arrays
    )
    with results():
        if as_json:
            click.echo(json.dumps(summary | {"training": training}, indent=2))
        else:
            click.echo("\n".join(lines_of(pipeline, summary, training, console_width(sys.stdout))))


def lines_of(pipeline: Pipeline, summary: dict[str, Any], training: dict[str, Any], width: int) -> list[str]:
    """A line a layer with what it keeps, then what the peak consists of."""
    rows = {row["row"]: row for row in training["layers"]}
    largest = max(rows.values(), key=lambda row: row["weight_bytes"] + row["kept_bytes"])
    entries = entries_of(pipeline.layers, summary)
    sums = [sum(row[key] for row in rows.values()) for key in SIZES]
    table = [
        Cells("", "", "layer", "output", list(SIZES.values())),
        *(cells_of(entry, rows) for entry in entries),
        Cells("", "", "total", "", [short_bytes(size) for size in sums]),
    ]
    digits, lanes, longest, output = (max(len(cells[index]) for cells in table) for index in range(4))
    wide = [max(map(len, column)) for column in zip(*(cells.sizes for cells in table), strict=True)]
    room = min(longest, max(12, width - 1 - digits - lanes - 6 - output - sum(3 + size for size in wide)))
    lines: list[str] = []
    for cells, entry in zip(table, [None, *entries, None], strict=True):
        first, *rest = textwrap.wrap(cells.words, room, break_on_hyphens=False) or [""]
        sizes = "".join(f"   {text:>{size}}" for text, size in zip(cells.sizes, wide, strict=True))
        start = f" {cells.row:>{digits}} {cells.lanes:<{lanes or 1}} "
        lines.append(f"{start}{first:<{room}}   {cells.output:<{output}}{sizes}".rstrip())
        below = f" {'':>{digits}} {entry.below if entry else '':<{lanes or 1}} "
        lines += [f"{below}{words}" for words in rest]
    lines.insert(1, " " + "\u2500" * (len(lines[0]) - 1))
    lines.insert(-1, "")
    return [*lines, "", *peak_of(pipeline, training, largest, width)]


def cells_of(entry: Entry, rows: dict[int, dict[str, Any]]) -> Cells:
    """The cells of a layer, or of a mark or a return."""
    number = entry.row["row"] if entry.row else None
    row = rows.get(number, {}) if number else {}
    sizes = [short_bytes(row[key]) if row.get(key) else "" for key in SIZES]
    return Cells(str(number or ""), entry.lanes, entry.words, "x".join(map(str, entry.shape)), sizes)


def peak_of(pipeline: Pipeline, training: dict[str, Any], largest: dict[str, Any], width: int) -> list[str]:
    """The peak, its parts from the largest on, and the row that takes most."""
    images = "1 image" if training["batch"] == 1 else f"{training['batch']} images"
    total = training["peak_bytes"]
    head = f"a step of {training['optimizer']} over {images}: {short_bytes(total)} at its peak, {training['at']}"
    parts = sorted(training["peak"].items(), key=lambda part: -part[1])
    wide = max(len(name) for name, _ in parts)
    lines = [f" {line}" for line in textwrap.wrap(head, width - 2)]
    lines += [
        f"   {name:<{wide}}   {short_bytes(size):>9}   {100 * size / total:3.0f} %" for name, size in parts if size
    ]
    words = " ".join(pipeline.graph.nodes[largest["row"] - 1].layer.words())
    most = f"{short_bytes(largest['weight_bytes'])} of weights, {short_bytes(largest['kept_bytes'])} kept"
    note = f"largest row: {largest['row']}, {words} ({most})"
    return [*lines, *(f" {line}" for line in textwrap.wrap(note, width - 2))]
