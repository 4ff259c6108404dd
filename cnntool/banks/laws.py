"""Laws' texture filters: outer products of short vectors for level, edge, spot, wave and ripple."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement, product
from typing import TYPE_CHECKING

from cnntool.banks.base import FilterBank, Reduction
from cnntool.banks.plane import unit
from cnntool.declare import Choice, Flag, option
from cnntool.late import np

if TYPE_CHECKING:
    from cnntool.banks.plane import Plane

VECTORS: dict[str, dict[str, tuple[int, ...]]] = {
    "3": {"L3": (1, 2, 1), "E3": (-1, 0, 1), "S3": (-1, 2, -1)},
    "5": {
        "L5": (1, 4, 6, 4, 1),
        "E5": (-1, -2, 0, 2, 1),
        "S5": (-1, 0, 2, 0, -1),
        "W5": (-1, 2, 0, -2, 1),
        "R5": (1, -4, 6, -4, 1),
    },
}


@dataclass(frozen=True)
class Laws(FilterBank):
    """Laws' texture filters: 25 of 5x5 (or 9 of 3x3), outer products of vectors for level, edge, spot, wave, ripple.

    L5 1 4 6 4 1; E5 -1 -2 0 2 1; S5 -1 0 2 0 -1; W5 -1 2 0 -2 1; R5 1 -4 6 -4 1; L3 1 2 1; E3 -1 0 1; S3 -1 2 -1. L5E5
    has L5 down its columns and E5 along its rows. Each is divided by its sum of absolute values; all but L5L5 have
    sum zero. Laws' texture energy is `bank laws abs avgpool 15 --stride 1`.
    Source: K. Laws, "Rapid texture identification", Proc. SPIE 238, 1980.
    """

    size: str = option("5", Choice("5", "3"), "Length of the vectors: 5 vectors of 5 pixels, or 3 of 3.")
    level: bool = option(True, Flag(), "Leave out L5L5 (L3L3), the only one that answers to brightness.", "no-level")
    pairs: bool = option(
        False,
        Flag(),
        "One map for each filter and its transpose (L5E5 and E5L5), the root of the sum of squares: 15 maps, or 6.",
    )
    integers: bool = option(False, Flag(), "Keep the whole numbers as published, instead of absolute sums of 1.")

    @property
    def kernel_size(self) -> tuple[int, int]:
        return int(self.size), int(self.size)

    @property
    def members(self) -> list[tuple[str, str]]:
        """The vertical and the horizontal vector of each filter."""
        members = list(product(VECTORS[self.size], VECTORS[self.size]))
        return members if self.level else members[1:]

    @property
    def count(self) -> int:
        return len(self.members)

    @property
    def reduce(self) -> Reduction | None:
        if not self.pairs:
            return None
        index_of = {member: index for index, member in enumerate(self.members)}
        pairs = [pair for pair in combinations_with_replacement(VECTORS[self.size], 2) if pair in index_of]
        groups = [tuple(sorted({index_of[a, b], index_of[b, a]})) for a, b in pairs]
        return Reduction(tuple(groups), ("modulus",) * len(groups))

    def names(self) -> list[str]:
        return [vertical + horizontal for vertical, horizontal in self.members]

    def places(self) -> list[tuple[int, int]] | None:
        """The vertical vector down, the horizontal one across."""
        if self.pairs:
            return None
        order = list(VECTORS[self.size])
        return [(order.index(vertical), order.index(across)) for vertical, across in self.members]

    def planes(self) -> Iterator[Plane]:
        vectors = VECTORS[self.size]
        for vertical, horizontal in self.members:
            plane = np.outer(vectors[vertical], vectors[horizontal]).astype(np.float64)
            yield plane if self.integers else unit(plane)
