"""Where the maps of a contact sheet go: a grid of cells, enlarged or averaged so that the sheet is of a good size."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

MAX_SIDE = 4096
# Small maps are enlarged until the sheet has about this many pixels a side, or a cell LARGEST_CELL.
USUAL_SIDE = 1024
LARGEST_CELL = 256
# Maps with a larger aspect ratio are drawn thicker.
LONGEST_STRIP = 24
LABELLED_GAP = 4  # more pixels between cells, so that their labels do not run into each other

Place = tuple[int, int]


class Layout(NamedTuple):
    """`rows` x `columns` cells of `height` x `width` pixels, each with `label` pixels below; `gap` between and around.

    A channel is averaged over `reduction` x `reduction` pixels, then each pixel is drawn `enlargement` (down, across)
    times. `places` says in which row and column each map stands; without it they follow each other by rows.
    """

    rows: int
    columns: int
    height: int
    width: int
    gap: int
    reduction: int
    enlargement: tuple[int, int]
    label: int = 0
    places: Sequence[Place] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the sheet in pixels."""
        return (
            self.rows * (self.height + self.label + self.gap) + self.gap,
            self.columns * (self.width + self.gap) + self.gap,
        )

    def corner(self, cell: int) -> tuple[int, int]:
        """Row and column of the first pixel of a cell."""
        row, column = divmod(cell, self.columns) if self.places is None else self.places[cell]
        return self.gap + row * (self.height + self.label + self.gap), self.gap + column * (self.width + self.gap)


def lay_out(
    height: int,
    width: int,
    channels: int,
    columns: int | None = None,
    max_side: int = MAX_SIDE,
    places: Sequence[Place] | None = None,
    label: Callable[[int], int] = lambda width: 0,
) -> Layout:
    """The grid for maps of `height` x `width`. `label` gives the height of a label below a cell of some width.

    `columns` is chosen for a nearly square sheet; `places` decide where they are given, unless `columns` do.
    """
    stretch = stretch_of(height, width)
    shown = height * stretch[0], width * stretch[1]
    if columns or places is None:
        places = None
        columns = min(columns, channels) if columns else nearly_square(*shown, channels)
        rows = math.ceil(channels / columns)
    else:
        rows, columns = (1 + max(axis) for axis in zip(*places, strict=True))
    longest = max(rows * shown[0], columns * shown[1])
    factor = max(1, min(LARGEST_CELL // max(shown), round(USUAL_SIDE / longest)))
    reduction = 1
    while True:
        averaged = math.ceil(height / reduction), math.ceil(width / reduction)
        stretch = stretch_of(*averaged)
        enlargement = factor * stretch[0], factor * stretch[1]
        cell = averaged[0] * enlargement[0], averaged[1] * enlargement[1]
        below = label(cell[1])
        gap = gap_of(max(cell)) + (LABELLED_GAP if below else 0)
        layout = Layout(rows, columns, *cell, gap, reduction, enlargement, below, places)
        if max(layout.size) <= max_side or reduction >= max(height, width):
            return layout
        # Because of the ceilings, the smallest reduction that fits is searched for, from a close lower bound.
        reduction, factor = max(reduction + 1, longest // max_side), 1


def stretch_of(height: int, width: int) -> tuple[int, int]:
    """The factors by which pixels of an elongated map are drawn taller and wider, so that one row can be seen."""
    return math.ceil(width / (height * LONGEST_STRIP)), math.ceil(height / (width * LONGEST_STRIP))


def gap_of(cell: int) -> int:
    """Pixels between cells whose longer side is `cell`: none if the gap would be wider than the cells."""
    return 0 if cell < 6 else 1 if cell < 24 else 2 if cell < 160 else 4


def nearly_square(height: int, width: int, channels: int) -> int:
    """The number of columns that makes the sheet square with few empty cells; up to three maps stand in one line."""
    if channels <= 3:
        return channels if width <= 2 * height else 1

    def cost(columns: int) -> float:
        rows = math.ceil(channels / columns)
        empty = rows * columns - channels
        return abs(math.log(columns * width / (rows * height))) + 2 * empty / (rows * columns)

    return min(range(1, channels + 1), key=cost)
