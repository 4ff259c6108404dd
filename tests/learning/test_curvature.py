from __future__ import annotations

import numpy as np
import pytest

from cnntool.learning.curvature import AXES, Curvature


def features(count: int, length: int) -> np.ndarray:
    """Much of the variance lies along a few axes."""
    dice = np.random.default_rng(length)
    return (dice.standard_normal((count, length)) * np.geomspace(10, 0.1, length)).astype(np.float32)


@pytest.mark.parametrize("length", [1, 7, AXES])
def test_all_axes_give_the_inverse(length):
    x = features(5000, length)
    g = x.T.astype(np.float64) @ x / len(x)
    gradient = np.random.default_rng(0).standard_normal((length, 3))
    found = Curvature(x, 2).inverse(20.0)(gradient)
    np.testing.assert_allclose(found, np.linalg.solve(np.eye(length) + 20 * g, gradient), rtol=1e-2, atol=1e-4)


def test_the_main_axes_make_the_condition_small():
    x = features(3000, 2 * AXES)
    g = x.T.astype(np.float64) @ x / len(x)
    hessian = np.eye(2 * AXES) + 200 * g
    inverse = Curvature(x, 2).inverse(200.0)(np.eye(2 * AXES))
    np.testing.assert_allclose(inverse, inverse.T, atol=1e-5)
    assert np.linalg.eigvalsh(inverse).min() > 0
    spread = np.sort(np.abs(np.linalg.eigvals(inverse @ hessian)))
    assert spread[-1] / spread[0] < 0.05 * np.linalg.cond(hessian)


def test_features_without_variance():
    inverse = Curvature(np.zeros((10, 4), np.float32), 1).inverse(100.0)
    np.testing.assert_allclose(inverse(np.ones((4, 2))), 1)


def test_threads_change_nothing():
    x = features(20_000, 40)
    one, three = (Curvature(x, threads) for threads in (1, 3))
    assert one.axes.tobytes() == three.axes.tobytes()
    assert one.variances.tobytes() == three.variances.tobytes()
