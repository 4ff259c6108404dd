from __future__ import annotations

import numpy as np

from cnntool.learning.losses import cross_entropy, softmax


def test_gradient_is_the_slope_of_the_mean_loss():
    rng = np.random.default_rng(0)
    scores, labels = 3 * rng.standard_normal((7, 5)).astype(np.float32), rng.integers(0, 5, 7)
    loss = cross_entropy(scores, labels)
    step = 1e-2
    for row, column in np.ndindex(scores.shape):
        moved = [scores.copy() for _ in range(2)]
        moved[0][row, column] += step
        moved[1][row, column] -= step
        above, below = (cross_entropy(each, labels).total / 7 for each in moved)
        assert abs((above - below) / (2 * step) - loss.d_scores[row, column]) < 1e-4


def test_value_of_even_scores_is_the_logarithm_of_the_classes():
    loss = cross_entropy(np.zeros((3, 4), np.float32), np.array([0, 1, 2]))
    np.testing.assert_allclose(loss.total, 3 * np.log(4))
    assert loss.right == 1  # the first of equal scores is the answer


def test_large_scores_do_not_overflow():
    scores = np.array([[1e4, -1e4], [-1e30, 1e30]], np.float32)
    loss = cross_entropy(scores, np.array([0, 1]))
    assert loss.total == 0
    assert loss.right == 2
    assert np.isfinite(cross_entropy(scores, np.array([1, 0])).d_scores).all()


def test_softmax_rows_sum_to_one():
    rows = softmax(np.array([[1000.0, 1000.0], [0.0, -1000.0]], np.float32))
    np.testing.assert_allclose(rows, [[0.5, 0.5], [1, 0]])


def test_weights_of_classes_count_each_row_as_often():
    """Weights 2 and 1 are each row of class 0 given twice."""
    rng = np.random.default_rng(1)
    scores, labels = rng.standard_normal((5, 2)).astype(np.float32), np.array([0, 1, 0, 1, 1])
    twice = np.array([0, 0, 1, 2, 2, 3, 4])
    weighted = cross_entropy(scores, labels, np.array([2.0, 1.0]))
    repeated = cross_entropy(scores[twice], labels[twice])
    np.testing.assert_allclose(weighted[:3], repeated[:3], rtol=1e-12)
    sums = np.zeros_like(scores)
    np.add.at(sums, twice, repeated.d_scores)
    np.testing.assert_allclose(weighted.d_scores / 7, sums / 5, rtol=1e-5)
