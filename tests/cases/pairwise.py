"""Few rows in which every pair of values of any two factors occurs (pairwise, or all-pairs, testing)."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

ATTEMPTS = 3000
CANDIDATES = 12

Factors = Mapping[str, Sequence[Any]]
Choice = dict[str, Any]
Pair = tuple[tuple[str, Any], tuple[str, Any]]


def all_pairs(factors: Factors) -> list[Pair]:
    """Every pair of values of any two factors, the factors in their order."""
    return [
        ((first, one), (second, other))
        for first, second in itertools.combinations(factors, 2)
        for one, other in itertools.product(factors[first], factors[second])
    ]


def pairs_of(choice: Choice) -> set[Pair]:
    """The pairs that a row covers."""
    return set(itertools.combinations(choice.items(), 2))


def cover(factors: Factors, fits: Callable[[Choice], bool], seed: int) -> tuple[list[Choice], list[Pair]]:
    """Rows that cover every pair, and the pairs for which no fitting row was found. The same for the same seed.

    Greedy: each uncovered pair in turn is completed at random, and of some completions that fit, the one that covers
    most is kept.
    """
    dice = random.Random(seed)
    order = all_pairs(factors)
    dice.shuffle(order)
    uncovered = dict.fromkeys(order)
    rows, impossible = [], []
    while uncovered:
        pair = next(iter(uncovered))
        candidates: list[Choice] = []
        for _ in range(ATTEMPTS):
            choice = {name: dice.choice(values) for name, values in factors.items()} | dict(pair)
            if fits(choice):
                candidates.append(choice)
                if len(candidates) == CANDIDATES:
                    break
        if not candidates:
            impossible.append(pair)
            del uncovered[pair]
            continue
        best = max(candidates, key=lambda choice: sum(covered in uncovered for covered in pairs_of(choice)))
        rows.append(best)
        for covered in pairs_of(best):
            uncovered.pop(covered, None)
    return rows, impossible
