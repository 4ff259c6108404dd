"""Inputs through a function by several threads, whose outcomes come in the order of the inputs."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from cnntool.engine.threads import prefetch
from cnntool.errors import CnntoolError, Failed, NoRoom, Unfit
from cnntool.images.items import Item
from cnntool.images.preparation import Preparation

# Inputs examined, and different shapes tried, before a run of which no input fits ends as a mistake in the words.
LOOKED_AT, TRIED = 200, 8
AHEAD = 2  # groups prefetched for each thread: none waits, and memory stays bounded
# A group of inputs is what a thread takes at a time. Small images come in groups, since handing over one took as long
# as computing it; a group takes little memory and is done soon, so that nothing is late and a signal is heeded.
LONGEST, GROUP_BYTES, GROUP_SECONDS = 16, 2**20, 0.02

R = TypeVar("R")
Numbered = tuple[int, Item]
Group = list[Numbered]


def outcome_of(compute: Callable[[int, Item], R], index: int, item: Item) -> R | CnntoolError:
    """What `compute` returns, or the error that it raises."""
    try:
        return compute(index, item)
    except MemoryError:
        return Failed(f"{item.where}: out of memory: make the images or the pipeline smaller")
    except CnntoolError as error:
        return error.with_traceback(None)  # which would keep the image


def one_by_one(compute: Callable[[int, Item], R]) -> Callable[[Group], list[R | CnntoolError]]:
    """The outcomes of a group, each input by itself."""
    return lambda group: [outcome_of(compute, *one) for one in group]


class Pace:
    """How many inputs the next group has, by what those before took."""

    def __init__(self, longest: int) -> None:
        self.longest, self.size = longest, 1

    def groups(self, items: Sequence[Item]) -> Iterator[Group]:
        numbered = enumerate(items)
        while group := list(itertools.islice(numbered, self.size)):
            yield group

    def took(self, inputs: int, seconds: float, held: int) -> None:
        """`held`: the bytes of the outcomes of so many inputs."""
        fitting = inputs * min(GROUP_SECONDS / max(seconds, 1e-9), GROUP_BYTES / max(held, 1))
        self.size = max(1, min(self.longest, int(fitting)))


def in_order(
    items: Sequence[Item],
    compute: Callable[[Group], list[R | CnntoolError]],
    preparation: Preparation,
    threads: int,
    longest: int = 1,
    bytes_of: Callable[[R], int] = lambda _: 0,
) -> Iterator[tuple[int, Item, R | CnntoolError]]:
    """(index, item, outcome) of each input, in order, where `compute` gives the outcomes of a group of up to `longest`.

    It may give fewer, if what it has takes much memory, as `bytes_of` an outcome tells; the others are computed one by
    one. A mistake in the words is raised: the first input does not fit, nor does one of any other shape.
    """
    if len(items) == 1:
        yield 0, items[0], compute([(0, items[0])])[0]
        return
    pace = Pace(longest)

    def timed(group: Group) -> list[R | CnntoolError]:
        began = time.perf_counter()
        outcomes = compute(group)
        held = sum(bytes_of(outcome) for outcome in outcomes if not isinstance(outcome, CnntoolError))
        pace.took(len(outcomes), time.perf_counter() - began, held)
        return outcomes

    seen_to_fit = False
    for group, call in prefetch(timed, pace.groups(items), threads, AHEAD * threads):
        outcomes = call.result()
        rest = (compute([one])[0] for one in group[len(outcomes) :])
        for (index, item), outcome in zip(group, itertools.chain(outcomes, rest), strict=True):
            if isinstance(outcome, NoRoom):
                raise outcome
            unfit = isinstance(outcome, Unfit)
            if unfit and not seen_to_fit and not any_fits(items, preparation, compute):
                raise CnntoolError(f"{outcome} (nor does any other of the {len(items)} inputs fit)")
            seen_to_fit = seen_to_fit or unfit or not isinstance(outcome, CnntoolError)
            yield index, item, outcome


def any_fits(
    items: Sequence[Item], preparation: Preparation, compute: Callable[[Group], list[R | CnntoolError]]
) -> bool:
    """Whether an input can be computed, by one of each shape among the first."""
    shapes: set[tuple[int, ...]] = set()
    for index, item in enumerate(items[:LOOKED_AT]):
        try:
            shape = item.shape(preparation)
        except CnntoolError:
            continue
        if shape not in shapes:
            shapes.add(shape)
            if not isinstance(compute([(index, item)])[0], CnntoolError):
                return True
            if len(shapes) == TRIED:
                return False
    return False
