"""The algorithms of convolution: their applicability, their cost, and the choice among them.

A `Convolution` says what to compute; an algorithm returns a step that says how. The choice is by estimated time: the
arithmetic of each algorithm, and the share of peak performance that it was measured to reach.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from cnntool.algorithms import depthwise, direct, fourier, separable, winograd
from cnntool.errors import CnntoolError
from cnntool.steps.step import Convolution, Step, Windowed


class Algorithm(NamedTuple):
    """`fits`: whether it supports the convolution; `cost`: its time in multiply-adds at peak; `step`."""

    fits: Callable[[Convolution], bool]
    cost: Callable[[Convolution], float]
    step: Callable[[Convolution], Windowed]


ALGORITHMS = {
    "direct": Algorithm(lambda convolution: True, direct.direct_cost, direct.direct_step),
    "depthwise": Algorithm(depthwise.is_depthwise, depthwise.depthwise_cost, depthwise.depthwise_step),
    "fft": Algorithm(fourier.fourier_fits, fourier.fourier_cost, fourier.fourier_step),
    "separable": Algorithm(separable.separable_fits, separable.separable_cost, separable.separable_step),
    "winograd": Algorithm(winograd.winograd_fits, winograd.winograd_cost, winograd.winograd_step),
}


def costs_of(convolution: Convolution, among: Collection[str] = ALGORITHMS) -> dict[str, float]:
    """The cost of each algorithm that supports the convolution."""
    return {name: ALGORITHMS[name].cost(convolution) for name in among if ALGORITHMS[name].fits(convolution)}


def choose(step: Step, forced: str = "auto") -> Step:
    """The step of the fastest algorithm for a convolution, or of the forced one if it fits; other steps unchanged."""
    if not isinstance(step, Convolution):
        return step
    costs = costs_of(step)
    if forced == "auto":
        name = min(costs, key=costs.__getitem__)
    else:
        name = forced if forced in costs else "direct"
    chosen = ALGORITHMS[name].step(step)
    chosen.algorithm, chosen.costs, chosen.heavy = name, costs, step.heavy
    return chosen


def check_name(name: str) -> str:
    if name not in ("auto", *ALGORITHMS):
        raise CnntoolError(f"algorithm {name!r}: expected auto, {', '.join(ALGORITHMS)}")
    return name
