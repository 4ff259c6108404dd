"""Low-rank filter banks as sums of products of a column and a row: a pass along rows, then one along columns.

Each filter is first split into its even and odd part from left to right. Mirrored filters, such as those of directions
30 and 150 degrees, are the sum and the difference of the same two parts, which are computed once. A singular value
decomposition gives the fewest terms of each part, and equal rows are shared by all terms. A Gaussian has one term, a
Gabor filter with a round envelope two, one with gamma 0.5 about ten; an oriented filter of full rank gains nothing.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable

import numpy as np

from cnntool import kernels
from cnntool.algorithms import Algorithm
from cnntool.algorithms.direct import epilogue, lower_bound, spare_pixels
from cnntool.kernels.arguments import Corner, Factors, Size
from cnntool.steps.step import Band, Call, Convolution, Windowed

RESIDUE = 1e-6  # of a filter's norm that the terms may neglect
# Tiles of a band: neighbouring bands both compute the row pass of the rows that they share. 8 filters 15x15 of
# 8192x8192 took 8.4 s in bands of one row, 2.4 with 4 tiles, 1.05 with 8 and with 16. The outputs should stay in the L3
# cache.
FAIR_TILES, FAIR_BYTES = 8, kernels.vectors.HOST.beyond_caches
LARGEST_EXACT, MOST_TERMS = 128, 128  # a side up to which all terms are found; terms searched for beyond it
# Seconds to look for the terms of a filter, and of each of its elements, and seconds of a product without them.
FOR_FILTER, FOR_ELEMENT, FOR_PRODUCT = 6e-4, 2e-7, 5e-11
SOON = 1.0  # seconds of looking that are always worth their while
SMALLEST_KERNEL = 25  # elements; the passes cost more than they save on less


class TooManyTerms(Exception):
    """A large filter has too high a rank: other algorithms are faster."""


class Directions:
    """A set of unit vectors, none a multiple of another."""

    def __init__(self, size: int) -> None:
        self._room = np.zeros((4, size))
        self._count = 0
        # Multiples have the same normalised projection on a fixed ray, so that few of thousands need be compared.
        self._ray = np.random.default_rng(0).standard_normal(size)
        self._ray /= np.linalg.norm(self._ray)
        self._along = np.zeros(4)

    @property
    def units(self) -> np.ndarray:
        return self._room[: self._count]

    def find(self, vector: np.ndarray, tolerance: float) -> tuple[int, float]:
        """The index of the unit vector that `vector` is a multiple of (added if new), and the factor."""
        norm = float(np.linalg.norm(vector))
        along = abs(float(self._ray @ vector)) / norm
        near = np.flatnonzero(np.abs(self._along[: self._count] - along) <= 2 * tolerance / norm + 1e-12)
        if len(near):
            factors = self.units[near] @ vector
            best = int(np.abs(factors).argmax())
            if np.linalg.norm(vector - factors[best] * self.units[near[best]]) <= tolerance:
                return int(near[best]), float(factors[best])
        if self._count == len(self._room):
            self._room = np.concatenate([self._room, np.zeros_like(self._room)])
            self._along = np.concatenate([self._along, np.zeros_like(self._along)])
        self._room[self._count], self._along[self._count] = vector / norm, along
        self._count += 1
        return self._count - 1, norm


def factors_of(convolution: Convolution) -> Factors | None:
    """The factors of a convolution's filters; None for large ones with many terms."""
    filters = np.ascontiguousarray(convolution.weight[:, :, 0].transpose(2, 0, 1), np.float32)
    return _factors(filters.shape, convolution.window.stride[0], filters.tobytes())


@functools.lru_cache(maxsize=4)  # for both the cost and the step
def _factors(shape: tuple[int, ...], stride_y: int, data: bytes) -> Factors | None:
    try:
        return taken_apart(np.frombuffer(data, np.float32).reshape(shape), stride_y)
    except TooManyTerms:
        return None


def taken_apart(filters: np.ndarray, stride_y: int) -> Factors:
    """Filters (K, kernel_height, kernel_width) as factors."""
    shape = filters.shape
    parts, rows = Directions(shape[1] * shape[2]), Directions(shape[2])
    maps: list[list[tuple[int, np.ndarray]]] = []  # the terms of each part: index of a row, and a column
    mixes: list[list[tuple[int, float]]] = []
    for kernel in filters.astype(np.float64):
        tolerance = RESIDUE * float(np.linalg.norm(kernel))
        mixes.append([])
        for part in parts_of(kernel, tolerance):
            number, factor = parts.find(part.ravel(), tolerance)
            mixes[-1].append((number, factor))
            if number == len(maps):
                maps.append([])
                for column, row in terms_of(part, tolerance):
                    row_number, share = rows.find(row, tolerance / float(np.linalg.norm(column)))
                    maps[-1].append((row_number, column * (share / factor)))
    blocks, row_taps, order = pack_rows(rows.units)
    terms, column_taps = pack_columns([(order[row], column) for terms in maps for row, column in terms], stride_y)
    map_size = kernels.separable.ROWS * kernels.separable.STRIP
    mixes += [[]] * padding(len(mixes))
    return Factors(
        blocks, row_taps, terms, starts([stride_y * len(entries) for entries in maps]), column_taps,
        starts(map(len, mixes)),
        np.array([number * map_size for mix in mixes for number, _ in mix], np.int64),
        np.array([factor for mix in mixes for _, factor in mix], np.float32),
    )  # fmt: skip


def parts_of(kernel: np.ndarray, tolerance: float) -> list[np.ndarray]:
    """The even and the odd part of a filter, if they are not zero; or the filter itself if that is cheaper.

    A symmetric row takes half the work, a column does not, so the parts may need a third more terms.
    """
    mirrored = kernel[:, ::-1]
    parts = [part for part in ((kernel + mirrored) / 2, (kernel - mirrored) / 2) if np.linalg.norm(part) > tolerance]
    if 3 * sum(len(terms_of(part, tolerance)) for part in parts) > 4 * len(terms_of(kernel, tolerance)):
        return [kernel]
    return parts


def terms_of(part: np.ndarray, tolerance: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """The fewest columns and unit rows whose products sum to `part` within `tolerance`."""
    u, s, vt = singular_values(part, tolerance / 10)
    left_out = np.sqrt(np.cumsum(np.square(s[::-1])))[::-1]  # norm without the terms from r on
    return [(u[:, r] * s[r], vt[r]) for r in range(int((left_out > tolerance).sum()))]


def singular_values(part: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The singular value decomposition; for a large part only of the largest values, within `tolerance`.

    A large part is cropped to its support, and its range found by random projections (N. Halko, P. Martinsson, J.
    Tropp, "Finding structure with randomness", 2011), since the full decomposition of 1023x1023 takes 2 s.
    """
    if min(part.shape) <= LARGEST_EXACT:
        return np.linalg.svd(part, full_matrices=False)
    (top, bottom), (left, right) = (
        support(np.linalg.norm(part, axis=axis), tolerance / 10) for axis in (1, 0)
    )  # fmt: skip
    inner = part[top:bottom, left:right]
    if min(inner.shape) <= LARGEST_EXACT:
        u, s, vt = np.linalg.svd(inner, full_matrices=False)
    else:
        u, s, vt = _of_few(inner, tolerance / 2)
    wide_u, wide_vt = np.zeros((part.shape[0], len(s))), np.zeros((len(s), part.shape[1]))
    wide_u[top:bottom], wide_vt[:, left:right] = u, vt
    return wide_u, s, wide_vt


def _of_few(part: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    dice = np.random.default_rng(0)
    for terms in (MOST_TERMS // 4, MOST_TERMS):
        basis, _ = np.linalg.qr(part @ dice.standard_normal((part.shape[1], terms)))
        inner = basis.T @ part
        if np.linalg.norm(part - basis @ inner) <= tolerance:
            u, s, vt = np.linalg.svd(inner, full_matrices=False)
            return basis @ u, s, vt
    raise TooManyTerms


def support(vector: np.ndarray, tolerance: float | None = None) -> tuple[int, int]:
    """The range of a vector outside of which its norm is negligible."""
    if tolerance is None:
        tolerance = RESIDUE * float(np.linalg.norm(vector))
    before, behind = (int((np.sqrt(np.cumsum(np.square(v))) <= tolerance).sum()) for v in (vector, vector[::-1]))
    return before, len(vector) - behind


def pack_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of taps as blocks of rows that use the same folds; the blocks, their taps, and the new index of each row."""
    together, width = kernels.separable.ROWS, rows.shape[1]
    middle, evens = width % 2, (width + 1) // 2
    right, left = rows[:, width // 2 :], rows[:, :evens][:, ::-1]
    even, odd = (right + left) / 2, (right - left)[:, middle:] / 2
    taps = np.concatenate([even, odd], axis=1)
    spans = []
    for row in taps:
        significant = np.flatnonzero(np.abs(row) > RESIDUE / np.sqrt(width))
        spans.append((int(significant[0]), int(significant[-1]) + 1))
    # a span starts at the even or at the odd folds
    spans = [(evens if first >= evens else 0, last) for first, last in spans]
    sequence = sorted(range(len(rows)), key=spans.__getitem__)
    blocks, packed, order = [], [np.zeros(0)], np.zeros(len(rows), np.int64)
    order[sequence] = np.arange(len(rows))
    rows_before = taps_before = 0
    for first, group in itertools.groupby(sequence, key=lambda row: spans[row][0]):
        members = list(group)
        for start in range(0, len(members), together):
            block = members[start : start + together]
            last = max(spans[row][1] for row in block)
            lines = np.zeros((together, last - first))
            lines[: len(block)] = taps[block, first:last]
            blocks.append((first, last - first, taps_before, rows_before, len(block)))
            packed.append(lines.ravel())
            taps_before += lines.size
            rows_before += len(block)
    return np.array(blocks, np.int64).reshape(-1, 5), np.concatenate(packed).astype(np.float32), order


def pack_columns(terms: list[tuple[int, np.ndarray]], stride_y: int) -> tuple[np.ndarray, np.ndarray]:
    """Terms and their taps; with a stride, one term for each phase of the lines."""
    shortest = kernels.separable.ROWS
    packed, entries, taps_before = [np.zeros(0)], [], 0
    for row, column in terms:
        for phase in range(stride_y):
            taps = column[phase::stride_y]
            first, last = support(taps)
            last = min(len(taps), max(last, first + shortest))
            first = max(0, min(first, last - shortest))
            entries.append((row, phase + stride_y * first, taps_before, last - first))
            packed.append(taps[first:last])
            taps_before += last - first
    return np.array(entries, np.int64).reshape(-1, 4), np.concatenate(packed).astype(np.float32)


def starts(lengths: Iterable[int]) -> np.ndarray:
    """The offsets of consecutive pieces of these lengths, and the end of the last."""
    return np.concatenate([[0], np.cumsum(list(lengths))]).astype(np.int64)


def padding(filters: int) -> int:
    """How many filters are missing to fill a register."""
    return -filters % kernels.vectors.LANES


def separable_fits(convolution: Convolution) -> bool:
    """One channel, no dilation, and a large kernel with few terms."""
    (kh, kw), (sy, _), dilation, _ = convolution.window
    one_channel = convolution.groups == 1 and convolution.input_shape[2] == 1
    large = min(kh // sy, kw) >= kernels.separable.ROWS and kh * kw >= SMALLEST_KERNEL
    fits = one_channel and dilation == (1, 1) and large and bool(np.isfinite(convolution.weight).all())
    return fits and worth_looking(convolution) and factors_of(convolution) is not None


def worth_looking(convolution: Convolution) -> bool:
    """Whether the terms of many or large filters are found before the filters would have been applied plainly."""
    height, width, filters = convolution.output_shape
    elements = math.prod(convolution.window.kernel_size)
    seconds = filters * (FOR_FILTER + FOR_ELEMENT * elements)
    return seconds < SOON or seconds < FOR_PRODUCT * height * width * filters * elements


def separable_cost(convolution: Convolution) -> float:
    """Whole tiles of both passes. Folding is bound by reads, mixing by transposing planes to channels."""
    (kh, kw), (sy, _), _, _ = convolution.window
    height, width, filters = convolution.output_shape
    factors = factors_of(convolution)
    assert factors is not None
    rows, strip = kernels.separable.ROWS, kernels.separable.STRIP
    along_rows = rows * float(factors.blocks[:, 1].sum()) + 5 * kw
    along_columns = factors.column_taps.size + 4 * len(factors.mix) + 13 * (filters + padding(filters))
    lines = 1.35 * height * sy + kh  # neighbouring bands compute some lines of the first pass twice
    pixels = -(-width // strip) * strip
    return pixels * (lines * along_rows + -(-height // rows) * rows * along_columns) / 0.9


def separable_step(convolution: Convolution) -> Windowed:
    """By the filters' factors, along rows and then along columns."""
    (kh, kw), (sy, sx), _, _ = convolution.window
    _, columns, filters = convolution.output_shape
    separable, factors = kernels.separable, factors_of(convolution)
    assert factors is not None
    shapes = separable.scratch_shapes(
        kh, kw, sy, sx, int(factors.blocks[:, 4].sum()), len(factors.first_term) - 1, filters
    )
    whole = kernels.convolution.packed(convolution.weight, convolution.bias)
    low, forward = lower_bound(convolution), separable.conv_separable_forward

    def calls(source: Corner, target: Corner, band: Band) -> list[Call]:
        scratch = tuple(band.scratch.array(*shape) for shape in shapes)
        image = source.array.reshape(source.array.shape[:2])
        size = Size(band.rows, columns)
        call = forward, (source, image, whole, factors, target, size, convolution.window, low, scratch)
        return [call, *epilogue(convolution, target, band, clamps=True)]

    rows = separable.ROWS
    fair_rows = max(rows, min(FAIR_TILES * rows, FAIR_BYTES // (4 * columns * filters)))
    return Windowed(
        convolution.input_shape, convolution.output_shape, convolution.window, calls,
        overread=spare_pixels(convolution), fair_rows=fair_rows,
    )  # fmt: skip


ALGORITHM = Algorithm(separable_fits, separable_cost, separable_step)
