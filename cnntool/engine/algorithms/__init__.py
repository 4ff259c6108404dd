"""The algorithms of convolution: what each can do, what it costs, and the choice among them.

An algorithm makes itself the kernel of a `Convolution` step. The choice is by the time that each would take, estimated
from its arithmetic and the share of the peak that it was measured to reach.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import NamedTuple

from cnntool.engine.algorithms import direct, fourier, separable, winograd
from cnntool.errors import CnntoolError
from cnntool.steps.step import Convolution


class Algorithm(NamedTuple):
    """`fits`: whether it can compute the step; `cost`: multiply-adds at the peak that take as long; `prepare`."""

    fits: Callable[[Convolution], bool]
    cost: Callable[[Convolution], float]
    prepare: Callable[[Convolution], None]


def choose(step: Convolution, forced: str = "auto") -> None:
    """Gives the step its kernel: the fastest algorithm, or the forced one where it can compute the step."""
    if step.algorithm:
        return
    step.costs = {name: known.cost(step) for name, known in ALGORITHMS.items() if known.fits(step)}
    if forced == "auto":
        name = min(step.costs, key=step.costs.__getitem__)
    else:
        name = forced if forced in step.costs else "direct"
    # The kernel knows its step weakly: a circle would keep the packed filters until Python's collector comes by.
    ALGORITHMS[name].prepare(weakref.proxy(step))
    step.algorithm = name


def check_name(name: str) -> str:
    if name not in ("auto", *ALGORITHMS):
        raise CnntoolError(f"algorithm {name!r}: expected auto, {', '.join(ALGORITHMS)}")
    return name


ALGORITHMS = {
    "direct": Algorithm(lambda step: True, direct.direct_cost, direct.prepare_direct),
    "depthwise": Algorithm(direct.is_depthwise, direct.depthwise_cost, direct.prepare_depthwise),
    "fft": Algorithm(fourier.fourier_fits, fourier.fourier_cost, fourier.prepare_fourier),
    "separable": Algorithm(separable.separable_fits, separable.separable_cost, separable.prepare_separable),
    "winograd": Algorithm(winograd.winograd_fits, winograd.winograd_cost, winograd.prepare_winograd),
}
