from __future__ import annotations

import numpy as np
import pytest

from cnntool.kernels import statistics
from tests.kernels.volumes import noise

FIRST, LAST = 2, 6


def volume(channels: int) -> tuple[np.ndarray, np.ndarray]:
    """A volume far from zero, and the pixels of its rows FIRST to LAST in float64."""
    x = 100 + noise(7, 5, channels)
    return x, x[FIRST:LAST].reshape(-1, channels).astype(np.float64)


@pytest.mark.parametrize("channels", [*range(1, 18), 40])
def test_sums_are_added_to_what_is_there(channels):
    x, pixels = volume(channels)
    mean = pixels.mean(axis=0) + 0.5
    sums, squares = np.full(channels, 7.0), np.full(channels, 7.0)
    products = np.full((channels, channels), 7.0)
    statistics.channel_sums_forward(x, FIRST, LAST, sums)
    statistics.channel_squares_forward(x, FIRST, LAST, mean, squares)
    statistics.channel_products_forward(x, FIRST, LAST, mean, products)
    np.testing.assert_allclose(sums, 7 + pixels.sum(axis=0), rtol=1e-13)
    np.testing.assert_allclose(squares, 7 + ((pixels - mean) ** 2).sum(axis=0), rtol=1e-13)
    np.testing.assert_allclose(products, 7 + (pixels - mean).T @ (pixels - mean), rtol=0, atol=1e-11)
    np.testing.assert_array_equal(products, products.T)


def test_no_rows_add_nothing():
    x, out = noise(3, 4, 2), np.zeros(2)
    statistics.channel_sums_forward(x, 1, 1, out)
    statistics.channel_squares_forward(x, 1, 1, np.zeros(2), out)
    assert not out.any()


def test_digits_that_float32_sums_would_lose_are_kept():
    x = np.full((64, 64, 1), 1e8, np.float32)
    x[0, 0] = 8
    out = np.zeros(1)
    statistics.channel_sums_forward(x, 0, 64, out)
    assert out == 4095 * 1e8 + 8


def test_a_nan_stays_in_its_channel():
    x, out = noise(3, 4, 3), np.zeros(3)
    x[1, 2, 1] = np.nan
    statistics.channel_sums_forward(x, 0, 3, out)
    assert np.isnan(out).tolist() == [False, True, False]
