"""The discrete cosine transform as a bank: one filter a basis function."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntool.banks.base import SIZE, FilterBank
from cnntool.declare import Flag, option
from cnntool.errors import CnntoolError
from cnntool.late import np

if TYPE_CHECKING:
    from cnntool.banks.plane import Plane


@dataclass(frozen=True)
class Cosine(FilterBank):
    """Discrete cosine transform: all height x width functions of the DCT-II; JPEG's with `--stride 8 --padding 0`.

    `c_v c_u cos(pi (2y + 1) v / (2 height)) cos(pi (2x + 1) u / (2 width))` with `c_0 = sqrt(1/n)`, else `sqrt(2/n)`, n
    being the height or width. Orthonormal: each has a sum of squares of 1. Ordered by v (down), then u (to the right).
    The first is constant, its response the mean times `sqrt(height * width)`; all others have sum zero.
    """

    size: tuple[int, int] = option((8, 8), SIZE, "Height and width of the filters; there are as many as pixels.")
    constant: bool = option(True, Flag(), "Leave out the constant function, which answers to brightness.", "no-dc")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.count:
            raise CnntoolError(
                f"--size {self.size[0]} --no-dc: no filter is left: expected a --size of at least 2; leave out --no-dc"
            )

    @property
    def frequencies(self) -> list[tuple[int, int]]:
        """The half-waves (v, u) of each filter."""
        height, width = self.size
        frequencies = [(v, u) for v in range(height) for u in range(width)]
        return frequencies if self.constant else frequencies[1:]

    @property
    def count(self) -> int:
        return self.size[0] * self.size[1] - (not self.constant)

    def names(self) -> list[str]:
        return [f"dct {v},{u}" for v, u in self.frequencies]

    def places(self) -> list[tuple[int, int]]:
        """Frequencies as they rise, down and across."""
        return self.frequencies

    def planes(self) -> Iterator[Plane]:
        rows, columns = (basis(side) for side in self.size)
        for v, u in self.frequencies:
            yield np.outer(rows[v], columns[u])


def basis(n: int) -> Plane:
    """The orthonormal DCT-II of n points, (frequency, point)."""
    frequency, point = np.arange(n)[:, np.newaxis], np.arange(n)
    waves = np.cos(math.pi * frequency * (2 * point + 1) / (2 * n)) * math.sqrt(2 / n)
    waves[0] = math.sqrt(1 / n)
    return waves
