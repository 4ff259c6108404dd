"""JPEG 2000 of every depth against the numbers that were packed without loss."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("imagecodecs")

import imagecodecs

from cnntool import read_image
from cnntool.errors import BadInput
from cnntool.images import jpeg2000
from cnntool.images.preparation import Preparation
from cnntool.images.read import image_shape
from cnntool.images.rows import open_rows


def numbers_of(bits: int, samples: int) -> np.ndarray:
    numbers = np.random.default_rng(bits).integers(0, 2**bits, (21, 34, samples))
    numbers[0, 0], numbers[0, 1] = 0, 2**bits - 1
    return numbers.astype(np.uint16 if bits > 8 else np.uint8)


def packed(numbers: np.ndarray, bits: int, codec: str = "jp2") -> bytes:
    return imagecodecs.jpeg2k_encode(np.squeeze(numbers), bitspersample=bits, reversible=True, codecformat=codec)


@pytest.mark.parametrize("codec", ["jp2", "j2k"])
@pytest.mark.parametrize("samples", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [1, 4, 7, 8, 9, 10, 12, 15, 16])
def test_numbers_are_exact(bits, samples, codec):
    numbers = numbers_of(bits, samples)
    content, name = packed(numbers, bits, codec), f"a.{codec}"
    values = numbers / (2**bits - 1)
    if samples in (2, 4):
        values = values[:, :, :-1] * values[:, :, -1:] + 1 - values[:, :, -1:]
    notes: list[str] = []
    volume = read_image(content, name=name, notice=notes.append)
    rounded = bits == 8 and samples in (2, 4)  # Pillow gives 256 levels
    assert np.abs(volume - values).max() <= (1 / 255 if rounded else 1e-6)
    assert notes == []
    assert image_shape(content, name=name) == volume.shape
    with open_rows(content, name=name) as rows:
        assert np.array_equal(rows[5:9], volume[5:9])


def test_a_file_and_its_preparation(tmp_path):
    numbers = numbers_of(12, 3)
    (tmp_path / "a.jp2").write_bytes(packed(numbers, 12))
    cropped = read_image(tmp_path / "a.jp2", Preparation(crop=(9, 8)))
    assert np.allclose(cropped, numbers[6:15, 13:21] / 4095, atol=1e-6)


def test_without_imagecodecs_only_what_pillow_reads_right(monkeypatch):
    monkeypatch.setattr(jpeg2000.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"^a.jp2: .*3 samples of 12 bits needs imagecodecs: .*cnntool\[tiff\]"):
        read_image(packed(numbers_of(12, 3), 12), name="a.jp2")
    assert read_image(packed(numbers_of(8, 3), 8), name="a.jp2").shape == (21, 34, 3)
    assert np.allclose(read_image(packed(numbers_of(16, 1), 16)), numbers_of(16, 1) / 65535, atol=1e-7)


def test_other_colour_spaces_are_refused():
    content = packed(numbers_of(12, 3), 12)
    place = content.index(b"colr\1") + 7
    assert content[place : place + 4] == bytes([0, 0, 0, 16])
    with pytest.raises(BadInput, match="colour space 18"):
        read_image(content[:place] + bytes([0, 0, 0, 18]) + content[place + 4 :], name="a.jp2")


def test_a_message_names_a_few_of_many_depths():
    content = packed(numbers_of(8, 3), 8)
    place = content.index(jpeg2000.CODESTREAM) + 40
    many = b"".join(bytes([depth, 1, 1]) for depth in range(200))
    with pytest.raises(BadInput, match=r"200 samples of 1 bits, 2 bits, 3 bits, 4 bits, \.\.\.: expected") as found:
        read_image(content[:place] + bytes([0, 200]) + many + content[place:], name="a.jp2")
    assert len(str(found.value)) < 200


@pytest.mark.parametrize("length", [0, 11, 12, 30, 60, 100, 150])
def test_files_that_are_cut(length):
    content = packed(numbers_of(12, 3), 12)
    for part in (content[:length], content[:40] + content[40 + length :]):
        if part != content:
            with pytest.raises(BadInput):
                read_image(part, name="a.jp2")
