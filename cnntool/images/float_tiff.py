"""A volume as a TIFF of float32 samples: what stands before its rows, so that they can be written as they come.

Height x width x channels stay as they are: one sample a channel, pixel by pixel, without compression. Three channels
are called RGB, other numbers gray with extra samples. Readers that know bands (tifffile, GDAL, scikit-image, cnntool)
give the volume back; Pillow reads one channel.
"""

from __future__ import annotations

import math
import struct

from cnntool.errors import CnntoolError

MAX_CHANNELS = 2**16 - 1  # the number is kept in 16 bits
STRIP_BYTES = 2**18
SHORT, LONG, LONG8 = (3, "H"), (4, "I"), (16, "Q")  # types of the specification, and of struct
FLOAT, GRAY, RGB, UNSPECIFIED = 3, 1, 2, 0


def header(shape: tuple[int, int, int]) -> bytes:
    """All bytes before the pixels; BigTIFF where the file becomes larger than 4 GiB.

    CnntoolError for more channels than TIFF can hold.
    """
    if shape[2] > MAX_CHANNELS:
        raise CnntoolError(f"{shape[2]} channels are too many for TIFF: at most {MAX_CHANNELS}; write .npy")
    large = _header(shape, big=True)
    return large if len(large) + 4 * math.prod(shape) > 2**32 else _header(shape, big=False)


def _header(shape: tuple[int, int, int], big: bool) -> bytes:
    """https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf, http://bigtiff.org"""
    height, width, channels = shape
    row = 4 * width * channels
    rows = min(height, max(1, STRIP_BYTES // row))
    counts = [row * min(rows, height - top) for top in range(0, height, rows)]
    photometric = RGB if channels == 3 else GRAY
    extra = channels - (3 if photometric == RGB else 1)
    offset_type = LONG8 if big else LONG
    tags = {
        256: (LONG, [width]),
        257: (LONG, [height]),
        258: (SHORT, [32] * channels),
        259: (SHORT, [1]),  # no compression
        262: (SHORT, [photometric]),
        273: (offset_type, [0] * len(counts)),
        277: (SHORT, [channels]),
        278: (LONG, [rows]),
        279: (offset_type, counts),
        284: (SHORT, [1]),  # samples pixel by pixel
        338: (SHORT, [UNSPECIFIED] * extra),
        339: (SHORT, [FLOAT] * channels),
    }
    if not extra:
        del tags[338]
    start = len(_directory(tags, big))
    start += -start % 16
    tags[273] = (offset_type, [start + rows * row * number for number in range(len(counts))])
    return _directory(tags, big).ljust(start, b"\0")


def _directory(tags: dict[int, tuple[tuple[int, str], list[int]]], big: bool) -> bytes:
    """The head of a little-endian file and its only directory; lists that do not fit into a field stand behind it."""
    number, held = ("Q", 8) if big else ("I", 4)
    head = struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16) if big else struct.pack("<2sHI", b"II", 42, 8)
    head += struct.pack("<Q" if big else "<H", len(tags))
    end = len(head) + len(tags) * (4 + 2 * held) + held
    fields, lists = b"", b""
    for tag, ((kind, letter), values) in tags.items():
        packed = struct.pack(f"<{len(values)}{letter}", *values)
        fields += struct.pack(f"<HH{number}", tag, kind, len(values))
        if len(packed) <= held:
            fields += packed.ljust(held, b"\0")
            continue
        fields += struct.pack(f"<{number}", end + len(lists))
        lists += packed + bytes(len(packed) % 2)
    return head + fields + bytes(held) + lists
