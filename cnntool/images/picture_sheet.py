"""Small pictures side by side, in their own colours, each with a line below it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from cnntool.errors import CnntoolError
from cnntool.images import captions
from cnntool.images.layout import MAX_SIDE, lay_out
from cnntool.images.preparation import Preparation
from cnntool.images.read import read_image
from cnntool.images.sheet import RISING_PAGE, drawn_cells


def thumbnail(path: str, side: int = 128) -> np.ndarray:
    """The picture in a file, H x W x 3 of `side` pixels in [0, 1], with a white border where it is not square."""
    levels = np.rint(np.clip(read_image(path, Preparation(rgb=True)), 0, 1) * 255).astype(np.uint8)
    picture = Image.fromarray(levels)
    picture.thumbnail((side, side))
    square = Image.new("RGB", (side, side), "white")
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return np.asarray(square, np.float32) / 255


def picture_sheet(
    pictures: Sequence[np.ndarray],
    names: Sequence[str],
    remarks: Sequence[str],
    title: str,
    remark: str,
    columns: int | None = None,
) -> Image.Image:
    """Pictures H x W x 1 or 3 in [0, 1], all of one size, in a grid by rows; `remarks` stand behind the names.

    Raises CnntoolError where they do not fit into a sheet.
    """
    height, width, _ = pictures[0].shape
    labels = captions.Labels(names, remarks)
    layout = lay_out(height, width, len(pictures), columns, label=labels.height)
    if max(layout.size) > MAX_SIDE:
        raise CnntoolError(f"{len(pictures)} pictures do not fit into {MAX_SIDE} pixels a side: ask for fewer")

    def cell(number: int) -> np.ndarray:
        size, picture = layout.reduction, pictures[number]
        reduced = picture[: height - height % size or None : size, : width - width % size or None : size]
        levels = np.rint(np.clip(np.nan_to_num(reduced), 0, 1) * 255).astype(np.uint8)
        return np.broadcast_to(levels, (*levels.shape[:2], 3))

    image = drawn_cells(layout, len(pictures), cell, RISING_PAGE, labels)
    return captions.with_legend(image, captions.Legend(title, None, "", "", "", remark))
