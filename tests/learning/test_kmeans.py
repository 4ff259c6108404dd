from __future__ import annotations

import numpy as np
import pytest

from cnntool.learning.kmeans import assigned, kmeans
from tests.naive import learned


def points(count: int = 600, length: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, length)).astype(np.float32)


def found(x: np.ndarray, number: int, iterations: int = 50, spherical: bool = False, seed: int = 0, threads: int = 1):
    return kmeans(x, number, iterations, spherical, np.random.default_rng(seed), threads)


def cost(x: np.ndarray, centroids: np.ndarray) -> float:
    return float(((x[:, None].astype(np.float64) - centroids) ** 2).sum(axis=2).min(axis=1).sum())


@pytest.mark.parametrize(("count", "number", "length"), [(1, 1, 1), (20, 20, 3), (999, 7, 33), (1200, 150, 20)])
def test_every_point_goes_to_the_nearest(count, number, length):
    x, centroids = points(count, length), points(number, length, seed=1)
    room = np.concatenate([x, np.full((14, length), np.nan, np.float32)])
    for threads in (1, 3):
        numbers = assigned(room, count, centroids.astype(np.float64), False, threads)
        np.testing.assert_array_equal(numbers, learned.nearest(x, centroids))


def test_a_round_is_lloyd_s():
    x = points()
    start = x[np.random.default_rng(0).choice(600, 9, replace=False)].astype(np.float64)
    np.testing.assert_allclose(found(x, 9, 1), learned.lloyd(x, start), atol=1e-5)
    np.testing.assert_allclose(found(x, 9, 2), learned.lloyd(x, learned.lloyd(x, start)), atol=1e-5)


def test_the_cost_never_rises():
    x = points()
    costs = [cost(x, found(x, 12, iterations)) for iterations in (1, 2, 4, 8, 16, 64)]
    assert costs == sorted(costs, reverse=True)


def test_clusters_that_are_there_are_found():
    centres = 20 * points(6, 4, seed=3)
    x = np.concatenate([centre + points(100, 4, seed=i) for i, centre in enumerate(centres)])
    best = min((found(x, 6, seed=seed) for seed in range(8)), key=lambda centroids: cost(x, centroids))
    distances = ((best[:, None] - centres) ** 2).sum(axis=2)
    assert sorted(distances.argmin(axis=1)) == list(range(6))
    assert distances.min(axis=1).max() < 0.3


def test_a_centroid_without_points_starts_again():
    """Ten equal points make nine of ten centroids lose all theirs at once."""
    x = np.concatenate([np.zeros((10, 2), np.float32), points(10, 2) + 50])
    centroids = found(x, 10, 30)
    assert np.isfinite(centroids).all()
    assert len(np.unique(learned.nearest(x, centroids))) >= 9


def test_spherical_centroids_have_length_one():
    directions = np.eye(3, dtype=np.float32)
    dice = np.random.default_rng(0)
    x = np.concatenate([d * dice.uniform(0.1, 9, (80, 1)) + dice.normal(0, 0.02, (80, 3)) for d in directions])
    for seed in range(5):
        centroids = found(x.astype(np.float32), 3, spherical=True, seed=seed)
        np.testing.assert_allclose(np.linalg.norm(centroids, axis=1), 1, rtol=1e-6)
    best = max(
        (found(x.astype(np.float32), 3, spherical=True, seed=s) @ directions).max(axis=0).min() for s in range(5)
    )
    assert best > 0.99


@pytest.mark.parametrize("spherical", [False, True])
def test_the_seed_decides_and_the_threads_do_not(spherical):
    x = points(3000, 12)
    first = found(x, 40, 10, spherical).tobytes()
    assert found(x, 40, 10, spherical, threads=3).tobytes() == first
    assert found(x, 40, 10, spherical, seed=1).tobytes() != first


def test_points_are_not_changed_and_rounds_are_counted():
    x = points()
    before, rounds = x.copy(), []
    kmeans(x, 5, 7, False, np.random.default_rng(0), 1, lambda: rounds.append(1))
    np.testing.assert_array_equal(x, before)
    assert 1 <= len(rounds) <= 7


def test_no_centroid_is_a_copy_while_points_differ():
    """Six points among a thousand equal ones: random starts would nearly all be that one."""
    x = np.concatenate([np.zeros((1000, 3), np.float32), 10 * points(6, 3)])
    for seed in range(5):
        centroids = found(x, 7, seed=seed)
        assert len(np.unique(centroids, axis=0)) == 7
    spread = np.concatenate([x, x[1000:] + 0.01])  # centroids merge, and start again
    assert len(np.unique(found(spread, 9, 30), axis=0)) == 9
