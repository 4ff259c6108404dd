from __future__ import annotations

import numpy as np
import pytest

from cnntool.errors import BadInput
from cnntool.learning.patches import (
    LARGEST_SAMPLE,
    Sample,
    distinct,
    normalise_contrast,
    sample_size,
    sampled,
    share,
    whiten,
    zca,
)
from tests.naive import learned


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).random(shape, np.float32)


@pytest.mark.parametrize(("images", "patches"), [(1, 10), (7, 100), (100, 7), (13, 13), (40_000, 400_000)])
def test_all_images_give_the_same_but_for_one(images, patches):
    shares = [share(number, images, patches) for number in range(images)]
    assert sum(shares) == patches
    assert max(shares) - min(shares) <= 1


def test_memory_limits_the_sample():
    assert sample_size(400_000, 108) == 400_000
    assert sample_size(10**9, 4096) == LARGEST_SAMPLE // 4096


def test_patches_are_windows_each_at_most_once():
    x = noise(9, 11, 2)
    every = {p.tobytes() for p in learned.patches(x, (3, 4)).astype(np.float32).reshape(-1, 24)}
    found = sampled(x, (3, 4), 30, np.random.default_rng(0))
    assert found.shape == (30, 24)
    assert found.dtype == np.float32
    assert len({p.tobytes() for p in found}) == 30
    assert {p.tobytes() for p in found} <= every
    assert {p.tobytes() for p in sampled(x, (3, 4), 1000, np.random.default_rng(0))} == every


def test_patches_lie_everywhere():
    x = np.arange(81, dtype=np.float32).reshape(9, 9, 1)
    dice = np.random.default_rng(0)
    corners = np.concatenate([sampled(x, (2, 2), 8, dice)[:, 0] for _ in range(800)])
    counts = np.bincount(corners.astype(int), minlength=81).reshape(9, 9)[:8, :8]
    assert 60 < counts.min() < counts.max() < 140


def test_an_image_that_is_too_small():
    with pytest.raises(BadInput, match="5x2 has no patch of 3x3"):
        sampled(noise(5, 2, 1), (3, 3), 1, np.random.default_rng(0))


def test_a_sample_keeps_the_order():
    sample = Sample()
    for piece in (noise(2, 3), noise(4, 3)):
        sample.add(piece)
    with pytest.raises(ValueError, match="patches of 5 numbers, and those before have 3"):
        sample.add(noise(2, 5))
    np.testing.assert_array_equal(sample.taken(), np.concatenate([noise(2, 3), noise(4, 3)]))
    with pytest.raises(ValueError, match="no image"):
        sample.taken()


@pytest.mark.parametrize("eps", [0.0, 1e-3, 1.0])
def test_contrast(eps):
    p = noise(50, 12)
    p[7] = 0.7
    expected = learned.normalised(p.astype(np.float64), eps)
    normalise_contrast(p, eps)
    np.testing.assert_allclose(p, expected, atol=1e-5)
    assert not p[7].any()


@pytest.mark.parametrize("eps", [1e-6, 0.1])
def test_whitening_of_patches(eps):
    p = (noise(20_000, 8) @ np.random.default_rng(0).standard_normal((8, 8)) + 3).astype(np.float32)
    mean, matrix = zca(p, eps)
    expected_mean, expected_matrix = learned.zca(p.astype(np.float64), eps)
    np.testing.assert_allclose(mean, expected_mean, rtol=1e-9)
    np.testing.assert_allclose(matrix, expected_matrix, rtol=1e-6, atol=1e-8)
    before = p.astype(np.float64)
    whiten(p, mean, matrix)
    np.testing.assert_allclose(p, (before - mean) @ matrix, atol=1e-4)
    if eps < 1e-3:
        np.testing.assert_allclose(np.cov(p.T.astype(np.float64), bias=True), np.eye(8), atol=1e-3)


def test_a_direction_without_variance_becomes_zero():
    p = noise(500, 3)
    p[:, 2] = p[:, 0] + p[:, 1]
    mean, matrix = zca(p, 0.0)
    whitened = (p - mean) @ matrix
    assert np.isfinite(matrix).all()
    np.testing.assert_allclose(np.linalg.eigvalsh(np.cov(whitened.T, bias=True)), [0, 1, 1], atol=1e-4)


def test_different_patches():
    p = np.float32([[1, 0], [2, 3], [1, -0.0], [2, 3], [0, 1]])
    assert list(distinct(p)) == [0, 1, 4]
    assert list(distinct(p, [3, 1, 4])) == [0, 2]
