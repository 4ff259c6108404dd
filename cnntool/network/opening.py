"""How the output of a layer depends on the numbers that are open in its words.

A window slides along rows and along columns by itself, and the number of channels depends on neither. So the numbers of
a window's geometry are tried for each axis alone, and those that put as many positions on any input are tried once.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple

from cnntool.errors import CnntoolError
from cnntool.layers.base import Layer
from cnntool.network.templates import Hole, Numbers, Template, check_ways
from cnntool.steps.geometry import Pair, Shape, positions, same_padding

GEOMETRY = ("kernel_size", "stride", "padding", "dilation")
Placing = tuple[int, ...]
Table = dict[Placing, list[Numbers]]
Ways = tuple[list[Numbers], ...]
"""Ways of filling in: each of the first list with each of the second, and so on."""
NOTHING: list[Numbers] = [()]


class Place(NamedTuple):
    """Stands for the number of a hole."""

    hole: int


class Sliding:
    """The geometry of a window with open numbers, on both axes."""

    def __init__(self, template: Template, holes: Sequence[Hole]) -> None:
        self.ranges = [hole.range for hole in holes]
        self.parts: dict[str, list[int | Place]] = {}
        self.holes: list[int] = []
        self.ceil, self.half = template.values.get("ceil", False), template.declared.pads_half_at_most
        self._tables: dict[Values, list[dict[Numbers, Table]]] = {}
        self._joined: dict[Values, tuple[list[Placing], list[Placing], list[list[Numbers]]]] = {}
        place = itertools.count()
        both: set[int] = set()
        for name, blank in template.blanks.items():
            own = [next(place) for _ in range(blank.count)]
            if name in GEOMETRY:
                given, parts = iter(own), blank.parts()
                self.parts[name] = [Place(next(given)) if part is None else part for part in parts]
                self.holes += own
                both.update(own if len(parts) == 1 else ())
        used = [{slot.hole for slot in self.slots(axis, Values()) if isinstance(slot, Place)} for axis in (0, 1)]
        self.shared = sorted(both)
        self.own = [sorted(on_axis - both) for on_axis in used]

    def slots(self, axis: int, values: Values) -> list[int | Place | None]:
        """Kernel, stride, dilation, padding before and after: numbers, or places of holes."""
        given = (values.kernel_size, values.stride, values.dilation)
        kernel, stride, dilation = (
            parts[axis % len(parts)] if (parts := self.parts.get(name)) else value and value[axis]
            for name, value in zip(("kernel_size", "stride", "dilation"), given, strict=True)
        )
        sides = self.parts.get("padding") or ([0] if isinstance(values.padding, str) else list(values.padding))
        before, after = sides[axis % len(sides)], sides[(axis + 2) % len(sides)]
        return [kernel, kernel if stride is None else stride, dilation, before, after]

    def sizes(self, values: Values, height: int, width: int) -> dict[Pair, list[Ways]]:
        """The heights and widths that can be made of an input, with the ways that lead to each."""
        if values not in self._tables:
            self._tables[values] = [self._table(axis, values) for axis in (0, 1)]
        rows, columns = self._tables[values]
        found: dict[Pair, list[Ways]] = {}
        if any(self.own):
            for shared in rows.keys() & columns.keys():
                reached = (self._reached(rows[shared], height, values), self._reached(columns[shared], width, values))
                for (h, own_rows), (w, own_columns) in itertools.product(*(axis.items() for axis in reached)):
                    found.setdefault((h, w), []).append(([shared], own_rows, own_columns))
            return found
        if values not in self._joined:
            self._joined[values] = _joined(rows, columns)
        down, across, keys = self._joined[values]
        heights = self._positions(down, height, values)
        widths = heights if across == down and width == height else self._positions(across, width, values)
        together: dict[Pair, list[Numbers]] = {}
        for h, w, numbers in zip(heights, widths, keys, strict=True):
            if h > 0 and w > 0:
                if (h, w) in together:
                    together[h, w] += numbers
                else:
                    together[h, w] = numbers.copy()
        return {size: [(numbers, NOTHING, NOTHING)] for size, numbers in together.items()}

    def _reached(self, table: Table, size: int, values: Values) -> dict[int, list[Numbers]]:
        found: dict[int, list[Numbers]] = {}
        for outputs, numbers in zip(self._positions(list(table), size, values), table.values(), strict=True):
            if outputs > 0:
                found.setdefault(outputs, []).extend(numbers)
        return found

    def _positions(self, placings: list[Placing], size: int, values: Values) -> list[int]:
        """How many positions each placing has on an input of this size; below 1 if it does not fit."""
        if self.is_same(values):
            sides = (same_padding(size, *placing) for placing in placings)
            return [
                positions(size, dilation * (kernel - 1) + 1, stride, before, after, self.ceil)
                for (kernel, stride, dilation), (before, after) in zip(placings, sides, strict=True)
            ]
        if self.ceil:
            return [positions(size, *placing, self.ceil) for placing in placings]  # type: ignore[call-arg,arg-type]
        return [(size - extent) // stride + 1 for extent, stride in placings]  # `positions`, without a call for each

    def is_same(self, values: Values) -> bool:
        """Whether the padding follows from the size of the input."""
        return values.padding == "same" and "padding" not in self.parts

    def _table(self, axis: int, values: Values) -> dict[Numbers, Table]:
        """For the numbers of shared holes, the placings that the axis' own can make."""
        slots = self.slots(axis, values)
        holes = [*self.shared, *self.own[axis]]
        constants = tuple(slot for slot in slots if not isinstance(slot, Place))
        left = iter(range(len(holes), len(holes) + len(constants)))
        pick = itemgetter(*(holes.index(slot.hole) if isinstance(slot, Place) else next(left) for slot in slots))
        same, count = self.is_same(values), len(self.shared)
        found: dict[Numbers, Table] = {}
        ranges = [self.ranges[hole] for hole in holes]
        check_ways(ranges)
        for numbers in itertools.product(*ranges):
            kernel, stride, dilation, before, after = pick(numbers + constants)
            if self.half and max(before, after) > kernel // 2:
                continue
            extent = dilation * (kernel - 1) + 1
            placing = (kernel, stride, dilation) if same else (
                (extent, stride, before, after) if self.ceil else (extent - before - after, stride)
            )  # fmt: skip
            found.setdefault(numbers[:count], {}).setdefault(placing, []).append(numbers[count:])
        return found


def _joined(
    rows: dict[Numbers, Table], columns: dict[Numbers, Table]
) -> tuple[list[Placing], list[Placing], list[list[Numbers]]]:
    """Where the axes share all holes: each pair of placings once, with all the numbers that lead to it."""
    found: dict[tuple[Placing, Placing], list[Numbers]] = {}
    for key in rows.keys() & columns.keys():
        (down,), (across,) = rows[key], columns[key]
        found.setdefault((down, across), []).append(key)
    return [down for down, _ in found], [across for _, across in found], list(found.values())


class Values(NamedTuple):
    """What is given of a window's geometry; a stride that is not given is the kernel."""

    kernel_size: Pair | None = None
    stride: Pair | None = None
    dilation: Pair = (1, 1)
    padding: tuple[int, ...] | str = (0,)


class Open:
    """A template in a graph: the shapes that it can make of an input, and the ways that lead to each."""

    def __init__(self, template: Template, holes: Sequence[Hole]) -> None:
        self.problem = "no window of the range fits into its input"
        slides = {"stride", "padding"} <= template.values.keys()
        self.sliding = Sliding(template, holes) if slides else None
        geometric = self.sliding.holes if self.sliding else []
        ranges = [hole.range[:1] if place in geometric else hole.range for place, hole in enumerate(holes)]
        outer = [place for place in range(len(holes)) if place not in geometric]
        order = outer if self.sliding is None else [*outer, *self.sliding.shared, *itertools.chain(*self.sliding.own)]
        self.order = itemgetter(*(order.index(place) for place in range(len(holes))))
        # One pixel with `same` shows the channels, whatever the window.
        instead = {"padding": "same"} if slides else {}
        self.variants: dict[Values, list[tuple[Numbers, Layer]]] = {}
        for numbers, layer in template.layers(ranges, **instead):
            values = self._values(template, layer) if slides else Values()
            self.variants.setdefault(values, []).append((tuple(numbers[place] for place in outer), layer))
        self._channels: dict[tuple[Values, int], dict[int, list[Numbers]]] = {}
        self._sizes: dict[tuple[Values, int, int], dict[Pair, list[Ways]]] = {}

    def _values(self, template: Template, layer: Layer) -> Values:
        given = template.values
        kernel_size = None if "kernel_size" in template.blanks else layer.window((1, 1, 1)).kernel_size
        stride = None if "stride" in template.blanks else given["stride"]
        dilation = (1, 1) if "dilation" in template.blanks else given.get("dilation", (1, 1))
        padding = (0,) if "padding" in template.blanks else given["padding"]
        if padding is None:
            padding = template.example().options()["padding"]
        return Values(kernel_size, stride, dilation, tuple(padding) if not isinstance(padding, str) else padding)

    def moves(self, shape: Shape, depth: int | None) -> dict[Shape, list[Ways]]:
        """The output shapes, each with the ways that lead to it; only those of `depth` channels, if that is given."""
        height, width, channels = shape
        found: dict[Shape, list[Ways]] = {}
        for values, variants in self.variants.items():
            if self.sliding is None:
                for output, numbers in self._outputs(variants, shape).items():
                    found.setdefault(output, []).append((numbers,))
                continue
            if (key := (values, channels)) not in self._channels:
                outputs = self._outputs(variants, (1, 1, channels))
                self._channels[key] = {o[2]: numbers for o, numbers in outputs.items() if depth in (None, o[2])}
            if (place := (values, height, width)) not in self._sizes:
                self._sizes[place] = self.sliding.sizes(values, height, width)
            for (h, w), several in self._sizes[place].items():
                for deep, outer in self._channels[key].items():
                    found.setdefault((h, w, deep), []).extend((outer, *ways) for ways in several)
        return found

    def _outputs(self, variants: list[tuple[Numbers, Layer]], shape: Shape) -> dict[Shape, list[Numbers]]:
        found: dict[Shape, list[Numbers]] = {}
        for numbers, layer in variants:
            try:
                found.setdefault(layer.output_shape(shape), []).append(numbers)
            except CnntoolError as error:
                self.problem = str(error)
        return found

    def fillings(self, ways: Ways) -> Iterator[Numbers]:
        """All numbers of these ways, in the order of the words."""
        for pieces in itertools.product(*ways):
            numbers = self.order(sum(pieces, ()))
            yield numbers if isinstance(numbers, tuple) else (numbers,)


def number_of(ways: Ways) -> int:
    """How many fillings these ways have."""
    return math.prod(map(len, ways))
