"""Runs: chains of steps whose intermediate volumes have no other consumers."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cnntool.kernels.arguments import Corner
from cnntool.kernels.code import Kernel
from cnntool.steps.bands import Rows, band_calls, bands_of
from cnntool.steps.blas import one_blas_thread
from cnntool.steps.geometry import Shape
from cnntool.steps.memory import Scratch, aligned, taken
from cnntool.steps.step import WHOLE, Adaptive, AnyStep, Call, Part, Step, View, Whole, one_after_another, run_calls

FEWEST_CHANNELS = 64  # in a part of the filters


class Task(NamedTuple):
    """A band of the final rows of one image, or of a part of its channels."""

    image: int
    rows: Rows
    part: Part = WHOLE


Phase = list[list[Call]]
"""The calls of each share."""


def tasks_of(chain: list[Step], images: int, threads: int) -> list[Task]:
    """The tasks of a batch, ordered so that each thread gets a contiguous share."""
    if threads > 1 and shares_filters(chain, threads):
        parts, rows_of_bands = [Part(number, threads) for number in range(threads)], bands_of(chain, images, 1)
    else:
        parts, rows_of_bands = [WHOLE], bands_of(chain, images, threads)
    return [Task(image, rows, part) for part in parts for image in range(images) for rows in rows_of_bands]


def shares_filters(chain: list[Step], threads: int) -> bool:
    """Whether threads should divide the filters instead of rows, because filters outweigh volumes."""
    step = chain[0]
    if len(chain) > 1:
        return False
    if step.output_shape[2] < FEWEST_CHANNELS * threads:
        return False
    return step.filter_bytes > 2 * 4 * (math.prod(step.input_shape) + math.prod(step.output_shape))


def algorithm_and_others(step: Step) -> str:
    """A convolution's algorithm, followed by the alternatives with their cost relative to it."""
    best = min(step.costs.values())
    others = ", ".join(
        f"{name} {cost / best:.1f}" for name, cost in step.costs.items() if name != step.algorithm and cost < math.inf
    )
    return step.algorithm + (f" ({others})" if others else "")


def likely_step(step: Step) -> Step:
    """A step, or one of the same shapes whose calls are the likely ones."""
    if step.likely is None:
        return step
    known = copy.copy(step)
    known.calls = step.likely  # type: ignore[method-assign,assignment]
    return known


class Run:
    """A chain of steps whose intermediate volumes have no other consumers.

    `choose` selects algorithms for the steps of an adaptive one.
    """

    def __init__(self, source: int, choose: Callable[[Step], Step]) -> None:
        self.source, self._choose = source, choose
        self.steps: list[AnyStep] = []
        self.words: list[str] = []
        self.seconds: list[int | None] = []
        self.result = source

    def append(self, step: AnyStep, second: int | None, number: int, words: str) -> None:
        self.steps.append(step)
        self.words.append(words)
        self.seconds.append(second)
        self.result = number

    def uses(self) -> set[int]:
        return {self.source, *(second for second in self.seconds if second is not None)}

    @property
    def output_shape(self) -> Shape:
        return self.steps[-1].output_shape

    @property
    def is_view(self) -> bool:
        """Whether the result shares the memory of the source."""
        return isinstance(self.steps[0], View)

    def row_steps(self) -> list[Step]:
        return [step for step in self.steps if isinstance(step, Step)]

    def compute(
        self,
        values: dict[int, np.ndarray],
        spread: Callable,
        threads: int,
        take: Callable[[tuple[int, ...]], np.ndarray] | None = None,
        free: list[Scratch] | None = None,
    ) -> np.ndarray:
        """The run's last volume for each image of the batch, in new memory unless the run is a view.

        `take` allocates that memory, by default `aligned`; scratches are taken from `free` and returned.
        """
        batch = values[self.source]
        first = self.steps[0]
        if isinstance(first, View):
            return first.of(batch)
        if isinstance(first, Whole):
            return np.ascontiguousarray(first.compute(batch, spread), np.float32)
        chains = [self.row_steps()] * len(batch)
        if isinstance(first, Adaptive):
            with one_blas_thread():
                found = first.resolve(batch, spread)
            chains = [[self._choose(step) for step in steps] + self.row_steps() for steps in found]
        shape = len(batch), *chains[0][-1].output_shape
        out = aligned(*shape) if take is None else take(shape)
        idle = [] if free is None else free

        def band(task: Task) -> None:
            scratch = taken(idle) or Scratch()
            run_calls(self.calls(chains[task.image], task, values, out, scratch))
            idle.append(scratch)

        spread(band, tasks_of(chains[0], len(batch), threads))
        return out

    def calls(
        self, chain: list[Step], task: Task, values: dict[int, np.ndarray], out: np.ndarray, scratch: Scratch
    ) -> list[Call]:
        """What computes one band of one image into `out`."""
        image, (first, last), part = task
        seconds = [
            None if second is None else values[second][image]
            for step, second in zip(self.steps, self.seconds, strict=True)
            if isinstance(step, Step)
        ]
        seconds = [None] * (len(chain) - len(seconds)) + seconds  # of steps that an adaptive one found
        target = Corner(out[image], first, 0)
        return band_calls(chain, values[self.source][image], seconds, target, first, last, scratch, part)

    def phase(self, values: dict[int, np.ndarray], scratches: list[Scratch]) -> Phase:
        """The calls for the whole batch, in as many shares as there are scratches; `values` has room for the result."""
        chain, out, threads = self.row_steps(), values[self.result], len(scratches)
        tasks = tasks_of(chain, len(out), threads)
        edges = [len(tasks) * share // threads for share in range(threads + 1)]
        return [
            [call for task in tasks[first:last] for call in self.calls(chain, task, values, out, scratch)]
            for scratch, (first, last) in zip(scratches, itertools.pairwise(edges), strict=True)
        ]

    def rehearse(self, values: dict[int, np.ndarray], threads: int) -> np.ndarray:
        """Calls the kernels that `compute` will call, as far as that is known, in a rehearsal; room for the result."""
        batch, first = values[self.source], self.steps[0]
        if isinstance(first, View):
            return first.of(batch)
        out = np.empty((len(batch), *self.output_shape), np.float32)
        if isinstance(first, Whole):
            return out
        found = first.resolve(batch, one_after_another)[0] if isinstance(first, Adaptive) else []
        chain = [likely_step(step) for step in [*map(self._choose, found), *self.row_steps()]]
        for task in tasks_of(chain, len(batch), threads):
            for function, arguments in self.calls(chain, task, values, out, Scratch()):
                if isinstance(function, Kernel):
                    function(*arguments)
        return out

    def has_calls(self) -> bool:
        """Whether all that it does is known before an image is there, and done by kernels."""
        return all(isinstance(step, Step) and step.is_native for step in self.steps)

    def explain(self, threads: int) -> dict[str, str]:
        """What the run computes and how, for people."""
        first, last = self.steps[0], self.steps[-1]
        row_steps = self.row_steps()
        chosen = [algorithm_and_others(step) for step in row_steps if step.algorithm]
        if isinstance(first, View):
            how = "the same memory"
        elif isinstance(first, Whole):
            how = "the whole volume"
        else:
            tasks = tasks_of(row_steps, 1, threads) if row_steps else []
            tallest = max((task.rows.last - task.rows.first for task in tasks), default=0)
            parts = {task.part for task in tasks}
            how = f"{len(tasks) // len(parts)} bands of up to {tallest} rows" if tasks else "bands of rows"
            if len(parts) > 1:
                how += f", by {len(parts)} parts of the filters"
            if isinstance(first, Adaptive):
                how = f"statistics, then {how}"
        return {
            "layers": " + ".join(self.words),
            "output": "x".join(map(str, last.output_shape)),
            "algorithm (others cost)": "; ".join(chosen),
            "computed as": how,
        }
