from __future__ import annotations

import numpy as np
import pytest

from cnntool.learning import similar
from cnntool.learning.similar import Rows, groups_of, whitening_of


def clustered(count: int, length: int, seed: int = 0) -> np.ndarray:
    """Rows about a few centres, some of them twice: near neighbours, and equal ones."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(20, length))[rng.integers(0, 20, count)] + 0.1 * rng.normal(size=(count, length))
    rows[count // 2 : count // 2 + 5] = rows[:5]
    return rows.astype(np.float32)


@pytest.mark.parametrize("block", [2**23, 5000])
@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_recall_against_brute_force_is_1(monkeypatch: pytest.MonkeyPatch, metric: str, block: int) -> None:
    neighbors = pytest.importorskip("sklearn.neighbors")
    monkeypatch.setattr(similar, "BLOCK", block)
    features = clustered(3000, 64)
    rows = Rows(features, metric)
    found, values = rows.nearest(rows.rows[:200], 10)
    brute = neighbors.NearestNeighbors(
        n_neighbors=10, algorithm="brute", metric={"l2": "euclidean"}.get(metric, metric)
    )
    distances, expected = brute.fit(features.astype(np.float64)).kneighbors(features[:200].astype(np.float64))
    assert all(set(own) == set(theirs) for own, theirs in zip(found, expected, strict=True))
    np.testing.assert_allclose(1 - values if metric == "cosine" else values, distances, atol=1e-6)


def test_equal_rows_come_in_the_order_of_the_table() -> None:
    rows = Rows(np.ones((40, 3), np.float32))
    found, values = rows.nearest(rows.rows[:2], 5)
    assert found.tolist() == [[0, 1, 2, 3, 4]] * 2
    np.testing.assert_allclose(values, 1, rtol=1e-6)


def test_distances_far_from_zero_do_not_cancel() -> None:
    """|a|^2 + |b|^2 - 2ab in float32 would lose all of these differences."""
    features = np.full((30, 8), 1000, np.float32)
    features[:, 0] += np.arange(30)[::-1] / 16
    rows = Rows(features, "l2")
    found, values = rows.nearest(rows.rows[29:], 30)
    assert found[0].tolist() == list(range(29, -1, -1))
    np.testing.assert_allclose(values[0], np.arange(30) / 16)


@pytest.mark.parametrize(("metric", "threshold"), [("cosine", 0.97), ("l2", 1.0)])
def test_groups_are_those_of_all_pairs(monkeypatch: pytest.MonkeyPatch, metric: str, threshold: float) -> None:
    monkeypatch.setattr(similar, "BLOCK", 3000)
    features = clustered(300, 16, seed=3)
    if metric == "cosine":
        unit = features / np.linalg.norm(features.astype(np.float64), axis=1)[:, None]
        near = unit @ unit.T >= threshold
    else:
        near = np.linalg.norm(features[:, None].astype(np.float64) - features, axis=2) <= threshold
    reached = near | np.eye(300, dtype=bool)
    while (further := (reached.astype(int) @ reached.astype(int)) > 0).sum() > reached.sum():
        reached = further
    expected = sorted({tuple(np.flatnonzero(row)) for row in reached if row.sum() > 1})
    assert sorted(map(tuple, groups_of(Rows(features, metric), threshold))) == expected
    assert len(expected) > 3


def test_whitened_rows_have_unit_variance() -> None:
    features = clustered(500, 12) @ np.diag(np.arange(1, 13)).astype(np.float32)
    features[:, 5] = features[:, 4]  # an axis without variance
    mean, matrix = whitening_of(features)
    assert matrix.shape == (12, 11)
    white = (features - mean) @ matrix
    np.testing.assert_allclose(np.cov(white.T, bias=True), np.eye(11), atol=1e-3)
    rows = Rows(features, "l2", whiten=True)
    np.testing.assert_allclose(rows.rows, white, atol=1e-4)
    np.testing.assert_array_equal(rows.prepared(features[:3]), rows.rows[:3])


def test_a_row_of_zeros_is_near_to_nothing() -> None:
    features = clustered(20, 4)
    features[7] = 0
    found, values = Rows(features).nearest(Rows(features).rows[7:8], 3)
    assert not values.any()
    assert np.isfinite(values).all()
    assert found.tolist() == [[0, 1, 2]]
