"""Filters as a sheet: those of colours in colour, flat ones like maps, deep ones channel by channel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cnntool.errors import CnntoolError
from cnntool.images import captions, colours
from cnntool.images.layout import MAX_SIDE, lay_out
from cnntool.images.sheet import (
    DIVERGING_PAGE,
    MAX_MAPS,
    NO_CAPTION,
    Caption,
    Look,
    Scale,
    Sheet,
    chosen,
    contact_sheet,
    drawn_cells,
    range_of,
)

BY_THEMSELVES = Look(scale="symmetric")
MOST_SLICES = 24  # input channels of a deep filter, and such filters, that one sheet shows


def filter_sheet(weight: np.ndarray, look: Look = BY_THEMSELVES, caption: Caption = NO_CAPTION) -> Sheet:
    """Filters (height, width, channels, number) in a grid: in colour where they have three channels.

    A colour filter is drawn about middle gray, which is 0, to its largest magnitude (of all filters, if the scale is
    shared). Filters of one channel are drawn as `contact_sheet` does; of deeper ones a row of the grid is a filter, and
    a column a channel of its input.
    """
    channels, number = weight.shape[2:]
    if channels == 1:
        return contact_sheet(weight[:, :, 0], look, caption)
    if channels != 3 or look.colormap is not None:
        return deep_filters(weight, look, caption)
    flat = weight.reshape(-1, 1, number)
    shown = chosen(flat, look.top, MAX_MAPS)
    common = float(np.nanmax(np.abs(weight), initial=0)) or 1.0
    names = [caption.names[k] if caption.names else str(k) for k in shown]
    labels = captions.Labels(names, [range_of(weight[..., k]) for k in shown]) if look.labelled else None
    places = caption.places if len(shown) == number and look.top is None else None
    layout = lay_out(
        weight.shape[0],
        weight.shape[1],
        len(shown),
        look.columns,
        MAX_SIDE,
        places,
        labels.height if labels else lambda width: 0,
    )
    if max(layout.size) > MAX_SIDE:
        raise CnntoolError(f"{len(shown)} filters do not fit into {MAX_SIDE} pixels a side: draw fewer")

    def cell(k: int) -> np.ndarray:
        values = weight[..., shown[k]]
        top = common if look.scale == "shared" else np.nanmax(np.abs(values), initial=0) or 1.0
        return np.rint(127.5 + 127.5 * np.nan_to_num(values / top)).astype(np.uint8)

    image = drawn_cells(layout, len(shown), cell, DIVERGING_PAGE, labels)
    if look.labelled:
        grays = colours.table("gray")[: colours.STEPS]
        ends = Scale(-common, common)
        low, high = map(captions.short, ends) if look.scale == "shared" else ("-max", "max")
        remark = "red, green and blue of a filter are its weights for the three channels; gray is 0"
        image = captions.with_legend(image, captions.Legend(caption.title, grays, low, "0", high, remark))
    order = "the strongest" if look.top is not None else "the first"
    note = f"{order} {len(shown)} of {number} filters are drawn" if len(shown) < number else None
    return Sheet(image, note)


def deep_filters(weight: np.ndarray, look: Look, caption: Caption) -> Sheet:
    """A row a filter, a column a channel of its input."""
    channels, number = weight.shape[2:]
    shown = chosen(weight.reshape(-1, 1, number), look.top, MOST_SLICES)
    across = min(channels, MOST_SLICES)
    slices = np.concatenate([weight[:, :, :across, k] for k in shown], axis=2)
    names = [f"{k} / {channel}" for k in shown for channel in range(across)]
    places = [(row, channel) for row in range(len(shown)) for channel in range(across)]
    sheet = contact_sheet(
        slices, replace(look, top=None), Caption(f"{caption.title}: filter / input channel", names, places)
    )
    parts = []
    if len(shown) < number:
        order = "the strongest" if look.top is not None else "the first"
        parts.append(f"{order} {len(shown)} of {number} filters")
    if across < channels:
        parts.append(f"the first {across} of {channels} input channels")
    return Sheet(sheet.image, f"{' and '.join(parts)} are drawn" if parts else None)
