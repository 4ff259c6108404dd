"""Interleaved timing: in each round every contender has a turn, so that a slow minute of the machine is everybody's.

A turn begins with a pause, in which the threads of the one before stop spinning, and a call that is not measured, which
brings the contender's own data back into the caches.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

TURN = 0.03  # seconds of measured calls in a turn
MOST_CALLS = 20
PAUSE = 0.01
LONG = 0.3  # seconds; a call that takes longer needs no warming up in each turn


class Measure(NamedTuple):
    """A clock, and what is taken of its times."""

    clock: Callable[[], float]
    taken: Callable[[Sequence[float]], float]
    what: str


QUIET = Measure(time.perf_counter, statistics.median, "median times")
# what threads wait for is lost: fair by one thread only
BUSY = Measure(time.process_time, min, "the least processor time")


def seconds_of(call: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    start = clock()
    call()
    return clock() - start


def interleaved(calls: dict[str, Callable[[], object]], rounds: int, measure: Measure = QUIET) -> dict[str, float]:
    """The seconds of a call of each. Calls come in another order in each round."""
    least = {name: seconds_of(call) for name, call in calls.items()}
    least |= {name: min(least[name], seconds_of(call)) for name, call in calls.items() if least[name] < LONG}
    times: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    gc.collect()
    gc.disable()
    try:
        for number in range(rounds):
            shift = number % len(names)
            order = names[shift:] + names[:shift]
            for name in order if number % 2 else reversed(order):
                time.sleep(PAUSE)
                if least[name] < LONG:
                    calls[name]()
                for _ in range(max(1, min(MOST_CALLS, int(TURN / least[name])))):
                    times[name].append(seconds_of(calls[name], measure.clock))
    finally:
        gc.enable()
    return {name: measure.taken(found) for name, found in times.items()}
