"""The shape calculator's result as a table for people, JSON, CSV or Markdown."""

from __future__ import annotations

import functools
import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from cnntool.cli.branches import entries_of
from cnntool.cli.streams import printable, results
from cnntool.pipeline import Pipeline

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

WIDTH_OF_FILES = 160  # of a table that goes to a file or a pipe


class Column(NamedTuple):
    """A column; in a narrow terminal those of the highest `rank` are dropped first."""

    title: str
    value: Callable[[dict[str, Any]], str]
    rank: int = 0
    total: str = ""  # the key of the totals

    def sum(self, totals: dict[str, int]) -> str:
        """Its cell in the line of totals."""
        if not self.total:
            return ""
        return short_bytes(totals[self.total]) if self.title == "memory" else number(totals[self.total])


def console_width(stream: Any) -> int:
    """The columns of a terminal, or those of a table that goes elsewhere."""
    return shutil.get_terminal_size().columns if stream.isatty() else WIDTH_OF_FILES


def size(pair: list) -> str:
    """A height and width as `3` or `3x5`."""
    return f"{pair[0]}" if pair[0] == pair[1] else f"{pair[0]}x{pair[1]}"


def number(value: int) -> str:
    return f"{value:,}"


def number_at(key: str, row: dict[str, Any]) -> str:
    return number(row[key])


def short_bytes(value: float) -> str:
    """A number of bytes in a readable unit."""
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def columns_of(summary: dict[str, Any]) -> list[Column]:
    """The columns of a summary, those of extra parameter counts behind the parameters."""
    cost = "MACs" if "convention" not in summary else f"cost ({summary['convention']})"
    columns = [
        Column("output", lambda row: "x".join(map(str, row["output_shape"]))),
        Column("parameters", lambda row: number(row["parameters"]), total="parameters"),
        Column("buffers", lambda row: number(row["buffers"]), 5, total="buffers"),
        Column(cost, lambda row: number(row["macs"]), 1, total="macs"),
        Column("field", lambda row: size(row["receptive_field"]), 2),
        Column("jump", lambda row: size(row["jump"]), 4),
        Column("centre", lambda row: size(row["center"]), 4),
        Column("memory", lambda row: short_bytes(row["output_bytes"]), 3, total="activation_bytes"),
    ]
    for key in summary["totals"]:
        if key.startswith("parameters_"):
            title = key.removeprefix("parameters_").replace("_", " ")
            columns.insert(2, Column(title, functools.partial(number_at, key), total=key))
    return columns


def show_summary(summary: dict[str, Any], pipeline: Pipeline, form: str) -> None:
    """Prints the summary on stdout."""
    with results():
        if form == "json":
            click.echo(json.dumps(summary, indent=2))
        elif form == "csv":
            click.echo(as_csv(summary), nl=False)
        elif form == "markdown":
            click.echo(as_markdown(summary, pipeline))
        else:
            print_table(sys.stdout, summary, pipeline)


def console_of(stream: Any) -> Console:
    """rich's console, wide enough for whole rows where the output is no terminal."""
    from rich.console import Console

    return Console(file=stream, width=None if stream.isatty() else WIDTH_OF_FILES, highlight=False, soft_wrap=False)


Line = list[tuple[str, str]]
"""Pieces of a line of text, each with its style."""


def lines_of(summary: dict[str, Any], pipeline: Pipeline, width: int) -> list[Line]:
    """The table as lines; the least important columns are dropped in a narrow terminal.

    Laid out by hand, since rich's table took 150 ms for the 176 rows of ResNet-50, longer than all the rest.
    """
    rows, totals = summary["layers"], summary["totals"]
    columns = [column for column in columns_of(summary) if column.title != "buffers" or totals["buffers"]]
    cells = {
        column.title: [column.title, "x".join(map(str, summary["input"])) if column.title == "output" else "",
                       *(column.value(row) for row in rows), column.sum(totals)]
        for column in columns
    }  # fmt: skip
    entries = entries_of(pipeline.layers, summary)
    lanes = max(0, *(len(entry.lanes) - 1 for entry in entries)) if entries else 0
    digits = len(str(len(pipeline.graph.nodes)))

    def words_width() -> int:
        """The width left for a layer's words."""
        return width - 2 - digits - lanes - sum(3 + max(map(len, cells[column.title])) for column in columns) - 3

    left_out: list[str] = []
    longest = max([5, *(len(entry.words) for entry in entries)])
    while words_width() < min(longest, 28) and (lowest := max(columns, key=lambda column: column.rank)).rank > 0:
        columns.remove(lowest)
        left_out.append(lowest.title)
    layer_width = max(5, min(longest, words_width()))
    widths = [max(map(len, cells[column.title])) for column in columns]

    def line(row: str, layer: Line, values: Sequence[str], style: str = "", drawn: str = "") -> Line:
        gap = f" {drawn:<{lanes + 1}} " if lanes else "   "
        pieces = [(f" {row:>{digits}}", "dim"), (gap, "dim" if drawn else ""), *layer]
        pieces.append((" " * (layer_width - sum(len(text) for text, _ in layer)), ""))
        for column, wide, text in zip(columns, widths, values, strict=True):
            pieces.append((f"   {text:<{wide}}" if column.title == "output" else f"   {text:>{wide}}", style))
        return pieces

    def numbered(index: int) -> list[str]:
        return [cells[column.title][index] for column in columns]

    rule = " " + "\u2500" * (digits + lanes + layer_width + 3 + sum(3 + wide for wide in widths))
    table: list[Line] = [[], line("", [("layer", "bold")], numbered(0), "bold"), [(rule, "")]]
    table.append(line("", [("input", "dim")], numbered(1), "dim"))
    index = 2
    for entry in entries:
        first, *rest = textwrap.wrap(entry.words, layer_width, break_on_hyphens=False) or [""]
        word, space, options = first.partition(" ")
        if entry.row is None:
            values = ["x".join(map(str, entry.shape)) if column.title == "output" else "" for column in columns]
            table.append(line("", [(first, "dim")], values, "dim", entry.lanes))
        else:
            layer = [(word, "bold cyan"), (space + options, "")]
            table.append(line(str(entry.row["row"]), layer, numbered(index), "", entry.lanes))
            index += 1
        below = f"{entry.below:<{lanes + 1}}" if lanes else " "
        table.extend([(" " * (digits + 2) + f"{below} {words}", "")] for words in rest)
    table += [[], line("", [("total", "bold")], numbered(-1), "bold")]
    if left_out:
        note = f" not shown at this width: {', '.join(left_out)}; --json, --csv and --markdown have them"
        table += [[], *([(text, "dim")] for text in textwrap.wrap(note, width, subsequent_indent=" "))]
    return [*table, []]


def print_table(stream: Any, summary: dict[str, Any], pipeline: Pipeline) -> None:
    """Prints the table: in colour on a terminal, elsewhere without rich, which is slow to import."""
    if not stream.isatty():
        for pieces in lines_of(summary, pipeline, WIDTH_OF_FILES)[1:-1]:  # empty lines set it off at a terminal only
            stream.write("".join(text for text, _ in pieces).rstrip() + "\n")
        return
    from rich.text import Text

    console = console_of(stream)
    for pieces in lines_of(summary, pipeline, console.width):
        console.print(Text.assemble(*pieces), soft_wrap=True)


def table_of_numbers(name: str, *titles: str | Text) -> Table:
    """An empty table whose first column is text and whose others are numbers."""
    table = _table(name)
    for title in titles:
        table.add_column(title, justify="right")
    return table


def _table(*titles: str) -> Table:
    from rich import box
    from rich.table import Table

    return Table(*titles, box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")


def rows_as_table(rows: list[dict[str, str]]) -> Table:
    """A table of rows with the same keys, which become its header."""
    table = _table()
    for title in rows[0]:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*map(printable, row.values()))
    return table


def as_csv(summary: dict[str, Any]) -> str:
    """One line a layer, with each size as two numbers; no line of totals, which a spreadsheet would add again."""
    import csv
    import io

    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    extra = [key for key in summary["totals"] if key.startswith("parameters_")]
    pairs = ("receptive_field", "jump", "center")
    writer.writerow([
        "row", "layer", "words", "inputs", "input_height", "input_width", "input_channels", "output_height",
        "output_width", "output_channels", "parameters", *extra, "buffers", "macs",
        *(f"{pair}_{axis}" for pair in pairs for axis in ("height", "width")), "output_bytes",
    ])  # fmt: skip
    for row in summary["layers"]:
        writer.writerow([
            row["row"], row["layer"], row["words"], " ".join(map(str, row["inputs"])), *row["input_shape"],
            *row["output_shape"], row["parameters"], *(row[key] for key in extra), row["buffers"], row["macs"],
            *(value for pair in pairs for value in row[pair]), row["output_bytes"],
        ])  # fmt: skip
    return stream.getvalue()


def as_markdown(summary: dict[str, Any], pipeline: Pipeline) -> str:
    """The table for people, with all columns, for a README."""
    columns = columns_of(summary)
    totals = summary["totals"]
    lines = [
        ["", "layer", *(column.title for column in columns)],
        ["--:", "---", *("---" if column.title == "output" else "--:" for column in columns)],
        ["", "input", "x".join(map(str, summary["input"])), *[""] * (len(columns) - 1)],
    ]
    for entry in entries_of(pipeline.layers, summary):
        name, row = entry.words.replace("|", "\\|"), entry.row
        values = ["x".join(map(str, entry.shape)), *[""] * (len(columns) - 1)]
        lines.append(
            [str(row["row"]) if row else "", f"`{name}`", *([c.value(row) for c in columns] if row else values)]
        )
    sums = [column.sum(totals) for column in columns]
    lines.append(["", "**total**", *(f"**{text}**" if text else "" for text in sums)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
