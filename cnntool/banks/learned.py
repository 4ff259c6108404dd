"""Banks whose filters are no formula: learned from images without labels by `cnntool fit`, or held by a model."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from cnntool.banks.base import SIZE, FilterBank
from cnntool.declare import Flag, Integer, Real, argument, option
from cnntool.errors import CnntoolError

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST_PATCH = 4096  # numbers of a patch: its covariance matrix is the square of that
NUMBER = Integer(1, 65536, "K")
COUNT = Integer(1)
EPS = Real(0.0)
LEVEL = 1 / 255  # of an 8-bit image whose pixels are in [0, 1]


@dataclass(frozen=True)
class Given(FilterBank):
    """A bank of K filters whose numbers come from elsewhere."""

    number: int = argument(NUMBER, "Number of filters.")
    size: tuple[int, int] = argument(SIZE, "Height and width of the filters.")

    needs_data: ClassVar[str] = "needs data: `cnntool fit INPUT MODEL LAYER...` first, then -m MODEL"

    @property
    def count(self) -> int:
        return self.number

    def names(self) -> list[str]:
        return [f"filter {index}" for index in range(self.number)]

    def planes(self) -> Iterable[NDArray[Any]]:
        raise CnntoolError(self.needs_data)


@dataclass(frozen=True)
class Stored(Given):
    """The K filters of a file, in a saved model; `bank FILE.npy` becomes this there."""

    needs_data: ClassVar[str] = "needs its filters, which a saved model holds: expected -m MODEL"


@dataclass(frozen=True)
class Learned(Given):
    """A bank of K filters over SIZE patches through all channels, learned from a sample of patches."""

    patches: int = option(400_000, COUNT, "How many patches are sampled to learn from.")

    padding: ClassVar[str] = "valid"

    def patch_length(self, channels: int) -> int:
        """How many numbers a patch has; a CnntoolError when they are too many, or too few for the filters."""
        length = math.prod(self.size) * channels
        if length > LARGEST_PATCH:
            raise CnntoolError(
                f"patches of {self.size[0]}x{self.size[1]}x{channels} hold {length} numbers: expected at most "
                f"{LARGEST_PATCH}; make SIZE smaller"
            )
        return length

    def buffer_shapes(self, channels: int) -> dict[str, tuple[int, ...]]:
        """The arrays that are learned; `weight` (kernel_height, kernel_width, channels, K) is what a picture shows."""
        self.patch_length(channels)
        return {"weight": (*self.size, channels, self.number)}

    def macs(self, channels: int) -> int:
        """Multiply-adds of one position."""
        return self.patch_length(channels) * self.number


@dataclass(frozen=True)
class KMeans(Learned):
    """Distances to K centroids of patches, found by k-means (A. Coates, H. Lee, A. Ng 2011).

    Each patch is normalised, (x - mean) / sqrt(variance + EPS_CONTRAST), and whitened by ZCA, whose variances have
    EPS_ZCA added; map k is the distance of the result to centroid k. `triangle` makes features of the distances.
    Pixels are in [0, 1]: the default EPS_CONTRAST is the paper's 10 for pixels of 0 to 255.
    """

    eps_contrast: float = option(10 * LEVEL**2, EPS, "Added to the variance of a patch.")
    eps_zca: float = option(0.1, EPS, "Added to the variances along the principal axes of the normalised patches.")
    iterations: int = option(50, COUNT, "Rounds of k-means.")
    spherical: bool = option(False, Flag(), "Centroids of length 1, and each patch with the nearest by angle.")

    def buffer_shapes(self, channels: int) -> dict[str, tuple[int, ...]]:
        length = self.patch_length(channels)
        return {"mean": (length,), "whitening": (length, length)} | super().buffer_shapes(channels)

    def macs(self, channels: int) -> int:
        length = self.patch_length(channels)
        return length * (length + self.number)


@dataclass(frozen=True)
class PrincipalComponents(Learned):
    """The K principal components of patches whose own mean is removed (PCANet's filters, T.-H. Chan et al. 2015)."""

    def patch_length(self, channels: int) -> int:
        length = super().patch_length(channels)
        if self.number > length:
            raise CnntoolError(
                f"patches of {self.size[0]}x{self.size[1]}x{channels} have {length} principal components: "
                f"expected K of at most {length}, not {self.number}"
            )
        return length


@dataclass(frozen=True)
class Patches(Learned):
    """K random patches as filters: map k is the product of the whitened patch with whitened patch k of length 1.

    Whitening is ZCA, whose variances have EPS_ZCA added (L. Thiry et al., "The unreasonable effectiveness of patches
    in deep convolutional kernels methods", 2021).
    """

    eps_zca: float = option(0.001, EPS, "Added to the variances along the principal axes of the patches.")

    def buffer_shapes(self, channels: int) -> dict[str, tuple[int, ...]]:
        return super().buffer_shapes(channels) | {"bias": (self.number,)}
