"""Recorded programs: all kernel calls of a plan for one batch size, executed without Python.

All memory but that of inputs and outputs is fixed, so a run only writes their addresses into the recorded arguments.
Steps that kernels cannot do alone, such as statistics of the image, run in Python between recorded phases.

**Ownership.** A value computed by recorded calls has a room, which belongs to it until the last run that reads it, or a
view of it, is recorded (`Ownership`). Memory of the output, and of values computed in Python, is lent at each run; the
output belongs to the caller afterwards. The program keeps every array whose address it has recorded.
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
from cnntool.kernels.code import Kernel
from cnntool.kernels.convention import ADDRESS_SLOT, address, leaves, taken_apart
from cnntool.network.graph import INPUT
from cnntool.steps import guarded
from cnntool.steps.bands import spoiling
from cnntool.steps.geometry import Shape
from cnntool.steps.memory import Lender, Rooms, Scratch
from cnntool.steps.runs import Phase, Run

FEW = 8  # places of a value's address in the recorded arguments, up to which they are set one by one
LARGEST = 2**28  # bytes of a program's volumes; with larger ones Python's overhead is negligible


def can_record(runs: Sequence[Run], images: int) -> bool:
    """Whether all volumes together are small enough to be kept."""
    return 4 * images * sum(math.prod(run.output_shape) for run in runs) <= LARGEST


class Program:
    """The runs of a plan for a batch of `images` with `threads`. Only one caller may run it at a time, and nobody after
    an exception, since helper threads may still be using its memory."""

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
        # the array of each value in recorded calls; a placeholder where the memory differs from run to run
        seen = {INPUT: np.empty((images, *input_shape), np.float32)}
        self._placeholders = {INPUT: seen[INPUT]}
        self.parts: list[Calls | Run] = []
        phases: list[Phase] = []
        views: list[Run] = []
        for index, run in enumerate(runs):
            if run.is_view:
                seen[run.result] = run.compute(seen, map, threads)
                views.append(run)
            elif run.has_calls() and run.result != self._output:
                seen[run.result] = self.rooms.take(run.result, self._shapes[run.result])
            else:
                seen[run.result] = self._placeholders[run.result] = np.empty(self._shapes[run.result], np.float32)
            if run.has_calls():
                phases.append(run.phase(seen, self._scratches))
            elif not run.is_view:
                self.parts += [*self._calls_of(phases), *views, run]
                phases, views = [], []
            for owner in ownership.ends_after(index):
                room = self.rooms.release(owner)
                if room is not None and guarded.enabled():
                    phases.append([spoiling([room]), *([] for _ in range(threads - 1))])
        self.parts += [*self._calls_of(phases), *views]
        self._fixed = {value: array for value, array in seen.items() if self._owner[value] not in self._placeholders}

    def _calls_of(self, phases: list[Phase]) -> list[Calls]:
        return [Calls(phases, self._placeholders)] if phases else []

    def run(self, batch: np.ndarray) -> dict[int, np.ndarray]:
        """The values that are alive at the end, with the output."""
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
    """Phases encoded as the integers that `kernels.native` executes."""

    def __init__(self, phases: list[Phase], moving: dict[int, np.ndarray]) -> None:
        self._kept = phases  # and the arrays whose addresses are in the slots
        slots: list[int] = []
        entries: list[int] = []
        first_slots: list[int] = []
        starts: list[list[int]] = []
        found: dict[int, list[tuple[int, int]]] = {}  # for each moving value: slots and byte offsets
        for phase in phases:
            starts.append([len(entries)])
            for calls in phase:
                for kernel, arguments in calls:
                    first_slots.append(len(slots))
                    kinds, _ = taken_apart(arguments)
                    for argument in leaves(arguments):
                        for value, offset in locations_in(moving, argument):
                            found.setdefault(value, []).append((len(slots) + ADDRESS_SLOT, offset))
                        slots += taken_apart([argument])[1]
                    assert isinstance(kernel, Kernel)
                    entries.append(kernel.entry(kinds).address)
                starts[-1].append(len(entries))
        self._slots = np.array(slots, np.int64)
        # Setting a few numbers through a memoryview takes a tenth of the time that NumPy's indexing takes.
        self._numbers = self._slots.data
        few = {value: pairs for value, pairs in found.items() if len(pairs) <= FEW}
        self._few = list(few.items())
        self._many = [(value, *np.array(pairs, np.int64).T) for value, pairs in found.items() if value not in few]
        self.moving = set(found)
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
        """`values` holds the current arrays of moving values."""
        for value, pairs in self._few:
            first = address(values[value])
            for slot, offset in pairs:
                self._numbers[slot] = first + offset
        for value, slots, offsets in self._many:
            self._slots[slots] = address(values[value]) + offsets
        self._counts.fill(0)
        if threads == 1:
            native.work_alone(self._address)
        else:
            team(threads - 1).run(self._address, (self, values))
        if self._program[native.FAILURES]:
            self._program[native.FAILURES] = 0
            raise MemoryError


def locations_in(moving: dict[int, np.ndarray], argument: Any) -> Iterator[tuple[int, int]]:
    """The moving value that contains an array, and the array's byte offset in it."""
    if isinstance(argument, np.ndarray):
        for value, array in moving.items():
            offset = argument.ctypes.data - array.ctypes.data
            if 0 <= offset < array.nbytes:
                yield value, offset
