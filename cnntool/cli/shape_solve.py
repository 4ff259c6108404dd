"""`cnntool shape --solve`: the numbers that each `?` stands for, as a table or JSON."""

from __future__ import annotations

import itertools
import json
import shlex
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

import click

from cnntool.chain.grammar import parse_open_words
from cnntool.cli.options import check_one_source, layers_of
from cnntool.cli.report import console_width, number
from cnntool.cli.streams import printable, results
from cnntool.errors import CnntoolError, Unfit
from cnntool.layers.base import Layer
from cnntool.network.graph import named
from cnntool.network.solving import Solver, Target
from cnntool.network.templates import Hole, Numbers, Template
from cnntool.pipeline import Pipeline

Sizes = tuple[int | None, ...]
Ranges = tuple[tuple[int, int], ...]


def solve(sizes: Sizes, target: Target, chain: dict[str, Any], up_to: int | None, limit: int, as_json: bool) -> None:
    """Prints the solutions for a `chain` of words or a file of words; an Unfit where there are none."""
    check_one_source(chain["words"], chain["pipeline_file"], None)
    layers = layers_of(chain["words"], chain["pipeline_file"], parse_open_words)
    solver = solver_of(layers, sizes, target, chain["until"], up_to)
    if not solver.holes:
        raise CnntoolError("--solve: no number is open: put a quoted '?' in the place of one, such as `conv 64 '?'`")
    if not solver.count:
        raise Unfit(no_solution(solver, sizes, target))
    found = list(itertools.islice(solver.solutions(), limit))
    with results():
        if as_json:
            click.echo(json.dumps(as_object(solver, layers, sizes, target, found), indent=2))
        else:
            click.echo("\n".join(lines_of(solver, sizes, target, found)))


def solver_of(
    layers: Sequence[Layer | Template], sizes: Sizes, target: Target, until: str | None, up_to: int | None
) -> Solver:
    """The solver for a chain of layers and templates."""
    templates: dict[int, Template] = {}
    plain: list[Layer] = []
    rows = 0
    for layer in layers:
        if isinstance(layer, Template):
            templates[rows] = layer
            with named(layer.declared.word, rows):
                plain.append(layer.example())
        else:
            plain.append(layer)
        rows += plain[-1].word not in ("mark", "from")
    graph = Pipeline(plain).graph
    return Solver(graph if until is None else graph.until(until), templates, sizes, target, up_to)


def no_solution(solver: Solver, sizes: Sizes, target: Target) -> str:
    """What was tried, and what comes nearest."""
    near = " or ".join("x".join(map(str, shape)) for shape in solver.nearest(sizes))
    return (
        f"no solution: nothing makes {text_of(target)} of {shape_text(sizes)} with {tried(solver.holes)}; "
        f"the nearest outputs are {near}; --up-to N tries larger numbers"
    )


def tried(holes: Sequence[Hole]) -> str:
    """The ranges of the holes, `1 to 11 for KERNEL_SIZE, 0 to 11 for --padding`."""
    ranges = dict.fromkeys(f"{hole.range[0]} to {hole.range[-1]} for {hole.label}" for hole in holes)
    return ", ".join(ranges)


def as_object(
    solver: Solver, layers: Sequence[Layer | Template], sizes: Sizes, target: Target, found: Sequence[Numbers]
) -> dict[str, Any]:
    """The object of --json: what is open, and each solution with its words and its input."""
    inputs = len(solver.input.holes)
    shapes = {numbers: shape for shape, numbers in solver.input.shapes.items()}
    return {
        "input": list(sizes),
        "target": text_of(target),
        "count": solver.count,
        "unknowns": [
            {"row": hole.row, "layer": hole.layer, "option": hole.label, "low": hole.range[0], "high": hole.range[-1]}
            for hole in solver.holes
        ],
        "solutions": [
            {"numbers": list(numbers), "input": list(shapes[numbers[:inputs]]),
             "words": words_of(layers, numbers[inputs:])}
            for numbers in found
        ],
    }  # fmt: skip


def words_of(layers: Sequence[Layer | Template], numbers: Numbers) -> str:
    """The chain with these numbers."""
    left = iter(numbers)
    words: list[str] = []
    for layer in layers:
        if isinstance(layer, Template):
            count = sum(blank.count for blank in layer.blanks.values())
            words += layer.layer(itertools.islice(left, count)).words()
        else:
            words += layer.words()
    return shlex.join(words)


def lines_of(solver: Solver, sizes: Sizes, target: Target, found: Sequence[Numbers]) -> list[str]:
    """The table: a column a `?`, a row a solution, or several that differ in runs of numbers only."""
    width = console_width(sys.stdout)
    solutions = "1 solution" if solver.count == 1 else f"{number(solver.count)} solutions"
    head = f"{shape_text(sizes)} to {text_of(target)}: {solutions} with {tried(solver.holes)}"
    rows = [[run_text(run) for run in row] for row in runs(found)]
    titles = [[f"{hole.layer} {hole.row}" if hole.row else hole.layer, hole.label] for hole in solver.holes]
    widths = [max(map(len, [*title, *column])) for title, column in zip(titles, zip(*rows, strict=True), strict=True)]
    lines = [*textwrap.wrap(head, width - 1), ""]
    if sum(wide + 3 for wide in widths) <= width:
        header = [[title[0] for title in titles], [title[1] for title in titles]]
        header[0] = ["" if i and titles[i][0] == titles[i - 1][0] else text for i, text in enumerate(header[0])]
        lines += [line(cells, widths) for cells in header]
        lines += [" " + "\u2500" * (sum(wide + 3 for wide in widths) - 3), *(line(cells, widths) for cells in rows)]
    else:
        for row in rows:
            said = ", ".join(f"{' '.join(title)} {cell}" for title, cell in zip(titles, row, strict=True))
            lines += textwrap.wrap(said, width - 1, initial_indent=" ", subsequent_indent="   ", break_on_hyphens=False)
    if len(found) < solver.count:
        lines += ["", f" the first {number(len(found))} of them; --limit N shows more"]
    return lines


def line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return (" " + "   ".join(f"{printable(text):<{wide}}" for text, wide in zip(cells, widths, strict=True))).rstrip()


def runs(solutions: Sequence[Numbers]) -> list[Ranges]:
    """Sorted solutions as rows of ranges: neighbouring numbers with the same continuations are one row."""
    if not solutions[0]:
        return [()]
    found: list[Ranges] = []
    last: list[Ranges] = []
    for first, group in itertools.groupby(solutions, key=lambda numbers: numbers[0]):
        rest = runs([numbers[1:] for numbers in group])
        if rest == last and found[-1][0][1] == first - 1:
            low = found[-1][0][0]
            found[-len(rest) :] = [((low, first), *row) for row in rest]
        else:
            found += [((first, first), *row) for row in rest]
        last = rest
    return found


def run_text(run: tuple[int, int]) -> str:
    low, high = run
    return f"{low}" if low == high else f"{low} to {high}"


def shape_text(sizes: Sizes) -> str:
    return "x".join("?" if size is None else str(size) for size in sizes)


def text_of(target: Target) -> str:
    """The target as it is typed."""
    if target.unchanged:
        return "unchanged"
    height, width, channels = target.sizes
    return shape_text((height, width) if channels is None else (height, width, channels))
