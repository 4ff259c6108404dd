"""Functions on the pixels of one filter, from which the analytic banks are made. Arrays are float64."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cnntool.errors import CnntoolError
from cnntool.late import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.float64]

# Below this sum of absolute values a filter of peak 1 is rounding noise, which normalising would blow up.
EMPTY = 1e-9


def turned(size: tuple[int, int], angle: float) -> tuple[Plane, Plane]:
    """Each pixel's coordinates (u, v) in axes turned by `angle` (radians) about the filter's centre, two (h, w) arrays.

    `u = x cos(angle) - y sin(angle)`, `v = x sin(angle) + y cos(angle)`; x points right and y up. So u runs to
    the right at angle 0 and down at 90 degrees. The centre of an even side lies between its two middle pixels.
    """
    height, width = size
    x = np.arange(width) - (width - 1) / 2
    y = ((height - 1) / 2 - np.arange(height))[:, np.newaxis]
    return x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)


def gaussian(q: Plane, order: int = 0) -> Plane:
    """The derivative of that order of `exp(-q^2 / 2)`: `(-1)^n He_n(q) exp(-q^2 / 2)`, He Hermite's polynomials."""
    previous, hermite = np.zeros_like(q), np.ones_like(q)
    for n in range(order):
        previous, hermite = hermite, q * hermite - n * previous
    return (-1) ** order * hermite * np.exp(-(q**2) / 2)


def balanced(plane: Plane, envelope: Plane | None = None) -> Plane:
    """The plane with sum zero: less its mean, or less a multiple of the envelope, which leaves far pixels at zero."""
    if envelope is None:
        return plane - plane.mean()
    return plane - plane.sum() / envelope.sum() * envelope


def unit(plane: Plane) -> Plane:
    """The plane divided by its sum of absolute values: responses to an image in [0, 1] then lie in [-1, 1]."""
    norm = np.abs(plane).sum()
    if not norm > EMPTY:
        height, width = plane.shape
        raise CnntoolError(
            f"a filter vanishes on its {height}x{width} pixels: expected a shape that they can show; "
            "take a larger --size, or a scale well between 2 pixels and that size"
        )
    return plane / norm
