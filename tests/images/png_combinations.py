"""PNG files of every kind, with the pixels that must come out."""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Iterator

import numpy as np

from tests.images.tiff_combinations import HEIGHT, WIDTH, Case, packed_bits, seen


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def filtered(rows: list[bytes], step: int, kind: int) -> bytes:
    """Rows of a PNG with one of its five filters; https://www.w3.org/TR/png-3/#9Filters"""
    packed, before = b"", bytes(len(rows[0]))
    for row in rows:
        line = bytearray([kind])
        for at, value in enumerate(row):
            left, up = (row[at - step] if at >= step else 0), before[at]
            corner = before[at - step] if at >= step else 0
            p = left + up - corner
            nearest = min((abs(p - left), 0, left), (abs(p - up), 1, up), (abs(p - corner), 2, corner))[2]
            line.append((value - (0, left, up, (left + up) // 2, nearest)[kind]) % 256)
        packed, before = packed + line, row
    return packed


def png_of(numbers: np.ndarray, bits: int, colour: int, filter: int, interlaced: bool, *notes: bytes) -> bytes:
    """A PNG file; `notes` are chunks before the pixels."""
    step = max(1, numbers.shape[2] * bits // 8)
    content = b""
    for top, left, down, across in PASSES if interlaced else ((0, 0, 1, 1),):
        part = numbers[top::down, left::across]
        if part.size:
            content += filtered([packed_bits(row[np.newaxis], bits) for row in part], step, filter)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, colour, 0, 0, interlaced)
    middle = zlib.compress(content)
    chunks = [chunk(b"IHDR", header), *notes, chunk(b"IDAT", middle[:99]), chunk(b"IDAT", middle[99:])]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + chunk(b"IEND", b"")


def pngs() -> Iterator[Case]:
    """Colour types x depths x filters x interlacing x a transparent colour."""
    kinds = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
    for colour, filter, interlaced, clear in itertools.product(kinds, range(5), (False, True), (False, True)):
        for bits in kinds[colour]:
            if clear and colour in (4, 6):
                continue
            random = np.random.default_rng(bits)
            numbers = random.integers(0, 2**bits, (HEIGHT, WIDTH, samples[colour]), np.uint16)
            numbers[3:9] = numbers[3, 0]
            values, notes, tolerance = numbers / (2**bits - 1), [], 0.0
            if colour == 3:
                table = random.integers(0, 256, (2**bits, 3), np.uint8)
                notes.append(chunk(b"PLTE", table.tobytes()))
                values = table[numbers[:, :, 0]] / 255
            if colour in (4, 6):
                values, tolerance = seen("alpha", numbers, np.zeros(0), bits), 0.003 if bits == 8 else 0.0
            if clear and colour == 3:
                opacity = random.integers(0, 256, 2**bits, np.uint8)
                notes.append(chunk(b"tRNS", opacity.tobytes()))
                share = opacity[numbers] / 255
                values, tolerance = values * share + 1 - share, 0.003
            elif clear:
                notes.append(chunk(b"tRNS", numbers[4, 4].astype(">u2").tobytes()))
                values = np.where((numbers == numbers[4, 4]).all(axis=2)[:, :, np.newaxis], 1, values)
            name = f"png {bits} bits of type {colour}, filter {filter}{', interlaced' * interlaced}{', tRNS' * clear}"
            yield Case(name, png_of(numbers, bits, colour, filter, interlaced, *notes), values, tolerance)
