"""Rows of files that are cut short, hostile, or that the preparation does not fit."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image

from cnntool.errors import BadInput, CnntoolError, Unfit
from cnntool.images.preparation import AS_IT_IS, IMAGENET, MAX_PIXELS, Preparation
from cnntool.images.rows import open_rows

HEIGHT, WIDTH = 37, 29
PIXELS = np.random.default_rng(5).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
COLOUR = Image.fromarray(PIXELS)
GRAY = COLOUR.convert("L")
DEEP = Image.fromarray(PIXELS[:, :, 0] * np.uint16(257))
STRIPS = {"tiffinfo": {278: 4}}  # rows a strip


def saved(path, image: Image.Image, **options):
    image.save(path, **options)
    return path


def refused(path, match: str, preparation: Preparation = AS_IT_IS, error: type[CnntoolError] = BadInput) -> None:
    with pytest.raises(error, match=match) as caught:
        open_rows(path, preparation)
    assert type(caught.value) is error
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore")  # the runner sets those of `read` aside
def test_cut_files_are_refused_when_they_are_opened(tmp_path):
    cases = [
        ("strips.tif", GRAY, STRIPS),
        ("deep.tif", DEEP, {}),
        ("bits.tif", COLOUR.convert("1"), {}),
        ("packed.tif", COLOUR, {"compression": "tiff_deflate"}),
        ("colour.ppm", COLOUR, {}),
        ("colour.bmp", COLOUR, {}),
        ("deep.png", DEEP, {}),
        ("four.jpg", COLOUR.convert("CMYK"), {}),
    ]
    for name, image, options in cases:
        content = saved(tmp_path / name, image, **options).read_bytes()
        for length in (len(content) - 40, len(content) // 2):
            (tmp_path / name).write_bytes(content[:length])
            refused(tmp_path / name, "not an image that can be read")
    np.save(tmp_path / "a.npy", PIXELS)
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-7])
    refused(tmp_path / "a.npy", "truncated, 7 bytes")


def test_files_that_are_cut_while_they_are_read(tmp_path):
    np.save(tmp_path / "a.npy", PIXELS)
    for path in (tmp_path / "a.npy", saved(tmp_path / "a.tif", COLOUR)):
        with open_rows(path) as rows:
            expected = rows[:2]
            path.write_bytes(path.read_bytes()[: 128 + 9 * WIDTH])
            assert np.array_equal(rows[:2], expected)
            with pytest.raises(BadInput, match=rf"^{path}: truncated while it was read: [0-9]+ bytes are missing$"):
                rows[:]


@pytest.mark.filterwarnings("ignore")  # the runner sets those of `read` aside
def test_hostile_files_are_one_line_each(tmp_path):
    volume = b"\x93NUMPY\x01\x00"
    for text in ("{'descr': '<f4', 'fortran_order': False, 'shape': (99999, 99999, 9)}\n", "(" * 999, "{}"):
        (tmp_path / "a.npy").write_bytes(volume + len(text).to_bytes(2, "little") + text.encode())
        refused(tmp_path / "a.npy", "not a volume")
    whole = saved(tmp_path / "a.tif", GRAY, **STRIPS).read_bytes()
    entry = whole.index(struct.pack("<HH", 273, 4))  # StripOffsets
    for value in (0xFFFFFFFF, 0):
        (tmp_path / "a.tif").write_bytes(whole[: entry + 8] + struct.pack("<I", value) + whole[entry + 12 :])
        refused(tmp_path / "a.tif", "not an image that can be read")
    for tag in (256, 257):  # sides that the strips do not fill, or that are too many pixels
        entry = next(at for kind in (3, 4) if (at := whole.find(struct.pack("<HHI", tag, kind, 1))) >= 0)
        for side in (60000, 2**31 - 1):
            changed = whole[:entry] + struct.pack("<HHII", tag, 4, 1, side) + whole[entry + 12 :]
            (tmp_path / "a.tif").write_bytes(changed)
            refused(tmp_path / "a.tif", "not an image that can be read|too many")
    (tmp_path / "a.pgm").write_bytes(b"P5 32768 16385 255\n" + bytes(99))
    refused(tmp_path / "a.pgm", str(MAX_PIXELS))
    (tmp_path / "a.pgm").write_bytes(b"P5 20000 20000 255\n" + bytes(99))
    refused(tmp_path / "a.pgm", "truncated, 399999901 bytes are missing")
    (tmp_path / "a.png").write_bytes(b"no image")
    refused(tmp_path / "a.png", "unknown format")
    refused(tmp_path / "none.png", "no such file", error=CnntoolError)
    refused(tmp_path / "none.npy", "no such file", error=CnntoolError)


def test_preparations_that_do_not_fit_are_refused_when_opened(tmp_path):
    np.save(tmp_path / "a.npy", PIXELS[:, :, :2])
    refused(tmp_path / "a.npy", "is not resized", Preparation(resize=4), Unfit)
    refused(tmp_path / "a.npy", "2 channels", Preparation(gray=True), Unfit)
    for path in (tmp_path / "a.npy", saved(tmp_path / "a.tif", GRAY), saved(tmp_path / "a.png", GRAY)):
        refused(path, "too few for a crop", Preparation(crop=(HEIGHT + 1, 4)), Unfit)
        refused(path, "normalise", Preparation(normalize=IMAGENET), Unfit)
