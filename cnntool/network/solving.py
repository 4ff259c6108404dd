"""The inverse of the shape calculator: the numbers for each `?` that give an output of the shape that is wanted.

The shapes that can be had are followed through the layers, each shape once, however many numbers lead to it; then, from
the end, it is counted in how many ways each leads to the target. So a chain with many `?` takes no longer than the
shapes that its volumes can have, and only solutions are ever put together.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

from cnntool.errors import CnntoolError, Unfit
from cnntool.network.graph import INPUT, Graph, named
from cnntool.network.opening import Open, Ways, number_of
from cnntool.network.templates import LARGEST_COUNT, Hole, Numbers, Template, check_ways
from cnntool.steps.geometry import Shape

MOST_MOVES = 500_000  # from a shape to one that a layer makes of it
SIDE = "height and width"

State = tuple[Shape, ...]  # of the volumes that a later layer takes
Moves = list[tuple[State, list[Ways]]]


class Target(NamedTuple):
    """The output that is wanted: None for any height, width or number of channels, and `unchanged` for the input's
    height and width."""

    sizes: tuple[int | None, int | None, int | None] = (None, None, None)
    unchanged: bool = False

    def met(self, shape: Shape, input_shape: Shape) -> bool:
        """Whether an output of this shape is wanted."""
        sizes = (*input_shape[:2], None) if self.unchanged else self.sizes
        return all(wanted in (None, size) for wanted, size in zip(sizes, shape, strict=True))


class OpenInput:
    """An input shape with None for what is open; height and width, where both are, are one number: a square."""

    def __init__(self, sizes: tuple[int | None, ...], up_to: int | None) -> None:
        names = ("height", "width", "channels")
        open_names = [name for name, size in zip(names, sizes, strict=True) if size is None]
        square = sizes[0] is None and sizes[1] is None
        labels = [SIDE, *open_names[2:]] if square else open_names
        tried = range(1, (up_to or LARGEST_COUNT) + 1)
        self.holes = [Hole(0, "input", label, tried) for label in labels]
        check_ways([hole.range for hole in self.holes])
        self.shapes: dict[Shape, Numbers] = {}
        for numbers in itertools.product(*(hole.range for hole in self.holes)):
            given = iter((numbers[0], *numbers) if square else numbers)
            height, width, channels = (next(given) if size is None else size for size in sizes)
            self.shapes[height, width, channels] = numbers


class Solver:
    """All solutions for a graph in which the nodes of `templates` have open numbers."""

    def __init__(
        self, graph: Graph, templates: dict[int, Template], input_sizes: tuple[int | None, ...], target: Target,
        up_to: int | None = None,
    ) -> None:  # fmt: skip
        self.graph, self.target = graph, target
        self.order = graph.needed()
        for number in sorted(templates.keys() - set(self.order)):
            with named(graph.nodes[number].layer, number):
                raise CnntoolError("the output does not depend on this layer, and so on no number for its `?`")
        self.input = OpenInput(input_sizes, up_to)
        self.holes = list(self.input.holes)
        self.open: dict[int, Open] = {}
        for number, template in sorted(templates.items()):
            with named(graph.nodes[number].layer, number):
                holes = template.holes(number + 1, up_to)
                self.open[number] = Open(template, holes)
                self.holes += holes
        self.makes_channels = graph.output  # the node whose channels are those of the output
        while self.makes_channels != INPUT and graph.nodes[self.makes_channels].layer.keeps_channels:
            self.makes_channels = graph.nodes[self.makes_channels].inputs[0]
        self.moves: list[dict[State, Moves]] = []
        self.starts: list[State] = [(shape,) for shape in self.input.shapes]
        self._follow()
        self._count()

    def _follow(self) -> None:
        """From the input's shapes to all that each layer can make of them."""
        last_use = {
            source: step for step, number in enumerate(self.order) for source in self.graph.nodes[number].inputs
        }
        last_use[self.graph.output] = len(self.order)
        if self.target.unchanged:
            last_use[INPUT] = len(self.order)
        live, states = [INPUT], dict.fromkeys(self.starts)
        total = 0
        for step, number in enumerate(self.order):
            layer, inputs = self.graph.nodes[number]
            sources = [live.index(source) for source in inputs]
            live.append(number)
            kept = [place for place, value in enumerate(live) if last_use.get(value, -1) > step]
            live = [live[place] for place in kept]
            found: dict[State, Moves] = {}
            following: dict[State, None] = {}
            known: dict[State, dict[Shape, list[Ways]]] = {}
            for state in states:
                given = tuple(state[source] for source in sources)
                if given not in known:
                    known[given] = self._outputs(number, given)
                moves = []
                for output, ways in known[given].items():
                    after = (*state, output)
                    moves.append((tuple(after[place] for place in kept), ways))
                found[state] = moves
                following.update((state, None) for state, _ in moves)
                total += len(moves)
                if total > MOST_MOVES:
                    raise CnntoolError("there are too many possibilities: fill in some `?`, or give a smaller --up-to")
            if not following:
                with named(layer, number):
                    raise Unfit(f"no solution within the range: {self.problem}")
            self.moves.append(found)
            states = following
        self.live, self.ends = live, list(states)

    def _outputs(self, number: int, given: State) -> dict[Shape, list[Ways]]:
        """The shapes that a layer makes of its inputs."""
        if number in self.open:
            found = self.open[number].moves(given[0], self.target.sizes[2] if number == self.makes_channels else None)
            self.problem = self.open[number].problem
            return found
        try:
            return {self.graph.nodes[number].layer.output_shape(*given): [()]}
        except CnntoolError as error:
            self.problem = str(error)
            return {}

    def _count(self) -> None:
        """In how many ways each state leads to the target."""
        output = self.live.index(self.graph.output)
        first = self.live.index(INPUT) if self.target.unchanged else output
        counts = {state: int(self.target.met(state[output], state[first])) for state in self.ends}
        self.outputs = sorted({state[output] for state in self.ends})
        self.counts = [counts]
        for moves in reversed(self.moves):
            after = self.counts[0]
            self.counts.insert(0, {
                state: sum(after[end] * sum(map(number_of, ways)) for end, ways in found if after[end])
                for state, found in moves.items()
            })  # fmt: skip
        self.count = sum(self.counts[0].get(state, 0) for state in self.starts)

    def nearest(self, input_sizes: tuple[int | None, ...], most: int = 3) -> list[Shape]:
        """The outputs that can be had and differ least from the target."""
        wanted = (*input_sizes[:2], None) if self.target.unchanged else self.target.sizes

        def distance(shape: Shape) -> int:
            return sum(abs(size - other) for size, other in zip(shape, wanted, strict=True) if other)

        return sorted(self.outputs, key=distance)[:most]

    def solutions(self) -> Iterator[Numbers]:
        """One number for each hole, in order."""
        chosen: list[Numbers] = []
        first = [(self.input.shapes[state[0]], 0, state) for state in self.starts if self.counts[0].get(state)]
        stack = [iter(first)]
        known: dict[tuple[int, State], list[tuple[Numbers, int, State]]] = {}
        while stack:
            step = next(stack[-1], None)
            if step is None:
                stack.pop()
                continue
            numbers, place, state = step
            chosen[len(stack) - 1 :] = [numbers]
            while place < len(self.order) and self.order[place] not in self.open:
                state, place = self.moves[place][state][0][0], place + 1
            if place == len(self.order):
                yield sum(chosen, ())
                continue
            if (place, state) not in known:
                known[place, state] = self._choices(place, state)
            stack.append(iter(known[place, state]))

    def _choices(self, place: int, state: State) -> list[tuple[Numbers, int, State]]:
        """The fillings of an open layer that lead to the target, in order."""
        layer, after = self.open[self.order[place]], self.counts[place + 1]
        return sorted(
            (numbers, place + 1, following)
            for following, several in self.moves[place][state]
            if after[following]
            for ways in several
            for numbers in layer.fillings(ways)
        )


def parse_target(text: str) -> Target:
    """`27x27`, `27x27x64`, `27` for both sides, `unchanged`; a `?` is any size. A ValueError says what is wrong."""
    if text == "unchanged":
        return Target(unchanged=True)
    sizes = parse_sizes(text)
    if len(sizes) > 3:
        raise ValueError(f"{text!r}: expected HEIGHTxWIDTH, HEIGHTxWIDTHxCHANNELS or unchanged, such as 27x27x64")
    height, width, channels = (*sizes, None) if len(sizes) == 2 else sizes if len(sizes) == 3 else (*sizes * 2, None)
    return Target((height, width, channels))


def parse_sizes(text: str) -> tuple[int | None, ...]:
    """Sizes joined by x, None for each `?`."""
    sizes = [None if part == "?" else part for part in text.lower().split("x")]
    if not all(part is None or (part.isascii() and part.isdigit() and 0 < int(part) < 2**31) for part in sizes):
        raise ValueError(f"{text!r}: expected sizes such as 27x27, 27x27x64 or ?x27, or unchanged")
    return tuple(None if part is None else int(part) for part in sizes)
