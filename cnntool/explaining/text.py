"""Explanations as plain text for a terminal of 80 columns."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from itertools import groupby

import numpy as np

from cnntool.explaining.data import Equation, Explanation, Grid, Step, Sum
from cnntool.explaining.language import Language, exact, number

WIDTH = 79
INDENT = "  "
SHOWN_ALIKE = 3  # steps of one key that are shown
ENDS = 4, 2  # rows and columns shown of a large grid: at its beginning, at its end
TERMS = 7, 2  # of a long sum
GAP = "..."


def heading(found: Explanation, language: Language) -> list[str]:
    """The line that names a layer, and where its output lies."""
    shapes = " + ".join("x".join(map(str, shape)) for shape in found.input_shapes)
    left = f"{found.row}  {found.words}"
    right = f"{shapes} -> {'x'.join(map(str, found.output_shape))}"
    if len(left) + len(right) + 2 <= WIDTH:
        lines = [f"{left:<{WIDTH - len(right)}}{right}"]
    else:
        lines = [*textwrap.wrap(left, WIDTH, subsequent_indent="   "), f"{right:>{WIDTH}}"]
    y, x, c = found.at
    height, width, channels = found.output_shape
    (top, bottom), (first, last) = found.field
    where = language.say("head.output", y=y, x=x, c=c, height=height, width=width, channels=channels)
    seen = (
        language.say("head.nothing")
        if bottom < top
        else language.say("head.seen", top=top, bottom=bottom, left=first, right=last)
    )
    return [*lines, "-" * WIDTH, *wrapped(f"{where}. {seen}", "")]


def wrapped(text: str, indent: str = INDENT) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False)


def step_lines(step: Step, language: Language) -> list[str]:
    """One step: its sentence, its grids side by side, its work."""
    lines = wrapped(language.say(step.key, **step.values))
    if step.grids:
        lines += ["", *side_by_side([grid_lines(grid, language) for grid in step.grids])]
    if isinstance(step.work, Sum):
        lines += ["", *wrapped(sum_text(step.work), INDENT * 2)]
    elif isinstance(step.work, Equation):
        equation = equation_lines(step.work)
        if len(equation) == 1 and len(lines) == 1 and len(lines[0]) + len(equation[0].strip()) < WIDTH:
            return [f"{lines[0]} {equation[0].strip()}"]
        lines += ["", *equation]
    return [*lines, ""] if step.grids or step.work else lines


def steps_of(found: Explanation, language: Language) -> Iterator[list[str]]:
    """The lines of each step; of many alike the first few, and how many there are."""
    for _, group in groupby(found.account.steps, key=lambda step: step.key):
        alike = list(group)
        kept = alike if len(alike) <= SHOWN_ALIKE + 1 else alike[:SHOWN_ALIKE]
        if alike[0].key == "fc.product":
            kept = alike
        for step in kept:
            yield step_lines(step, language)
        if len(kept) < len(alike):
            yield [*wrapped(language.say("more.steps", count=len(alike) - len(kept))), ""]
    yield wrapped(verdict(found, language))


def verdict(found: Explanation, language: Language) -> str:
    """What the kernels computed, and whether it is the same."""
    return language.say("check.agrees" if found.agrees else "check.differs", computed=exact(found.computed))


def explanation_lines(found: Explanation, language: Language) -> list[str]:
    """All of one layer's explanation."""
    return [*heading(found, language), "", *(line for step in steps_of(found, language) for line in step)]


def sum_text(work: Sum) -> str:
    """`1 - 2 + 3 = 2`, shortened in the middle."""
    terms = work.terms
    cut = len(terms) > sum(TERMS) + 1
    shown = [*terms[: TERMS[0]], *terms[-TERMS[1] :]] if cut else terms
    pieces = [number(shown[0]) if shown else "0"]
    pieces += [f"- {number(-term)}" if term < 0 else f"+ {number(term)}" for term in shown[1:]]
    if cut:
        pieces.insert(TERMS[0], f"+ {GAP}")
    return f"{' '.join(pieces)} = {number(work.total)}"


def equation_text(work: Equation) -> str:
    """The formula with its numbers, and the result."""
    return f"{filled(work)} = {number(work.result)}"


def filled(work: Equation) -> str:
    """The formula with its numbers in the place of their names; negative ones in brackets behind a sign."""

    def value(match: re.Match[str]) -> str:
        text = number(work.numbers[match.group()])
        before = work.formula[: match.start()].rstrip()
        return f"({text})" if text.startswith("-") and before and before[-1] not in "(,|" else text

    if not work.numbers:
        return work.formula
    names = "|".join(sorted(map(re.escape, work.numbers), key=len, reverse=True))
    text = re.sub(rf"(?<![A-Za-z'])(?:{names})(?![A-Za-z'(])", value, work.formula)
    return re.sub(r"(?<=[\d)]) (?=[\d(])", " * ", text)  # products are written without a sign


def equation_lines(work: Equation) -> list[str]:
    """The formula, the formula with its numbers, and the result."""
    indent = INDENT * 2
    if work.formula == "x":
        return [f"{indent}{number(work.result)}"]
    one = f"{indent}{work.formula} = {equation_text(work)}"
    return [one] if len(one) <= WIDTH else [f"{indent}{work.formula}", *wrapped(f"= {equation_text(work)}", indent)]


def grid_lines(grid: Grid, language: Language) -> list[str]:
    """A grid with its title; `.` stands for padding, [ ] for the number that counts. Large ones lose their middle."""
    rows, columns = (kept(size) for size in grid.numbers.shape)
    cells = [[cell_text(grid, y, x) for x in columns] for y in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    lines = [" ".join(f"{text:>{width}}" for text, width in zip(line, widths, strict=True)) for line in cells]
    title = language.say(grid.title)
    return [title, *lines]


def kept(size: int) -> list[int]:
    """The indices that are shown, -1 for what is left out."""
    first, last = ENDS
    return list(range(size)) if size <= first + last + 1 else [*range(first), -1, *range(size - last, size)]


def cell_text(grid: Grid, y: int, x: int) -> str:
    """One number of a grid; an index of -1 is what was left out."""
    if y < 0 or x < 0:
        return GAP if x < 0 and y >= 0 else ":"
    text = short(float(grid.numbers[y, x]))
    if grid.outside is not None and grid.outside[y, x]:
        return "."
    return f"[{text}]" if grid.marked == (y, x) else text


def short(value: float) -> str:
    """Three figures, for grids."""
    if not np.isfinite(value) or value == int(value):
        return number(value)
    return f"{value:.3f}".rstrip("0").rstrip(".") if 0.001 <= abs(value) < 100 else f"{value:.2g}"


def side_by_side(blocks: list[list[str]]) -> list[str]:
    """Blocks of lines beside one another, as many as fit, the others below."""
    lines: list[str] = []
    waiting = list(blocks)
    while waiting:
        taken = [waiting.pop(0)]
        while waiting and used(taken) + used([waiting[0]]) + 3 <= WIDTH - 2 * len(INDENT):
            taken.append(waiting.pop(0))
        height = max(map(len, taken))
        widths = [used([block]) for block in taken]
        for i in range(height):
            pieces = [
                f"{block[i] if i < len(block) else '':<{width}}" for block, width in zip(taken, widths, strict=True)
            ]
            lines.append(f"{INDENT * 2}{'   '.join(pieces)}".rstrip())
        if waiting:
            lines.append("")
    return lines


def used(blocks: list[list[str]]) -> int:
    return sum(max(map(len, block)) for block in blocks) + 3 * (len(blocks) - 1)
