"""How a graph is computed: cut into runs of steps, each run executed in bands of rows by several threads.

A run is a chain of row steps whose intermediate values have no other consumers. Window arithmetic gives the rows that
each step needs for a band of final rows; a thread computes them in scratch memory that stays in its cache, and writes
only the final rows. Every step computes a row in the same way in any band, so results do not depend on bands or
threads.

3x3 convolution, ReLU and 2x2 max pooling of 224x224x3 -> 64 take 2.36 ms in three passes and 1.92 ms in bands, the time
of the convolution alone.
"""

from __future__ import annotations

import contextlib
import functools
import math
from typing import NamedTuple

import numpy as np

from cnntool.algorithms import check_name, choose
from cnntool.engine.folding import fold
from cnntool.engine.ownership import Ownership
from cnntool.engine.program import Program, can_record
from cnntool.engine.threads import MOST_THREADS, available_threads, parallel
from cnntool.errors import CnntoolError
from cnntool.kernels import ahead
from cnntool.kernels.code import rehearsal
from cnntool.kernels.vectors import HOST
from cnntool.limits import check_memory
from cnntool.network.graph import INPUT, Graph, named
from cnntool.network.parameters import Parameters, check_borders, check_parameters
from cnntool.steps import guarded
from cnntool.steps.bands import largest_scratch, row_group
from cnntool.steps.geometry import Shape
from cnntool.steps.memory import taken
from cnntool.steps.runs import Run
from cnntool.steps.step import Adaptive, AnyStep, Joined, Step, View, Whole

# Steps of a run: longer ones gain little, and window arithmetic is quadratic in the length.
LONGEST_RUN, LONGEST_STREAM = 64, 1024
# Bytes of filters beside the rows of a band. MobileNet took, on an Intel Xeon with an L2 cache of 2 MB, 16.46 ms with
# AVX2 and 9.38 with AVX-512 without such runs; with up to 32 KB 16.27 and 9.24, with up to 64 KB 16.52 and 9.40.
FILTERS_BESIDE_ROWS = HOST.l2_cache // 16
KINDS_KEPT = 4  # (batch size, threads) pairs whose programs are kept


class Operation(NamedTuple):
    """A step and the numbers of its input values; its result has the number of its position in the list."""

    step: AnyStep
    source: int
    second: int | None
    words: str  # of the layers it computes


class Plan:
    """A graph prepared for inputs of one shape. `run` is thread-safe."""

    def __init__(
        self,
        graph: Graph,
        parameters: Parameters,
        input_shape: Shape,
        algorithm: str = "auto",
        *,
        one_run: bool = False,
    ) -> None:
        """`one_run`: make runs as long as possible, so that no volume between them is stored."""
        self.input_shape, self.algorithm = input_shape, check_name(algorithm)
        shapes = graph.shapes(input_shape)
        self.output_shape = shapes[graph.output]
        if not one_run:
            largest = max(shapes.values(), key=math.prod)
            check_memory(2 * math.prod(largest), f"a volume of {'x'.join(map(str, largest))}")
        check_borders(graph, shapes)
        check_parameters(graph, shapes)
        operations, output = folded(*operations_of(graph, parameters, shapes))
        self.output = output
        self.runs = cut(operations, output, algorithm, one_run)
        check_scratch(self.runs)
        self.ownership = Ownership(self.runs, output)
        self._seen: set[tuple[int, int]] = set()
        self._programs: dict[tuple[int, int], list[Program]] = {}  # that are idle

    @property
    def bytes_of_image(self) -> int:
        """Of an input and the volumes that runs store for it, as if each had memory of its own."""
        return 4 * (math.prod(self.input_shape) + sum(math.prod(run.output_shape) for run in self.runs))

    @property
    def mixes_images(self) -> bool:
        """Whether what an image gives depends on the others of its batch."""
        return any(isinstance(step, Adaptive) and step.mixes for run in self.runs for step in run.steps)

    def run(self, batch: np.ndarray, threads: int) -> np.ndarray:
        """`batch`: float32 N x H x W x C, C-contiguous. The result never shares memory with it."""
        if batch.shape[1:] != self.input_shape:
            raise CnntoolError(f"expected a volume of {self.input_shape}, got {batch.shape[1:]}")
        if guarded.enabled():
            batch = guarded.read_only(batch)
        kind = len(batch), min(threads, MOST_THREADS)
        if kind in self._seen:
            values = self._recorded(kind, batch)
        else:  # recording takes longer than a run
            with ahead.expecting(functools.partial(self.kernels, *kind)):
                values = self._compute(batch, kind[1])
            if can_record(self.runs, len(batch)):
                self._seen.add(kind)
        if guarded.enabled():
            guarded.check_all()
        result = values[self.output]
        return result.copy() if self.ownership.owner[self.output] == INPUT else result

    def _recorded(self, kind: tuple[int, int], batch: np.ndarray) -> dict[int, np.ndarray]:
        """Runs an idle program, which is discarded after an exception."""
        if kind not in self._programs:
            for old in list(self._programs)[: 1 - KINDS_KEPT]:
                self._programs.pop(old, None)
        idle = self._programs.setdefault(kind, [])
        program = taken(idle) or Program(self.runs, self.ownership, self.input_shape, self.output, *kind)
        values = program.run(batch)
        idle.append(program)
        return values

    def _compute(self, batch: np.ndarray, threads: int) -> dict[int, np.ndarray]:
        """Runs without a recording."""
        values = {INPUT: batch}
        spread = functools.partial(parallel, threads)
        for index, run in enumerate(self.runs):
            values[run.result] = run.compute(values, spread, threads)
            for owner in self.ownership.ends_after(index):
                for value in [value for value in values if self.ownership.owner[value] == owner]:
                    del values[value]
        return values

    def kernels(self, images: int, threads: int) -> list[str]:
        """The kernels, by `Kernel.file`, that a batch of `images` calls, as far as they are known before."""
        if guarded.enabled() or not can_record(self.runs, images):
            return []
        values = {INPUT: np.zeros((images, *self.input_shape), np.float32)}
        with rehearsal() as names, np.errstate(all="ignore"), contextlib.suppress(Exception):
            for run in self.runs:
                values[run.result] = run.rehearse(values, threads)
        return list(names)

    def explain(self, threads: int) -> list[dict[str, str]]:
        """For each run its layers, output shape, algorithms of its convolutions, and how it is computed.

        An algorithm is followed by the alternatives, with their estimated time relative to it.
        """
        return [run.explain(threads) for run in self.runs] or [
            {"layers": "", "output": "x".join(map(str, self.output_shape)), "computed as": "a copy of the input"}
        ]


def check_scratch(runs: list[Run]) -> None:
    """Refuses padding so wide that the threads' bands would not fit into memory."""
    for run in runs:
        if not (steps := run.row_steps()):
            continue
        numbers = largest_scratch(steps, available_threads()) // 4
        check_memory(numbers, f"`{' '.join(run.words)}` with the border around its input")


def operations_of(graph: Graph, parameters: Parameters, shapes: dict[int, Shape]) -> tuple[list[Operation], int]:
    """The steps of all needed layers in order, and the number of the value that is the output."""
    operations: list[Operation] = []
    value = {INPUT: INPUT}  # the operation that yields each node's output
    for number in graph.needed():
        layer, inputs = graph.nodes[number]
        arrays = parameters.of(number, shapes[inputs[0]])
        with named(layer, number):
            steps = layer.steps([shapes[i] for i in inputs], arrays)
        source = value[inputs[0]]
        for step in steps:
            second = value[inputs[1]] if isinstance(step, Joined) else None
            operations.append(Operation(step, source, second, layer.word))
            source = len(operations) - 1
        value[number] = source
    return operations, value[graph.output]


def count_uses(operations: list[Operation], output: int) -> dict[int, int]:
    """How often each value is used, as an input or as the output."""
    uses = dict.fromkeys(range(INPUT, len(operations)), 0)
    uses[output] += 1
    for operation in operations:
        uses[operation.source] += 1
        if operation.second is not None:
            uses[operation.second] += 1
    return uses


def folded(operations: list[Operation], output: int) -> tuple[list[Operation], int]:
    """Fuses neighbouring operations if the value between them has no other use."""
    uses = count_uses(operations, output)
    kept: list[Operation] = []
    value = {INPUT: INPUT}  # from old to new numbers
    for number, operation in enumerate(operations):
        source = value[operation.source]
        second = None if operation.second is None else value[operation.second]
        merged = None
        if source == len(kept) - 1 and source != INPUT and uses[operation.source] == 1 and second != source:
            merged = fold(kept[source].step, operation.step)
        if merged is not None:
            words, second = f"{kept[source].words} {operation.words}", kept[source].second if second is None else second
            kept[source] = kept[source]._replace(step=merged, words=words, second=second)
        else:
            kept.append(operation._replace(source=source, second=second))
        value[number] = len(kept) - 1
    return kept, value[output]


def cut(operations: list[Operation], output: int, algorithm: str, one_run: bool = False) -> list[Run]:
    """Cuts the operations into runs. A value that is used twice, or is the output, must be stored and ends its run."""
    uses = count_uses(operations, output)
    choose_step = functools.partial(choose, forced=algorithm)
    runs: list[Run] = []
    for number, (given, source, second, words) in enumerate(operations):
        step = choose_step(given) if isinstance(given, Step) else given
        run = runs[-1] if runs else None
        if run is None or run.result != source or uses[source] != 1 or not joins(run.steps, step, one_run):
            run = Run(source, choose_step)
            runs.append(run)
        run.append(step, second, number, words)
    return runs


def reads_from_cache(before: list[Step], step: Step) -> bool:
    """Whether a convolution finds the rows of the convolutions before it, beside its own filters, in the L2 cache."""
    return all(s.algorithm == "depthwise" for s in before) and step.filter_bytes <= FILTERS_BESIDE_ROWS


def joins(steps: list[AnyStep], step: AnyStep, one_run: bool) -> bool:
    """Whether a step continues a run, instead of starting a new one.

    Neighbouring bands of a run compute the rows shared by overlapping windows twice, which is cheap before a
    convolution and expensive after it. Only after a depthwise convolution another one may follow, whose windows do not
    overlap: MobileNet's pairs of 3x3 and 1x1.
    """
    if isinstance(step, (Whole, Adaptive, View)) or isinstance(steps[-1], (Whole, View)):
        return False
    if len(steps) >= (LONGEST_STREAM if one_run else LONGEST_RUN):
        return False
    row_steps = [s for s in steps if isinstance(s, Step)]
    if step.alone or any(s.alone for s in row_steps):
        return False
    overlaps = step.window.extent[0] > step.window.stride[0]
    heavy = [s for s in row_steps if s.heavy]
    expensive = heavy and (overlaps or (step.heavy and not reads_from_cache(heavy, step)))
    return (one_run or not expensive) and row_group([*row_steps, step]) > 0
