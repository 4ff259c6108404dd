"""A run of steps, executed band by band in scratch memory.

The scratch of a step holds its input rows with the border that its window needs: the step before writes into the
middle, the border is filled with the step's `pad_value`. Steps that work in place share the scratch of the next step,
or the final rows.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import NamedTuple, Protocol

import numpy as np

from cnntool.layers.step import InPlace, Joined, PixelInPlace, Step, Windowed

# Of one thread: it should stay in an L2 cache of 1 MB, and be so large that bands are few.
SCRATCH_BYTES = 512 * 1024
# More would let a thread that is late cost less, but each takes Python's lock again: 1x1 convolution of 56x56x256 -> 64
# by two threads took 0.70 ms with 3 and 0.61 with 1.
BANDS_PER_THREAD = 1


class Rows(NamedTuple):
    """Rows that a step needs of its input, in the input's own numbering; they may reach into the padding."""

    first: int
    last: int


class RowSource(Protocol):
    """A volume that gives rows when asked: an array, or a file that is larger than memory."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: slice, /) -> np.ndarray: ...


Place = tuple[np.ndarray, int, int]
"""An array, and the row and column in it where the rows of a band begin."""


def needed_rows(step: Step, first: int, last: int) -> Rows:
    """The input rows of the windows of output rows first to last, the last group of rows filled up."""
    stride, top = step.window.stride[0], step.window.padding[0]
    last += (first - last) % step.row_multiple
    return Rows(first * stride - top, (last - 1) * stride - top + step.window.extent[0])


def inside(needed: Rows, height: int) -> Rows:
    """Those of the needed rows that are no padding; none where the window lies in the padding altogether."""
    if needed.last <= 0 or needed.first >= height:
        return Rows(needed.first, needed.first)
    return Rows(max(0, needed.first), min(height, needed.last))


def rows_of_steps(steps: list[Step], first: int, last: int) -> list[Rows]:
    """For each step the output rows that it must compute so that the last one can give rows first to last."""
    found = [Rows(first, last)]
    for step in reversed(steps[1:]):
        span = found[0]
        found.insert(0, inside(needed_rows(step, *span), step.input_shape[0]) if span.first < span.last else span)
    return found


def band_rows(steps: list[Step]) -> int:
    """How many final rows of a band the scratch memory allows: whole groups of rows, at least one."""

    def scratch(rows: int) -> int:
        spans = rows_of_steps(steps, 0, rows)
        spans = [Rows(0, span.last - span.first) for span in spans]
        height, width, channels = steps[-1].output_shape
        # final rows count where more than one step goes over them
        final = 4 * min(rows, height) * width * channels if len(steps) > 1 and works_in_place(steps[-1]) else 0
        return final + sum(
            4 * (needed_rows(step, *span).last - needed_rows(step, *span).first)
            * (step.input_shape[1] + step.window.padding[1] + step.window.padding[3]) * step.input_shape[2]
            for step, span in zip(steps, spans, strict=True)
        )  # fmt: skip

    group = row_group(steps)
    each = scratch(2 * group) - scratch(group)
    groups = 1 + max(0, SCRATCH_BYTES - scratch(group)) // max(1, each)
    return min(groups, -(-steps[-1].output_shape[0] // group)) * group


def bands_of(steps: list[Step], images: int, threads: int) -> list[Rows]:
    """The final rows cut into bands of nearly equal size, and so many that the threads finish together."""
    group, height = row_group(steps), steps[-1].output_shape[0]
    groups = -(-height // group)
    count = -(-groups * group // band_rows(steps))
    if threads > 1:
        count = max(count, -(-threads * BANDS_PER_THREAD // images))
        if images == 1:
            count = -(-count // threads) * threads
    count = min(count, groups)
    edges = [min(height, place * groups // count * group) for place in range(count + 1)]
    return [Rows(first, last) for first, last in itertools.pairwise(edges)]


def row_group(steps: list[Step]) -> int:
    """How many final rows make whole groups of rows (`row_multiple`) in every step; 0 where they cannot."""
    group, through, shift = 1, 1, 0  # final row r begins at row `through` * r - `shift` of the present step's output
    for step in reversed(steps):
        if shift % step.row_multiple:
            return 0
        group = math.lcm(group, step.row_multiple // math.gcd(step.row_multiple, through))
        stride, top = step.window.stride[0], step.window.padding[0]
        through, shift = through * stride, shift * stride + top
    return group


def compute_band(
    steps: list[Step],
    source: RowSource,
    seconds: Iterable[np.ndarray | None],
    out: Place,
    first: int,
    last: int,
    scratch: dict[int, np.ndarray],
) -> None:
    """Computes final rows first to last into `out`. `scratch` keeps its arrays for the next band."""
    spans = rows_of_steps(steps, first, last)
    place: Place | None = None  # of the input of the present step, once a step before has written it
    for number, (step, span, second) in enumerate(zip(steps, spans, seconds, strict=True)):
        rows = span.last - span.first
        if not rows:  # all that the next step sees is padding
            if spans[number + 1].first < spans[number + 1].last:
                place = all_padding(steps, number + 1, spans[number + 1], scratch)
            continue
        target = target_of(steps, number, spans, out, scratch)
        if isinstance(step, InPlace):
            step.apply(*(place_of(source, span) if place is None else target), *target, rows)
        elif works_in_place(step):
            if place is None:
                copy_rows(source, span.first, target, rows)
            apply_in_place(step, target, rows, second, span.first)
        else:
            if place is None:
                place = rows_of_source(step, source, span, scratch)
            if isinstance(step, Windowed):
                step.apply(*place, *target, span.first, rows)
            else:
                copy_rows(place[0], place[1], target, rows)
                apply_in_place(step, target, rows, second, span.first)
        place = target
        if number + 1 < len(steps) and not works_in_place(steps[number + 1]):
            place = window_start(steps[number + 1], target, spans[number + 1], span)


def place_of(source: RowSource, span: Rows) -> Place:
    """Rows of the source as an array to read from."""
    if isinstance(source, np.ndarray):
        return source, span.first, 0
    return source[span.first : span.last], 0, 0


def works_in_place(step: Step) -> bool:
    return isinstance(step, (InPlace, PixelInPlace)) or (
        isinstance(step, Joined) and step.input_shape == step.output_shape
    )


def target_of(steps: list[Step], number: int, spans: list[Rows], out: Place, scratch: dict[int, np.ndarray]) -> Place:
    """Where the output of a step goes: the scratch of the next step that cannot work in place, or the final rows."""
    for later in range(number + 1, len(steps)):
        if not works_in_place(steps[later]):
            needed = needed_rows(steps[later], *spans[later])
            array = scratch_of(steps, later, needed.last - needed.first, scratch)
            return array, spans[number].first - needed.first, steps[later].window.padding[1]
    return out


def window_start(step: Step, target: Place, span: Rows, before: Rows) -> Place:
    """The padded rows of a step, once the step before has written the middle: fills the rows above and below."""
    array, row, _ = target
    needed = needed_rows(step, *span)
    array[:row] = step.pad_value
    array[row + before.last - before.first : needed.last - needed.first] = step.pad_value
    return array, 0, 0


def all_padding(steps: list[Step], number: int, span: Rows, scratch: dict[int, np.ndarray]) -> Place:
    needed = needed_rows(steps[number], *span)
    array = scratch_of(steps, number, needed.last - needed.first, scratch)
    array[:] = steps[number].pad_value
    return array, 0, 0


def rows_of_source(step: Step, source: RowSource, span: Rows, scratch: dict[int, np.ndarray]) -> Place:
    """The input of the first step: the volume itself where nothing is missing, else its rows with a border."""
    needed = needed_rows(step, *span)
    height = step.input_shape[0]
    _, left, _, right = step.window.padding
    present = inside(needed, height)
    complete = present == needed and left == right == 0 and step.overread == 0
    if complete and isinstance(source, np.ndarray):
        return source, needed.first, 0
    array = scratch_of([step], 0, needed.last - needed.first, scratch)
    target = array, present.first - needed.first, left
    if present.first < present.last:
        copy_rows(source, present.first, target, present.last - present.first)
    return window_start(step, target, span, present)


def scratch_of(steps: list[Step], number: int, rows: int, scratch: dict[int, np.ndarray]) -> np.ndarray:
    """The padded input of a step, its columns left and right filled."""
    array = scratch.get(number)
    if array is None or array.shape[0] < rows:
        step = steps[number]
        _, width, channels = step.input_shape
        _, left, _, right = step.window.padding
        size = rows * (left + width + right) * channels
        array = np.empty(size + step.overread, np.float32)[:size].reshape(rows, -1, channels)
        array[:, :left] = step.pad_value
        array[:, left + width :] = step.pad_value
        scratch[number] = array
    return array


def copy_rows(source: RowSource, row: int, target: Place, rows: int) -> None:
    """Copies whole rows into the first channels of the target's."""
    array, to_row, to_column = target
    _, width, channels = source.shape
    array[to_row : to_row + rows, to_column : to_column + width, :channels] = source[row : row + rows]


def apply_in_place(step: Step, target: Place, rows: int, second: np.ndarray | None, first: int) -> None:
    """Applies a step to rows that are already where they belong; `first` is their number in the whole volume."""
    array, row, column = target
    if isinstance(step, Joined):
        assert second is not None
        width = step.output_shape[1]
        step.combine(array[row : row + rows, column : column + width], second[first : first + rows])
    else:
        assert isinstance(step, PixelInPlace)
        step.apply(array, row, column, rows)
