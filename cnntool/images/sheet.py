"""A contact sheet: all channels of a volume side by side, in false colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from cnntool.errors import CnntoolError
from cnntool.images import captions, colours
from cnntool.images.clipping import Clipped
from cnntool.images.layout import MAX_SIDE, Layout, Place, lay_out

MAX_MAPS = 1024
MAX_NUMBERS = 65536
# Scales end at a high percentile, so that one bright pixel does not darken the whole map.
PERCENTILE = 99
SAMPLE = 2**18
RISING_PAGE, DIVERGING_PAGE = "#e6e6ea", "#9c9ca6"
SCALES = ("own", "shared", "symmetric")


class Sheet(NamedTuple):
    """The picture, and a note on channels left out, or None."""

    image: Image.Image
    note: str | None


@dataclass(frozen=True)
class Look:
    """How a sheet is drawn.

    `scale`: `own`, each map by its own numbers; `shared`, all maps by one scale; `symmetric`, each by its own, with
    zero in the middle. `colormap`: one of `colours.NAMES`, or None for the one that fits. `top`: only so many maps,
    those of the largest mean of squares, strongest first. `labelled`: with names, ranges and a legend.
    """

    columns: int | None = None
    scale: str = "own"
    colormap: str | None = None
    top: int | None = None
    labelled: bool = False


@dataclass(frozen=True)
class Caption:
    """What a labelled sheet says, and its order: a title, one name a channel, and the place of each in the grid."""

    title: str = ""
    names: Sequence[str] = ()
    places: Sequence[Place] | None = field(default=None)


PLAIN, NO_CAPTION = Look(), Caption()


class Scale(NamedTuple):
    """The numbers that get the first and the last colour."""

    low: float
    high: float


def contact_sheet(
    volume: np.ndarray,
    look: Look = PLAIN,
    caption: Caption = NO_CAPTION,
    *,
    max_cells: int | None = None,
    max_side: int = MAX_SIDE,
    clipped: Clipped | None = None,
) -> Sheet:
    """The channels of an H x W x C volume in a grid, as an RGB picture.

    Where no number of the volume is negative (after a rectifier, say), black is 0 and pale yellow a channel's 99th
    percentile; else blue is negative, white 0 and red positive, to the 99th percentile of the absolute values. A colour
    map for rising numbers begins at the smallest where there are negative ones. A 1 x 1 x C volume always has one scale
    for all. NaN is green. Numbers beyond the ends of their scale are counted in `clipped`.

    Small maps are enlarged by an integer factor without smoothing; large ones are averaged so that the sheet has at
    most `max_side` pixels a side. At most `max_cells` channels are drawn (default 1024, or 65536 numbers of a 1 x 1 x C
    volume); `note` mentions the rest. The number of columns is that of `look`, or that of the caption's places, or
    chosen for a nearly square sheet.

    Raises CnntoolError for a volume that is not H x W x C or is empty.
    """
    if volume.ndim != 3 or 0 in volume.shape:
        raise CnntoolError(f"a volume of {' x '.join(map(str, volume.shape))} has no contact sheet: expected H x W x C")
    height, width, channels = volume.shape
    numbers = height == width == 1
    shown = chosen(volume, look.top, max_cells or (MAX_NUMBERS if numbers else MAX_MAPS))
    drawn = len(shown)
    signed = look.scale == "symmetric" or bool(np.nanmin(volume[:, :, shown], initial=0) < 0)
    name = look.colormap or (colours.DIVERGING if signed else colours.RISING)
    centred = look.scale == "symmetric" or name in colours.SIGNED
    names = [caption.names[c] if caption.names else str(c) for c in shown]
    labels = captions.Labels(names, [range_of(volume[:, :, c]) for c in shown]) if look.labelled else None
    layout = lay_out(
        height, width, drawn, look.columns, max_side,
        caption.places if drawn == channels and look.top is None else None,
        labels.height if labels else lambda width: 0,
    )  # fmt: skip
    if max(layout.size) > max_side:
        raise CnntoolError(
            f"{drawn} channels do not fit into {max_side} pixels a side: draw fewer, or in other columns"
        )
    percentile = 100 if numbers else PERCENTILE
    shared = look.scale == "shared" or numbers
    common = scale_of(volume[:, :, shown], centred, percentile) if shared else None
    table = colours.table(name)

    def cell(number: int) -> np.ndarray:
        values = box_average(volume[:, :, shown[number]], layout.reduction)
        low, high = common or scale_of(values, centred)
        if clipped is not None:
            clipped.look(values, low, high)
        return colours.painted(values, low, high, table)

    image = drawn_cells(layout, drawn, cell, (DIVERGING_PAGE if signed else RISING_PAGE), labels)
    if look.labelled:
        legend = legend_of(caption.title, table, common, centred, signed)
        image = captions.with_legend(image, legend)
    order = "the strongest" if look.top is not None else "the first"
    note = f"{order} {drawn} of {channels} channels are drawn" if drawn < channels else None
    return Sheet(image, note)


def chosen(volume: np.ndarray, top: int | None, limit: int) -> list[int]:
    """The channels that are drawn, in order: the first ones, or the `top` of the largest mean of squares."""
    channels = volume.shape[2]
    if top is None:
        return list(range(min(channels, limit)))
    with np.errstate(over="ignore"):
        strength = np.nan_to_num(np.einsum("hwc,hwc->c", volume, volume, dtype=np.float64), nan=0.0)
    return np.argsort(-strength, kind="stable")[: min(top, limit)].tolist()


def drawn_cells(
    layout: Layout, number: int, cell: object, page: str, labels: captions.Labels | None
) -> Image.Image:  # fmt: skip
    """The page with what `cell(k)` paints, uint8 h x w x 3, in each cell; labels below, on white paper with frames."""
    sheet = np.empty((*layout.size, 3), np.uint8)
    sheet[:] = colours.rgb(captions.PAPER if labels else page)
    down, across = layout.enlargement
    for k in range(number):
        y, x = layout.corner(k)
        if labels and layout.gap:
            frame = sheet[y - 1 : y + layout.height + 1, x - 1 : x + layout.width + 1]
            frame[:] = colours.rgb(captions.LINE)
        painted = cell(k).repeat(down, axis=0).repeat(across, axis=1)  # type: ignore[operator]
        sheet[y : y + layout.height, x : x + layout.width] = painted
    image = Image.fromarray(sheet)
    if labels and layout.label:
        draw = ImageDraw.Draw(image)
        for k in range(number):
            y, x = layout.corner(k)
            labels.draw(draw, k, (y + layout.height, x), layout.width)
    return image


def legend_of(title: str, table: np.ndarray, common: Scale | None, centred: bool, signed: bool) -> captions.Legend:
    """The bar of colours of a sheet, and what its ends stand for."""
    colour_bar, zero = table[: colours.STEPS], "0" if centred else ""
    if common is not None:
        low, high = map(captions.short, common)
        return captions.Legend(title, colour_bar, low, zero, high, "all maps on one scale")
    low = "-max" if centred else "min" if signed else "0"
    return captions.Legend(
        title, colour_bar, low, zero, "max", f"each map on its own scale, to its {PERCENTILE}th percentile"
    )


def range_of(values: np.ndarray) -> str:
    """`smallest .. largest` of the finite numbers."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return "no number"
    low, high = captions.short(float(finite.min())), captions.short(float(finite.max()))
    return low if low == high else f"{low} .. {high}"


def scale_of(values: np.ndarray, centred: bool, percentile: float = PERCENTILE) -> Scale:
    """From minus the top to the top if `centred`, else from 0, or the smallest number below it, to the top."""
    top = top_of(values, percentile)
    if centred:
        return Scale(-top, top)
    finite = values[np.isfinite(values)]
    bottom = float(np.percentile(finite, 100 - percentile)) if finite.size and finite.min() < 0 else 0.0
    return Scale(min(0.0, bottom), top_of(np.maximum(values, 0), percentile) if bottom < 0 else top)


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
