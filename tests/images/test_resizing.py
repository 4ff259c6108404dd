"""Resizing by a kernel gives Pillow's numbers, or leaves the image to Pillow."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from cnntool import kernels
from cnntool.images.preparation import Preparation
from cnntool.images.read import read_image
from cnntool.images.resizing import FEW, SMALLEST_SIDE, Resizer


def picture(height: int, width: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


@pytest.fixture
def resizer() -> Resizer:
    return Resizer(lambda: kernels.resizing.resize_forward)


@pytest.mark.parametrize("present", [(16, 16), (120, 160), (160, 120), (33, 200), (201, 33), (17, 18)])
@pytest.mark.parametrize("wanted", [(16, 16), (51, 51), (40, 30), (90, 17), (300, 19)])
def test_what_is_taken_is_what_pillow_gives(resizer: Resizer, present: tuple, wanted: tuple) -> None:
    found = [resizer.resized(picture(*present, seed), wanted) for seed in range(FEW + 2)]
    assert all(volume is None for volume in found[:FEW])
    assert (found[FEW] is None) == (found[FEW + 1] is None)
    for seed, volume in enumerate(found):
        if volume is not None:
            expected = picture(*present, seed).resize(wanted[::-1], Image.Resampling.BILINEAR)
            assert np.array_equal(volume, np.divide(expected, np.float32(255), dtype=np.float32))


@pytest.mark.parametrize(("present", "wanted"), [((300, 400), (128, 128)), ((400, 300), (170, 128))])
def test_photographs_are_taken(resizer: Resizer, present: tuple, wanted: tuple) -> None:
    assert [resizer.resized(picture(*present), wanted) is not None for _ in range(FEW + 2)] == [False] * FEW + [
        True
    ] * 2


def test_a_large_picture_is_taken(resizer: Resizer) -> None:
    """Pillow would cut one of more than 16 MB into blocks."""
    images = [Image.new("RGB", (2500, 2000), (9, number, 8)) for number in range(FEW + 1)]
    volume = [resizer.resized(image, (160, 200)) for image in images][-1]
    assert volume is not None
    assert np.array_equal(volume[77, 88], np.float32([9, FEW, 8]) / np.float32(255))


def test_other_modes_and_small_pictures_are_not(resizer: Resizer) -> None:
    for image in (picture(50, 50).convert("L"), picture(50, 50).convert("RGBA"), picture(SMALLEST_SIDE - 1, 50)):
        assert all(resizer.resized(image, (20, 20)) is None for _ in range(FEW + 2))
    assert all(resizer.resized(picture(50, 50), (20, SMALLEST_SIDE - 1)) is None for _ in range(FEW + 2))


def test_a_kernel_that_gives_other_numbers_is_not_used() -> None:
    wrong = Resizer(lambda: lambda *arrays: arrays[-1].fill(7))
    assert all(wrong.resized(picture(50, 50), (20, 20)) is None for _ in range(FEW + 2))


def test_a_pillow_that_does_not_give_its_memory(resizer: Resizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Image.Image, "__arrow_c_array__")
    assert all(resizer.resized(picture(50, 50), (20, 20)) is None for _ in range(FEW + 2))


def test_the_picture_may_go_while_its_pixels_are_used() -> None:
    from cnntool.images.blocks import pixels_of

    pixels = pixels_of(picture(300, 400))
    assert pixels is not None
    others = [picture(300, 400, seed) for seed in range(1, 9)]
    assert np.array_equal(pixels.reshape(300, 400, 4)[:, :, :3], picture(300, 400))
    del others


@pytest.mark.parametrize("preparation", [
    Preparation(resize=(40, 50)), Preparation(resize=32, crop=(30, 20)), Preparation(resize=(40, 50), gray=True),
    Preparation(resize=(30, 30), normalize=((0.5,), (0.25,))), Preparation(resize=(90, 120)),
])  # fmt: skip
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_reading_with_it_and_without_gives_the_same(
    resizer: Resizer, preparation: Preparation, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    picture(90, 120).save(file, "PNG", exif=exif)
    expected = read_image(file.getvalue(), preparation)
    for _ in range(FEW + 2):
        found = read_image(file.getvalue(), preparation, resizer=resizer)
        assert found.flags.c_contiguous
        assert np.array_equal(found, expected)


def test_several_threads(resizer: Resizer) -> None:
    """While one tries a pair of sizes, Pillow resizes for the others."""
    images = [picture(90, 120, number) for number in range(40)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda image: resizer.resized(image, (40, 50)), images))
        later = list(pool.map(lambda image: resizer.resized(image, (40, 50)), images))
    assert all(volume is not None for volume in later)
    for image, *volumes in zip(images, found, later, strict=True):
        expected = np.divide(image.resize((50, 40), Image.Resampling.BILINEAR), np.float32(255), dtype=np.float32)
        assert all(volume is None or np.array_equal(volume, expected) for volume in volumes)
