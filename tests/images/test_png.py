"""Broken or huge notes beside whole pixels; transparency is a part of the pixels."""

from __future__ import annotations

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
}


@pytest.mark.parametrize("note", NOTES.values(), ids=NOTES)
def test_notes_do_not_break_whole_pixels(note):
    assert np.array_equal(read_image(png_of(GRAY, 8, 0, 0, False, note)), GRAY / np.float32(255))


def test_broken_transparency_is_refused():
    broken = chunk(b"tRNS", b"\0\7")[:-1] + b"\0"
    with pytest.raises(BadInput, match="tRNS"):
        read_image(png_of(GRAY, 8, 0, 0, False, broken))


def test_deep_pixels_with_a_wrong_checksum_are_refused():
    content = bytearray(png_of(numbers_of("u2", 3), 16, 2, 0, False))
    content[60] ^= 1
    with pytest.raises(BadInput, match="checksum"):
        read_image(bytes(content))
