"""The Gabor bank: waves under a Gaussian, at several scales and orientations."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntool.banks.base import SIZE_OF_BALANCED, FilterBank, Reduction
from cnntool.banks.plane import balanced, gaussian, turned, unit
from cnntool.declare import Flag, Integer, Real, option
from cnntool.late import np

if TYPE_CHECKING:
    from cnntool.banks.plane import Plane


@dataclass(frozen=True)
class Gabor(FilterBank):
    """Gabor filters: waves under a Gaussian, which answer to edges, lines and texture of one scale and direction.

    `exp(-(u^2 + gamma^2 v^2) / (2 sigma^2)) * cos(2 pi u / wavelength + phase)`, where u runs along the direction
    `180 o / orientations` degrees (0 to the right, 90 down) and v across it; the wavelength at scale s is
    `wavelength * ratio^s`, and `sigma = wavelength / pi * sqrt(ln 2 / 2) * (2^b + 1) / (2^b - 1)` for a bandwidth
    of b octaves (0.562 wavelengths for 1): scikit-image's formula, in OpenCV's notation of gamma and phase.

    Each filter then loses the multiple of its Gaussian that makes its sum zero, so that even filters do not answer
    to brightness, and is divided by its sum of absolute values. Order: scale, orientation, then even and odd.
    """

    scales: int = option(5, Integer(1, 64), "Number of scales.")
    orientations: int = option(8, Integer(1, 1024), "Number of orientations, spread over half a turn.")
    size: tuple[int, int] = option(
        (39, 39), SIZE_OF_BALANCED, "Height and width of the filters; a size below the Gaussian's cuts it off."
    )
    wavelength: float = option(
        3.0, Real(2, 2046, open_below=True, metavar="PIXELS"), "Wavelength of the smallest scale, above 2 pixels."
    )
    ratio: float = option(math.sqrt(2), Real(1, 8, open_below=True), "Ratio of each scale's wavelength to the last's.")
    bandwidth: float = option(
        1.0, Real(0.1, 8, metavar="OCTAVES"), "Frequency bandwidth at half height; more octaves, fewer waves."
    )
    gamma: float = option(
        0.5, Real(0.01, 10), "Width of the Gaussian along the wave over that across it; below 1, long filters."
    )
    phase: float = option(
        0.0, Real(-360, 360, metavar="DEGREES"), "Phase of the wave at the centre: 0 even (lines), -90 odd (edges)."
    )
    quadrature: bool = option(False, Flag(), "Follow each filter by its partner a quarter wave later, as even and odd.")
    energy: bool = option(
        False, Flag(), "One map for each even and odd pair, the root of their sum of squares; implies --quadrature."
    )
    keep_mean: bool = option(False, Flag(), "Leave the sum of each filter as the formula gives it, instead of zero.")

    @property
    def phases(self) -> tuple[float, ...]:
        """The phases, in degrees, at each scale and orientation."""
        # cos(a - 90 degrees) = sin(a), the imaginary part of the complex filter.
        return (self.phase, self.phase - 90) if self.quadrature or self.energy else (self.phase,)

    @property
    def count(self) -> int:
        return self.scales * self.orientations * len(self.phases)

    @property
    def reduce(self) -> Reduction | None:
        if not self.energy:
            return None
        pairs = tuple((even, even + 1) for even in range(0, self.count, 2))
        return Reduction(pairs, ("modulus",) * len(pairs))

    def names(self) -> list[str]:
        endings = (" even", " odd") if len(self.phases) == 2 else ("",)
        return [
            f"gabor {s} {180 * o / self.orientations:g}deg{ending}"
            for s in range(self.scales)
            for o in range(self.orientations)
            for ending in endings
        ]

    def places(self) -> list[tuple[int, int]]:
        """Orientations across, scales down."""
        across = self.orientations * len(self.phases)
        return [divmod(number, across) for number in range(self.count)]

    def planes(self) -> Iterator[Plane]:
        octaves = 2**self.bandwidth
        waves_in_sigma = math.sqrt(math.log(2) / 2) / math.pi * (octaves + 1) / (octaves - 1)
        for s in range(self.scales):
            wavelength = self.wavelength * self.ratio**s
            sigma = waves_in_sigma * wavelength
            for o in range(self.orientations):
                u, v = turned(self.size, math.pi * o / self.orientations)
                envelope = gaussian(u / sigma) * gaussian(self.gamma * v / sigma)
                for phase in self.phases:
                    wave = envelope * np.cos(2 * math.pi * u / wavelength + math.radians(phase))
                    yield unit(wave if self.keep_mean else balanced(wave, envelope))
