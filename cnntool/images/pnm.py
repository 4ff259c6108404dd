"""Netpbm files whose maximum value is not 255; Pillow would round their values to 256 (gray: 65536) levels.

https://netpbm.sourceforge.net/doc/ppm.html
"""

from __future__ import annotations

import re
from typing import IO, NamedTuple

import numpy as np

from cnntool.limits import MAX_PIXELS

LONGEST = 9  # digits of a number in a plain (ASCII) file
WORD = 64  # bytes at most for a number in a plain file, with its share of blanks and comments
HEADER = re.compile(rb"P([2356])(?:\s+|#[^\n]*\n)+(\d{1,9})(?:\s+|#[^\n]*\n)+(\d{1,9})(?:\s+|#[^\n]*\n)+(\d{1,5})\s")


class Numbers(NamedTuple):
    """The offset of a PGM's or PPM's values, and their maximum."""

    content: bytes
    size: tuple[int, int]
    channels: int
    largest: int
    in_words: bool  # plain format: decimal numbers, possibly with comments between them

    def volume(self) -> np.ndarray:
        """float32 H x W x channels in [0, 1]; a ValueError for numbers that are missing or too large."""
        width, height = self.size
        count = width * height * self.channels
        numbers = (self._words(count) if self.in_words else self._bytes(count)).reshape(height, width, self.channels)
        if numbers.max() > self.largest:
            raise ValueError(f"a number above {self.largest}, which the header calls the largest")
        return np.divide(numbers, np.float32(self.largest), dtype=np.float32)

    def _bytes(self, count: int) -> np.ndarray:
        dtype = np.dtype(">u2" if self.largest > 255 else "u1")
        if len(self.content) < count * dtype.itemsize:
            raise ValueError(f"truncated, {count * dtype.itemsize - len(self.content)} bytes are missing")
        return np.frombuffer(self.content, dtype, count)

    def _words(self, count: int) -> np.ndarray:
        words = re.sub(rb"#[^\n]*", b"", self.content).split()[:count]
        if len(words) < count:
            raise ValueError(f"truncated, {count - len(words)} numbers are missing")
        if not all(word.isdigit() and len(word) <= LONGEST for word in words):
            raise ValueError("something that is no number among its numbers")
        return np.array([int(word) for word in words], np.int64)


def deep(file: IO[bytes], head: bytes) -> Numbers | None:
    """The decoder of a file that begins with `head`; None if Pillow decodes it."""
    found = HEADER.match(head)
    if found is None:
        return None
    kind, width, height, largest = map(int, found.groups())
    if width * height > MAX_PIXELS or not width * height or not 0 < largest < 65536:
        return None
    if largest == 255 or (kind in (2, 5) and largest == 65535):
        return None
    file.seek(found.end())
    samples, in_words = 1 if kind in (2, 5) else 3, kind in (2, 3)
    size = width * height * samples * (WORD if in_words else 2)
    return Numbers(file.read(size), (width, height), samples, largest, in_words)
