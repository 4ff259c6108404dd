"""JPEG 2000 files that Pillow does not read right: of other than 8 bits a sample it gives other numbers.

It opens them as 8 bits in most cases, and then takes bytes for samples. https://www.itu.int/rec/T-REC-T.800
"""

from __future__ import annotations

import importlib
import importlib.util
import struct
from typing import IO, Any, NamedTuple

import numpy as np

from cnntool.declare import listed
from cnntool.images.samples import over_white, scaled
from cnntool.images.tiff import Unsupported

SIGNATURE, CODESTREAM = b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"
MAX_BOXES = 1000
MAX_BITS = 16
SRGB, GRAY = 16, 17  # enumerated colour spaces
INSTALL = 'pip install "cnntool[tiff]"'


class Deep(NamedTuple):
    """A file that imagecodecs reads: `samples` numbers of `bits` bits a pixel, the last of 2 or 4 its transparency."""

    source: Any
    samples: int
    bits: int

    @property
    def channels(self) -> int:
        return 1 if self.samples < 3 else 3

    def volume(self) -> np.ndarray:
        """float32 H x W x 1 or 3 in [0, 1], over white."""
        content = self.source
        if not isinstance(content, bytes):
            with open(content, "rb") as file:
                content = file.read()
        numbers = np.asarray(importlib.import_module("imagecodecs").jpeg2k_decode(content))
        if numbers.dtype.kind != "u" or numbers.size != np.prod(numbers.shape[:2]) * self.samples:
            raise ValueError(f"{numbers.dtype} numbers of {numbers.shape} where {self.samples} samples were told")
        volume = scaled(numbers.reshape(*numbers.shape[:2], self.samples), "u", self.bits)
        return over_white(volume[:, :, :-1], volume[:, :, -1:]) if self.samples in (2, 4) else volume


def deep(file: IO[bytes], source: Any) -> Deep | None:
    """What reads a file; None where Pillow does. Unsupported for what nothing here reads."""
    place, space = _codestream(file)
    file.seek(place)
    head = file.read(42)
    if len(head) < 42 or not head.startswith(CODESTREAM):
        return None  # Pillow tells what is wrong
    (samples,) = struct.unpack(">H", head[40:42])
    parts = file.read(3 * samples)
    depths, subsampled = set(parts[0::3]), {*parts[1::3], *parts[2::3]} != {1}
    if depths == {7} or (depths == {15} and samples == 1):
        return None
    if len(depths) != 1 or subsampled or samples > 4 or max(depths) >= MAX_BITS:
        kinds = listed([f"{(depth & 127) + 1} {'signed ' * (depth > 127)}bits" for depth in sorted(depths)], most=4)
        expected = f"expected 1 to 4 of 8 bits, or alike of 1 to {MAX_BITS}, without a sign"
        raise Unsupported(f"a JPEG 2000 file of {samples} samples of {kinds}: {expected}")
    if space not in (None, SRGB, GRAY):
        raise Unsupported(f"a JPEG 2000 file in colour space {space}, of other than 8 bits: expected gray or sRGB")
    (depth,) = depths
    if importlib.util.find_spec("imagecodecs") is None:
        raise Unsupported(f"a JPEG 2000 file of {samples} samples of {depth + 1} bits needs imagecodecs: {INSTALL}")
    return Deep(source, samples, depth + 1)


def is_one(head: bytes) -> bool:
    """Whether a file begins as a JPEG 2000 file or its bare codestream does."""
    return head.startswith((SIGNATURE, CODESTREAM))


def _codestream(file: IO[bytes]) -> tuple[int, int | None]:
    """Where the codestream begins, and the colour space that the boxes before it enumerate."""
    file.seek(0)
    if file.read(4) == CODESTREAM:
        return 0, None
    place, space = 0, None
    for _ in range(MAX_BOXES):
        file.seek(place)
        length, kind, start = _box(file)
        if kind == b"jp2c":
            return place + start, space
        if kind == b"jp2h":
            content = file.read(min(length - start, 4096))
            found = content.find(b"colr\1")
            if found >= 0 and len(content) >= found + 11:
                (space,) = struct.unpack(">I", content[found + 7 : found + 11])
        if length < start:
            break
        place += length
    return 0, space


def _box(file: IO[bytes]) -> tuple[int, bytes, int]:
    """Length and kind of the box that begins here, and where in it its content does."""
    head = file.read(16).ljust(16, b"\0")
    length, kind, long = struct.unpack(">I4sQ", head)
    file.seek(-8 if length != 1 else 0, 1)
    return (long, kind, 16) if length == 1 else (length, kind, 8)
