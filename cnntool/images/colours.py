"""Perceptual colour maps: equal steps of a number look equal, also to colour-blind readers."""

from __future__ import annotations

import numpy as np

from cnntool.images.colormaps import TABLES

RISING, DIVERGING = "magma", "blue-red"
# Light grows evenly from the first colour to the last, but for the second group: blue below zero, red above it, near
# white at zero, and both ends equally dark.
SEQUENTIAL = (RISING, "viridis", "inferno", "plasma", "cividis", "gray")
SIGNED = (DIVERGING,)
NAMES = (*SEQUENTIAL, *SIGNED)
NOT_A_NUMBER = "#00c853"
STEPS = 256


def rgb(text: str) -> tuple[int, int, int]:
    """(red, green, blue), 0 to 255, of `#rrggbb`."""
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def table(name: str) -> np.ndarray:
    """uint8 257 x 3: the 256 colours of one of NAMES, and the colour of NaN as the last."""
    if name == "gray":
        steps = np.arange(STEPS, dtype=np.uint8)[:, np.newaxis].repeat(3, axis=1)
    else:
        steps = np.frombuffer(bytes.fromhex("".join(TABLES[name])), np.uint8).reshape(STEPS, 3)
    return np.vstack([steps, np.array([rgb(NOT_A_NUMBER)], np.uint8)])


def painted(values: np.ndarray, low: float, high: float, colours: np.ndarray) -> np.ndarray:
    """uint8 H x W x 3 of H x W numbers: `low` and below get the first colour, `high` and above the last."""
    span = high - low
    with np.errstate(invalid="ignore", over="ignore"):
        level = (np.clip(values, low, high) - low) * ((STEPS - 1) / span if span > 0 else 0.0)
    missing = np.isnan(values)
    steps = np.rint(np.where(missing, 0, level)).astype(np.intp)
    return colours[np.where(missing, STEPS, steps)]
