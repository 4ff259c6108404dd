"""Text on pictures: a thin label below each cell of a sheet, and a legend below all of them."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

INK, FAINT, PAPER, LINE = "#1c1c20", "#62626c", "#ffffff", "#b8b8c0"
NARROWEST_LABELLED = 40  # pixels of a cell; below, letters could not be read
NARROWEST_LEGEND = 440
SMALLEST_TEXT, LARGEST_LABEL, LARGEST_TEXT = 10, 18, 24
SPACING = 1.3  # lines


@functools.cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, which is there on every machine."""
    return ImageFont.load_default(size)


def text_size(width: int, letters: int) -> int:
    """The size of text of which so many letters fill `width` pixels."""
    return max(SMALLEST_TEXT, min(LARGEST_TEXT, round(1.8 * width / letters)))


def length(text: str, size: int) -> int:
    """Pixels across."""
    return math.ceil(font(size).getlength(text))


def shortened(text: str, width: int, size: int) -> str:
    """The text, or as much of it as `width` pixels hold, with `..` at its end."""
    if length(text, size) <= width:
        return text
    kept = next((n for n in range(len(text) - 1, 0, -1) if length(text[:n].rstrip() + "..", size) <= width), 0)
    return text[:kept].rstrip() + ".." if kept else ""


def short(number: float) -> str:
    """A number in three figures."""
    if not math.isfinite(number):
        return str(number)
    if number and not 1e-3 <= abs(number) < 1e4:
        mantissa, _, exponent = f"{number:.1e}".partition("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.3g}"


class Labels:
    """What stands below the cells: a name, and the range of the numbers where there is room for it."""

    def __init__(self, names: Sequence[str], ranges: Sequence[str]) -> None:
        self.names, self.ranges = names, ranges

    def size(self, width: int) -> int:
        return min(LARGEST_LABEL, text_size(width, 22))

    def lines(self, width: int) -> int:
        """How many lines a cell of this width has."""
        size = self.size(width)
        both = (f"{name}  {span}" for name, span in zip(self.names, self.ranges, strict=True))
        if all(length(text, size) <= width for text in both):
            return 1
        return 2 if all(length(text, size) <= width for text in self.ranges) else 1

    def height(self, width: int) -> int:
        """Pixels below a cell of this width."""
        if width < NARROWEST_LABELLED:
            return 0
        return round(self.lines(width) * self.size(width) * SPACING) + 2

    def draw(self, draw: ImageDraw.ImageDraw, number: int, place: tuple[int, int], width: int) -> None:
        """Writes the label of a cell below `place`, (row, column) of its lower left corner."""
        (y, x), size = place, self.size(width)
        name, span = self.names[number], self.ranges[number]
        room = width - length(f"  {span}", size)
        one_line = self.lines(width) == 1
        fits = length(name, size) <= room
        draw.text((x, y + 1), name if fits else shortened(name, width, size), INK, font(size))
        if not one_line:
            draw.text((x, y + 1 + round(size * SPACING)), span, FAINT, font(size))
        elif fits:
            draw.text((x + width - length(span, size), y + 1), span, FAINT, font(size))


class Legend(NamedTuple):
    """A title, a bar of colours from `low` to `high` (none without colours), and a remark."""

    title: str
    colours: np.ndarray | None  # uint8 N x 3
    low: str
    middle: str
    high: str
    remark: str


def with_legend(sheet: Image.Image, legend: Legend) -> Image.Image:
    """The sheet with its legend below it, on a page at least as wide as that needs."""
    width = max(sheet.width, NARROWEST_LEGEND)
    size = text_size(width, 120)
    line, edge = round(size * SPACING), size // 2 + 2
    below = 2 * edge + 2 * line + (line if legend.middle else 0) + size // 2
    page = Image.new("RGB", (width, sheet.height + below), PAPER)
    page.paste(sheet, (0, 0))
    draw = ImageDraw.Draw(page)
    y = sheet.height + edge
    draw.text((edge, y), shortened(legend.title, width - 2 * edge, size), INK, font(size))
    y += line + size // 2
    middle = y + size // 2
    if legend.colours is None:
        draw.text((edge, middle), shortened(legend.remark, width - 2 * edge, size), FAINT, font(size), anchor="lm")
        return page
    x = edge + length(legend.low, size) + size // 2
    bar = Image.fromarray(legend.colours[np.newaxis]).resize((max(120, width // 5), size), Image.Resampling.NEAREST)
    draw.text((edge, middle), legend.low, INK, font(size), anchor="lm")
    page.paste(bar, (x, y))
    draw.rectangle((x - 1, y - 1, x + bar.width, y + bar.height), outline=LINE)
    if legend.middle:
        draw.text((x + bar.width // 2, y + size + 5), legend.middle, INK, font(size), anchor="mt")
    x += bar.width + size // 2
    draw.text((x, middle), legend.high, INK, font(size), anchor="lm")
    x += length(legend.high, size) + 2 * size
    draw.text((x, middle), shortened(legend.remark, width - x - edge, size), FAINT, font(size), anchor="lm")
    return page
