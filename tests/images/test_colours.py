from __future__ import annotations

import numpy as np
import pytest

from cnntool.cli.options import COLORMAPS
from cnntool.images.colours import DIVERGING, NAMES, NOT_A_NUMBER, RISING, SEQUENTIAL, painted, rgb, table


def lightness(colours: np.ndarray) -> np.ndarray:
    """CIE L*, 0 to 100, of sRGB bytes."""
    linear = np.where(colours <= 10, colours / 255 / 12.92, ((colours / 255 + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    return np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_light_rises_evenly(name):
    steps = np.diff(lightness(table(name)[:256])[::15])
    assert (steps > 2).all()
    assert steps.max() < 3 * steps.min()


@pytest.mark.parametrize("name", [name for name in SEQUENTIAL if name != "gray"])
def test_the_tables_are_matplotlibs(name):
    matplotlib = pytest.importorskip("matplotlib")
    colours = np.rint(matplotlib.colormaps[name](np.arange(256))[:, :3] * 255)
    assert np.array_equal(table(name)[:256], colours)


def test_the_diverging_table_is_colorcets():
    colours = pytest.importorskip("colorcet").CET_D1A
    assert [f"#{bytes(colour).hex()}" for colour in table(DIVERGING)[:256]] == list(colours)


def test_the_shell_names_all_maps():
    assert COLORMAPS == NAMES


def test_the_diverging_map_is_lightest_at_zero_and_even_on_both_sides():
    light = lightness(table(DIVERGING)[:256])
    assert light.argmax() in (126, 127, 128, 129)
    assert (np.diff(light[:128:8]) > 0).all()
    assert (np.diff(light[128::8]) < 0).all()
    assert np.abs(light[:128] - light[:127:-1]).max() < 12


def test_ends_anchors_and_clipping():
    colours = table(RISING)
    values = np.array([[-5, 0, 1, 2, 9, np.nan, np.inf, -np.inf]], np.float32)
    drawn = painted(values, 0, 2, colours)[0].tolist()
    low, middle, high = colours[0].tolist(), colours[128].tolist(), colours[255].tolist()
    assert drawn == [low, low, middle, high, high, list(rgb(NOT_A_NUMBER)), high, low]


def test_a_scale_without_width_gives_its_first_colour():
    assert painted(np.ones((1, 1)), 1, 1, table(RISING))[0, 0].tolist() == table(RISING)[0].tolist()


@pytest.mark.parametrize("name", [RISING, "gray", DIVERGING])
def test_the_colour_of_nan_is_no_other(name):
    colours = table(name).astype(int)
    assert np.abs(colours[:256] - colours[256]).sum(axis=1).min() > 100
