"""The register tiles alone, of the sizes that the kernels use, with every count of pixels and channels."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from cnntool.kernels.pooling import MAXIMUM, MULTIPLY, ROOT_OF_SQUARES, SCALED_SUM
from cnntool.kernels.sources.channel_tile import channel_tile
from cnntool.kernels.sources.tile import address_of, dense_tile
from cnntool.kernels.vectors import LANES, NARROW_PIXELS, PIXELS, VECTORS
from tests.kernels.volumes import GUARD, assert_near, noise

KH, KW, DEPTH = 2, 3, 4
X_PIXEL = DEPTH + 1  # pixels of the input lie further apart than their channels
SMALL_PIXELS, SMALL_VECTORS = 4, 2
NO_LIMIT = np.float32(-np.inf)
FACTORS = np.full(SMALL_PIXELS, 3, np.float32)


@numba.njit
def wide(x, w, bias, y, x_row, x_column, y_pixel, count, channels):
    dense_tile(
        address_of(x), address_of(w), address_of(bias), address_of(y), KH, KW, DEPTH, x_row, x_column, X_PIXEL,
        y_pixel, count, channels, 0, NO_LIMIT, PIXELS, VECTORS,
    )  # fmt: skip


@numba.njit
def narrow(x, w, bias, y, x_row, x_column, y_pixel, count, channels):
    dense_tile(
        address_of(x), address_of(w), address_of(bias), address_of(y), KH, KW, DEPTH, x_row, x_column, X_PIXEL,
        y_pixel, count, channels, 0, NO_LIMIT, NARROW_PIXELS, 1,
    )  # fmt: skip


@pytest.mark.parametrize(("tile", "pixels", "vectors"), [(wide, PIXELS, VECTORS), (narrow, NARROW_PIXELS, 1)])
def test_dense_tile_stores_the_first_pixels_and_channels(tile, pixels, vectors):
    width = vectors * LANES
    x_column = X_PIXEL
    x_row = (pixels + KW) * X_PIXEL
    x, w, bias = noise(KH * x_row + X_PIXEL), noise(KH, KW, DEPTH, width), noise(width)
    expected = np.tile(bias.astype(np.float64), (pixels, 1))
    for p, ky, kx, ic in np.ndindex(pixels, KH, KW, DEPTH):
        expected[p] += x[ky * x_row + kx * x_column + p * X_PIXEL + ic] * w[ky, kx, ic].astype(np.float64)
    for count in range(pixels + 1):
        for channels in range(1, width + 1):
            y = np.full((pixels + 1, width + 3), GUARD)
            tile(x, w, bias, y, x_row, x_column, width + 3, count, channels)
            assert_near(y[:count, :channels], expected[:count, :channels])
            y[:count, :channels] = GUARD
            assert (y == GUARD).all()


@numba.njit
def product(x, w, bias, y, x_row, x_column, x_pixel, w_step, y_pixel, count, channels):
    channel_tile(
        address_of(x), address_of(w), address_of(bias), address_of(y), KH, KW, x_row, x_column, x_pixel, w_step,
        y_pixel, count, channels, MULTIPLY, SMALL_PIXELS, SMALL_VECTORS,
    )  # fmt: skip


@numba.njit
def maximum(x, w, bias, y, x_row, x_column, x_pixel, w_step, y_pixel, count, channels):
    channel_tile(
        address_of(x), 0, 0, address_of(y), KH, KW, x_row, x_column, x_pixel, 0,
        y_pixel, count, channels, MAXIMUM, SMALL_PIXELS, SMALL_VECTORS,
    )  # fmt: skip


@numba.njit
def total(x, w, bias, y, x_row, x_column, x_pixel, w_step, y_pixel, count, channels):
    channel_tile(
        address_of(x), address_of(w), address_of(FACTORS), address_of(y), KH, KW, x_row, x_column, x_pixel, 0,
        y_pixel, count, channels, SCALED_SUM, SMALL_PIXELS, SMALL_VECTORS,
    )  # fmt: skip


@numba.njit
def squares(x, w, bias, y, x_row, x_column, x_pixel, w_step, y_pixel, count, channels):
    channel_tile(
        address_of(x), address_of(w), 0, address_of(y), KH, KW, x_row, x_column, x_pixel, 0,
        y_pixel, count, channels, ROOT_OF_SQUARES, SMALL_PIXELS, SMALL_VECTORS,
    )  # fmt: skip


# what the tile makes of the taps of a window, (taps, channels), with the filter's taps and the bias
EXPECTED = {
    product: lambda taps, w, bias: bias + (taps * w).sum(axis=0),
    maximum: lambda taps, w, bias: taps.max(axis=0),
    total: lambda taps, w, bias: 3 * taps.sum(axis=0),
    squares: lambda taps, w, bias: np.sqrt((taps**2).sum(axis=0)),
}


@pytest.mark.parametrize("tile", EXPECTED, ids=lambda tile: tile.py_func.__name__)
def test_channel_tile_stores_the_first_pixels_and_channels(tile):
    width = SMALL_VECTORS * LANES
    x_pixel, w_step = width + 1, width + 2
    x_row = (SMALL_PIXELS + KW) * x_pixel
    x, w, bias = noise(KH * x_row + x_pixel), noise(KH * KW, w_step), noise(width)
    places = [[ky * x_row + (kx + p) * x_pixel for ky, kx in np.ndindex(KH, KW)] for p in range(SMALL_PIXELS)]
    windows = [np.array([x[at : at + width] for at in taps], np.float64) for taps in places]
    expected = np.array([EXPECTED[tile](taps, w[:, :width], bias) for taps in windows])
    for count in range(SMALL_PIXELS + 1):
        for channels in range(1, width + 1):
            y = np.full((SMALL_PIXELS + 1, width + 3), GUARD)
            tile(x, w, bias, y, x_row, x_pixel, x_pixel, w_step, width + 3, count, channels)
            assert_near(y[:count, :channels], expected[:count, :channels])
            y[:count, :channels] = GUARD
            assert (y == GUARD).all()


@numba.njit
def address(array):
    return address_of(array)


def test_the_address_of_a_view_is_its_first_element_s():
    x = noise(4, 5)
    assert address(x) == x.ctypes.data
    assert address(x[2:, 3:]) == x.ctypes.data + 4 * (2 * 5 + 3)
