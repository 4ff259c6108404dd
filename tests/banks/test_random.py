from __future__ import annotations

import numpy as np
import pytest

from cnntool.banks.random import Random


@pytest.mark.parametrize("size", [(7, 7), (2, 2), (5, 12)])
def test_sum_zero_and_absolute_sum_one(size):
    filters = Random(size=size).filters().astype(np.float64)
    np.testing.assert_allclose(filters.sum(axis=(0, 1)), 0, atol=1e-6)
    np.testing.assert_allclose(np.abs(filters).sum(axis=(0, 1)), 1, rtol=1e-6)


def test_keep_mean_keeps_the_sum():
    filters = Random(keep_mean=True).filters()
    assert np.abs(filters.sum(axis=(0, 1))).max() > 0.1
    np.testing.assert_allclose(np.abs(filters).sum(axis=(0, 1)), 1, rtol=1e-6)


def test_the_seed_decides():
    assert not np.array_equal(Random(seed=1).filters(), Random(seed=2).filters())


def test_the_numbers_are_the_same_for_ever():
    first = Random(number=1, size=(2, 2), keep_mean=True).filters().ravel()
    drawn = np.array([1.76405235, 0.40015721, 0.97873798, 2.2408932])
    np.testing.assert_allclose(first, drawn / drawn.sum(), rtol=1e-6)


def test_more_filters_keep_the_first():
    np.testing.assert_array_equal(Random(number=40).filters()[..., :32], Random().filters())


def test_the_numbers_are_normal_and_independent():
    numbers = Random(number=500, size=(5, 5), keep_mean=True).filters().reshape(25, 500).astype(np.float64)
    numbers /= numbers.std(axis=0)
    assert abs((numbers**4).mean() - 3) < 0.35
    assert np.abs(np.corrcoef(numbers) - np.eye(25)).max() < 0.2
