"""Bands of a run: the kernel calls that compute a band of final rows in scratch memory.

The scratch of a step holds its input rows with padding: the previous step writes the interior, the border is filled
with the step's `pad_value`. In-place steps share the scratch of the next step, or the final rows.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import NamedTuple, Protocol

import numpy as np

from cnntool import kernels
from cnntool.kernels.arguments import Corner
from cnntool.steps.memory import Scratch
from cnntool.steps.step import WHOLE, Band, Call, Part, Step, copied

# Scratch of one thread: it should fit into an L2 cache of 1 MB, and be large enough for few bands. If only a few wide
# rows fit, it may fill the L3 cache, since each band has an overhead: 3x3 convolution to 8 maps of 8192x8192, ReLU and
# pooling took 510 ms in 4096 bands of one row, 260 in 1366 of three, 210 in 684 of six.
SCRATCH_BYTES, WIDE_BYTES = kernels.vectors.HOST.l2_cache, kernels.vectors.HOST.l3_cache
FEW_ROWS = 4
# More would balance the load better, but each acquires the GIL again: 1x1 convolution of 56x56x256 -> 64 with two
# threads took 0.70 ms with 3 and 0.61 with 1.
BANDS_PER_THREAD = 1


class Rows(NamedTuple):
    """A range of rows of a step's input; it may extend into the padding."""

    first: int
    last: int


class RowSource(Protocol):
    """A volume from which rows can be read: an array, or a file larger than memory."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: slice, /) -> np.ndarray: ...


def needed_rows(step: Step, first: int, last: int) -> Rows:
    """The input rows that a step needs for output rows first to last."""
    return Rows(*step.needed_rows(first, last))


def inside(needed: Rows, height: int) -> Rows:
    """The needed rows without padding; empty if all of them are padding."""
    if needed.last <= 0 or needed.first >= height:
        return Rows(needed.first, needed.first)
    return Rows(max(0, needed.first), min(height, needed.last))


def rows_of_steps(steps: list[Step], first: int, last: int) -> list[Rows]:
    """For each step the output rows that it must compute for the final rows first to last."""
    found = [Rows(first, last)]
    for step in reversed(steps[1:]):
        span = found[0]
        found.insert(0, inside(needed_rows(step, *span), step.input_shape[0]) if span.first < span.last else span)
    return found


def scratch_bytes(steps: list[Step], rows: int) -> int:
    """Bytes of scratch for a band of so many final rows: the padded inputs of all steps."""
    spans = rows_of_steps(steps, 0, rows)
    spans = [Rows(0, span.last - span.first) for span in spans]
    height, width, channels = steps[-1].output_shape
    # final rows count if an in-place step reads them again
    final = 4 * min(rows, height) * width * channels if len(steps) > 1 and steps[-1].in_place else 0
    return final + sum(
        4 * (needed_rows(step, *span).last - needed_rows(step, *span).first)
        * (step.input_shape[1] + step.window.padding[1] + step.window.padding[3]) * step.input_shape[2]
        for step, span in zip(steps, spans, strict=True)
    )  # fmt: skip


def largest_scratch(steps: list[Step], threads: int) -> int:
    """The largest number of bytes that the bands of so many threads take at once."""
    rows = band_rows(steps)
    bands = min(threads, -(-steps[-1].output_shape[0] // rows))
    return bands * (scratch_bytes(steps, rows) + 4 * sum(step.overread for step in steps))


def band_rows(steps: list[Step]) -> int:
    """The final rows of a band whose scratch fits: a multiple of the row group."""
    group = row_group(steps)
    fixed = scratch_bytes(steps, group)
    per_group = scratch_bytes(steps, 2 * group) - fixed

    def fitting(size: int) -> int:
        return 1 + max(0, size - fixed) // max(1, per_group)

    groups = max(fitting(SCRATCH_BYTES), min(fitting(WIDE_BYTES), -(-FEW_ROWS // group)))
    groups = max(groups, fair_groups(steps, group))
    return min(groups, -(-steps[-1].output_shape[0] // group)) * group


def fair_groups(steps: list[Step], group: int) -> int:
    """The groups of final rows with at least `fair_rows` rows for each step."""
    spans = rows_of_steps(steps, 0, group)
    return max(-(-step.fair_rows // max(1, span.last - span.first)) for step, span in zip(steps, spans, strict=True))


def bands_of(steps: list[Step], images: int, threads: int) -> list[Rows]:
    """The final rows in bands of nearly equal size, enough of them to balance the threads."""
    group, height = row_group(steps), steps[-1].output_shape[0]
    groups = -(-height // group)
    count = 1 if reads_and_writes(steps) else -(-groups * group // band_rows(steps))
    if threads > 1:
        count = max(count, -(-threads * BANDS_PER_THREAD // images))
        if images == 1:
            count = -(-count // threads) * threads
    count = min(count, groups)
    edges = [min(height, band * groups // count * group) for band in range(count + 1)]
    return [Rows(first, last) for first, last in itertools.pairwise(edges)]


def reads_and_writes(steps: list[Step]) -> bool:
    """Whether a run is a single elementwise step, which gains nothing from bands.

    ReLU of 224x224x64 took 0.48 ms in bands of 9 rows, 0.465 in one band.
    """
    return len(steps) == 1 and steps[0].elementwise


def row_group(steps: list[Step]) -> int:
    """The smallest number of final rows that is a multiple of `row_multiple` in every step; 0 if there is none."""
    group, through, shift = 1, 1, 0  # final row r begins at row `through` * r - `shift` of this step's output
    for step in reversed(steps):
        if shift % step.row_multiple:
            return 0
        group = math.lcm(group, step.row_multiple // math.gcd(step.row_multiple, through))
        stride, top = step.window.stride[0], step.window.padding[0]
        through, shift = through * stride, shift * stride + top
    return group


def band_calls(
    steps: list[Step],
    source: RowSource,
    seconds: Iterable[np.ndarray | None],
    out: Corner,
    first: int,
    last: int,
    scratch: Scratch,
    part: Part = WHOLE,
) -> list[Call]:
    """The calls that compute final rows first to last into `out`. The next band may use the same `scratch`.

    `part`: the part of the filters to compute, in a run of one convolution.
    """
    scratch.reset()
    spans = rows_of_steps(steps, first, last)
    calls: list[Call] = []
    corner: Corner | None = None  # the input of this step, once a step before has written it
    framed: dict[int, np.ndarray] = {}  # the padded inputs of steps
    behind = steps_behind(steps)
    for number, (step, span, second) in enumerate(zip(steps, spans, seconds, strict=True)):
        rows = span.last - span.first
        if not rows:  # the next step sees only padding
            if spans[number + 1].first < spans[number + 1].last:
                corner = Corner(padded_input(steps, number + 1, spans, framed, scratch), 0, 0)
                calls += frame(steps[number + 1], corner.array, Rows(0, 0), 0)
            continue
        target = out
        later = behind[number]
        if later is not None:
            needed = needed_rows(steps[later], *spans[later])
            array = padded_input(steps, later, spans, framed, scratch)
            target = Corner(array, span.first - needed.first, steps[later].window.padding[1])
        if corner is None:
            corner, more = rows_of_source(steps, source, spans, framed, scratch)
            calls += more
        elif step.in_place:
            corner = target  # where the previous step wrote it
        other = None if second is None else Corner(second, span.first, 0)
        calls += step.calls(corner, target, Band(span.first, rows, scratch, part, other))
        corner = target
        if later == number + 1:
            calls += frame(steps[later], target.array, Rows(target.row, target.row + rows), target.column)
            corner = Corner(target.array, 0, 0)
    return [*spoiling(scratch.given), *calls]


def spoiling(arrays: Iterable[np.ndarray]) -> list[Call]:
    """In checking mode, fills arrays that nobody may read any more with NaN."""
    nothing = np.float32(np.nan)
    return [(kernels.pointwise.frame_forward, (array.reshape(1, 1, -1), 1, 0, 0, 0, 0, nothing)) for array in arrays]


def steps_behind(steps: list[Step]) -> list[int | None]:
    """For each step the index of the next one that is not in place."""
    found: list[int | None] = []
    behind = None
    for number in range(len(steps) - 1, -1, -1):
        found.append(behind)
        behind = behind if steps[number].in_place else number
    return found[::-1]


def frame(step: Step, array: np.ndarray, present: Rows, left: int) -> list[Call]:
    """Fills the border of a step's padded input around the given rows, which begin in column `left`."""
    height, width = present.last - present.first, step.input_shape[1]
    if array.shape[:2] == (height, width):
        return []
    value = np.float32(step.pad_value)
    return [(kernels.pointwise.frame_forward, (array, len(array), present.first, left, height, width, value))]


def rows_of_source(
    steps: list[Step], source: RowSource, spans: list[Rows], framed: dict[int, np.ndarray], scratch: Scratch
) -> tuple[Corner, list[Call]]:
    """The input of the first step: the volume itself if it needs no padding, else a padded copy of its rows."""
    step = steps[0]
    needed = needed_rows(step, *spans[0])
    present = inside(needed, step.input_shape[0])
    _, left, _, right = step.window.padding
    complete = present == needed and left == right == 0 and step.overread == 0
    if isinstance(source, np.ndarray):
        if complete or step.crosses_border:
            return Corner(source, needed.first, -left), []
        given = Corner(source, present.first, 0)
    else:
        given = Corner(np.ascontiguousarray(source[present.first : present.last], np.float32), 0, 0)
        if complete:
            return given, []
    array = padded_input(steps, 0, spans, framed, scratch)
    top, rows = present.first - needed.first, present.last - present.first
    calls = [copied(given, Corner(array, top, left), rows)] if rows else []
    return Corner(array, 0, 0), calls + frame(step, array, Rows(top, top + rows), left)


def padded_input(
    steps: list[Step], number: int, spans: list[Rows], framed: dict[int, np.ndarray], scratch: Scratch
) -> np.ndarray:
    """Scratch for the padded input rows of a step."""
    if number not in framed:
        step = steps[number]
        needed = needed_rows(step, *spans[number])
        _, width, channels = step.input_shape
        _, left, _, right = step.window.padding
        framed[number] = scratch.array(
            needed.last - needed.first, left + width + right, channels, spare=step.overread
        )  # fmt: skip
    return framed[number]
