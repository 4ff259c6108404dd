"""The algorithms of convolution: their applicability, their cost, and the choice among them.

A `Convolution` says what to compute; an algorithm returns a step that says how. The choice is by estimated time: the
arithmetic of each algorithm, and the share of peak performance that it was measured to reach.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection
from typing import NamedTuple

from cnntool.errors import CnntoolError
from cnntool.steps.step import Convolution, Step, Windowed


class Algorithm(NamedTuple):
    """`fits`: whether it supports the convolution; `cost`: its time in multiply-adds at peak; `step`."""

    fits: Callable[[Convolution], bool]
    cost: Callable[[Convolution], float]
    step: Callable[[Convolution], Windowed]


# The module of each, whose `ALGORITHM` it is. Modules load on first use: the shell knows the names without NumPy.
ALGORITHMS = {
    "direct": "direct",
    "depthwise": "depthwise",
    "fft": "fourier",
    "separable": "separable",
    "winograd": "winograd",
}


def load(name: str) -> Algorithm:
    """The algorithm of that name."""
    algorithm: Algorithm = importlib.import_module(f"{__name__}.{ALGORITHMS[name]}").ALGORITHM
    return algorithm


def costs_of(convolution: Convolution, among: Collection[str] = ALGORITHMS) -> dict[str, float]:
    """The cost of each algorithm that supports the convolution."""
    candidates = {name: load(name) for name in among}
    return {name: one.cost(convolution) for name, one in candidates.items() if one.fits(convolution)}


def choose(step: Step, forced: str = "auto") -> Step:
    """The step of the fastest algorithm for a convolution, or of the forced one if it fits; other steps unchanged."""
    if not isinstance(step, Convolution):
        return step
    costs = costs_of(step)
    if forced == "auto":
        name = min(costs, key=costs.__getitem__)
    else:
        name = forced if forced in costs else "direct"
    chosen = load(name).step(step)
    chosen.algorithm, chosen.costs, chosen.heavy = name, costs, step.heavy
    return chosen


def check_name(name: str) -> str:
    if name not in ("auto", *ALGORITHMS):
        raise CnntoolError(f"algorithm {name!r}: expected auto, {', '.join(ALGORITHMS)}")
    return name
