"""Orientation from EXIF or XMP, without decoding pixels if possible."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from PIL import Image

ORIENTATION = 0x0112
IMAGE_WIDTH, IMAGE_LENGTH = 0x0100, 0x0101
METHODS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Steps along rows and columns; for 5 to 8 after transposition.
FLIPPED = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}


def orientation_of(image: Any) -> int:
    """The EXIF orientation still to be applied, 1 to 8; 1 if there is none or it cannot be parsed.

    A PNG may store it after the pixels. Pillow would then load the pixels and hide their errors from the next load, so
    they are loaded explicitly here, if such a chunk exists, and errors in them are raised.
    """
    if image.format == "PNG" and "exif" not in image.info and image.tile and _png_tells_late(image.fp):
        image.load()
    if image.format == "TIFF" and not image.tile:
        return 1  # applied when a TIFF is loaded
    try:
        # The base class's method, since that of PNG loads the pixels.
        value = Image.Image.getexif(image).get(ORIENTATION, 1)
    except Exception:  # broken metadata does not make an image unreadable
        return 1
    return value if value in METHODS else 1


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """The image with its orientation applied."""
    return image.transpose(METHODS[orientation]) if orientation in METHODS else image


def turned_array(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """An array height x width x channels with its orientation applied, possibly a view."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    rows, columns = FLIPPED.get(orientation, (1, 1))
    return pixels[::rows, ::columns]


def turned_size(image: Any) -> tuple[int, int]:
    """(height, width) after applying the orientation, for an image that is not loaded."""
    if image.format == "TIFF":
        # Some releases of Pillow swap the size when they open the file, others when they load it.
        width, height = image.tag_v2[IMAGE_WIDTH], image.tag_v2[IMAGE_LENGTH]
    else:
        width, height = image.size
    return (width, height) if orientation_of(image) >= 5 else (height, width)


def _png_tells_late(file: Any) -> bool:
    """Whether chunks that may hold an orientation follow the pixels; restores the file's position."""
    position = file.tell()
    try:
        file.seek(8)
        pixels_seen = False
        while len(head := file.read(8)) == 8:
            length, kind = int.from_bytes(head[:4], "big"), head[4:]
            if kind == b"IEND":
                return False
            if pixels_seen and kind in (b"eXIf", b"tEXt", b"zTXt", b"iTXt"):
                return True
            pixels_seen = pixels_seen or kind == b"IDAT"
            file.seek(length + 4, os.SEEK_CUR)
        return False
    finally:
        file.seek(position)
