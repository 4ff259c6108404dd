"""What a TIFF file tells about its pages: a small parser of its tags, bounded by the file's length.

Which decoder is right for a page depends on a dozen tags together, so they are read before anything is decoded.
https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf; BigTIFF: http://bigtiff.org
"""

from __future__ import annotations

import dataclasses
import math
import struct
from typing import Any, Protocol

import numpy as np

from cnntool.limits import MAX_PIXELS

MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MAX_PAGES = 2**16
MAX_TAGS = 2**12
MAX_SAMPLES = 4 * MAX_PIXELS  # numbers of one page
# Type of a tag -> its numpy type without byte order; rationals and text are not needed.
TYPES = {1: "u1", 3: "u2", 4: "u4", 6: "i1", 8: "i2", 9: "i4", 13: "u4", 16: "u8", 17: "i8", 18: "u8"}

SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
FILL_ORDER, STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS = 266, 273, 274, 277, 278, 279
PLANAR, PREDICTOR, COLOUR_MAP, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS = 284, 317, 320, 322, 323, 324
TILE_COUNTS, SUB_PAGES, INK_SET, EXTRA, FORMAT, SUBSAMPLING = 325, 330, 332, 338, 339, 530
WANTED = {
    SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, STRIP_OFFSETS, ORIENTATION, SAMPLES,
    ROWS_PER_STRIP, STRIP_COUNTS, PLANAR, PREDICTOR, COLOUR_MAP, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS,
    SUB_PAGES, INK_SET, EXTRA, FORMAT, SUBSAMPLING,
}  # fmt: skip
REDUCED, MASK = 1, 4  # bits of SUBFILE: a smaller copy of another page, a mask of transparency
FORMATS = {1: "u", 2: "i", 3: "f"}

Tags = dict[int, np.ndarray]


class RandomAccess(Protocol):
    """Bytes that can be read from any offset."""

    size: int

    def read(self, offset: int, length: int) -> np.ndarray:
        """uint8, `length` bytes from `offset`."""


class Unsupported(ValueError):
    """A file that may be whole, of a kind that is not read."""


@dataclasses.dataclass(frozen=True, eq=False)
class Page:
    """One image of a file.

    `index` is its number among all of the file, `order` "<" or ">", `kind` "u", "i" or "f" for unsigned, signed and
    floating numbers, `extra` the meaning of samples beyond the colours. A segment is a strip or a tile: `segment` is
    its (height, width). With `planar` each sample has segments of its own.
    """

    index: int
    order: str
    width: int
    height: int
    bits: int
    kind: str
    samples: int
    planar: bool
    photometric: int
    compression: int
    predictor: int
    fill_order: int
    orientation: int
    extra: tuple[int, ...]
    segment: tuple[int, int]
    tiled: bool
    offsets: np.ndarray
    counts: np.ndarray
    colour_map: np.ndarray | None
    subsampling: tuple[int, ...]
    ink_set: int
    has_larger: bool

    @property
    def grid(self) -> tuple[int, int]:
        """Segments down and across."""
        return math.ceil(self.height / self.segment[0]), math.ceil(self.width / self.segment[1])

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) as the page was seen."""
        return (self.width, self.height) if self.orientation >= 5 else (self.height, self.width)


def pages_of(file: RandomAccess) -> list[Tags]:
    """The tags of all pages but reduced copies and masks, each with its number in the file as `INDEX`."""
    order, big, offset = _header(file)
    pages: list[tuple[int, Tags]] = []
    seen: set[int] = set()
    while offset and offset not in seen and len(seen) < MAX_PAGES:
        seen.add(offset)
        try:
            tags, offset = _directory(file, offset, order, big)
        except ValueError:
            if not pages:
                raise
            break  # the first pages of a file that is cut are whole
        pages.append((len(seen) - 1, tags))
    if not pages:
        raise ValueError("no page in it")
    full = [page for page in pages if not _one(page[1], SUBFILE, 0) & (REDUCED | MASK)] or pages
    return [tags | {INDEX: np.array([index]), ORDER: np.array([order == ">"])} for index, tags in full]


INDEX, ORDER = -1, -2  # no tags of a file


def page_of(tags: Tags) -> Page:
    """What the tags tell, checked; a ValueError for what contradicts itself, Unsupported for mixed types."""
    width, height = _one(tags, WIDTH), _one(tags, HEIGHT)
    samples = _one(tags, SAMPLES, 1)
    if min(width, height, samples) < 1:
        raise ValueError(f"{height} x {width} pixels of {samples} samples")
    if width * height > MAX_PIXELS or width * height * samples > MAX_SAMPLES:
        raise Unsupported(f"{height} x {width} pixels of {samples} samples are too many: at most {MAX_PIXELS} are read")
    tiled = TILE_OFFSETS in tags or TILE_WIDTH in tags
    if tiled:
        segment = _one(tags, TILE_HEIGHT), _one(tags, TILE_WIDTH)
    else:
        segment = min(_one(tags, ROWS_PER_STRIP, height), height), width
    if min(segment) < 1 or max(segment) > 2**24:
        raise ValueError(f"strips or tiles of {segment[0]} x {segment[1]} pixels")
    none = np.zeros(0, np.uint64)
    orientation = _one(tags, ORIENTATION, 1)
    return Page(
        index=_one(tags, INDEX),
        order=">" if _one(tags, ORDER) else "<",
        width=width,
        height=height,
        bits=_same(tags, BITS, 1, "bits a sample"),
        kind=FORMATS.get(_same(tags, FORMAT, 1, "types of sample"), "?"),
        samples=samples,
        planar=_one(tags, PLANAR, 1) == 2 and samples > 1,
        photometric=_one(tags, PHOTOMETRIC, 1),
        compression=_one(tags, COMPRESSION, 1),
        predictor=_one(tags, PREDICTOR, 1),
        fill_order=_one(tags, FILL_ORDER, 1),
        orientation=orientation if 1 <= orientation <= 8 else 1,
        extra=tuple(int(value) for value in tags.get(EXTRA, none)[:samples]),
        segment=segment,
        tiled=tiled,
        offsets=tags.get(TILE_OFFSETS if tiled else STRIP_OFFSETS, none),
        counts=tags.get(TILE_COUNTS if tiled else STRIP_COUNTS, none),
        colour_map=tags.get(COLOUR_MAP),
        subsampling=tuple(int(value) for value in tags.get(SUBSAMPLING, np.array([2, 2]))),
        ink_set=_one(tags, INK_SET, 1),
        has_larger=SUB_PAGES in tags and bool(_one(tags, SUBFILE, 0) & REDUCED),
    )


def _header(file: RandomAccess) -> tuple[str, bool, int]:
    """Byte order, whether it is a BigTIFF, and the offset of the first directory."""
    head = file.read(0, 8).tobytes()
    order = "<" if head[:2] == b"II" else ">"
    big = head[:4] in MAGICS[2:]
    if not big:
        return order, False, struct.unpack(f"{order}I", head[4:])[0]
    if struct.unpack(f"{order}HH", head[4:]) != (8, 0):
        raise ValueError("a BigTIFF with offsets that are not of 8 bytes")
    return order, True, struct.unpack(f"{order}Q", file.read(8, 8).tobytes())[0]


def _directory(file: RandomAccess, offset: int, order: str, big: bool) -> tuple[Tags, int]:
    """The tags of one page that are wanted, and the offset of the next."""
    head, entry, link = (8, "HHQ8s", "Q") if big else (2, "HHI4s", "I")
    count = int.from_bytes(_read(file, offset, head), "little" if order == "<" else "big")
    if not 0 < count <= MAX_TAGS:
        raise ValueError(f"a directory of {count} tags")
    size = struct.calcsize(f"{order}{entry}")
    content = _read(file, offset + head, count * size + struct.calcsize(f"{order}{link}"))
    tags: Tags = {}
    for at in range(0, count * size, size):
        tag, kind, number, value = struct.unpack_from(f"{order}{entry}", content, at)
        if tag in WANTED and tag not in tags and kind in TYPES and number:
            dtype = np.dtype(order + TYPES[kind])
            length = number * dtype.itemsize
            if length > len(value):
                value = _read(file, struct.unpack(f"{order}{link}", value)[0], length)
            tags[tag] = np.frombuffer(value[:length], dtype)
    return tags, struct.unpack_from(f"{order}{link}", content, count * size)[0]


def _read(file: RandomAccess, offset: int, length: int) -> bytes:
    if offset + length > file.size:
        raise ValueError("truncated: a tag lies beyond the end of the file")
    return file.read(offset, length).tobytes()


def _one(tags: Tags, tag: int, default: int | None = None) -> int:
    if tag in tags:
        return int(tags[tag][0])
    if default is None:
        raise ValueError(f"tag {tag} is missing")
    return default


def _same(tags: Tags, tag: int, default: int, what: str) -> int:
    """The value that all samples share."""
    values: Any = tags.get(tag, (default,))
    if any(value != values[0] for value in values[1:]):
        raise Unsupported(f"samples with different {what} are not read: expected the same for all")
    return int(values[0])
