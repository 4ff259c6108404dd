"""Uncompressed pixels of an image file: the offsets of rows, so that a few can be read without the others."""

from __future__ import annotations

import dataclasses
import io
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cnntool.errors import BadInput

# Formats whose pixels Pillow does not change after unpacking rows; TGA and SGI may be mirrored.
FORMATS = ("TIFF", "PPM", "BMP")
# Bits of a pixel in the file, by Pillow's raw mode.
BITS = {
    name: bits
    for bits, names in {
        1: ("1", "1;I"),
        8: ("L", "L;I"),
        16: ("LA", "I;16", "I;16B", "I;16S"),
        32: ("I;32S", "I;32N", "F;32F", "F;32BF", "BGRX", "BGRA", "RGBX", "RGBA", "CMYK"),
        24: ("RGB", "BGR", "YCbCr", "LAB"),
    }.items()
    for name in names
}
# Defaults for a tile's (raw mode, bytes a row, direction); 0 bytes stand for as many as the pixels need.
DEFAULTS = ("", 0, 1)


class RandomFile:
    """A file, or the bytes of one, that several threads may read at any offset."""

    def __init__(self, source: Any, name: str) -> None:
        self._file: Any
        if isinstance(source, bytes):
            self._file = io.BytesIO(source)
        else:
            self._file = open(source, "rb", buffering=0)  # noqa: SIM115
        self._name, self._lock = name, threading.Lock()
        self.size = self._file.seek(0, os.SEEK_END)

    def read(self, offset: int, length: int) -> np.ndarray:
        """uint8, `length` bytes from `offset`; BadInput when the file has become shorter."""
        if length > self.size:
            raise BadInput(f"{self._name}: truncated: {length - self.size} bytes are missing")
        content = np.empty(length, np.uint8)
        left = content.data
        with self._lock:
            self._file.seek(offset)
            while len(left):
                count = self._file.readinto(left)
                if not count:
                    raise BadInput(f"{self._name}: truncated while it was read: {len(left)} bytes are missing")
                left = left[count:]
        return content

    def close(self) -> None:
        self._file.close()


@dataclasses.dataclass(frozen=True)
class Strip:
    """Rows `top` to `bottom` of the columns `left` to `right`: `stride` bytes a row, from `offset` of the file.

    `step` is -1 when the bottom row comes first; `raw` is Pillow's raw mode.
    """

    left: int
    top: int
    right: int
    bottom: int
    offset: int
    stride: int
    raw: str
    step: int

    @property
    def row_bytes(self) -> int:
        return ((self.right - self.left) * BITS[self.raw] + 7) // 8

    def byte_range(self, top: int, bottom: int) -> tuple[int, int]:
        """(offset, length) in the file of the image's rows `top` to `bottom`, which lie in the strip."""
        before = top - self.top if self.step > 0 else self.bottom - bottom
        return self.offset + before * self.stride, (bottom - top - 1) * self.stride + self.row_bytes

    def pixels(self, file: RandomFile, mode: str, top: int, bottom: int) -> Image.Image:
        """The image's rows `top` to `bottom` in Pillow's `mode`, as its own decoder unpacks them."""
        size = self.right - self.left, bottom - top
        content = file.read(*self.byte_range(top, bottom))
        return Image.frombytes(mode, size, content, "raw", self.raw, self.stride, self.step)


def strips_of(image: Any) -> list[Strip] | None:
    """The strips of an image that is not loaded; None if its pixels are compressed or converted by Pillow.

    A ValueError for a file shorter than its header declares.
    """
    if image.format not in FORMATS:
        return None
    strips: list[Strip] = []
    for codec, (left, top, right, bottom), offset, arguments in image.tile:
        given: tuple[Any, ...] = (arguments,) if isinstance(arguments, str) else tuple(arguments)
        if codec != "raw" or given[0] not in BITS:
            return None
        raw, stride, step = given + DEFAULTS[len(given) :]
        strip = Strip(left, top, right, bottom, offset, stride, raw, step)
        strip = dataclasses.replace(strip, stride=stride or strip.row_bytes)
        if strip.stride < strip.row_bytes or step not in (1, -1):
            return None
        strips.append(strip)
    if not _cover(strips, *image.size):
        return None
    end = max(sum(strip.byte_range(strip.top, strip.bottom)) for strip in strips)
    missing = end - Path(image.filename).stat().st_size
    if missing > 0:
        raise ValueError(f"truncated, {missing} bytes are missing")
    return _joined(strips)


def _cover(strips: list[Strip], width: int, height: int) -> bool:
    """Whether the strips, which lie in a grid, cover the image exactly once: files may repeat or omit a part."""
    inside = all(0 <= s.left < s.right <= width and 0 <= s.top < s.bottom <= height for s in strips)
    corners = {(strip.left, strip.top) for strip in strips}
    area = sum((strip.right - strip.left) * (strip.bottom - strip.top) for strip in strips)
    return inside and len(corners) == len(strips) and area == width * height


def _joined(strips: list[Strip]) -> list[Strip]:
    """Merges strips that are adjacent in both image and file: many files have one for every few rows."""
    joined = strips[:1]
    for strip in strips[1:]:
        last = joined[-1]
        after = dataclasses.replace(
            last, top=last.bottom, bottom=strip.bottom, offset=last.offset + (last.bottom - last.top) * last.stride
        )
        if strip == after and strip.step > 0:
            joined[-1] = dataclasses.replace(last, bottom=strip.bottom)
        else:
            joined.append(strip)
    return joined
