"""What is said of further pages."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cnntool.errors import BadInput
from cnntool.images.preparation import Preparation
from cnntool.images.read import image_shape, read_image

PAGES = np.random.default_rng(3).integers(0, 256, (3, 7, 5), dtype=np.uint8)


@pytest.fixture
def book(tmp_path):
    first, *others = (Image.fromarray(page) for page in PAGES)
    first.save(tmp_path / "book.tif", save_all=True, append_images=others)
    return tmp_path / "book.tif"


def test_further_pages_are_told_and_can_be_taken(book):
    notes: list[str] = []
    assert np.array_equal(read_image(book, notice=notes.append)[:, :, 0], PAGES[0] / np.float32(255))
    assert len(notes) == 1
    assert "the first of 3 pages is taken" in notes[0]
    third = Preparation(page=3)
    assert np.array_equal(read_image(book, third)[:, :, 0], PAGES[2] / np.float32(255))
    with pytest.raises(BadInput, match="page 4 of 3"):
        read_image(book, Preparation(page=4))


def test_all_pages_are_channels(book):
    every = Preparation(page="all")
    assert image_shape(book, every) == (7, 5, 3)
    assert np.array_equal(read_image(book, every), np.moveaxis(PAGES, 0, 2) / np.float32(255))


def test_pages_that_are_no_channels_are_refused(tmp_path):
    colour = Image.new("RGB", (5, 7))
    colour.save(tmp_path / "a.tif", save_all=True, append_images=[Image.new("L", (5, 7))])
    with pytest.raises(BadInput, match="gray pages of one size"):
        read_image(tmp_path / "a.tif", Preparation(page="all"))
