"""Derivatives: of a Gaussian in any direction, and the small classics on 3x3 pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from cnntool.banks.base import SIZE_OF_BALANCED, FilterBank, Reduction
from cnntool.banks.plane import balanced, gaussian, turned, unit
from cnntool.declare import Choice, Flag, Integer, Real, option
from cnntool.late import np

if TYPE_CHECKING:
    from cnntool.banks.plane import Plane


@dataclass(frozen=True)
class GaussianDerivatives(FilterBank):
    """Derivatives of a Gaussian: edges (order 1), lines (order 2) and finer detail at one scale, in several directions.

    `(-1)^n d^n/du^n exp(-(u^2 + v^2) / (2 sigma^2))`, u running along the direction `180 o / orientations` degrees: 0
    is to the right, 90 down. The response has the sign of the smoothed image's derivative along u. Each filter has sum
    zero and is divided by its sum of absolute values. `order + 1` orientations span those in all directions
    (W. Freeman, E. Adelson, "The design and use of steerable filters", PAMI 1991).
    """

    sigma: float = option(
        2.0, Real(0.3, 256, metavar="PIXELS"), "Standard deviation of the Gaussian, the scale of what is found."
    )
    order: int = option(1, Integer(1, 8), "Order of the derivative: 1 finds edges, 2 lines.")
    orientations: int = option(4, Integer(1, 1024), "Number of directions, spread over half a turn.")
    size: tuple[int, int] | None = option(
        None, SIZE_OF_BALANCED, "Height and width of the filters; by default 4 sigma on either side of the centre."
    )

    @property
    def kernel_size(self) -> tuple[int, int]:
        side = 2 * math.ceil(4 * self.sigma) + 1
        return self.size or (side, side)

    def names(self) -> list[str]:
        return [f"gaussian d{self.order} o{o}" for o in range(self.orientations)]

    def places(self) -> list[tuple[int, int]]:
        """Orientations across."""
        return [(0, o) for o in range(self.orientations)]

    def planes(self) -> Iterator[Plane]:
        for o in range(self.orientations):
            u, v = turned(self.kernel_size, math.pi * o / self.orientations)
            # A correlation does not turn its filter round as a convolution would, which changes the sign of odd orders.
            along = (-1) ** self.order * gaussian(u / self.sigma, self.order)
            yield unit(balanced(along * gaussian(v / self.sigma)))


@dataclass(frozen=True)
class Gradient(FilterBank):
    """Base of the 3x3 gradients: a central difference along one axis, a smoothing of sum 1 along the other."""

    smoothing: ClassVar[tuple[int, int, int]]
    prefix: ClassVar[str]

    magnitude: bool = option(False, Flag(), "One map, the length of the gradient, instead of its x and y parts.")

    @property
    def kernel_size(self) -> tuple[int, int]:
        return 3, 3

    @property
    def reduce(self) -> Reduction | None:
        return Reduction(((0, 1),), ("modulus",)) if self.magnitude else None

    def names(self) -> list[str]:
        return [f"{self.prefix} x", f"{self.prefix} y"]

    def places(self) -> list[tuple[int, int]]:
        """Side by side."""
        return [(0, 0), (0, 1)]

    def planes(self) -> Iterator[Plane]:
        weights = np.array(self.smoothing) / sum(self.smoothing)
        along_x = np.outer(weights, (-0.5, 0, 0.5))
        yield from (along_x, along_x.T)


@dataclass(frozen=True)
class Sobel(Gradient):
    """Sobel's gradient: 2 filters of 3x3, d/dx (to the right) and d/dy (down), smoothed by 1 2 1.

    A ramp that rises by 1 a pixel gives 1: the response is the derivative per pixel. OpenCV's and SciPy's Sobel are
    8 times ours, scikit-image's `sobel_v` and `sobel_h` twice.
    """

    smoothing = (1, 2, 1)
    prefix = "sobel"


@dataclass(frozen=True)
class Prewitt(Gradient):
    """Prewitt's gradient: 2 filters of 3x3, d/dx (to the right) and d/dy (down), smoothed by 1 1 1.

    A ramp that rises by 1 a pixel gives 1: the response is the derivative per pixel. SciPy's Prewitt is 6 times
    ours, scikit-image's `prewitt_v` and `prewitt_h` twice.
    """

    smoothing = (1, 1, 1)
    prefix = "prewitt"


@dataclass(frozen=True)
class Scharr(Gradient):
    """Scharr's gradient: 2 filters of 3x3, d/dx (to the right) and d/dy (down), smoothed by 3 10 3.

    Its length changes less with the direction of an edge than Sobel's. A ramp that rises by 1 a pixel gives 1: the
    response is the derivative per pixel. OpenCV's Scharr is 32 times ours, scikit-image's `scharr_v` and
    `scharr_h` twice.
    """

    smoothing = (3, 10, 3)
    prefix = "scharr"


@dataclass(frozen=True)
class Laplacian(FilterBank):
    """The Laplacian: 1 filter of 3x3, d2/dx2 + d2/dy2, which answers to spots, lines and corners of a pixel's scale.

    Centre -4 with the 4 neighbours 1 (as SciPy and OpenCV have it; scikit-image's has the other sign), or, with
    8 neighbours, centre -8/3 and each 1/3. A ramp gives 0, and x^2 gives 2: the response is the second derivative.
    """

    neighbours: str = option("4", Choice("4", "8"), "Neighbours of a pixel that are taken; 8 is nearer to round.")

    @property
    def kernel_size(self) -> tuple[int, int]:
        return 3, 3

    def names(self) -> list[str]:
        return ["laplacian"]

    def planes(self) -> Iterator[Plane]:
        if self.neighbours == "4":
            yield np.array([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])
        else:
            yield np.array([[1.0, 1, 1], [1, -8, 1], [1, 1, 1]]) / 3
