"""Layers with a `?` in the place of numbers: what stands open, and the layer of any numbers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from cnntool.declare import Blank, Integer
from cnntool.errors import CnntoolError
from cnntool.layers.base import Layer

LARGEST_SIZE, LARGEST_COUNT = 11, 1024  # of what a `?` is tried with, unless --up-to says otherwise
MOST_WAYS = 100_000  # of filling in what is tried one by one
PLACES = {1: ("",), 2: (" height", " width"), 4: (" top", " left", " bottom", " right")}
Numbers = tuple[int, ...]


class Hole(NamedTuple):
    """One `?`: where it stands, and the numbers that are tried. Row 0 is the input."""

    row: int
    layer: str
    label: str
    range: range


def check_ways(ranges: Sequence[range]) -> None:
    """Refuses more ways of filling in than can be tried."""
    ways = math.prod(map(len, ranges))
    if ways > MOST_WAYS:
        raise CnntoolError(f"its `?` can be filled in {ways:,} ways: expected at most {MOST_WAYS:,}; give --up-to N")


@dataclass(frozen=True)
class Template:
    """The words of a layer with blanks: `build` makes the layer of values of its fields, `labels` are their names."""

    declared: type[Layer]
    build: Callable[[dict[str, Any]], Layer]
    values: dict[str, Any]
    blanks: dict[str, Blank]
    labels: dict[str, str]

    def layer(self, numbers: Iterable[int], **instead: Any) -> Layer:
        """The layer with these numbers, in the order of the words; `instead`: other values of some fields."""
        given = iter(numbers)
        filled = {name: blank.fill(itertools.islice(given, blank.count)) for name, blank in self.blanks.items()}
        return self.build(self.values | filled | instead)

    def holes(self, row: int, up_to: int | None) -> list[Hole]:
        """Each `?`, in the order of the words."""
        found = []
        for name, blank in self.blanks.items():
            high = up_to or (LARGEST_COUNT if isinstance(blank.kind, Integer) else LARGEST_SIZE)
            tried = range(blank.kind.minimum, min(high, getattr(blank.kind, "maximum", high)) + 1)
            places = PLACES[len(blank.parts())]
            found += [
                Hole(row, self.declared.word, f"{self.labels[name]}{place}", tried)
                for place, part in zip(places, blank.parts(), strict=True)
                if part is None
            ]
        return found

    def layers(self, ranges: Sequence[range], **instead: Any) -> list[tuple[Numbers, Layer]]:
        """All layers that the words can make, with their numbers; the error of the last where they make none."""
        check_ways(ranges)
        problem = CnntoolError("no number is within the range: give a larger --up-to")
        found: list[tuple[Numbers, Layer]] = []
        for numbers in itertools.product(*ranges):
            try:
                found.append((numbers, self.layer(numbers, **instead)))
            except CnntoolError as error:
                problem = error
        if not found:
            raise problem
        return found

    def example(self) -> Layer:
        """A layer of these words, for what does not depend on numbers."""
        holes = self.holes(0, None)
        numbers = [hole.range[0] for hole in holes]
        try:
            return self.layer(numbers)
        except CnntoolError:
            return self.layers([hole.range[:3] for hole in holes])[0][1]
