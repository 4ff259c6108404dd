"""Random chains with open numbers: `shape --solve` against trying everything.

    python -m tests.fuzz.solving 100000 --first 0 --processes 2

Each chain is parsed once more for each way of filling it in, and followed from shape to shape by the layers themselves.
The solver must find the same solutions, in order, and count them right. A seed makes a chain again.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

from cnntool.chain.grammar import parse_open_words, parse_words
from cnntool.cli.shape_solve import solver_of
from cnntool.errors import CnntoolError
from cnntool.layers.base import Layer
from cnntool.network.solving import parse_sizes, parse_target

MOST_FILLINGS = 400
Shape = tuple[int, int, int]


class Wrong(AssertionError):
    """Solutions that are not those of trying everything."""


class Case(NamedTuple):
    """Words in which each `?` is a number from its `lows` to `up_to`; the input's `?` come first."""

    input: str
    target: str
    layers: list[list[str]]
    lows: list[int]
    up_to: int

    @property
    def text(self) -> str:
        words = " ".join(" ".join(layer) for layer in self.layers)
        return f"shape {self.input} --solve {self.target} --up-to {self.up_to} {words}"


class Maker:
    """Draws words, with a `?` now and then."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.lows: list[int] = []

    def number(self, low: int, high: int, open_share: float = 0.3) -> str:
        if self.dice.random() < open_share:
            self.lows.append(low)
            return "?"
        return str(self.dice.randint(low, high))

    def pair(self, low: int, high: int) -> str:
        count = self.dice.choice((1, 1, 2))
        return "x".join(self.number(low, high) for _ in range(count))

    def padding(self) -> str:
        kind = self.dice.random()
        if kind < 0.15:
            return self.dice.choice(("same", "valid"))
        if kind < 0.3:
            return ",".join(self.number(0, 2, 0.2) for _ in range(4))
        return self.pair(0, 2)

    def sometimes(self, share: float) -> bool:
        return self.dice.random() < share

    def conv(self) -> list[str]:
        words = ["conv", self.number(1, 6, 0.15), self.pair(1, 4)]
        for name, draw in (("stride", lambda: self.pair(1, 3)), ("padding", self.padding),
                           ("dilation", lambda: self.pair(1, 2)), ("groups", lambda: self.number(1, 2))):  # fmt: skip
            words += [f"--{name}", draw()] if self.sometimes(0.35) else []
        return words

    def pool(self) -> list[str]:
        words = [self.dice.choice(("maxpool", "avgpool", "l2pool")), self.pair(1, 4)]
        for name, draw in (("stride", lambda: self.pair(1, 3)), ("padding", self.padding),
                           ("dilation", lambda: self.pair(1, 2))):  # fmt: skip
            words += [f"--{name}", draw()] if self.sometimes(0.4) else []
        return words + (["--ceil"] if self.sometimes(0.5) else [])

    def bank(self) -> list[str]:
        kind = self.dice.choice(("sobel", "dct", "kmeans", "pca"))
        words = ["bank", kind]
        if kind == "dct":
            words += ["--size", self.pair(1, 4)] if self.sometimes(0.7) else []
        if kind in ("kmeans", "pca"):
            words += [self.number(1, 6), self.pair(1, 4)]
        words += ["--stride", self.pair(1, 3)] if self.sometimes(0.4) else []
        words += ["--padding", self.padding()] if self.sometimes(0.4) else []
        return words + (["--per-channel"] if kind in ("sobel", "dct") and self.sometimes(0.3) else [])

    def other(self) -> list[str]:
        kind = self.dice.choice(("relu", "gridpool", "fc", "flatten", "gram", "globalpool", "lrn", "batchnorm"))
        if kind in ("gridpool", "fc"):
            return [kind, self.number(1, 4)]
        if kind == "lrn":
            return [kind, "--size", self.number(1, 5)]
        return [kind, "max"] if kind == "globalpool" else [kind]

    def layers(self) -> list[list[str]]:
        found: list[list[str]] = []
        for _ in range(self.dice.randint(1, 4)):
            draw = self.dice.choice((self.conv, self.conv, self.pool, self.pool, self.bank, self.other))
            found.append(draw())
        if self.sometimes(0.3):
            return self.branched(found)
        return found

    def branched(self, found: list[list[str]]) -> list[list[str]]:
        """The layers with a branch around some of them."""
        start = self.dice.randint(0, len(found) - 1)
        joined = [self.dice.choice(("add", "concat")), "x"]
        if self.sometimes(0.4):
            side = [["mark", "y"], ["from", "x"], self.conv()]
            return [*found[:start], ["mark", "x"], *found[start:], *side, [joined[0], "y"]]
        return [*found[:start], ["mark", "x"], *found[start:], joined]


@functools.lru_cache(10_000)
def layer_of(words: str) -> Layer | None:
    """The layer of words without a `?`, None if they make none."""
    try:
        return parse_words(words.split())[0]
    except CnntoolError:
        return None


def draw(seed: int) -> Case:
    """A random case that can be tried in full."""
    for attempt in itertools.count():
        maker = Maker(seed * 1000 + attempt)
        dice = maker.dice
        height = dice.randint(1, 20)
        sides = [str(height), str(height if dice.random() < 0.6 else dice.randint(1, 20))]
        sides.append(str(dice.choice((1, 2, 3, 4, 6))))
        if dice.random() < 0.15:
            sides[:2] = dice.choice((["?", "?"], [sides[0], "?"], ["?", sides[1]]))
            maker.lows.append(1)
        if dice.random() < 0.05:
            sides[2] = "?"
            maker.lows.append(1)
        layers, up_to = maker.layers(), dice.randint(1, 6)
        fillings = 1
        for low in maker.lows:
            fillings *= max(0, up_to + 1 - low)
        if not maker.lows or not 0 < fillings <= MOST_FILLINGS:
            continue
        case = Case("x".join(sides), "", layers, maker.lows, up_to)
        outputs = [output for _, _, output in tried(case)]
        return case._replace(target=target_of(dice, outputs))
    raise AssertionError


def target_of(dice: random.Random, outputs: list[Shape]) -> str:
    """A target that is met, mostly, but not by everything."""
    if dice.random() < 0.15:
        return "unchanged"
    shape = dice.choice(outputs) if outputs and dice.random() < 0.85 else (dice.randint(1, 9), dice.randint(1, 9), 3)
    sizes = [str(size) if dice.random() < 0.9 else "?" for size in shape]
    return "x".join(sizes[:2] if dice.random() < 0.5 else sizes)


def tried(case: Case) -> list[tuple[tuple[int, ...], Shape, Shape]]:
    """Every filling that makes a network: its numbers, its input and its output."""
    found = []
    for numbers in itertools.product(*(range(low, case.up_to + 1) for low in case.lows)):
        left = iter(numbers)
        given = case.input.split("x")
        if given[:2] == ["?", "?"]:
            given[:2] = [str(next(left))] * 2
        height, width, channels = (next(left) if size == "?" else int(size) for size in given)
        output = followed(case.layers, left, (height, width, channels))
        if output is not None:
            found.append((numbers, (height, width, channels), output))
    return found


def followed(layers: list[list[str]], left: Iterator[int], shape: Shape) -> Shape | None:
    """The output of the layers filled with the numbers that are left; None if one does not fit."""
    marks: dict[str, Shape] = {}
    for words in layers:
        text = " ".join(words)
        while "?" in text:
            text = text.replace("?", str(next(left)), 1)
        if words[0] == "mark":
            marks[words[1]] = shape
        elif words[0] == "from":
            shape = marks[words[1]]
        else:
            layer = layer_of(text)
            if layer is None:
                return None
            try:
                shape = layer.output_shape(shape, *((marks[words[1]],) if layer.joins else ()))
            except CnntoolError:
                return None
    return shape


def wanted(target: str, input_shape: Shape, output: Shape) -> bool:
    if target == "unchanged":
        return output[:2] == input_shape[:2]
    return all(size in ("?", str(found)) for size, found in zip(target.split("x"), output, strict=False))


def check(seed: int) -> str:
    """Solves the case of a seed; its text. A Wrong if the solutions are not all, or not only, those."""
    case = draw(seed)
    expected = [numbers for numbers, shape, output in tried(case) if wanted(case.target, shape, output)]
    try:
        layers = parse_open_words([word for layer in case.layers for word in layer])
        solver = solver_of(layers, parse_sizes(case.input), parse_target(case.target), None, case.up_to)
    except CnntoolError:
        if expected:
            raise
        return case.text
    found = list(solver.solutions())
    if found != expected or solver.count != len(expected):
        raise Wrong(f"{case.text}: {solver.count} {found[:5]}, expected {len(expected)} {expected[:5]}")
    return case.text


def check_many(task: tuple[int, int]) -> tuple[int, list[str]]:
    """The cases of a range of seeds; how many there were, and what was wrong."""
    wrong = []
    for seed in range(*task):
        try:
            check(seed)
        except Exception as error:
            wrong.append(f"seed {seed}: {type(error).__name__}: {error}")
    return task[1] - task[0], wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=int)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--processes", type=int, default=1)
    asked = parser.parse_args()
    start, done, wrong, piece = time.time(), 0, 0, 100
    last = asked.first + asked.cases
    tasks = [(seed, min(seed + piece, last)) for seed in range(asked.first, last, piece)]
    with ProcessPoolExecutor(asked.processes) as pool:
        for number, found in pool.map(check_many, tasks):
            done, wrong = done + number, wrong + len(found)
            print(*found, sep="\n", end="\n" if found else "", flush=True)
            if done % 10_000 == 0 or done == asked.cases:
                print(f"{done} cases, {wrong} wrong, {time.time() - start:.0f} s", flush=True)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
