from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image

from cnntool.errors import BadInput
from cnntool.images.strips import RandomFile, Strip, strips_of

PIXELS = np.arange(10 * 7 * 3, dtype=np.uint8).reshape(10, 7, 3)
COLOUR = Image.fromarray(PIXELS)


def opened_strips(path):
    with Image.open(path) as image:
        return strips_of(image)


def test_strips_that_follow_one_another_are_one(tmp_path):
    COLOUR.save(tmp_path / "one.tif")
    COLOUR.save(tmp_path / "many.tif", tiffinfo={278: 3})
    with Image.open(tmp_path / "many.tif") as image:
        assert len(image.tile) == 4
    for name in ("one.tif", "many.tif"):
        (strip,) = opened_strips(tmp_path / name)
        assert (strip.left, strip.top, strip.right, strip.bottom, strip.stride) == (0, 0, 7, 10, 21)


def test_rows_lie_where_the_format_has_them(tmp_path):
    COLOUR.save(tmp_path / "a.ppm")
    assert opened_strips(tmp_path / "a.ppm") == [Strip(0, 0, 7, 10, len(b"P6\n7 10\n255\n"), 21, "RGB", 1)]
    COLOUR.save(tmp_path / "a.bmp")  # rows are filled up to 4 bytes, the lowest first
    (strip,) = opened_strips(tmp_path / "a.bmp")
    assert strip == Strip(0, 0, 7, 10, 54, 24, "BGR", -1)
    assert strip.byte_range(0, 1) == (54 + 9 * 24, 21)
    assert strip.byte_range(7, 10) == (54, 2 * 24 + 21)
    top_down = dataclasses.replace(strip, step=1)
    assert top_down.byte_range(7, 10) == (54 + 7 * 24, 2 * 24 + 21)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tga", "a.gif", "a.webp"])
def test_other_formats_have_none(tmp_path, name):
    COLOUR.save(tmp_path / name)
    assert opened_strips(tmp_path / name) is None


def test_a_short_file_is_refused(tmp_path):
    COLOUR.save(tmp_path / "a.ppm")
    (tmp_path / "a.ppm").write_bytes((tmp_path / "a.ppm").read_bytes()[:-5])
    with pytest.raises(ValueError, match="truncated, 5 bytes are missing"):
        opened_strips(tmp_path / "a.ppm")


def test_a_file_is_read_at_any_place(tmp_path):
    (tmp_path / "a").write_bytes(bytes(range(100)))
    file = RandomFile(tmp_path / "a", "a")
    assert file.read(90, 10).tolist() == list(range(90, 100))
    assert file.read(3, 2).tolist() == [3, 4]
    with pytest.raises(BadInput, match=r"^a: truncated while it was read: 1 bytes are missing$"):
        file.read(90, 11)
    file.close()
