"""Every mode of Pillow against a slow conversion of its own."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageCms

from cnntool.images import decode

RANDOM = np.random.default_rng(5)
GRAY = RANDOM.integers(0, 256, (5, 7), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (5, 7, 3), dtype=np.uint8)
ALPHA = RANDOM.integers(0, 256, (5, 7), dtype=np.uint8)


def volume_of(image: Image.Image, raw: str = "") -> np.ndarray:
    image.load()
    volume = decode.to_array(decode.flatten_mode(image, raw))
    assert volume.dtype == np.float32
    assert volume.ndim == 3
    assert volume.shape[2] == decode.channels_of(image.mode)
    return volume


def over_white(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[:, :, np.newaxis] / 255
    return pixels / 255 * share + (1 - share)


def with_alpha(mode: str, pixels: np.ndarray) -> Image.Image:
    image = Image.fromarray(pixels).convert(mode)
    image.putalpha(Image.fromarray(ALPHA))
    return image


def test_every_mode_of_pillow_has_a_row():
    known = set(Image.MODES) | {"I;16L", "I;16B", "I;16N", "La", "RGBa", "PA", "RGBX"}
    assert known <= set(decode.MODES)
    with pytest.raises(ValueError, match="BGR;15"):
        decode.channels_of("BGR;15")


def test_plain_modes_are_exact():
    assert np.array_equal(volume_of(Image.fromarray(GRAY)), (GRAY / np.float32(255))[:, :, None])
    assert np.array_equal(volume_of(Image.fromarray(COLOUR)), COLOUR / np.float32(255))
    bits = Image.fromarray(GRAY > 127)
    assert bits.mode == "1"
    assert np.array_equal(volume_of(bits)[:, :, 0], (GRAY > 127).astype(np.float32))


def test_alpha_is_laid_over_white():
    assert np.allclose(volume_of(with_alpha("LA", GRAY)), over_white(GRAY[:, :, None], ALPHA), atol=0.51 / 255)
    assert np.allclose(volume_of(with_alpha("RGBA", COLOUR)), over_white(COLOUR, ALPHA), atol=0.51 / 255)


def test_premultiplied_alpha():
    # Premultiplied bytes lose what a low alpha hides, so the comparison is as coarse as they are.
    opaque = np.maximum(ALPHA, 128)
    for mode, straight, pixels in [("La", "LA", GRAY[:, :, None]), ("RGBa", "RGBA", COLOUR)]:
        image = with_alpha(straight, pixels[:, :, 0] if straight == "LA" else pixels)
        image.putalpha(Image.fromarray(opaque))
        assert np.allclose(volume_of(image.convert(mode)), over_white(pixels, opaque), atol=2 / 255)


def test_palettes():
    palette = Image.fromarray(GRAY % 4)
    palette = palette.convert("P")
    indices = np.asarray(palette)
    colours = RANDOM.integers(0, 256, (256, 3), dtype=np.uint8)
    palette.putpalette(colours.tobytes())
    expected = colours[indices]
    assert np.array_equal(volume_of(palette), expected / np.float32(255))

    palette.info["transparency"] = 2
    expected = np.where((indices == 2)[:, :, None], 255, expected)
    assert (indices == 2).any()
    assert np.array_equal(volume_of(palette), expected / np.float32(255))

    several = palette.copy()
    several.info["transparency"] = bytes([255, 0, 255, 128])
    alpha = np.array([255, 0, 255, 128], np.uint8)[indices]
    assert np.allclose(volume_of(several), over_white(colours[indices], alpha), atol=0.51 / 255)


def test_palette_with_its_own_alpha():
    image = Image.fromarray(GRAY % 3).convert("P")
    colours = RANDOM.integers(0, 256, (256, 4), dtype=np.uint8)
    image.putpalette(colours.tobytes(), "RGBA")
    chosen = colours[np.asarray(image)]
    assert np.allclose(volume_of(image), over_white(chosen[:, :, :3], chosen[:, :, 3]), atol=0.51 / 255)

    plain = Image.fromarray(COLOUR).quantize(8)
    expected = over_white(np.asarray(plain.convert("RGB")), ALPHA)
    mixed = plain.convert("PA")
    mixed.putalpha(Image.fromarray(ALPHA))
    assert mixed.mode == "PA"
    assert np.allclose(volume_of(mixed), expected, atol=0.51 / 255)


@pytest.mark.parametrize("mode", ["L", "1", "RGB"])
def test_a_transparent_colour_becomes_white(mode):
    image = Image.fromarray(COLOUR).convert(mode, dither=Image.Dither.NONE)
    pixels = np.asarray(image.convert("RGB"))
    first = image.getpixel((0, 0))
    assert (pixels[0, 0] < 255).any()
    # A 1 bit file names its colour 0 or 1, and its pixels are 0 and 255.
    image.info["transparency"] = min(first, 1) if mode == "1" else first
    expected = np.where((pixels == pixels[0, 0]).all(axis=2)[:, :, None], 255, pixels) / np.float32(255)
    assert np.array_equal(volume_of(image), expected if mode == "RGB" else expected[:, :, :1])


def test_other_colour_spaces():
    image = Image.fromarray(COLOUR)
    four = image.convert("CMYK")
    assert np.array_equal(volume_of(four), np.asarray(four.convert("RGB")) / np.float32(255))
    assert np.allclose(volume_of(image.convert("YCbCr")), COLOUR / 255, atol=3 / 255)
    assert np.allclose(volume_of(image.convert("HSV")), COLOUR / 255, atol=12 / 255)
    padded = image.convert("RGBX")
    assert np.array_equal(volume_of(padded), COLOUR / np.float32(255))


def test_lab():
    smooth = Image.linear_gradient("L").resize((16, 16)).convert("RGB")
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    lab = ImageCms.profileToProfile(smooth, *profiles, outputMode="LAB")
    assert lab.mode == "LAB"
    assert np.allclose(volume_of(lab), np.asarray(smooth) / 255, atol=4 / 255)


def test_sixteen_bits():
    pixels = RANDOM.integers(0, 65536, (5, 7), dtype=np.uint16)
    pixels[0, :2] = 0, 65535
    expected = (pixels / 65535).astype(np.float32)[:, :, None]
    assert np.array_equal(volume_of(Image.fromarray(pixels)), expected)
    swapped = Image.frombytes("I;16B", (7, 5), pixels.astype(">u2").tobytes())
    assert np.array_equal(volume_of(swapped), expected)
    for mode in ("I;16L", "I;16N"):
        assert decode.channels_of(mode) == 1
    assert volume_of(Image.fromarray(np.full((1, 1), 4095, np.uint16)), "I;12") == 1


def test_whole_numbers_are_divided_by_the_largest_of_their_type():
    image = Image.fromarray(np.array([[0, 2**31 - 1, -(2**31 - 1), 2**30]], np.int32))
    assert image.mode == "I"
    assert np.allclose(volume_of(image)[0, :, 0], [0, 1, -1, 0.5])
    assert np.allclose(volume_of(Image.fromarray(np.array([[-1]], np.int32)), "I;32N"), 1)
    assert volume_of(Image.fromarray(np.array([[32767]], np.int32)), "I;16S") == 1
    image.format = "PNG"
    assert volume_of(image)[0, 0, 0] == 0
    image = Image.fromarray(np.array([[65535]], np.int32))
    image.format = "PPM"
    assert volume_of(image) == 1


def test_floats_are_taken_as_they_are():
    pixels = np.array([[-3.5, 0, 1e6, np.nan]], np.float32)
    assert np.array_equal(volume_of(Image.fromarray(pixels))[:, :, 0], pixels, equal_nan=True)
