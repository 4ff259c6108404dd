"""The meaning of a TIFF page's samples, and their conversion to pixels: float32 height x width x channels.

Unsigned integers are divided by their largest value, which gives [0, 1]; signed ones by the largest positive value, so
that 0 stays 0 and the lowest is slightly below -1; floats are taken as they are. Transparency is composed over white.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from cnntool.images.tiff import Page, Unsupported

INVERTED, GRAY, RGB, PALETTE, CMYK = 0, 1, 2, 3, 5
KNOWN = "read are gray, bands, RGB, palettes and CMYK of integers and floats; convert it, to RGB say"
# Photometric interpretations that are not read, and what they are called.
OTHERS = {
    4: "a mask of transparency", 6: "YCbCr in this layout", 8: "CIE L*a*b* in this layout", 9: "ICC L*a*b*",
    10: "ITU L*a*b*", 32803: "raw pixels of a colour filter array", 32844: "LogL", 32845: "LogLuv",
    34892: "raw linear colours", 51177: "depths",
}  # fmt: skip
STRAIGHT, PREMULTIPLIED = 2, 1  # meanings of an extra sample


@dataclasses.dataclass(frozen=True)
class Meaning:
    """The first `colours` samples of a pixel are its colours, the sample `alpha` its transparency (None: opaque)."""

    colours: int
    channels: int
    alpha: int | None = None
    premultiplied: bool = False
    note: str | None = None


def meaning_of(page: Page) -> Meaning:
    """What the samples of a page mean; raises Unsupported if that is unknown or cannot be converted."""
    if page.photometric in OTHERS or page.photometric not in (INVERTED, GRAY, RGB, PALETTE, CMYK):
        raise Unsupported(f"a TIFF of {OTHERS.get(page.photometric, f'colours of kind {page.photometric}')}: {KNOWN}")
    if page.kind == "?":
        raise Unsupported(f"a TIFF of complex numbers, or of a type that it does not tell: {KNOWN}")
    if page.photometric in (INVERTED, CMYK) and page.kind != "u":
        what = "gray with 0 as white" if page.photometric == INVERTED else "CMYK"
        raise Unsupported(f"a TIFF of {what} in numbers that are signed or floating: {KNOWN}")
    if page.photometric == CMYK and page.ink_set != 1:
        raise Unsupported(f"a TIFF of inks that are not CMYK: {KNOWN}")
    needed = {RGB: 3, CMYK: 4}.get(page.photometric, 1)
    if page.samples < needed:
        raise ValueError(f"{page.samples} samples a pixel where its colours need {needed}")
    alphas = [index for index, kind in enumerate(page.extra) if kind in (PREMULTIPLIED, STRAIGHT)]
    beyond = page.samples - needed
    if len(page.extra) > beyond or len(alphas) > 1:
        raise ValueError(
            f"{len(page.extra)} extra samples, {len(alphas)} of them transparency, beside {needed} colours"
        )
    alpha = page.samples - len(page.extra) + alphas[0] if alphas else None
    if alpha is not None and page.kind == "i":
        raise Unsupported(f"a TIFF of signed numbers with transparency: {KNOWN}")
    if page.photometric in (INVERTED, GRAY):
        return _bands(page, alpha)
    left_out = beyond - (alpha is not None)
    note = f"{left_out} of {page.samples} samples a pixel are neither colour nor transparency, and left out"
    return Meaning(
        needed, 3, alpha, alpha is not None and page.extra[alphas[0]] == PREMULTIPLIED, note if left_out else None
    )


def _bands(page: Page, alpha: int | None) -> Meaning:
    """Gray, or as many bands as there are samples; transparency is supported for a single gray channel only."""
    if alpha is None:
        return Meaning(page.samples, page.samples)
    if page.samples != 2:
        raise Unsupported(f"a TIFF of {page.samples - 1} bands and transparency: {KNOWN}")
    return Meaning(1, 1, alpha, page.extra[-1] == PREMULTIPLIED)


def to_volume(samples: np.ndarray, page: Page, meaning: Meaning) -> np.ndarray:
    """float32 H x W x channels of H x W x samples as the file has them; a new array."""
    if page.photometric == PALETTE:
        volume = _looked_up(samples[:, :, 0], page)
    else:
        volume = scaled(samples[:, :, : meaning.colours], page.kind, page.bits)
        if page.photometric == INVERTED:
            np.subtract(1, volume, out=volume)
        elif page.photometric == CMYK:
            volume = (1 - volume[:, :, :3]) * (1 - volume[:, :, 3:])
    if meaning.alpha is None:
        return volume
    opacity = scaled(samples[:, :, meaning.alpha : meaning.alpha + 1], page.kind, page.bits)
    return over_white(volume, opacity, meaning.premultiplied)


def scaled(numbers: np.ndarray, kind: str, bits: int) -> np.ndarray:
    """float32: integers divided by their largest value, floats as they are; too large ones become infinite."""
    if kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            return np.array(numbers, np.float32)
    largest = 2 ** (bits - (kind == "i")) - 1
    if bits <= 16:
        return np.divide(numbers, np.float32(largest), dtype=np.float32)
    return np.divide(numbers, np.float64(largest), dtype=np.float64).astype(np.float32)


def over_white(volume: np.ndarray, opacity: np.ndarray, premultiplied: bool = False) -> np.ndarray:
    """Colours on a white page; `opacity` has one channel in [0, 1]."""
    if premultiplied:
        return np.minimum(volume + (1 - opacity), np.maximum(volume, 1))
    return np.asarray(volume * opacity + (1 - opacity), np.float32)


def _looked_up(indices: np.ndarray, page: Page) -> np.ndarray:
    if page.colour_map is None or page.kind != "u" or len(page.colour_map) != 3 * 2**page.bits:
        raise ValueError("a palette that is missing, or has another length than its bits tell")
    colours = page.colour_map.reshape(3, -1).T
    # The map has 16 bits. Some writers keep 8 in its lower half, others 8 in its upper half: white is then 255 << 8.
    if not (colours > 255).any():
        table = colours / np.float32(255)
    elif not (colours & 255).any():
        table = (colours >> 8) / np.float32(255)
    else:
        table = colours / np.float32(65535)
    return table.astype(np.float32)[indices]
