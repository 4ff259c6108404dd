from __future__ import annotations

import numpy as np
import pytest

from cnntool.banks.laws import Laws


def test_vectors_are_the_published_ones():
    whole = Laws(integers=True).filters()
    assert whole[0, :, :5].T.tolist() == [
        [1, 4, 6, 4, 1],
        [-1, -2, 0, 2, 1],
        [-1, 0, 2, 0, -1],
        [-1, 2, 0, -2, 1],
        [1, -4, 6, -4, 1],
    ]
    assert Laws(size="3", integers=True).filters()[0, :, :3].T.tolist() == [[1, 2, 1], [-1, 0, 1], [-1, 2, -1]]


def test_the_first_vector_of_a_name_runs_down():
    bank = Laws(integers=True)
    level_edge = bank.filters()[..., bank.names().index("L5E5")]
    assert level_edge[:, 4].tolist() == [1, 4, 6, 4, 1]
    assert level_edge[2].tolist() == [-6, -12, 0, 12, 6]


@pytest.mark.parametrize("size", ["3", "5"])
def test_all_but_the_level_sum_to_zero(size):
    sums = Laws(size=size, integers=True).filters().sum(axis=(0, 1))
    assert sums[0] == {"3": 16, "5": 256}[size]
    assert not sums[1:].any()
    assert Laws(size=size, level=False).names() == Laws(size=size).names()[1:]


@pytest.mark.parametrize("size", ["3", "5"])
def test_absolute_values_sum_to_one(size):
    np.testing.assert_allclose(np.abs(Laws(size=size).filters()).sum(axis=(0, 1)), 1, rtol=1e-6)


@pytest.mark.parametrize("level", [True, False])
@pytest.mark.parametrize("size", ["3", "5"])
def test_pairs_are_transposes_of_each_other(size, level):
    bank = Laws(size=size, level=level, pairs=True)
    filters = bank.filters()
    assert bank.reduce is not None
    assert set(bank.reduce.how) == {"modulus"}
    for group in bank.reduce.groups:
        np.testing.assert_array_equal(filters[..., group[0]].T, filters[..., group[-1]])
