"""A plan recorded for batches of one size: all kernel calls of all bands, worked off without Python.

Everything but the volumes that come and go keeps its place in memory, so a run only writes the addresses of these into
the recorded arguments. What kernels cannot do alone, such as statistics of the image, is computed between in Python.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.engine.buffers import Buffers
from cnntool.engine.runs import Phase, Run
from cnntool.engine.team import team
from cnntool.kernels import native
from cnntool.kernels.code import ADDRESS_SLOT, Kernel, Kinds, address, taken_apart
from cnntool.network.graph import INPUT
from cnntool.steps.memory import Scratch, aligned

if TYPE_CHECKING:
    from cnntool.engine.plan import Plan

LARGEST = 2**28  # bytes of volumes that a program may keep; with larger ones the time of Python is nothing


def can_record(plan: Plan, images: int) -> bool:
    """Whether the volumes are small enough to keep them all."""
    return 4 * images * sum(math.prod(run.output_shape) for run in plan.runs) <= LARGEST


class Program:
    """What `Plan.run` does for a batch of `images` by `threads`. Only one caller may run it at a time."""

    def __init__(self, plan: Plan, images: int, threads: int) -> None:
        self.output, self.threads = plan.output, threads
        self.output_shape = images, *plan.output_shape
        self.fixed: dict[int, np.ndarray] = {}
        moving = {INPUT: np.empty((images, *plan.input_shape), np.float32)}  # values that are elsewhere in each run
        self.parts: list[Calls | Run] = []
        self.buffers = Buffers()
        self.room = {run.result: Buffers() for run in plan.runs}  # of what Python computes between
        self.free: list[Scratch] = []
        rooms, scratches = Rooms(), [Scratch() for _ in range(threads)]
        phases: list[Phase] = []
        for place, run in enumerate(plan.runs):
            shape = images, *run.output_shape
            if run.has_calls() and run.result != plan.output:
                self.fixed[run.result] = rooms.take(run.result, shape)
            else:
                moving[run.result] = np.empty(shape, np.float32)
            if run.has_calls():
                phases.append(run.phase(self.fixed | moving, scratches))
            else:
                self.parts += [*calls_of(phases, moving), run]
                phases = []
            rooms.release(used for used in run.uses() if plan.last_use[used] == place)
        self.parts += calls_of(phases, moving)

    def run(self, batch: np.ndarray, spread: Callable) -> np.ndarray:
        """As `Plan.run`."""
        values = self.fixed | {INPUT: batch}
        for part in self.parts:
            if isinstance(part, Run):
                result = part.compute(values, spread, self.threads, self.room[part.result].take, self.free)
                values[part.result] = np.ascontiguousarray(result, np.float32)
                continue
            if self.output in part.moving:
                values[self.output] = self.buffers.take(self.output_shape)
            part.run(values, self.threads)
        return values[self.output]


class Rooms:
    """Memory for volumes, used again once they are needed no more."""

    def __init__(self) -> None:
        self._used: dict[int, np.ndarray] = {}
        self._free: list[np.ndarray] = []

    def take(self, value: int, shape: tuple[int, ...]) -> np.ndarray:
        size = math.prod(shape)
        fitting = [number for number, room in enumerate(self._free) if room.size >= size]
        if fitting:
            room = self._free.pop(min(fitting, key=lambda number: self._free[number].size))
        else:
            room = aligned(size)
        self._used[value] = room
        return room[:size].reshape(shape)

    def release(self, values: Iterable[int]) -> None:
        self._free += [self._used.pop(value) for value in values if value in self._used]


class Calls:
    """Phases as the program of numbers that `kernels.native` works off."""

    def __init__(self, phases: list[Phase], moving: dict[int, np.ndarray]) -> None:
        self._kept = phases  # the arrays whose addresses stand in the slots
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
            team(threads - 1).run(self._address)
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


def calls_of(phases: list[Phase], moving: dict[int, np.ndarray]) -> list[Calls]:
    return [Calls(phases, moving)] if phases else []
