"""A network as boxes and arrows: in columns from top to bottom, branches beside the main path; or as Mermaid's text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from cnntool.network.blocks import Block
from cnntool.network.graph import INPUT
from cnntool.pictures.figures import BLUE, FAINT, GREEN, INK, ORANGE, PURPLE, WIDTH, bare, draw
from cnntool.steps.geometry import Shape

# In inches.
BOX, LINE, INSET, DOWN, ACROSS, EDGE = 2.9, 0.19, 0.09, 0.3, 0.45, 0.3
LETTERS = 46  # that a box holds in one line
PAGE = 1.35  # width over height that columns aim at
TALLEST_COLUMN = 9.0  # inches below which a network stays in one column
KINDS = {
    "conv": BLUE, "bank": BLUE, "fc": PURPLE, "flatten": PURPLE, "add": GREEN, "concat": GREEN,
    "maxpool": ORANGE, "avgpool": ORANGE, "l2pool": ORANGE, "globalpool": ORANGE, "gridpool": ORANGE,
}  # fmt: skip


class Box(NamedTuple):
    """A block's rectangle in inches, y upwards, and the column that it is in."""

    x: float
    y: float
    height: float
    column: int
    level: int

    @property
    def middle(self) -> float:
        return self.x + BOX / 2

    @property
    def top(self) -> float:
        return self.y + self.height


def text(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def mermaid(blocks: list[Block], input_shape: Shape, command: str | None = None) -> str:
    """A flowchart in Mermaid's words, which GitHub and many editors draw."""
    lines = [f"%% {command}"] if command else []
    lines += ["flowchart TD", f'    input["input<br/>{text(input_shape)}"]']
    for number, block in enumerate(blocks):
        inside = "<br/>".join([*(line.replace('"', "#quot;") for line in block.lines), text(block.shape)])
        lines.append(f'    b{number}["{inside}"]')
    for number, block in enumerate(blocks):
        for source in block.inputs:
            shape = input_shape if source == INPUT else blocks[source].shape
            lines.append(f'    {"input" if source == INPUT else f"b{source}"} -->|"{text(shape)}"| b{number}')
    return "\n".join(lines) + "\n"


def height_of(block: Block) -> float:
    return LINE * (len(block.lines) + 1) + 2 * INSET


def boxes_of(blocks: list[Block]) -> tuple[list[Box], tuple[float, float]]:
    """The boxes, the input's first, and width and height of the page: levels from top to bottom, in columns."""
    first = Block([], ["input"], (1, 1, 1), 0, [], "input")
    levels: list[list[Block]] = [[first]] + [[] for _ in range(max(block.level for block in blocks))]
    for block in blocks:
        levels[block.level].append(block)
    heights = [max(map(height_of, level)) + DOWN for level in levels]
    lanes = 1 + max(block.lane for block in blocks)
    total = sum(heights)
    across = lanes * (BOX + ACROSS) + 2 * ACROSS
    columns = 1 if total <= TALLEST_COLUMN else max(1, round(math.sqrt(PAGE * total / across)))
    limit = total / columns + max(heights) / 2
    found: dict[int, Box] = {}
    column, y, lowest, x = 0, 0.0, 0.0, EDGE
    for level, height in enumerate(heights):
        if y + height > limit and y > 0 and column < columns - 1:
            column, y = column + 1, 0.0
            x += across
        for block in levels[level]:
            tall = height_of(block)
            found[id(block)] = Box(x + block.lane * (BOX + ACROSS), -y - tall, tall, column, level)
        y += height
        lowest = max(lowest, y)
    ordered = [found[id(block)] for block in [first, *blocks]]
    return ordered, (x + across - ACROSS, lowest)


def draw_network(
    path: str, blocks: list[Block], input_shape: Shape, totals: dict[str, int], command: str | None = None
) -> None:  # fmt: skip
    """The picture of a graph."""
    boxes, (wide, high) = boxes_of(blocks)
    page = max(wide + EDGE, WIDTH), high + 0.75

    def paint(figure: Any) -> None:
        axes = bare(figure.add_axes((0, 0, 1, 1)))
        shift = (page[0] - wide) / 2
        axes.set(xlim=(-shift, page[0] - shift), ylim=(-high - 0.15, 0.6))
        cost = f"{totals['parameters']:,} parameters, {totals['macs']:,} multiply-adds"
        axes.text(EDGE, 0.3, cost, fontsize=9, fontweight="bold")
        around = 0  # how many arrows go around what lies between: each a little further out than the last
        for number, block in enumerate(blocks):
            for order, source in enumerate(block.inputs):
                around += arrow(axes, boxes[source + 1], boxes[number + 1], order, around % 3)
        shapes = [input_shape, *(block.shape for block in blocks)]
        lines = [["input"], *(block.lines for block in blocks)]
        counts = [0, *(block.parameters for block in blocks)]
        kinds = ["input", *(block.kind for block in blocks)]
        for box, own, shape, count, kind in zip(boxes, lines, shapes, counts, kinds, strict=True):
            box_of(axes, box, own, shape, count, KINDS.get(kind, FAINT))

    draw(path, paint, page, command, layout=None)


def box_of(axes: Any, box: Box, lines: list[str], shape: Sequence[int], parameters: int, colour: str) -> None:
    """Words of the layers, the shape that comes out, and the number of parameters."""
    from matplotlib.patches import FancyBboxPatch

    style = "round,pad=0,rounding_size=0.08"
    axes.add_patch(
        FancyBboxPatch((box.x, box.y), BOX, box.height, style, facecolor="white", edgecolor=colour, linewidth=1.4)
    )
    axes.add_patch(
        FancyBboxPatch((box.x, box.y), 0.09, box.height, style, facecolor=colour, edgecolor=colour, linewidth=0)
    )
    for number, line in enumerate(lines):
        y = box.top - INSET - LINE * (number + 0.5)
        weight = "bold" if number == 0 else "normal"
        axes.text(
            box.x + 0.2,
            y,
            line if len(line) <= LETTERS else line[: LETTERS - 1] + "…",
            fontsize=7,
            fontweight=weight,
            color=INK,
            va="center",
        )
    y = box.y + INSET + LINE / 2
    axes.text(box.x + 0.2, y, text(shape), fontsize=7.5, color=colour if colour != FAINT else INK, va="center")
    if parameters:
        axes.text(box.x + BOX - 0.1, y, f"{parameters:,}", fontsize=6.5, color=FAINT, va="center", ha="right")


def arrow(axes: Any, source: Box, target: Box, order: int, out: int) -> bool:
    """From a box to one below it, around those between, or to the top of a later column; whether it went around."""
    from matplotlib.patches import FancyArrowPatch, PathPatch
    from matplotlib.path import Path

    colour = FAINT if order == 0 else GREEN
    gap = DOWN / 2
    if source.column == target.column and target.level == source.level + 1:
        middle = target.top + gap
        points = [(source.middle, source.y), (source.middle, middle), (target.middle, middle)]
    elif source.column == target.column and source.x == target.x:
        side = source.x + BOX + ACROSS * (0.3 + 0.2 * out)
        points = [(source.x + BOX, source.y + source.height / 2), (side, source.y + source.height / 2)]
        points += [(side, target.y + target.height / 2)]
        _line(axes, [*points, (target.x + BOX, target.y + target.height / 2)], colour, Path, PathPatch, FancyArrowPatch)
        return True
    elif source.column == target.column:
        middle = target.top + gap
        points = [(source.middle, source.y), (source.middle, middle), (target.middle, middle)]
    else:
        gutter = target.x - ACROSS * (0.6 + 0.25 * (order % 3))
        below, above = source.y - gap, target.top + gap * (0.9 + 0.5 * order)
        points = [(source.middle, source.y), (source.middle, below), (gutter, below), (gutter, above)]
        points += [(target.middle + 0.15 * order, above), (target.middle + 0.15 * order, target.top)]
        _line(axes, points, colour, Path, PathPatch, FancyArrowPatch)
        return False
    _line(axes, [*points, (target.middle, target.top)], colour, Path, PathPatch, FancyArrowPatch)
    return False


def _line(axes: Any, points: list[tuple[float, float]], colour: str, path: Any, patch: Any, head: Any) -> None:
    kept = [point for place, point in enumerate(points) if place == 0 or point != points[place - 1]]
    axes.add_patch(patch(path(kept), fill=False, edgecolor=colour, linewidth=1.1, joinstyle="round"))
    axes.add_patch(head(kept[-2], kept[-1], arrowstyle="-|>", mutation_scale=10, color=colour, linewidth=0,
                        shrinkA=0, shrinkB=0))  # fmt: skip
