"""HEIC and AVIF as their libraries write them: depths, transparency, orientation; and without the libraries."""

from __future__ import annotations

import io
from unittest import mock

import numpy as np
import pytest
from PIL import Image, ImageOps, features

from cnntool import read_image
from cnntool.errors import BadInput
from cnntool.images import heif
from cnntool.images.preparation import Preparation
from cnntool.images.read import image_shape
from cnntool.images.rows import open_rows

y, x = np.mgrid[:48, :64]
COLOUR = np.dstack([x * 4, y * 5, (x + y) * 2]).astype(np.uint8)
ALPHA = (255 - x * 3).astype(np.uint8)
NEAR = 2.5 / 255  # HEVC and AV1 work on luma and chroma; at their best quality they are that near

needs_heif = pytest.mark.skipif(not heif.is_installed(), reason="pillow-heif is not installed")
needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")


def heic(mode: str, pixels: np.ndarray, twelve: bool = False) -> bytes:
    import pillow_heif

    with mock.patch.object(pillow_heif.options, "SAVE_HDR_TO_12_BIT", twelve):
        stream = io.BytesIO()
        image = pillow_heif.from_bytes(mode, pixels.shape[1::-1], np.ascontiguousarray(pixels).tobytes())
        image.save(stream, quality=-1, chroma=444)
        return stream.getvalue()


def read(content: bytes, name: str, notes: tuple[str, ...] = ()) -> np.ndarray:
    """The pixels, the same by all three ways of reading."""
    told: list[str] = []
    volume = read_image(content, name=name, notice=told.append)
    assert told == [f"{name}: {note}" for note in notes]
    assert image_shape(content, name=name) == volume.shape
    with open_rows(content, name=name) as rows:
        assert np.array_equal(np.concatenate([rows[:7], rows[7 : len(volume)]]), volume)
    return volume


def over_white(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return colours * alpha[:, :, np.newaxis] + 1 - alpha[:, :, np.newaxis]


@needs_heif
def test_heic_of_8_bits():
    assert np.abs(read(heic("L", COLOUR[:, :, 0]), "a.heic") - COLOUR[:, :, :1] / 255).max() < 1e-6
    assert np.abs(read(heic("RGB", COLOUR), "a.heic") - COLOUR / 255).max() < NEAR
    clear = read(heic("RGBA", np.dstack([COLOUR, ALPHA])), "a.heic")
    assert np.abs(clear - over_white(COLOUR / 255, ALPHA / 255)).max() < NEAR


@needs_heif
@pytest.mark.parametrize("twelve", [False, True])
def test_heic_of_10_and_12_bits_keeps_all_of_them(twelve):
    fine = COLOUR.astype(np.uint16) * 257 // 2 + (x * 37 % 128)[:, :, np.newaxis].astype(np.uint16)
    fine[:8], fine[8:16] = 65535, 0
    near = (0.3 if twelve else 1.1) / 255
    gray = read(heic("I;16", fine[:, :, 0], twelve), "a.hif")
    assert np.abs(gray - fine[:, :, :1] / 65535).max() < near
    assert (gray.min(), gray.max()) == (0, 1)
    assert np.abs(read(heic("RGB;16", fine, twelve), "a.hif") - fine / 65535).max() < near
    alpha = ALPHA.astype(np.uint16) * 257
    clear = read(heic("RGBA;16", np.dstack([fine, alpha]), twelve), "a.hif")
    assert np.abs(clear - over_white(fine / 65535, alpha / 65535)).max() < near * 1.5


def oriented(form: str, orientation: int, **options: object) -> tuple[bytes, np.ndarray]:
    exif = Image.Exif()
    exif[274] = orientation
    stream = io.BytesIO()
    Image.fromarray(COLOUR).save(stream, form, exif=exif.tobytes(), **options)
    image = Image.fromarray(COLOUR)
    image.getexif()[274] = orientation
    return stream.getvalue(), np.asarray(ImageOps.exif_transpose(image)) / 255


@needs_heif
@pytest.mark.parametrize("orientation", range(1, 9))
def test_heic_is_turned_once(orientation):
    import pillow_heif

    pillow_heif.register_heif_opener()
    content, expected = oriented("HEIF", orientation, quality=-1, chroma=444)
    assert np.abs(read(content, "a.heic") - expected).max() < NEAR


@needs_heif
def test_deep_heic_is_turned_and_prepared():
    import pillow_heif

    fine = COLOUR.astype(np.uint16) * 257
    image = pillow_heif.from_bytes("RGB;16", (64, 48), fine.tobytes())
    exif = Image.Exif()
    exif[274] = 6
    stream = io.BytesIO()
    image.save(stream, quality=-1, chroma=444, exif=exif.tobytes())
    expected = np.rot90(fine, -1) / 65535
    assert np.abs(read(stream.getvalue(), "a.heic") - expected).max() < NEAR
    part = read_image(stream.getvalue(), Preparation(crop=(10, 12), gray=True), name="a.heic")
    assert part.shape == (10, 12, 1)


@needs_heif
def test_further_pictures_of_a_heic():
    import pillow_heif

    pillow_heif.register_heif_opener()
    stream = io.BytesIO()
    first, second = Image.fromarray(COLOUR), Image.fromarray(255 - COLOUR)
    first.save(stream, "HEIF", save_all=True, append_images=[second], quality=-1, chroma=444)
    content = stream.getvalue()
    assert np.abs(read_image(content, name="a.heic") - COLOUR / 255).max() < NEAR
    assert np.abs(read_image(content, Preparation(page=2), name="a.heic") - 1 + COLOUR / 255).max() < NEAR
    with pytest.raises(BadInput, match="page 3: expected one that the file has"):
        read_image(content, Preparation(page=3), name="a.heic")


@needs_heif
def test_heic_that_is_broken():
    content = heic("RGB", COLOUR)
    for broken in (content[:60], content[: len(content) // 2], b"\0\0\0\x18ftypheic" + bytes(20)):
        with pytest.raises(BadInput, match=r"^a.heic: "):
            read_image(broken, name="a.heic")


@pytest.mark.parametrize("brand", sorted(heif.HEIF_BRANDS))
def test_without_the_extra_it_is_named(brand, monkeypatch):
    monkeypatch.setattr(heif.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"^a.heic: .*cnntool\[heif\]"):
        read_image(b"\0\0\0\x18ftyp" + brand + bytes(20), name="a.heic")


@needs_avif
def test_avif():
    for pixels, expected in (
        (COLOUR, COLOUR / 255),
        (np.dstack([COLOUR, ALPHA]), over_white(COLOUR / 255, ALPHA / 255)),
    ):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "AVIF", quality=100, subsampling="4:4:4")
        assert np.abs(read(stream.getvalue(), "a.avif") - expected).max() < 2 * NEAR


@needs_avif
@pytest.mark.parametrize("orientation", range(1, 9))
def test_avif_is_turned_once(orientation):
    content, expected = oriented("AVIF", orientation, quality=100, subsampling="4:4:4")
    assert np.abs(read(content, "a.avif") - expected).max() < 2 * NEAR


@needs_avif
@pytest.mark.parametrize("bits", [10, 12])
def test_avif_of_more_bits_tells_that_they_are_rounded(bits):
    codecs = pytest.importorskip("imagecodecs")
    pixels = COLOUR.astype(np.uint16) * 257 >> (16 - bits)
    content = codecs.avif_encode(pixels, bitspersample=bits, level=codecs.AVIF.QUALITY.LOSSLESS)
    volume = read(content, "a.avif", (f"{bits} bits a channel are read as 8",))
    assert np.abs(volume - pixels / (2**bits - 1)).max() < NEAR


@needs_avif
def test_a_picture_whose_first_brand_names_no_coding_is_known_by_the_others(monkeypatch):
    stream = io.BytesIO()
    Image.fromarray(COLOUR).save(stream, "AVIF", quality=100, subsampling="4:4:4")
    content = stream.getvalue()
    assert b"mif1" in content[16:32]
    first = content[:8] + b"mif1" + content[12:]
    assert b"avif" in heif.brands_of(first)
    find = heif.importlib.util.find_spec
    monkeypatch.setattr(heif.importlib.util, "find_spec", lambda name: None if "heif" in name else find(name))
    assert np.abs(read_image(first, name="a.avif") - COLOUR / 255).max() < 2 * NEAR
