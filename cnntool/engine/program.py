"""A plan recorded for batches of one size: all kernel calls of all bands, worked off without Python.

Everything but the volumes that come and go keeps its place in memory, so a run only writes the addresses of these into
the recorded arguments. What kernels cannot do alone, such as statistics of the image, is computed between in Python.

**Who owns what.** A value that recorded calls compute has a room, which is its own until the last run that reads it, or
a view of it, is recorded (`Ownership`). The output's memory is lent at each run, and belongs to the caller afterwards.
What Python computes is lent, too. The program keeps every array whose address it has recorded.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from cnntool.engine.ownership import Ownership
from cnntool.engine.team import team
from cnntool.engine.threads import parallel
from cnntool.kernels import native
from cnntool.kernels.code import ADDRESS_SLOT, Kernel, Kinds, address, taken_apart
from cnntool.network.graph import INPUT
from cnntool.steps import guarded
from cnntool.steps.bands import spoiling
from cnntool.steps.geometry import Shape
from cnntool.steps.memory import Lender, Rooms, Scratch
from cnntool.steps.runs import Phase, Run

LARGEST = 2**28  # bytes of volumes that a program may keep; with larger ones the time of Python is nothing


def can_record(runs: Sequence[Run], images: int) -> bool:
    """Whether the volumes are small enough to keep them all."""
    return 4 * images * sum(math.prod(run.output_shape) for run in runs) <= LARGEST


class Program:
    """What a plan's runs do for a batch of `images` by `threads`. Only one caller may run it at a time, and nobody
    after an exception: helpers may still be at work in its memory."""

    def __init__(
        self, runs: Sequence[Run], ownership: Ownership, input_shape: Shape, output: int, images: int, threads: int
    ) -> None:
        self.threads = threads
        self.rooms = Rooms()
        self._owner = ownership.owner
        self._lent = {run.result: Lender() for run in runs if not run.is_view}
        self._shapes = {run.result: (images, *run.output_shape) for run in runs}
        self._output = ownership.owner[output]
        self._free: list[Scratch] = []
        self._scratches = [Scratch() for _ in range(threads)]
        # what recorded calls see of each value; memory that is elsewhere at each run has a stand-in that nobody touches
        seen = {INPUT: np.empty((images, *input_shape), np.float32)}
        self._standing_in = {INPUT: seen[INPUT]}
        self.parts: list[Calls | Run] = []
        phases: list[Phase] = []
        views: list[Run] = []
        for place, run in enumerate(runs):
            if run.is_view:
                seen[run.result] = run.compute(seen, map, threads)
                views.append(run)
            elif run.has_calls() and run.result != self._output:
                seen[run.result] = self.rooms.take(run.result, self._shapes[run.result])
            else:
                seen[run.result] = self._standing_in[run.result] = np.empty(self._shapes[run.result], np.float32)
            if run.has_calls():
                phases.append(run.phase(seen, self._scratches))
            elif not run.is_view:
                self.parts += [*self._calls_of(phases), *views, run]
                phases, views = [], []
            for owner in ownership.ends_after(place):
                room = self.rooms.release(owner)
                if room is not None and guarded.enabled():
                    phases.append([spoiling([room]), *([] for _ in range(threads - 1))])
        self.parts += [*self._calls_of(phases), *views]
        self._fixed = {value: array for value, array in seen.items() if self._owner[value] not in self._standing_in}

    def _calls_of(self, phases: list[Phase]) -> list[Calls]:
        return [Calls(phases, self._standing_in)] if phases else []

    def run(self, batch: np.ndarray) -> dict[int, np.ndarray]:
        """The values of the plan that are still there at its end, the output among them."""
        values = self._fixed | {INPUT: batch}
        if guarded.enabled():
            for room in self.rooms.all:
                room[...] = np.nan
        for part in self.parts:
            if isinstance(part, Run):
                spread = functools.partial(parallel, self.threads)
                take = None if part.is_view else self._lent[part.result].take
                values[part.result] = part.compute(values, spread, self.threads, take, self._free)
                continue
            if self._output in part.moving:
                values[self._output] = self._lent[self._output].take(self._shapes[self._output])
            part.run(values, self.threads)
        return values


class Calls:
    """Phases as the program of numbers that `kernels.native` works off."""

    def __init__(self, phases: list[Phase], moving: dict[int, np.ndarray]) -> None:
        self._kept = phases  # and with them the arrays whose addresses stand in the slots
        slots: list[int] = []
        entries: list[int] = []
        first_slots: list[int] = []
        starts: list[list[int]] = []
        found: dict[int, list[tuple[int, int]]] = {}  # for each moving value: a slot, and what it points at
        for phase in phases:
            starts.append([len(entries)])
            for calls in phase:
                for kernel, arguments in calls:
                    first_slots.append(len(slots))
                    kinds: Kinds = ()
                    for argument in arguments:
                        for value, offset in places_in(moving, argument):
                            found.setdefault(value, []).append((len(slots) + ADDRESS_SLOT, offset))
                        kind, numbers = taken_apart([argument])
                        kinds += kind
                        slots += numbers
                    assert isinstance(kernel, Kernel)
                    entries.append(kernel.entry(kinds).address)
                starts[-1].append(len(entries))
        self._slots = np.array(slots, np.int64)
        self.moving = {value: tuple(np.array(places, np.int64).T) for value, places in found.items()}
        shares = len(phases[0])
        self._counts = np.zeros(len(phases) + shares, np.int64)
        self._tables = (
            np.array(entries, np.int64),
            self._slots.ctypes.data + 8 * np.array(first_slots, np.int64),
            np.array(starts, np.int64),
        )
        self._program = np.zeros(native.FIELDS, np.int64)
        addresses = [table.ctypes.data for table in (*self._tables, self._counts, self._counts[len(phases) :])]
        self._program[: native.FAILURES] = [len(phases), shares, *addresses]
        self._address = self._program.ctypes.data

    def run(self, values: dict[int, np.ndarray], threads: int) -> None:
        """`values` says where the moving ones are."""
        for value, (slots, offsets) in self.moving.items():
            self._slots[slots] = address(values[value]) + offsets
        self._counts[:] = 0
        if threads == 1:
            native.work_alone(self._address)
        else:
            team(threads - 1).run(self._address, (self, values))
        if self._program[native.FAILURES]:
            self._program[native.FAILURES] = 0
            raise MemoryError


def places_in(moving: dict[int, np.ndarray], argument: Any) -> Iterator[tuple[int, int]]:
    """The moving value that an array lies in, and how many bytes from its beginning."""
    if isinstance(argument, np.ndarray):
        for value, array in moving.items():
            offset = argument.ctypes.data - array.ctypes.data
            if 0 <= offset < array.nbytes:
                yield value, offset
