from __future__ import annotations

import numpy as np
import pytest

from cnntool.errors import CnntoolError
from cnntool.images.colours import DIVERGING, NOT_A_NUMBER, RISING, painted, rgb, table
from cnntool.images.sheet import box_average, contact_sheet, gap_of, lay_out, nearly_square, top_of

RANDOM = np.random.default_rng(6)


def cells(volume, **options):
    """The sheet as an array, and its layout."""
    sheet = contact_sheet(volume, **options)
    layout = lay_out(*volume.shape, max_side=options.get("max_side", 4096))
    pixels = np.asarray(sheet.image)
    assert pixels.shape == (*layout.size, 3)
    return pixels, layout


def cell_of(pixels, layout, c):
    y, x = layout.corner(c)
    return pixels[y : y + layout.height, x : x + layout.width]


@pytest.mark.parametrize(
    "shape",
    [
        (224, 224, 3),
        (7, 7, 512),
        (1, 1, 1000),
        (1, 1, 1),
        (1, 500, 16),
        (300, 1, 5),
        (31, 9, 64),
        (2, 3, 1),
        (600, 400, 70),
    ],
)
def test_every_channel_stands_in_its_cell(shape):
    volume = RANDOM.normal(size=shape).astype(np.float32)
    pixels, layout = cells(volume)
    assert max(pixels.shape) <= 4096
    assert min(pixels.shape[:2]) >= 16
    common = top_of(volume, 100) if shape[:2] == (1, 1) else None
    for c in range(0, shape[2], max(1, shape[2] // 5)):
        values = box_average(volume[:, :, c], layout.reduction)
        top = top_of(values) if common is None else common
        expected = painted(values, -top, top, table(DIVERGING))
        down, across = layout.enlargement
        assert np.array_equal(cell_of(pixels, layout, c)[down // 2 :: down, across // 2 :: across], expected)
        assert np.array_equal(cell_of(pixels, layout, c)[::down, ::across], expected)


def test_what_is_nonnegative_rises_from_black():
    volume = np.linspace(0, 8, 64, dtype=np.float32).reshape(8, 8, 1)
    pixels, layout = cells(volume)
    cell = cell_of(pixels, layout, 0)
    assert cell[0, 0].tolist() == list(rgb(RISING[0]))
    assert cell[-1, -1].tolist() == list(rgb(RISING[-1]))
    signed = cell_of(*cells(volume - 4), 0)
    assert signed[0, 0].tolist() == list(rgb(DIVERGING[0]))
    assert signed[-1, -1].tolist() == list(rgb(DIVERGING[-1]))


def test_channels_have_their_own_scale_or_one():
    volume = np.ones((8, 8, 2), np.float32)
    volume[:4] = 0
    volume[:, :, 1] *= 100
    pixels, layout = cells(volume)
    assert np.array_equal(cell_of(pixels, layout, 0), cell_of(pixels, layout, 1))
    shared, _ = cells(volume, shared=True)
    assert not np.array_equal(cell_of(shared, layout, 0), cell_of(shared, layout, 1))
    assert np.array_equal(cell_of(shared, layout, 1), cell_of(pixels, layout, 1))


def test_a_vector_is_on_one_scale():
    pixels, layout = cells(np.array([[[0, 1, 2, 4]]], np.float32))
    drawn = [cell_of(pixels, layout, c)[0, 0].tolist() for c in range(4)]
    assert drawn == painted(np.array([[0, 1, 2, 4]]), 0, 4, table(RISING))[0].tolist()


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("value", [0.0, 3.0, -2.0, np.nan, np.inf, -np.inf, 3e38])
def test_constant_channels(value):
    pixels, layout = cells(np.full((9, 9, 2), value, np.float32))
    colours = {tuple(colour) for colour in cell_of(pixels, layout, 1).reshape(-1, 3).tolist()}
    assert len(colours) == 1
    assert (colours == {rgb(NOT_A_NUMBER)}) == bool(np.isnan(value))


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_nan_and_infinity_do_not_spoil_the_rest():
    volume = RANDOM.normal(size=(40, 40, 4)).astype(np.float32)
    plain, layout = cells(volume)
    volume[3, 5, 2], volume[9, 9, 2] = np.nan, np.inf
    pixels, _ = cells(volume)
    down, across = layout.enlargement
    assert cell_of(pixels, layout, 2)[3 * down, 5 * across].tolist() == list(rgb(NOT_A_NUMBER))
    assert cell_of(pixels, layout, 2)[9 * down, 9 * across].tolist() == list(rgb(DIVERGING[-1]))
    for c in (0, 1, 3):
        assert np.array_equal(cell_of(pixels, layout, c), cell_of(plain, layout, c))


def test_large_maps_are_averaged():
    volume = RANDOM.normal(size=(301, 403, 5)).astype(np.float32)
    pixels, layout = cells(volume, max_side=200)
    assert max(pixels.shape) <= 200
    assert layout.reduction > 1
    values, size = volume[:, :, 0], layout.reduction
    average = box_average(values, size)
    naive = [[values[y : y + size, x : x + size].mean() for x in range(0, 403, size)] for y in range(0, 301, size)]
    assert np.allclose(average, naive, atol=1e-6)


def test_too_many_channels_are_told():
    sheet = contact_sheet(np.zeros((3, 3, 1500), np.float32))
    assert sheet.note == "the first 1024 of 1500 channels are drawn"
    assert contact_sheet(np.zeros((3, 3, 1024), np.float32)).note is None
    assert contact_sheet(np.zeros((1, 1, 1500), np.float32)).note is None
    few = contact_sheet(np.zeros((3, 3, 9), np.float32), max_cells=4)
    assert few.note == "the first 4 of 9 channels are drawn"
    assert few.image.size == contact_sheet(np.zeros((3, 3, 4), np.float32)).image.size
    assert contact_sheet(np.zeros((1, 1, 65536), np.float32)).image.size == (1024, 1024)


@pytest.mark.parametrize(
    ("shape", "columns"),
    [
        ((9, 9, 64), 8),
        ((9, 9, 8), 3),
        ((9, 9, 3), 3),
        ((9, 9, 1), 1),
        ((10, 40, 16), 2),
        ((10, 90, 3), 1),
        ((40, 10, 16), 8),
    ],
)
def test_the_grid_is_nearly_square(shape, columns):
    assert nearly_square(*shape) == columns


def test_columns_can_be_chosen():
    assert lay_out(9, 9, 64, columns=4).rows == 16
    assert lay_out(9, 9, 2, columns=4).columns == 2
    with pytest.raises(CnntoolError, match="do not fit"):
        contact_sheet(np.zeros((2, 2, 1000), np.float32), columns=1, max_side=900)


def test_gaps_never_hide_what_they_part():
    assert [gap_of(cell) for cell in (1, 5, 6, 23, 24, 160)] == [0, 0, 1, 1, 2, 4]


@pytest.mark.parametrize("shape", [(3, 3), (0, 3, 3), (2, 2, 2, 2)])
def test_what_is_no_volume_is_refused(shape):
    with pytest.raises(CnntoolError, match="no contact sheet: expected H x W x C"):
        contact_sheet(np.zeros(shape, np.float32))


def test_the_volume_is_left_as_it_was():
    volume = RANDOM.normal(size=(9, 9, 3)).astype(np.float32)
    before = volume.copy()
    contact_sheet(volume)
    assert np.array_equal(volume, before)
