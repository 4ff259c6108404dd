from __future__ import annotations

import numpy as np
import pytest

from cnntool.errors import CnntoolError
from cnntool.images import captions
from cnntool.images.colours import DIVERGING, NOT_A_NUMBER, RISING, painted, rgb, table
from cnntool.images.filter_sheet import filter_sheet
from cnntool.images.layout import lay_out
from cnntool.images.sheet import Caption, Look, box_average, chosen, contact_sheet, range_of, top_of

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
    assert cell[0, 0].tolist() == table(RISING)[0].tolist()
    assert cell[-1, -1].tolist() == table(RISING)[255].tolist()
    signed = cell_of(*cells(volume - 4), 0)
    assert signed[0, 0].tolist() == table(DIVERGING)[0].tolist()
    assert signed[-1, -1].tolist() == table(DIVERGING)[255].tolist()


def test_channels_have_their_own_scale_or_one():
    volume = np.ones((8, 8, 2), np.float32)
    volume[:4] = 0
    volume[:, :, 1] *= 100
    pixels, layout = cells(volume)
    assert np.array_equal(cell_of(pixels, layout, 0), cell_of(pixels, layout, 1))
    shared, _ = cells(volume, look=Look(scale="shared"))
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
    assert cell_of(pixels, layout, 2)[9 * down, 9 * across].tolist() == table(DIVERGING)[255].tolist()
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


def test_columns_can_be_chosen():
    assert lay_out(9, 9, 64, columns=4).rows == 16
    assert lay_out(9, 9, 2, columns=4).columns == 2
    with pytest.raises(CnntoolError, match="do not fit"):
        contact_sheet(np.zeros((2, 2, 1000), np.float32), Look(columns=1), max_side=900)


@pytest.mark.parametrize("shape", [(3, 3), (0, 3, 3), (2, 2, 2, 2)])
def test_what_is_no_volume_is_refused(shape):
    with pytest.raises(CnntoolError, match="no contact sheet: expected H x W x C"):
        contact_sheet(np.zeros(shape, np.float32))


def test_the_volume_is_left_as_it_was():
    volume = RANDOM.normal(size=(9, 9, 3)).astype(np.float32)
    before = volume.copy()
    contact_sheet(volume)
    assert np.array_equal(volume, before)


def test_scales_and_colour_maps():
    volume = np.stack([np.linspace(-1, 3, 64), np.linspace(0, 40, 64)], axis=1).reshape(8, 8, 2).astype(np.float32)
    layout = lay_out(8, 8, 2)

    def corner(c, **look):
        drawn = cell_of(np.asarray(contact_sheet(volume, Look(**look)).image), layout, c)
        return drawn[0, 0].tolist(), drawn[-1, -1].tolist()

    def colour(name, step):
        return table(name)[step].tolist()

    # A rising map begins at the smallest number, -1, and the whole of 0 to 40 at its zero.
    assert corner(0, colormap="viridis") == (colour("viridis", 0), colour("viridis", 255))
    assert corner(1, colormap="viridis") == (colour("viridis", 0), colour("viridis", 255))
    low, high = corner(0, colormap="viridis", scale="shared")
    assert low == colour("viridis", 0)
    assert high in [colour("viridis", step) for step in (24, 25, 26)]  # 4 / 41 of the way from -1 to 40
    # Signed: zero in the middle, whether there are negative numbers or not.
    assert corner(1, scale="symmetric")[0] == colour(DIVERGING, 128)
    assert corner(1, scale="symmetric", colormap="gray") == (colour("gray", 128), colour("gray", 255))
    assert contact_sheet(np.abs(volume), Look(scale="symmetric")).image.getpixel((0, 0)) == rgb("#9c9ca6")


def test_the_strongest_maps_come_first():
    volume = np.ones((4, 4, 5), np.float32) * np.array([1, -7, 0, 3, np.nan], np.float32)
    assert chosen(volume, 3, 1024) == [1, 3, 0]
    assert chosen(volume, None, 3) == [0, 1, 2]
    sheet = contact_sheet(volume, Look(top=2))
    assert sheet.note == "the strongest 2 of 5 channels are drawn"
    assert sheet.image.size == contact_sheet(volume[:, :, :2]).image.size


def test_places_decide_the_grid():
    volume = np.arange(3, dtype=np.float32).reshape(1, 1, 3).repeat(8, 0).repeat(8, 1) + 1
    places = [(0, 0), (1, 2), (1, 0)]
    layout = lay_out(8, 8, 3, places=places)
    assert (layout.rows, layout.columns) == (2, 3)
    pixels = np.asarray(contact_sheet(volume, Look(scale="shared"), Caption(places=places)).image)
    assert pixels.shape[:2] == layout.size
    for c, value in enumerate((1, 2, 3)):
        expected = painted(np.array([[value]]), 0, top_of(volume), table(RISING))[0, 0]
        assert (cell_of(pixels, layout, c) == expected).all()
    empty = layout.gap, layout.gap + layout.width + layout.gap  # the middle of the first row
    assert pixels[empty].tolist() == list(rgb("#e6e6ea"))
    assert contact_sheet(volume, Look(columns=3), Caption(places=places)).image.size[1] < pixels.shape[0]


@pytest.mark.parametrize("shape", [(60, 80, 40), (7, 7, 512), (1, 1, 30), (300, 400, 1), (3, 3, 1024), (20, 400, 3)])
def test_labels_and_legend_cover_no_map(shape):
    volume = RANDOM.normal(size=shape).astype(np.float32)
    names = [f"a long name of map {c}" for c in range(shape[2])]
    labelled = np.asarray(contact_sheet(volume, Look(labelled=True), Caption("a title", names)).image)
    labels = captions.Labels(names, [range_of(volume[:, :, c]) for c in range(shape[2])])
    layout = lay_out(*shape, label=labels.height)
    common = top_of(volume, 100) if shape[:2] == (1, 1) else None
    for c in range(0, shape[2], max(1, shape[2] // 5)):
        values = box_average(volume[:, :, c], layout.reduction)
        top = top_of(values) if common is None else common
        cell = cell_of(labelled, layout, c)[:: layout.enlargement[0], :: layout.enlargement[1]]
        assert np.array_equal(cell, painted(values, -top, top, table(DIVERGING)))
        if layout.label:
            y, x = layout.corner(c)
            below = labelled[y + layout.height + 1 : y + layout.height + layout.label, x : x + layout.width]
            assert (below < 100).any(), "no letters below the map"
            beyond = labelled[y + layout.height + 1 : y + layout.height + layout.label, x + layout.width :][
                :, : layout.gap
            ]
            assert (beyond > 100).all(), "letters beyond the cell"
    assert (labelled[layout.size[0] :] < 100).any(), "no legend"


def test_colour_filters_are_drawn_about_gray():
    weight = np.zeros((2, 2, 3, 2), np.float32)
    weight[0, 0, 0, 0], weight[1, 1, 2, 1], weight[0, 0, 1, 1] = 0.5, -2, 1
    pixels, layout = np.asarray(filter_sheet(weight).image), lay_out(2, 2, 2)
    assert cell_of(pixels, layout, 0)[0, 0].tolist() == [255, 128, 128]
    assert cell_of(pixels, layout, 0)[-1, -1].tolist() == [128, 128, 128]
    assert cell_of(pixels, layout, 1)[-1, -1].tolist() == [128, 128, 0]
    assert cell_of(pixels, layout, 1)[0, 0].tolist() == [128, 191, 128]
    shared = np.asarray(filter_sheet(weight, Look(scale="shared")).image)
    assert cell_of(shared, layout, 0)[0, 0].tolist() == [159, 128, 128]


def test_of_deep_filters_a_row_is_a_filter_and_a_column_an_input_channel():
    weight = RANDOM.normal(size=(3, 3, 5, 4)).astype(np.float32)
    pixels, layout = np.asarray(filter_sheet(weight).image), lay_out(3, 3, 20, columns=5)
    assert pixels.shape[:2] == layout.size
    for k, channel in ((0, 0), (2, 3), (3, 4)):
        values = weight[:, :, channel, k]
        expected = painted(values, -top_of(values), top_of(values), table(DIVERGING))
        down, across = layout.enlargement
        assert np.array_equal(cell_of(pixels, layout, 5 * k + channel)[::down, ::across], expected)
    note = filter_sheet(np.ones((1, 1, 30, 40), np.float32)).note
    assert note == "the first 24 of 40 filters and the first 24 of 30 input channels are drawn"
