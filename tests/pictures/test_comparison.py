"""Fully connected against convolutional: counts by hand, equivariance, permutation, and the identity of batchnorm."""

from __future__ import annotations

import numpy as np
import pytest

from cnntool.pictures.comparison import FIRST, PATTERN, SECOND, gray_square, growth, normalised, permuted, shifted

IMAGE = np.random.default_rng(5).uniform(0, 1, (50, 70, 3)).astype(np.float32)


def test_parameters_as_the_image_grows() -> None:
    rows = growth(3)
    assert [row.side for row in rows] == [8, 16, 32, 64, 128, 256, 512, 1024]
    for row in rows:
        assert row.fc == row.side**2 * 3 * 64 + 64
        assert row.conv == 3 * 3 * 3 * 64 + 64


def test_a_map_moves_with_the_pattern_and_a_full_connection_changes() -> None:
    found = shifted(IMAGE, 1)
    one, other = (canvas[:, :, 0] for canvas in found.inputs)
    back = (FIRST[0] - SECOND[0], FIRST[1] - SECOND[1])
    np.testing.assert_array_equal(np.roll(other, back, axis=(0, 1)), one)
    assert one[FIRST[0] : FIRST[0] + PATTERN, FIRST[1] : FIRST[1] + PATTERN].min() > 0
    assert found.conv_difference < 1e-5
    assert found.fc_difference > 0.1


def test_permuted_pixels_are_the_same_to_permuted_weights_and_not_to_a_convolution() -> None:
    found = permuted(IMAGE, 1)
    assert sorted(found.inputs[0].ravel()) == sorted(found.inputs[1].ravel())
    assert (found.inputs[0] != found.inputs[1]).mean() > 0.9
    assert found.fc_difference < 1e-4
    assert found.conv_difference > 0.1


def test_batch_normalisation_and_what_undoes_it() -> None:
    found = normalised(IMAGE, 1)
    np.testing.assert_allclose(found.after.mean(axis=0), 0, atol=1e-4)
    # gamma is 1, and eps of 1e-5 is added to the variance
    variance = found.before.astype(np.float64).var(axis=0)
    np.testing.assert_allclose(found.after.var(axis=0), variance / (variance + 1e-5), rtol=1e-3)
    assert found.identity_error < 1e-5


@pytest.mark.parametrize("shape", [(50, 70, 3), (8, 9, 1), (200, 31, 2)])
def test_the_square_in_the_middle(shape: tuple[int, int, int]) -> None:
    image = np.random.default_rng(0).uniform(0, 1, shape).astype(np.float32)
    square = gray_square(image, 16)
    assert square.shape == (16, 16, 1)
    size = min(shape[:2])
    top, left = (shape[0] - size) // 2, (shape[1] - size) // 2
    gray = image.mean(axis=2)[top : top + size, left : left + size]
    if size >= 16:
        first, end = 3 * size // 16, 4 * size // 16
        assert square[3, 3, 0] == pytest.approx(gray[first:end, first:end].mean(), rel=1e-5)
    else:
        assert square[-1, -1, 0] == pytest.approx(gray[-1, -1])
