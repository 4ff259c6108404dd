"""Arrays in a page come back to five figures."""

from __future__ import annotations

import numpy as np

from cnntool.explaining.packing import packed, rounded, unpacked


def test_numbers_come_back_to_five_figures() -> None:
    dice = np.random.default_rng(0)
    array = (dice.standard_normal((7, 9, 5)) * 10.0 ** dice.integers(-30, 30, (7, 9, 5))).astype(np.float32)
    back = unpacked(packed(array)).reshape(array.shape)
    np.testing.assert_allclose(back, array, rtol=2.0**-16)
    np.testing.assert_array_equal(back, rounded(array))


def test_whole_numbers_and_what_is_no_number_stay() -> None:
    array = np.array([0, -1, 7, 65535, 0.25, np.inf, -np.inf, np.finfo(np.float32).max, 1e-44], np.float32)
    np.testing.assert_array_equal(unpacked(packed(array))[:-1], array[:-1])
    assert np.isnan(unpacked(packed(np.array([np.nan], np.float32)))).all()


def test_a_page_of_numbers_is_smaller_than_its_bytes() -> None:
    array = np.maximum(np.random.default_rng(0).standard_normal(100_000), 0).astype(np.float32)
    assert len(packed(array)) < 0.7 * array.nbytes
