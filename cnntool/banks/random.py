"""Random filters: what a network sees before it has learned anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntool.banks.base import LARGEST_SIDE, FilterBank
from cnntool.banks.plane import balanced, unit
from cnntool.declare import Flag, Integer, Pair, option
from cnntool.late import np

if TYPE_CHECKING:
    from cnntool.banks.plane import Plane


@dataclass(frozen=True)
class Random(FilterBank):
    """Random filters: independent normal numbers, the baseline that every other bank has to beat.

    Each filter's mean is removed, and it is divided by its sum of absolute values. A seed gives the same filters on
    every machine, and a larger --count keeps those of a smaller one. (Random filters find more than one would think:
    K. Jarrett et al., "What is the best multi-stage architecture for object recognition?", ICCV 2009.)
    """

    number: int = option(32, Integer(1, 65536), "Number of filters.", "count")
    size: tuple[int, int] = option((7, 7), Pair(2, LARGEST_SIDE), "Height and width of the filters.")
    seed: int = option(0, Integer(), "Start of the random numbers.")
    keep_mean: bool = option(False, Flag(), "Leave the sum of each filter as it falls, instead of zero.")

    @property
    def count(self) -> int:
        return self.number

    def names(self) -> list[str]:
        return [f"random {index}" for index in range(self.number)]

    def planes(self) -> Iterator[Plane]:
        # The stream of RandomState is frozen for ever; default_rng's may change from one numpy to the next.
        numbers = np.random.RandomState(self.seed)
        for _ in range(self.number):
            plane = numbers.standard_normal(self.size)
            yield unit(plane if self.keep_mean else balanced(plane))
