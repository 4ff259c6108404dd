"""`cnntool shape --compare`: two networks side by side, with what differs."""

from __future__ import annotations

import difflib
import itertools
import json
import sys
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import click

from cnntool.cli.branches import Entry, entries_of
from cnntool.cli.report import console_width, number, short_bytes
from cnntool.cli.streams import printable, results
from cnntool.pipeline import Pipeline

TOTALS = {"parameters": "parameters", "buffers": "buffers", "macs": "MACs", "activation_bytes": "memory"}
SAME, CHANGED, ONLY_FIRST, ONLY_SECOND = " ", "~", "-", "+"
LEGEND = f"{CHANGED} differs, {ONLY_FIRST} only in the first, {ONLY_SECOND} only in the second"
WIDE = 120  # columns of a terminal from which parameters are shown


class Side(NamedTuple):
    """One of the networks."""

    name: str
    pipeline: Pipeline
    summary: dict[str, Any]

    def entries(self) -> list[Entry]:
        return entries_of(self.pipeline.layers, self.summary)


Pair = tuple[str, Entry | None, Entry | None]


def pairs_of(first: Sequence[Entry], second: Sequence[Entry]) -> list[Pair]:
    """The entries of both, those of equal words beside each other, with a sign of how they differ."""
    words, others = ([entry.words for entry in entries] for entries in (first, second))
    found: list[Pair] = []
    for _, a, b, c, d in difflib.SequenceMatcher(None, words, others, autojunk=False).get_opcodes():
        for one, other in itertools.zip_longest(first[a:b], second[c:d]):
            if one is None or other is None:
                found.append((ONLY_SECOND if one is None else ONLY_FIRST, one, other))
            else:
                same = one.words == other.words and list(one.shape) == list(other.shape)
                found.append((SAME if same else CHANGED, one, other))
    return found


def show_comparison(first: Side, second: Side, as_json: bool) -> None:
    """Prints both on stdout."""
    pairs = pairs_of(first.entries(), second.entries())
    with results():
        if as_json:
            click.echo(json.dumps(as_object(first, second, pairs), indent=2))
        else:
            click.echo("\n".join(lines_of(first, second, pairs, console_width(sys.stdout))))


def ratio(first: float, second: float) -> float | None:
    return second / first if first else None


def as_object(first: Side, second: Side, pairs: Sequence[Pair]) -> dict[str, Any]:
    """Both summaries, the rows that stand beside each other, and the totals with the ratio of second to first."""
    totals = [side.summary["totals"] for side in (first, second)]
    return {
        "first": first.summary,
        "second": second.summary,
        "rows": [
            {"differs": sign != SAME, "first": one and one.row and one.row["row"],
             "second": other and other.row and other.row["row"]}
            for sign, one, other in pairs if (one and one.row) or (other and other.row)
        ],
        "totals": {
            key: {"first": totals[0][key], "second": totals[1][key], "ratio": ratio(totals[0][key], totals[1][key])}
            for key in totals[0]
        },
    }  # fmt: skip


def lines_of(first: Side, second: Side, pairs: Sequence[Pair], width: int) -> list[str]:
    """The table as lines of at most `width`, as long as layers leave room for their words."""
    sides = [one for _, one, _ in pairs], [other for _, _, other in pairs]
    columns = [side_cells(entries, width >= WIDE) for entries in sides]
    names = [first.name, second.name]
    fixed = [sum(2 + max(map(len, column)) for column in cells[1:]) for cells in columns]
    room = max(12, (width - 1 - 5 - sum(fixed) - 4) // 2)
    longest = [max(map(len, [*cells[0], name])) for cells, name in zip(columns, names, strict=True)]
    widths = [min(longest[0], max(room, 2 * room - longest[1])), min(longest[1], max(room, 2 * room - longest[0]))]
    halves = [half(cells, words, name) for cells, words, name in zip(columns, widths, names, strict=True)]
    wide = [max(len(line) for block in blocks for line in block) for blocks in halves]
    lines = []
    for sign, left, right in zip(["", "", *(pair[0] for pair in pairs)], *halves, strict=True):
        for index, (one, other) in enumerate(itertools.zip_longest(left, right, fillvalue="")):
            lines.append(f" {sign if not index else '':<1}  {one:<{wide[0]}}  \u2502  {other}".rstrip())
    lines.insert(2, " " + "\u2500" * (wide[0] + wide[1] + 8))
    return [*lines, "", f" {LEGEND}", "", *totals_of(first, second)]


def side_cells(entries: Sequence[Entry | None], with_parameters: bool) -> list[list[str]]:
    """Columns of one network: words with the row's number, output, and perhaps parameters and MACs."""
    columns = [["" if entry is None else numbered(entry) for entry in entries],
               ["" if entry is None else "x".join(map(str, entry.shape)) for entry in entries]]  # fmt: skip
    if with_parameters:
        columns += [["" if entry is None or entry.row is None else number(entry.row[key]) for entry in entries]
                    for key in ("parameters", "macs")]  # fmt: skip
    return [[title, *cells] for title, cells in zip(("", "output", "parameters", "MACs"), columns, strict=False)]


def numbered(entry: Entry) -> str:
    return f"{entry.row['row'] if entry.row else '':>3} {entry.words}"


def half(cells: Sequence[Sequence[str]], width: int, name: str) -> list[list[str]]:
    """For each row the lines of one side: its words, wrapped, and beside their first line the other columns."""
    wide = [max(map(len, column)) for column in cells[1:]]
    found = [[f"{printable(name)[-width:]:<{width}}"]]
    for words, output, *rest in zip(*cells, strict=True):
        start, *more = textwrap.wrap(words, width, subsequent_indent=" " * 6, break_on_hyphens=False,
                                     drop_whitespace=False) or [""]  # fmt: skip
        line = f"{start:<{width}}  {output:<{wide[0]}}"
        line += "".join(f"  {text:>{size}}" for text, size in zip(rest, wide[1:], strict=True))
        found.append([line.rstrip(), *more])
    return found


def totals_of(first: Side, second: Side) -> list[str]:
    """The totals of both, and the second's in terms of the first's."""
    rows = [["total", "first", "second", "second / first"]]
    for key, title in TOTALS.items():
        values = [side.summary["totals"][key] for side in (first, second)]
        if any(values):
            shown = [(short_bytes if key == "activation_bytes" else number)(value) for value in values]
            times = ratio(*values)
            rows.append([title, *shown, "" if times is None else f"{times:.3g}"])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        f" {row[0]:<{widths[0]}}"
        + "".join(f"   {text:>{wide}}" for text, wide in zip(row[1:], widths[1:], strict=True))
        for row in rows
    ]
