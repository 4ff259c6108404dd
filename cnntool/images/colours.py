"""Colour maps: a few anchors each, interpolated linearly, with evenly changing lightness."""

from __future__ import annotations

import numpy as np

# Dark violet through magenta to pale yellow: lightness grows evenly, so equal steps look equal, also to colour-blind
# readers.
RISING = ("#000004", "#1d1147", "#51127c", "#822681", "#b73779", "#e75263", "#fc8961", "#fec488", "#fcfdbf")
# Blue below zero, red above, near white at zero; both ends are equally dark.
DIVERGING = ("#0b3a70", "#2f79b5", "#86bcdb", "#d4e6f1", "#f7f7f5", "#fbdcc8", "#f0a07d", "#ca4741", "#6e0a24")
NOT_A_NUMBER = "#00c853"
STEPS = 256


def rgb(text: str) -> tuple[int, int, int]:
    """(red, green, blue), 0 to 255, of `#rrggbb`."""
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def table(anchors: tuple[str, ...]) -> np.ndarray:
    """uint8 257 x 3: the map in 256 steps, and the colour of NaN as the last."""
    positions = np.linspace(0, len(anchors) - 1, STEPS)
    colours = np.array([rgb(anchor) for anchor in anchors], np.float64)
    steps = [np.interp(positions, np.arange(len(anchors)), colours[:, part]) for part in range(3)]
    return np.vstack([np.rint(np.stack(steps, axis=1)), rgb(NOT_A_NUMBER)]).astype(np.uint8)


def painted(values: np.ndarray, low: float, high: float, colours: np.ndarray) -> np.ndarray:
    """uint8 H x W x 3 of H x W numbers: `low` and below get the first colour, `high` and above the last."""
    span = high - low
    with np.errstate(invalid="ignore", over="ignore"):
        level = (np.clip(values, low, high) - low) * ((STEPS - 1) / span if span > 0 else 0.0)
    missing = np.isnan(values)
    steps = np.rint(np.where(missing, 0, level)).astype(np.intp)
    return colours[np.where(missing, STEPS, steps)]
