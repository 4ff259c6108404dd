"""A contact sheet: all channels of a volume side by side, in false colours."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from PIL import Image

from cnntool.errors import CnntoolError
from cnntool.images import colours
from cnntool.images.clipping import Clipped

MAX_SIDE = 4096
MAX_MAPS = 1024
MAX_NUMBERS = 65536
# Small maps are enlarged until the sheet has about this many pixels a side, or a cell LARGEST_CELL.
USUAL_SIDE = 1024
LARGEST_CELL = 256
# Maps with a larger aspect ratio are drawn thicker.
LONGEST_STRIP = 24
# Scales end at a high percentile, so that one bright pixel does not darken the whole map.
PERCENTILE = 99
SAMPLE = 2**18
RISING_PAGE, DIVERGING_PAGE = "#e6e6ea", "#9c9ca6"


class Sheet(NamedTuple):
    """The picture, and a note on channels left out, or None."""

    image: Image.Image
    note: str | None


class Layout(NamedTuple):
    """`rows` x `columns` cells of `height` x `width` pixels with `gap` between and around them.

    A channel is averaged over `reduction` x `reduction` pixels, then each pixel is drawn `enlargement` (down, across)
    times.
    """

    rows: int
    columns: int
    height: int
    width: int
    gap: int
    reduction: int
    enlargement: tuple[int, int]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the sheet in pixels."""
        return (
            self.rows * (self.height + self.gap) + self.gap,
            self.columns * (self.width + self.gap) + self.gap,
        )

    def corner(self, cell: int) -> tuple[int, int]:
        """Row and column of the first pixel of a cell."""
        row, column = divmod(cell, self.columns)
        return self.gap + row * (self.height + self.gap), self.gap + column * (self.width + self.gap)


def contact_sheet(
    volume: np.ndarray,
    *,
    columns: int | None = None,
    max_cells: int | None = None,
    max_side: int = MAX_SIDE,
    shared: bool = False,
    clipped: Clipped | None = None,
) -> Sheet:
    """The channels of an H x W x C volume in a grid, by rows, as an RGB picture.

    Where no number of the volume is negative (after a rectifier, say), black is 0 and pale yellow a channel's 99th
    percentile; else blue is negative, white 0 and red positive, to the 99th percentile of the absolute values. With
    `shared`, and always for a 1 x 1 x C volume, all channels have one scale. NaN is green. Numbers beyond the ends of
    their scale are counted in `clipped`.

    Small maps are enlarged by an integer factor without smoothing; large ones are averaged so that the sheet has at
    most `max_side` pixels a side. At most `max_cells` channels are drawn (default 1024, or 65536 numbers of a 1 x 1 x C
    volume); `note` mentions the rest. `columns` is chosen for a nearly square sheet.

    Raises CnntoolError for a volume that is not H x W x C or is empty.
    """
    if volume.ndim != 3 or 0 in volume.shape:
        raise CnntoolError(f"a volume of {' x '.join(map(str, volume.shape))} has no contact sheet: expected H x W x C")
    height, width, channels = volume.shape
    numbers = height == width == 1
    limit = max_cells or (MAX_NUMBERS if numbers else MAX_MAPS)
    drawn = min(channels, limit)
    layout = lay_out(height, width, drawn, columns, max_side)
    if max(layout.size) > max_side:
        raise CnntoolError(
            f"{drawn} channels do not fit into {max_side} pixels a side: draw fewer, or in other columns"
        )
    signed = bool(np.nanmin(volume[:, :, :drawn], initial=0) < 0)
    table = colours.table(colours.DIVERGING if signed else colours.RISING)
    page = colours.rgb(DIVERGING_PAGE if signed else RISING_PAGE)
    sheet = np.empty((*layout.size, 3), np.uint8)
    sheet[:] = page
    common = top_of(volume[:, :, :drawn], percentile=100 if numbers else PERCENTILE) if shared or numbers else None
    for c in range(drawn):
        values = box_average(volume[:, :, c], layout.reduction)
        top = top_of(values) if common is None else common
        low = -top if signed else 0.0
        if clipped is not None:
            clipped.look(values, low, top)
        cell = colours.painted(values, low, top, table)
        cell = cell.repeat(layout.enlargement[0], axis=0).repeat(layout.enlargement[1], axis=1)
        y, x = layout.corner(c)
        sheet[y : y + layout.height, x : x + layout.width] = cell
    note = f"the first {drawn} of {channels} channels are drawn" if drawn < channels else None
    return Sheet(Image.fromarray(sheet), note)


def lay_out(height: int, width: int, channels: int, columns: int | None = None, max_side: int = MAX_SIDE) -> Layout:
    """The grid for maps of `height` x `width`."""
    stretch = stretch_of(height, width)
    shown = height * stretch[0], width * stretch[1]
    columns = min(columns, channels) if columns else nearly_square(*shown, channels)
    rows = math.ceil(channels / columns)
    longest = max(rows * shown[0], columns * shown[1])
    factor = max(1, min(LARGEST_CELL // max(shown), round(USUAL_SIDE / longest)))
    reduction = 1
    while True:
        averaged = math.ceil(height / reduction), math.ceil(width / reduction)
        stretch = stretch_of(*averaged)
        enlargement = factor * stretch[0], factor * stretch[1]
        cell = averaged[0] * enlargement[0], averaged[1] * enlargement[1]
        layout = Layout(rows, columns, *cell, gap_of(max(cell)), reduction, enlargement)
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


def top_of(values: np.ndarray, percentile: float = PERCENTILE) -> float:
    """The end of the scale: a high percentile of the finite absolute values, or their maximum where that is 0."""
    flat = values.reshape(-1)
    magnitudes = np.abs(flat[:: max(1, flat.size // SAMPLE)])
    magnitudes = magnitudes[np.isfinite(magnitudes)]
    if not magnitudes.size:
        return 1.0
    return float(np.percentile(magnitudes, percentile)) or float(magnitudes.max()) or 1.0


def box_average(values: np.ndarray, size: int) -> np.ndarray:
    """The means of `size` x `size` boxes of an H x W map; boxes at the bottom and right end with the map."""
    if size == 1:
        return values
    rows, columns = np.arange(0, values.shape[0], size), np.arange(0, values.shape[1], size)
    with np.errstate(invalid="ignore", over="ignore"):
        sums = np.add.reduceat(np.add.reduceat(values, rows, axis=0, dtype=np.float64), columns, axis=1)
    heights, widths = np.diff(rows, append=values.shape[0]), np.diff(columns, append=values.shape[1])
    return sums / (heights[:, np.newaxis] * widths)


def filter_sheet(weight: np.ndarray) -> Sheet:
    """Filters (height, width, channels, number) in a grid: in colour where they have three channels.

    A colour filter is drawn about middle gray, which is 0, to its largest magnitude. Of other numbers of channels the
    mean is drawn, in the colours of `contact_sheet`.
    """
    height, width, channels, number = weight.shape
    if channels != 3:
        return contact_sheet(weight.mean(axis=2))
    drawn = min(number, MAX_MAPS)
    layout = lay_out(height, width, drawn)
    sheet = np.empty((*layout.size, 3), np.uint8)
    sheet[:] = colours.rgb(DIVERGING_PAGE)
    for k in range(drawn):
        values = weight[..., k]
        levels = 127.5 + 127.5 * np.nan_to_num(values / (np.abs(values).max() or 1))
        cell = np.rint(levels).astype(np.uint8)
        cell = cell.repeat(layout.enlargement[0], axis=0).repeat(layout.enlargement[1], axis=1)
        y, x = layout.corner(k)
        sheet[y : y + layout.height, x : x + layout.width] = cell
    note = f"the first {drawn} of {number} filters are drawn" if drawn < number else None
    return Sheet(Image.fromarray(sheet), note)


def picture_sheet(paths: list[str], side: int = 128) -> Image.Image:
    """The pictures of some files in a grid, by rows, each within `side` pixels; at most MAX_MAPS of them."""
    from cnntool.images.preparation import Preparation
    from cnntool.images.read import read_image

    paths = paths[:MAX_MAPS]
    columns = min(len(paths), max(1, round(math.sqrt(len(paths) * 1.5))))
    gap = gap_of(side)
    layout = Layout(math.ceil(len(paths) / columns), columns, side, side, gap, 1, (1, 1))
    sheet = Image.new("RGB", layout.size[::-1], colours.rgb(DIVERGING_PAGE))
    for cell, path in enumerate(paths):
        pixels = read_image(path, Preparation(rgb=True))
        picture = Image.fromarray(np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8))
        picture.thumbnail((side, side))
        y, x = layout.corner(cell)
        sheet.paste(picture, (x + (side - picture.width) // 2, y + (side - picture.height) // 2))
    return sheet
