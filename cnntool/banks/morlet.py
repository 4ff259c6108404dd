"""The Morlet bank: the complex wavelets and the low-pass of the scattering transform."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntool.banks.base import SIZE_OF_BALANCED, FilterBank, Reduction
from cnntool.banks.plane import balanced, gaussian, turned
from cnntool.declare import Flag, Integer, option
from cnntool.late import np

if TYPE_CHECKING:
    from cnntool.banks.plane import Plane

SMALLEST_SIGMA = 0.8
SMALLEST_FREQUENCY = 3 * math.pi / 4


@dataclass(frozen=True)
class Morlet(FilterBank):
    """Morlet wavelets: an octave apart, each a real and an imaginary filter, and a low-pass; first order of scattering.

    `slant / (2 pi sigma^2) * exp(-(u^2 + slant^2 v^2) / (2 sigma^2)) * (exp(i xi u) - K)` with `sigma = 0.8 * 2^j`,
    `xi = 3 pi / 4 * 2^-j` radians a pixel, `slant = 4 / orientations`, and K such that the sum is zero; u runs along
    the direction `180 o / orientations` degrees (0 to the right, 90 down). Low-pass: a Gaussian of sum about 1 with
    `sigma = 0.8 * 2^(scales - 1)`. The scale is kymatio's, where all wavelets pass their band about equally.
    Order: scale, orientation, then real and imaginary; the low-pass comes last.
    """

    scales: int = option(3, Integer(1, 10), "Number of scales, an octave apart.")
    orientations: int = option(8, Integer(1, 1024), "Number of orientations, spread over half a turn.")
    size: tuple[int, int] | None = option(
        None,
        SIZE_OF_BALANCED,
        "Height and width of the filters; by default 3 standard deviations of the widest on either side of the centre.",
    )
    modulus: bool = option(
        False, Flag(), "One map a wavelet, the root of the sum of squares of its two parts; then the low-pass."
    )

    @property
    def slant(self) -> float:
        return 4 / self.orientations

    @property
    def largest_sigma(self) -> float:
        return SMALLEST_SIGMA * 2 ** (self.scales - 1)

    @property
    def kernel_size(self) -> tuple[int, int]:
        side = 2 * math.ceil(3 * self.largest_sigma * max(1, 1 / self.slant)) + 1
        return self.size or (side, side)

    @property
    def count(self) -> int:
        return 2 * self.scales * self.orientations + 1

    @property
    def reduce(self) -> Reduction | None:
        if not self.modulus:
            return None
        low_pass = self.count - 1
        pairs = tuple((real, real + 1) for real in range(0, low_pass, 2))
        return Reduction((*pairs, (low_pass,)), ("modulus",) * len(pairs) + ("max",))

    def names(self) -> list[str]:
        wavelets = [
            f"morlet s{j} o{o} {part}"
            for j in range(self.scales)
            for o in range(self.orientations)
            for part in ("re", "im")
        ]
        return [*wavelets, "morlet low-pass"]

    def places(self) -> list[tuple[int, int]]:
        """Orientations across, scales down, the low-pass below."""
        return [divmod(number, 2 * self.orientations) for number in range(self.count)]

    def planes(self) -> Iterator[Plane]:
        for j in range(self.scales):
            sigma, frequency = SMALLEST_SIGMA * 2**j, SMALLEST_FREQUENCY / 2**j
            for o in range(self.orientations):
                u, v = turned(self.kernel_size, math.pi * o / self.orientations)
                height = self.slant / (2 * math.pi * sigma**2)
                envelope = height * gaussian(u / sigma) * gaussian(self.slant * v / sigma)
                yield balanced(envelope * np.cos(frequency * u), envelope)
                yield balanced(envelope * np.sin(frequency * u), envelope)
        x, y = (axis / self.largest_sigma for axis in turned(self.kernel_size, 0))
        yield gaussian(x) * gaussian(y) / (2 * math.pi * self.largest_sigma**2)
