"""The classical texture banks: Leung-Malik, the root filter set, its maximum responses, and Schmid's rings.

Support, order and normalisation (mean removed from every filter, then divided by the sum of absolute values) follow
the code that the Visual Geometry Group published: https://www.robots.ox.ac.uk/~vgg/research/texclass/filters.html
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from cnntool.banks.base import SIZE_OF_BALANCED, FilterBank, Reduction
from cnntool.banks.plane import balanced, gaussian, turned, unit
from cnntool.declare import option
from cnntool.late import np

if TYPE_CHECKING:
    from cnntool.banks.plane import Plane

ORIENTATIONS = 6
DERIVATIVE = {"edge": 1, "bar": 2}
LM_SIGMAS = tuple(math.sqrt(2) ** power for power in (1, 2, 3, 4))
RFS_SIGMAS = (1.0, 2.0, 4.0)
HIGHEST_TAU = {2: 1, 4: 2, 6: 3, 8: 3, 10: 4}
SCHMID_RINGS = tuple((sigma, tau) for sigma, highest in HIGHEST_TAU.items() for tau in range(1, highest + 1))


class TextureFilter(NamedTuple):
    """One filter: `edge` and `bar` are turned by `orientation` sixths of half a turn, `spot` and `log` are round."""

    shape: str
    sigma: float
    orientation: int = 0

    def name(self) -> str:
        return f"{self.shape} {self.sigma:.3g}" + (f" o{self.orientation}" if self.shape in DERIVATIVE else "")

    def draw(self, size: tuple[int, int]) -> Plane:
        """The filter up to scale: constant factors vanish when it is normalised."""
        u, v = turned(size, math.pi * self.orientation / ORIENTATIONS)
        u, v = u / self.sigma, v / self.sigma
        if self.shape in DERIVATIVE:
            return gaussian(u / 3) * gaussian(v, DERIVATIVE[self.shape])
        spot = gaussian(u) * gaussian(v)
        return spot if self.shape == "spot" else (u**2 + v**2 - 2) * spot


def oriented(sigmas: tuple[float, ...]) -> list[TextureFilter]:
    return [TextureFilter(shape, sigma, o) for shape in DERIVATIVE for sigma in sigmas for o in range(ORIENTATIONS)]


class TextureBank(FilterBank):
    """A bank that is a list of filters of one size."""

    size: tuple[int, int]
    prefix: str

    @abstractmethod
    def members(self) -> list[TextureFilter]:
        """The filters in order."""

    def names(self) -> list[str]:
        return [f"{self.prefix} {member.name()}" for member in self.members()]

    def places(self) -> list[tuple[int, int]]:
        """Scales down; edges, then bars, in all orientations across. Round filters follow below, side by side."""
        members = self.members()
        sigmas = sorted({member.sigma for member in members if member.shape in DERIVATIVE})
        shapes = list(DERIVATIVE)
        found, round_ones = [], 0
        for member in members:
            if member.shape in DERIVATIVE:
                column = ORIENTATIONS * shapes.index(member.shape) + member.orientation
                found.append((sigmas.index(member.sigma), column))
            else:
                found.append((len(sigmas), round_ones))
                round_ones += 1
        return found

    def planes(self) -> Iterator[Plane]:
        for member in self.members():
            yield unit(balanced(member.draw(self.size)))


@dataclass(frozen=True)
class LeungMalik(TextureBank):
    """Leung-Malik: 48 filters, oriented edges and bars at 3 scales, and round spots.

    The large variant: with sigma in sqrt(2), 2, 2 sqrt(2) and 6 orientations, 18 first then 18 second derivatives
    across a Gaussian three times as long; then for sigma in sqrt(2), 2, 2 sqrt(2), 4 a Gaussian, a Laplacian of
    Gaussian (LoG) and one of 3 sigma. Each has sum zero (the Gaussians too) and absolute values that sum to 1.
    Source: T. Leung, J. Malik, "Representing and recognizing the visual appearance of materials using
    three-dimensional textons", IJCV 2001.
    """

    prefix = "lm"
    size: tuple[int, int] = option((49, 49), SIZE_OF_BALANCED, "Height and width of the filters.")

    def members(self) -> list[TextureFilter]:
        spots = [
            member
            for sigma in LM_SIGMAS
            for member in (TextureFilter("spot", sigma), TextureFilter("log", sigma), TextureFilter("log", 3 * sigma))
        ]
        return oriented(LM_SIGMAS[:3]) + spots


@dataclass(frozen=True)
class RootFilterSet(TextureBank):
    """Root filter set (RFS): 38 filters, edges and bars at 3 scales and 6 orientations, a Gaussian and its Laplacian.

    18 first then 18 second derivatives, with sigma in 1, 2, 4, across a Gaussian three times as long; then a Gaussian
    and a Laplacian of Gaussian of sigma 10. Each has sum zero (the Gaussian too) and absolute values that sum to 1.
    Source: M. Varma, A. Zisserman, "A statistical approach to texture classification from single images", IJCV 2005.
    """

    prefix = "rfs"
    size: tuple[int, int] = option((49, 49), SIZE_OF_BALANCED, "Height and width of the filters.")

    def members(self) -> list[TextureFilter]:
        return [*oriented(RFS_SIGMAS), TextureFilter("spot", 10.0), TextureFilter("log", 10.0)]


@dataclass(frozen=True)
class MaximumResponse(RootFilterSet):
    """Maximum responses (MR8): the 38 filters of rfs, reduced to 8 maps that do not change when the image is turned.

    For edges of each scale the largest |response| over the orientations (they span only half a turn), for bars of each
    scale the largest response, then the responses of the Gaussian and its Laplacian. Source: as of rfs.
    """

    prefix = "mr8"

    @property
    def reduce(self) -> Reduction:
        scales = len(RFS_SIGMAS)
        first = [ORIENTATIONS * index for index in range(2 * scales)]
        groups = [tuple(range(start, start + ORIENTATIONS)) for start in first]
        spot = ORIENTATIONS * 2 * scales
        return Reduction((*groups, (spot,), (spot + 1,)), ("absmax",) * scales + ("max",) * scales + ("max", "max"))


@dataclass(frozen=True)
class Schmid(FilterBank):
    """Schmid: 13 rings, which answer to texture of one scale whatever its direction.

    `cos(pi tau r / sigma) * exp(-r^2 / (2 sigma^2))`, (sigma, tau) = (2,1) (4,1) (4,2) (6,1) (6,2) (6,3) (8,1) (8,2)
    (8,3) (10,1) (10,2) (10,3) (10,4). Each has sum zero and absolute values that sum to 1.
    Source: C. Schmid, "Constructing models for content-based image retrieval", CVPR 2001.
    """

    size: tuple[int, int] = option((49, 49), SIZE_OF_BALANCED, "Height and width of the filters.")

    def names(self) -> list[str]:
        return [f"schmid {sigma},{tau}" for sigma, tau in SCHMID_RINGS]

    def places(self) -> list[tuple[int, int]]:
        """Sigma down, tau across."""
        sigmas = list(HIGHEST_TAU)
        return [(sigmas.index(sigma), tau - 1) for sigma, tau in SCHMID_RINGS]

    def planes(self) -> Iterator[Plane]:
        x, y = turned(self.size, 0)
        r = np.hypot(x, y)
        for sigma, tau in SCHMID_RINGS:
            yield unit(balanced(np.cos(math.pi * tau * r / sigma) * gaussian(r / sigma)))
