"""The matrices of Winograd's algorithm compute a convolution."""

from __future__ import annotations

import numpy as np
import pytest

from cnntool.kernels import winograd_few as filters
from tests.kernels.volumes import noise


@pytest.mark.parametrize("patch", filters.POINTS)
def test_matrices(patch):
    taps = patch + 1 - filters.TILE
    d, g = noise(patch).astype(float), noise(taps).astype(float)
    found = filters.output_matrix(patch) @ ((filters.filter_matrix(patch) @ g) * (filters.input_matrix(patch) @ d))
    np.testing.assert_allclose(found, np.correlate(d, g, "valid"), rtol=1e-12)


@pytest.mark.parametrize(("channels", "pieces"), [(1, (1, 1)), (3, (1, 3)), (5, (2, 3)), (8, (2, 4)), (15, (4, 4))])
def test_pieces_hold_all_channels(channels, pieces):
    assert filters.pieces_of(channels) == pieces


def test_filters_that_are_not_finite_let_no_input_through():
    weight = noise(3, 3, 2, 5)
    assert filters.largest_input(filters.transform_few_filters(weight, (1, 1), 6), 6) > 1e30
    weight[1, 1, 0, 4] = np.inf
    assert filters.largest_input(filters.transform_few_filters(weight, (1, 1), 6), 6) == 0
