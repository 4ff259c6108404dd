"""From what Pillow decoded to pixels that a layer can take: every mode has its row in MODES.

An integer is divided by the largest of its type; a float is taken as it is. Transparent pixels show a white page, as a
viewer or a printer would. docs/guide.md tells which files are read, and by what.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageCms

# Raw modes of TIFF that Pillow delivers in the modes I and I;16.
LARGEST_OF_RAW = {"I;12": 4095, "I;16S": 32767, "I;16BS": 32767, "I;32N": 2**32 - 1}
BITS_OF_RAW = {"L;2": 2, "L;4": 4}
UNSIGNED_32 = "I;32N"


def raw_mode(image: Image.Image) -> str:
    """Pillow's name for the file's layout of pixels; must be called before they are loaded. "" if unknown."""
    tiles = getattr(image, "tile", None)
    if not tiles:
        return ""
    arguments = tiles[0][3]
    if isinstance(arguments, tuple):
        arguments = arguments[0] if arguments else ""
    return arguments if isinstance(arguments, str) else ""


def channels_of(mode: str) -> int:
    """The number of channels read from an image of this mode; a ValueError for an unknown mode."""
    return _row(mode)[0]


def flatten_mode(image: Image.Image, raw: str = "") -> Image.Image:
    """A loaded image as one of mode L, RGB (0 to 255) or F (final values); `raw` is its `raw_mode`."""
    return _row(image.mode)[1](image, raw)


def to_array(image: Image.Image) -> np.ndarray:
    """float32 H x W x C of an image that `flatten_mode` returned."""
    if image.mode in ("L", "RGB"):  # in half the time that Pillow's array interface takes for a small image
        pixels = np.frombuffer(image.tobytes(), np.uint8).reshape(image.height, image.width, -1)
        return np.divide(pixels, np.float32(255), dtype=np.float32)
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        pixels = pixels[:, :, np.newaxis]
    return np.array(pixels, dtype=np.float32, order="C")


def _gray(image: Image.Image, raw: str) -> Image.Image:
    clear = image.info.get("transparency")
    if image.mode == "1":
        # The transparent colour of a 1-bit file is 0 or 1: black needs no scaling, and white stays white anyway.
        image = image.convert("L")
    if isinstance(clear, int):
        # Pixels of 2 and 4 bits have been scaled to 8 bits, the transparent colour has not. Higher bits are ignored.
        bits = BITS_OF_RAW.get(raw, 8)
        image.info["transparency"] = (clear & 2**bits - 1) * (255 // (2**bits - 1)) if image.mode != "1" else clear
        return _over_white(image.convert("LA"), "L")
    return image


def _gray_with_alpha(image: Image.Image, raw: str) -> Image.Image:
    return _over_white(image if image.mode == "LA" else image.convert("LA"), "L")


def _colour(image: Image.Image, raw: str) -> Image.Image:
    if "transparency" in image.info and image.mode == "RGB":
        return _over_white(image.convert("RGBA"), "RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _palette(image: Image.Image, raw: str) -> Image.Image:
    assert image.palette is not None
    opaque = image.mode == "P" and "transparency" not in image.info and image.palette.mode == "RGB"
    return image.convert("RGB") if opaque else _over_white(image.convert("RGBA"), "RGB")


def _colour_with_alpha(image: Image.Image, raw: str) -> Image.Image:
    return _over_white(image if image.mode == "RGBA" else image.convert("RGBA"), "RGB")


def _lab(image: Image.Image, raw: str) -> Image.Image:
    converted = ImageCms.profileToProfile(
        image, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    assert converted is not None
    return converted


def _sixteen_bits(image: Image.Image, raw: str) -> Image.Image:
    return _scaled(np.asarray(image), LARGEST_OF_RAW.get(raw, 65535))


def _integers(image: Image.Image, raw: str) -> Image.Image:
    pixels = np.asarray(image)
    if image.format in ("PNG", "PPM"):
        return _scaled(pixels, 65535)
    # Pillow has no unsigned type of 32 bits: the upper half arrives as negative numbers.
    return _scaled(pixels.view(np.uint32) if raw == UNSIGNED_32 else pixels, LARGEST_OF_RAW.get(raw, 2**31 - 1))


def _floats(image: Image.Image, raw: str) -> Image.Image:
    return image


def _scaled(pixels: np.ndarray, largest: int) -> Image.Image:
    return Image.fromarray((pixels / largest).astype(np.float32))


def _over_white(image: Image.Image, mode: str) -> Image.Image:
    page = Image.new(mode, image.size, "white")
    page.paste(image.convert(mode), mask=image.getchannel("A"))
    return page


Converter = Callable[[Image.Image, str], Image.Image]

ROWS: list[tuple[tuple[str, ...], int, Converter]] = [
    (("1", "L"), 1, _gray),
    (("LA", "La"), 1, _gray_with_alpha),
    (("P", "PA"), 3, _palette),
    (("RGB", "RGBX", "CMYK", "YCbCr", "HSV"), 3, _colour),
    (("RGBA", "RGBa"), 3, _colour_with_alpha),
    (("LAB",), 3, _lab),
    (("I;16", "I;16L", "I;16B", "I;16N"), 1, _sixteen_bits),
    (("I",), 1, _integers),
    (("F",), 1, _floats),
]
MODES = {mode: (channels, convert) for modes, channels, convert in ROWS for mode in modes}


def _row(mode: str) -> tuple[int, Converter]:
    if mode not in MODES:
        raise ValueError(f"pixels of mode {mode} are not known")
    return MODES[mode]
