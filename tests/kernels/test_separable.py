from __future__ import annotations

import numpy as np
import pytest

from cnntool.algorithms.separable import pack_columns, pack_rows, padding, starts
from cnntool.kernels import separable
from cnntool.kernels.arguments import Corner, Factors, Size, Window
from cnntool.kernels.convolution import NO_LIMIT, packed
from cnntool.kernels.separable import ROWS, STRIP
from cnntool.kernels.sources.separable import BEYOND_CACHES
from cnntool.kernels.vectors import LANES, PIXELS
from tests.kernels.volumes import COLUMN, ROW, assert_near, guarded, noise, roomy, written
from tests.naive import twins


def rows_of(width: int) -> np.ndarray:
    """Unit rows, more than a tile: some even, some odd, some neither, some with ends that are zero."""
    rows = noise(2 * ROWS + 3, width).astype(np.float64)
    rows[::3] += rows[::3, ::-1]
    rows[1::3] -= rows[1::3, ::-1]
    for row in rows[3:6] if width > 3 else rows[3:6:2]:  # of an odd row of three nothing would be left
        row[: width // 3] = row[width - width // 3 :] = 0
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def separated(x, height, width, filters, stride=(1, 1), x_row=0, rows=None, low=NO_LIMIT, out=None):
    """The kernel on a padded volume, with filters of no map, of one, two, three, none, ..., and what it should be."""
    units, bias = rows_of(width), noise(filters)
    maps = [[(m % len(units), noise(height, m)[:, -1]), (5 * m % len(units), noise(height, 99 + m)[:, -1])][: 1 + m % 2]
            for m in range(1, 8)]  # fmt: skip
    mixes = [[((k + i) % len(maps), 0.5 + i - k) for i in range(k % 4)] for k in range(filters)]
    whole = [sum((np.outer(column, units[row]) for row, column in terms), np.zeros((height, width))) for terms in maps]
    weight = np.zeros((height, width, 1, filters))
    for k, mix in enumerate(mixes):
        for number, factor in mix:
            weight[:, :, 0, k] += factor * whole[number]
    expected = twins.conv(x[x_row:], weight, bias, stride)
    rows, columns = rows or expected.shape[0], expected.shape[1]

    blocks, row_taps, order = pack_rows(units)
    terms, column_taps = pack_columns([(order[row], column) for terms in maps for row, column in terms], stride[0])
    padded = [*mixes, *[[]] * padding(filters)]
    out = guarded(rows, columns, filters) if out is None else out
    image = roomy(x, PIXELS * stride[1])
    separable.conv_separable_forward(
        Corner(image, x_row, 0), image.reshape(image.shape[:2]), packed(weight, bias),
        Factors(
            blocks, row_taps, terms, starts(stride[0] * len(each) for each in maps),
            column_taps, starts(map(len, padded)),
            np.array([number * ROWS * STRIP for mix in mixes for number, _ in mix], np.int64),
            np.array([factor for mix in mixes for _, factor in mix], np.float32),
        ),
        Corner(out, ROW, COLUMN), Size(rows, columns), Window((height, width), stride), low,
        tuple(np.full(shape, np.nan, np.float32)
              for shape in separable.scratch_shapes(height, width, *stride, len(units), len(maps), filters)),
    )  # fmt: skip
    return written(out, rows, columns), np.maximum(expected[:rows], low)


@pytest.mark.parametrize("filters", [1, 3, 5, LANES, LANES + 1, 33])
def test_any_number_of_filters(filters):
    assert_near(*separated(noise(17, 40, 1), 9, 9, filters))


@pytest.mark.parametrize("columns", [1, LANES - 1, LANES, LANES + 1, STRIP - 1, STRIP, STRIP + 1, 2 * STRIP + 5])
@pytest.mark.parametrize("rows", [1, ROWS - 1, ROWS, ROWS + 1, 3 * ROWS])
def test_any_number_of_rows_and_columns(rows, columns):
    assert_near(*separated(noise(rows + 6, columns + 7, 1), 7, 8, 4))


@pytest.mark.parametrize("height", [ROWS, ROWS + 1, 2 * ROWS, 31])
@pytest.mark.parametrize("width", [ROWS, 6, 9, 32])
def test_any_size_of_filters(height, width):
    assert_near(*separated(noise(height + 9, width + 21, 1), height, width, 7))


@pytest.mark.parametrize("stride", [(2, 1), (1, 2), (3, 4), (2, 9)])
def test_strides(stride):
    assert_near(*separated(noise(45, 200, 1), 3 * ROWS + 1, 8, 4, stride))


@pytest.mark.parametrize("x_row", [0, 1, 5])
@pytest.mark.parametrize("rows", [1, 2])
def test_rows_from_the_middle(x_row, rows):
    assert_near(*separated(noise(24, 21, 1), 7, 7, 5, (1, 2), x_row, rows))


def test_nothing_less_than_the_limit_is_stored():
    found, expected = separated(noise(24, 21, 1), 7, 7, 5, low=np.float32(0))
    assert_near(found, expected)
    assert (found == 0).any()


def test_a_volume_that_no_cache_holds():
    columns = STRIP + 3
    rows = BEYOND_CACHES // (4 * 5 * (columns + COLUMN)) + 1
    assert_near(*separated(noise(20, columns + 6, 1), 7, 7, 5, out=guarded(rows, columns, 5)))
