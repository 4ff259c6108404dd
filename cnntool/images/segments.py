"""Decodes uncompressed and losslessly compressed strips and tiles of a TIFF page to height x width x samples."""

from __future__ import annotations

import io
import math
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

from cnntool.images.tiff import Page, RandomAccess

PLAIN = 1
# Compressions of bytes, whatever the pixels -> how many bytes a compressed byte may become at most.
PACKED = {5: 4000, 8: 1100, 32946: 1100, 32773: 64, 34925: 2**15, 50000: 2**15}
DEFLATE = (8, 32946)
PREDICTED = (5, *DEFLATE, 34925, 50000)  # a predictor beside another compression has no agreed meaning
WHOLE_BYTES = (8, 16, 32, 64)
BIT_SIZES = (*range(1, 17), 32, 64)
REVERSED = np.array([int(f"{value:08b}"[::-1], 2) for value in range(256)], np.uint8)


def can_read(page: Page) -> bool:
    """Whether `Segments` is known to read such a page."""
    if page.compression != PLAIN and page.compression not in PACKED:
        return False
    if page.kind == "f" or page.kind == "i":
        if page.bits not in ((16, 32, 64) if page.kind == "f" else WHOLE_BYTES):
            return False
    elif page.kind != "u" or page.bits not in BIT_SIZES:
        return False
    if page.fill_order != 1 and (page.fill_order != 2 or page.compression != PLAIN or page.bits in WHOLE_BYTES[1:]):
        return False
    if page.predictor == 1:
        return True
    if page.compression not in PREDICTED or page.bits not in WHOLE_BYTES:
        return False
    return page.predictor == 2 or (page.predictor == 3 and page.kind == "f")


class Segments:
    """Reads rows of a page; thread-safe.

    The decompressed segments of the last row are kept, since the next read begins there.
    """

    def __init__(self, page: Page, file: RandomAccess) -> None:
        """A ValueError when strips or tiles are missing, or lie beyond the end of the file."""
        self.page, self._file = page, file
        self._samples = 1 if page.planar else page.samples
        self._row_bytes = math.ceil(page.segment[1] * self._samples * page.bits / 8)
        self.dtype = np.dtype(f"{page.kind}{_bytes_of(page.bits)}")
        self._kept: dict[int, np.ndarray] = {}
        needed = check_segments(page)
        self._offsets = [int(offset) for offset in page.offsets[:needed]]
        plain = page.compression == PLAIN
        lengths = [self._length(number) if plain else int(page.counts[number]) for number in range(needed)]
        self._counts = lengths
        if max(offset + length for offset, length in zip(self._offsets, lengths, strict=True)) > file.size:
            raise ValueError("truncated: its strips or tiles lie beyond the end of the file")
        if not plain:
            there, wanted = sum(lengths), sum(map(self._length, range(needed)))
            if there * PACKED[page.compression] < wanted:
                raise ValueError(f"truncated: {there} packed bytes do not become {wanted}")

    def rows(self, first: int, last: int) -> np.ndarray:
        """The samples of the rows `first` to `last`, (last - first) x width x samples, in native byte order."""
        page = self.page
        height, width = page.segment
        down, across = page.grid
        numbers = np.empty((last - first, page.width, page.samples), self.dtype)
        before, kept = self._kept, {}
        for plane in range(page.samples if page.planar else 1):
            part = slice(plane, plane + 1) if page.planar else slice(None)
            for row in range(first // height, math.ceil(last / height)):
                top = row * height
                begin, end = max(first - top, 0), min(last - top, height)
                for column in range(across):
                    left = column * width
                    right = min(left + width, page.width)
                    number = (plane * down + row) * across + column
                    if page.compression == PLAIN:
                        values = self._unpacked(self._plain(number, begin, end), end - begin)
                    else:
                        segment = before.get(number)
                        if segment is None:
                            segment = self._packed(number)
                        if top + height >= last:
                            kept[number] = segment
                        values = segment[begin:end]
                    numbers[top + begin - first : top + end - first, left:right, part] = values[:, : right - left]
        self._kept = kept
        return numbers

    def _rows_in(self, number: int) -> int:
        """How many rows a segment holds: the last strip is shorter, a tile never."""
        height = self.page.segment[0]
        down, across = self.page.grid
        top = number // across % down * height
        return height if self.page.tiled else min(height, self.page.height - top)

    def _length(self, number: int) -> int:
        return self._rows_in(number) * self._row_bytes

    def _plain(self, number: int, begin: int, end: int) -> np.ndarray:
        at = self._offsets[number] + begin * self._row_bytes
        content = self._file.read(at, (end - begin) * self._row_bytes)
        return REVERSED[content] if self.page.fill_order == 2 else content

    def _packed(self, number: int) -> np.ndarray:
        """A whole segment, rows x columns x samples."""
        content = self._file.read(self._offsets[number], self._counts[number]).tobytes()
        rows = self._rows_in(number)
        unpacked = _decompressed(content, self.page.compression, self._row_bytes, rows)
        return self._unpacked(np.frombuffer(unpacked, np.uint8), rows)

    def _unpacked(self, content: np.ndarray, rows: int) -> np.ndarray:
        page = self.page
        shape = rows, page.segment[1], self._samples
        if page.predictor == 3:
            content = _integrated_bytes(content.reshape(rows, -1), page.bits // 8, self._samples)
            return content.view(f">f{page.bits // 8}").reshape(shape)
        if page.bits not in WHOLE_BYTES:
            return _from_bits(content.reshape(rows, -1), page.bits, shape).astype(self.dtype)
        if page.predictor == 2:
            steps = content.view(f"{page.order}u{page.bits // 8}").reshape(shape)
            sums = np.cumsum(steps, axis=1, dtype=f"u{page.bits // 8}")
            return sums.view(self.dtype)
        return content.view(np.dtype(f"{page.order}{self.dtype.str[1:]}")).reshape(shape)


def check_segments(page: Page) -> int:
    """The number of strips or tiles of a page; a ValueError if the offset of any is missing."""
    needed = math.prod(page.grid) * (page.samples if page.planar else 1)
    there = len(page.offsets) if page.compression == PLAIN else min(len(page.offsets), len(page.counts))
    if there < needed:
        raise ValueError(f"{there} of its {needed} strips or tiles are there")
    return needed


def _bytes_of(bits: int) -> int:
    return next(size for size in (1, 2, 4, 8) if 8 * size >= bits)


def _from_bits(content: np.ndarray, bits: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Bit-packed samples, most significant bit first in either byte order; each row begins at a byte."""
    rows, columns, samples = shape
    numbers = np.zeros((rows, columns * samples), np.uint16)
    for row in range(rows):  # row by row, since each bit is expanded to a byte
        row_bits = np.unpackbits(content[row])[: columns * samples * bits].reshape(-1, bits)
        for bit in range(bits):
            numbers[row] = numbers[row] << 1 | row_bits[:, bit]
    return numbers.reshape(shape)


def _integrated_bytes(content: np.ndarray, size: int, samples: int) -> np.ndarray:
    """Undoes the floating-point predictor: bytes are differenced, and a row stores all most significant bytes first."""
    rows = len(content)
    summed = np.cumsum(content.reshape(rows, -1, samples), axis=1, dtype=np.uint8)
    return np.ascontiguousarray(summed.reshape(rows, size, -1).transpose(0, 2, 1)).reshape(rows, -1)


def _decompressed(content: bytes, compression: int, row_bytes: int, rows: int) -> bytes:
    """Exactly `rows` x `row_bytes` bytes; a ValueError when there are fewer."""
    length = row_bytes * rows
    if compression in DEFLATE:
        unpacked = zlib.decompressobj().decompress(content, length)
    else:
        with Image.open(io.BytesIO(_as_gray(content, compression, row_bytes, rows)), formats=("TIFF",)) as image:
            unpacked = image.tobytes()
    if len(unpacked) < length:
        raise ValueError(f"truncated: {len(unpacked)} of {length} bytes of a strip or tile are there")
    return unpacked


def _as_gray(content: bytes, compression: int, width: int, height: int) -> bytes:
    """Compressed bytes wrapped in an 8-bit gray TIFF, so that Pillow serves as a plain decompressor."""
    tags: list[Any] = [
        (256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, compression), (262, 3, 1), (273, 4, 122),
        (277, 3, 1), (278, 4, height), (279, 4, len(content)),
    ]  # fmt: skip
    # In little-endian order a 2-byte value in a 4-byte field reads the same as a 4-byte value.
    fields = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + fields + bytes(4) + content
