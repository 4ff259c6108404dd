"""TIFF pages: which decoder reads each correctly, and the pixels of those that Pillow does not.

Pillow decodes only what it is known to decode correctly; with other depths, byte orders and planar layouts it has given
wrong numbers. Losslessly compressed pages are decoded here, others by tifffile where it is installed; the rest is
refused.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import io
from typing import Any

import numpy as np

from cnntool.images.orientation import turned_array
from cnntool.images.samples import Meaning, meaning_of, to_volume
from cnntool.images.segments import PLAIN, Segments, can_read, check_segments
from cnntool.images.tiff import Page, RandomAccess, Tags, Unsupported, page_of

CCITT, JPEG, LERC = (2, 3, 4), 7, 34887
YCBCR, LAB = 6, 8
BIG_BIG_ENDIAN = b"MM\0+"  # the start of a big-endian BigTIFF, which Pillow does not open
INSTALL = 'pip install "cnntool[tiff]"'
# Compressions that tifffile (with imagecodecs) reads.
BY_TIFFFILE = {
    6: "old JPEG", JPEG: "JPEG", 33003: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000", LERC: "LERC",
    50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip
EXPECTED = (
    "expected integers of 1 to 16, 32 or 64 bits or floats of 16, 32 or 64, plain or packed by LZW, Deflate, PackBits, "
    "LZMA or Zstandard"
)
# (photometric, samples, extra samples) of 8 bit pages that Pillow reads right.
PILLOW_8 = {
    (0, 1, ()), (1, 1, ()), (2, 3, ()), (2, 4, (2,)), (1, 2, (2,)), (5, 4, ()), (YCBCR, 3, ()), (LAB, 3, ()),
}  # fmt: skip
PILLOW_JPEG = {(1, 1, ()), (2, 3, ()), (YCBCR, 3, ())}


def pillow_is_right(page: Page) -> bool:
    """Whether Pillow is known to decode such a page exactly."""
    if page.planar or page.kind != "u" or check_segments(page) != len(page.offsets):
        return False
    kind = page.photometric, page.samples, page.extra
    if page.bits == 1 and page.photometric in (0, 1) and page.samples == 1:
        return page.predictor == 1 and not page.tiled and (page.compression in CCITT or _known(page, PLAIN))
    if page.bits != 8 or page.fill_order != 1:
        return False
    if page.compression == JPEG:
        return page.predictor == 1 and kind in PILLOW_JPEG
    if page.photometric == YCBCR:
        return _known(page, PLAIN) and kind in PILLOW_8 and page.subsampling == (1, 1)
    return kind in PILLOW_8 and page.ink_set == 1 and _known(page, PLAIN, 5, 8, 32946, 32773) and can_read(page)


def _known(page: Page, *compressions: int) -> bool:
    return page.compression in compressions and page.fill_order == 1


class Pixels:
    """A page that is not decoded by Pillow; `shape` is (height, width, channels) after rotation."""

    def __init__(self, page: Page, meaning: Meaning, samples: Segments | Decoded) -> None:
        self.page, self._meaning, self._samples = page, meaning, samples
        self.shape = (*page.size, meaning.channels)
        self.note = meaning.note

    def rows(self, first: int, last: int) -> np.ndarray:
        """float32 (last - first) x width x channels of the rows in the file's order, not rotated."""
        return to_volume(self._samples.rows(first, last), self.page, self._meaning)

    def volume(self) -> np.ndarray:
        """float32 height x width x channels, rotated."""
        return turned_array(self.rows(0, self.page.height), self.page.orientation)


class Decoded:
    """The samples of a page that tifffile decodes, all at once when the first rows are read."""

    def __init__(self, page: Page, source: str | bytes) -> None:
        self._page, self._source = page, source
        self._numbers: np.ndarray | None = None

    def rows(self, first: int, last: int) -> np.ndarray:
        """As `Segments.rows`."""
        if self._numbers is None:
            self._numbers = self._decode()
        return self._numbers[first:last]

    def _decode(self) -> np.ndarray:
        page, tifffile = self._page, importlib.import_module("tifffile")
        file: Any = io.BytesIO(self._source) if isinstance(self._source, bytes) else self._source
        with tifffile.TiffFile(file) as tiff:
            numbers = np.asarray(tiff.pages[page.index].asarray(maxworkers=1))
        shape = (page.height, page.width, page.samples)
        if page.planar:
            numbers = np.moveaxis(numbers.reshape(page.samples, page.height, page.width), 0, -1)
        numbers = numbers.reshape(shape)
        if numbers.dtype.kind != page.kind or numbers.dtype.itemsize * 8 < page.bits:
            raise ValueError(f"numbers of type {numbers.dtype} where {page.bits} bits were told")
        return numbers


def open_page(tags: Tags, file: RandomAccess, source: str | bytes) -> tuple[Page, Pixels | None]:
    """A page and its decoder, None for Pillow; raises Unsupported if there is none."""
    page = page_of(tags)
    if page.has_larger:
        raise Unsupported("a TIFF whose first picture is a small copy of one in a sub-directory: expected a plain page")
    if pillow_is_right(page) and file.read(0, 4).tobytes() != BIG_BIG_ENDIAN:
        return page, None
    if can_read(page):
        return page, Pixels(page, meaning_of(page), Segments(page, file))
    if page.compression not in BY_TIFFFILE:
        raise Unsupported(f"a TIFF of {_kind(page)}: {EXPECTED}")
    if page.compression == LERC and page.order == ">" and page.bits > 8:
        # Writers and readers do not agree on whose bytes they are.
        raise Unsupported(f"a TIFF of {_kind(page)} in big-endian byte order: expected little-endian")
    if page.compression in (6, JPEG) and page.photometric == YCBCR:
        # The decoder gives RGB.
        page = dataclasses.replace(page, photometric=2)
    meaning = meaning_of(page)
    check_segments(page)
    for module in ("tifffile", "imagecodecs"):
        if importlib.util.find_spec(module) is None:
            raise Unsupported(f"a TIFF of {_kind(page)} needs tifffile and imagecodecs: {INSTALL}")
    return page, Pixels(page, meaning, Decoded(page, source))


def _kind(page: Page) -> str:
    numbers = {"u": "unsigned integers", "i": "signed integers", "f": "floats"}.get(page.kind, "other numbers")
    packed = "no compression" if page.compression == PLAIN else BY_TIFFFILE.get(page.compression)
    if packed is None:
        packed = f"compression {page.compression}"
    order = ", the lowest bit first" if page.fill_order == 2 else ""
    predictor = f", predictor {page.predictor}" if page.predictor != 1 else ""
    return f"{page.bits} bit {numbers} with {packed}{predictor}{order}"
