"""Broken or huge notes beside whole pixels; transparency is a part of the pixels."""

from __future__ import annotations

import itertools
import zlib

import numpy as np
import pytest

from cnntool.errors import BadInput
from cnntool.images.read import read_image

pytest.importorskip("imagecodecs")

from tests.images.png_combinations import chunk, png_of
from tests.images.tiff_combinations import numbers_of

GRAY = numbers_of("u1", 1)
NOTES = {
    "bad checksum": chunk(b"tEXt", b"Title\0x")[:-1] + b"\0",
    "large profile": chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(2**21))),
    "large packed text": chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**21))),
    "large text": chunk(b"tEXt", b"a\0" + b"x" * 2**21),
    "short gamma": chunk(b"gAMA", b"\0"),
    "short animation": chunk(b"acTL", b"\0"),
    "frame without an animation": chunk(b"fcTL", bytes(26)),
}


@pytest.mark.parametrize("note", NOTES.values(), ids=NOTES)
def test_notes_do_not_break_whole_pixels(note):
    assert np.array_equal(read_image(png_of(GRAY, 8, 0, 0, False, note)), GRAY / np.float32(255))


def test_broken_transparency_is_refused():
    broken = chunk(b"tRNS", b"\0\7")[:-1] + b"\0"
    with pytest.raises(BadInput, match="tRNS"):
        read_image(png_of(GRAY, 8, 0, 0, False, broken))


DEPTHS = [
    (numbers_of("u1", 1), 8, 0),
    (numbers_of("u1", 3), 8, 2),
    (numbers_of("u2", 1), 16, 0),
    (numbers_of("u2", 3), 16, 2),
]


@pytest.mark.parametrize(("numbers", "bits", "colour"), DEPTHS)
def test_broken_pixels_are_refused_wherever_they_are(numbers, bits, colour):
    whole = png_of(numbers, bits, colour, 0, False)
    pixels = len(whole) - 24 - 150, len(whole) - 24  # the end of the last chunk, whose rows a decoder has already
    for place, bit in itertools.product(range(*pixels), (0, 2, 7)):
        content = bytearray(whole)
        content[place] ^= 1 << bit
        with pytest.raises(BadInput):
            read_image(bytes(content))


@pytest.mark.parametrize(("numbers", "bits", "colour"), DEPTHS)
def test_whole_pixels_beside_a_wrong_checksum_are_read(numbers, bits, colour):
    content = bytearray(png_of(numbers, bits, colour, 0, False))
    for place in range(len(content)):
        if content[place : place + 4] == b"IDAT":
            content[place + 4 + int.from_bytes(content[place - 4 : place], "big")] ^= 1
    read = read_image(bytes(content))
    assert np.array_equal(read, numbers / np.float32(2**bits - 1))
