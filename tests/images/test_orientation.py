from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from cnntool.errors import BadInput
from cnntool.images.preparation import Preparation
from cnntool.images.read import image_shape, read_image

# What the viewer does to the stored pixels, by the number in EXIF 2.3, section 4.6.4.
BY_HAND = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[:, ::-1],
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a.transpose(1, 0, 2)[::-1],
}
PIXELS = np.random.default_rng(1).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def saved(format: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP", "JPEG", "MPO"])
@pytest.mark.parametrize("orientation", BY_HAND)
def test_the_picture_is_turned(format, orientation):
    options = {"lossless": True} if format == "WEBP" else {}
    content = saved(format, exif=exif_of(orientation), **options)
    stored = read_image(saved(format, **options))
    expected = BY_HAND[orientation](stored)
    assert np.array_equal(read_image(content), expected)
    assert image_shape(content) == expected.shape
    tall = image_shape(content, Preparation(resize=3))
    assert tall == read_image(content, Preparation(resize=3)).shape
    assert (tall[0] > tall[1]) == (orientation >= 5)


@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
def test_a_drafted_jpeg_is_turned_as_well(orientation):
    y, x = np.mgrid[0:800, 0:1003]
    pixels = np.stack([x * 0.2, y * 0.3, 128 + 100 * np.sin(x / 90)], axis=2).astype(np.uint8)
    buffer, turned = io.BytesIO(), Preparation(resize=40)
    Image.fromarray(pixels).save(buffer, "JPEG", exif=exif_of(orientation), quality=95)
    straight = Image.fromarray(np.ascontiguousarray(BY_HAND[orientation](pixels)))
    size = image_shape(buffer.getvalue(), turned)
    expected = np.asarray(straight.resize((size[1], size[0]), Image.Resampling.BILINEAR)) / 255
    assert np.abs(read_image(buffer.getvalue(), turned) - expected).max() < 3 / 255


def test_a_number_that_is_none_is_ignored():
    content = saved("PNG", exif=exif_of(9))
    assert np.array_equal(read_image(content), PIXELS / np.float32(255))


def late_exif(content: bytes) -> bytes:
    """A PNG whose eXIf chunk stands after its pixels."""
    length_at = content.index(b"eXIf") - 4
    end = length_at + 12 + int.from_bytes(content[length_at : length_at + 4], "big")
    chunk, rest = content[length_at:end], content[:length_at] + content[end:]
    last = rest.index(b"IEND") - 4
    return rest[:last] + chunk + rest[last:]


def test_png_that_tells_it_after_the_pixels():
    content = late_exif(saved("PNG", exif=exif_of(6)))
    assert image_shape(content) == (9, 6, 3)
    assert np.array_equal(read_image(content), BY_HAND[6](PIXELS / np.float32(255)))


def test_a_broken_png_that_tells_it_late_is_an_error():
    content = bytearray(late_exif(saved("PNG", exif=exif_of(6))))
    middle = content.index(b"IDAT") + 20
    content[middle : middle + 20] = bytes(20)
    for read in (read_image, image_shape):
        with pytest.raises(BadInput, match="not an image that can be read"):
            read(bytes(content))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_does_not_break_the_picture():
    content = saved("JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff" + bytes(8))
    assert image_shape(content) == read_image(content).shape == (6, 9, 3)


def test_xmp():
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", '<x:xmpmeta tiff:Orientation="8"></x:xmpmeta>')
    content = saved("PNG", pnginfo=info)
    assert image_shape(content) == (9, 6, 3)
    assert np.array_equal(read_image(content), BY_HAND[8](PIXELS / np.float32(255)))
