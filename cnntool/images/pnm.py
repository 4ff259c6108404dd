"""Netpbm files whose largest value is not 255, of which Pillow gives the nearest of 256 (gray: 65536) levels.

https://netpbm.sourceforge.net/doc/ppm.html
"""

from __future__ import annotations

import re
from typing import IO, NamedTuple

import numpy as np

from cnntool.limits import MAX_PIXELS

HEADER = re.compile(rb"P([56])(?:\s+|#[^\n]*\n)+(\d{1,9})(?:\s+|#[^\n]*\n)+(\d{1,9})(?:\s+|#[^\n]*\n)+(\d{1,5})\s")


class Numbers(NamedTuple):
    """Where the numbers of a PGM or PPM begin, and the largest that they may be."""

    content: bytes
    size: tuple[int, int]
    channels: int
    largest: int

    def volume(self) -> np.ndarray:
        """float32 H x W x channels in [0, 1]; a ValueError for numbers that are missing or too large."""
        width, height = self.size
        dtype = np.dtype(">u2" if self.largest > 255 else "u1")
        count = width * height * self.channels
        if len(self.content) < count * dtype.itemsize:
            raise ValueError(f"truncated, {count * dtype.itemsize - len(self.content)} bytes are missing")
        numbers = np.frombuffer(self.content, dtype, count).reshape(height, width, self.channels)
        if numbers.max() > self.largest:
            raise ValueError(f"a number above {self.largest}, which the header calls the largest")
        return np.divide(numbers, np.float32(self.largest), dtype=np.float32)


def deep(file: IO[bytes], head: bytes) -> Numbers | None:
    """What reads a file that begins with `head`; None where Pillow does."""
    found = HEADER.match(head)
    if found is None:
        return None
    kind, width, height, largest = map(int, found.groups())
    if width * height > MAX_PIXELS or not width * height or not 0 < largest < 65536:
        return None
    if largest == 255 or (kind == 5 and largest == 65535):
        return None
    file.seek(found.end())
    samples = 1 if kind == 5 else 3
    return Numbers(file.read(width * height * samples * 2), (width, height), samples, largest)
