"""The stages of whitening: NumPy's own arithmetic, and the lecture's case of A in 0 to 20, B in 0 to 2."""

from __future__ import annotations

import numpy as np
import pytest

from cnntool.pictures.whitening import stages, two_channels

RANDOM = np.random.default_rng(3)


def correlated() -> np.ndarray:
    a = RANDOM.uniform(0, 1, (40, 50, 1))
    return np.concatenate([a, 0.9 * a + 0.1 * RANDOM.uniform(0, 1, a.shape)], axis=2).astype(np.float32)


def test_each_stage_is_what_it_says() -> None:
    pair, names = two_channels(correlated(), (0, 1), (20.0, 2.0))
    assert names == ("channel 0, A", "channel 1, B")
    assert (pair.min(axis=(0, 1)) == 0).all()
    np.testing.assert_allclose(pair.max(axis=(0, 1)), [20, 2], rtol=1e-6)
    data, centred, standard, apart, zca, pca = stages(pair)
    x = pair.reshape(-1, 2).astype(np.float64)
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    np.testing.assert_array_equal(data.points, pair.reshape(-1, 2))
    np.testing.assert_allclose(centred.points, x - mean, atol=1e-4)
    z = (x - mean) / deviation
    np.testing.assert_allclose(standard.points, z, atol=1e-4)
    np.testing.assert_allclose(
        np.abs(apart.points), np.abs(np.stack([z.mean(axis=1), z[:, 0] - z[:, 1]], 1)), atol=1e-4
    )
    for stage in (zca, pca):
        np.testing.assert_allclose(np.cov(stage.points.T, bias=True), np.eye(2), atol=1e-3)
    for stage in (apart, zca, pca):
        assert abs(stage.numbers()[2]) < 1e-3
    assert data.numbers()[2] == pytest.approx(np.corrcoef(x.T)[0, 1], abs=1e-4)
    # [A' B'] = [A B] W + b, the lecture's formula
    for stage in (centred, standard, apart, zca, pca):
        np.testing.assert_allclose(x @ stage.matrix + stage.shift, stage.points, atol=2e-3)


def test_gray_images_have_neighbours() -> None:
    gray = RANDOM.uniform(0, 1, (5, 6, 1)).astype(np.float32)
    pair, names = two_channels(gray, (0, 1), None)
    np.testing.assert_array_equal(pair[..., 0], gray[:, :-1, 0])
    np.testing.assert_array_equal(pair[..., 1], gray[:, 1:, 0])
    assert "neighbour" in names[1]


@pytest.mark.parametrize(
    ("volume", "channels", "ranges", "message"),
    [
        (np.zeros((4, 4, 3), np.float32), (0, 3), None, "no channel 3: expected 0 to 2"),
        (np.zeros((4, 1, 1), np.float32), (0, 1), None, "one gray column"),
        (np.zeros((4, 4, 2), np.float32), (0, 1), (20.0, 2.0), "constant"),
        (np.full((4, 4, 2), np.nan, np.float32), (0, 1), None, "finite"),
    ],
)
def test_what_has_no_two_channels(volume, channels, ranges, message) -> None:
    with pytest.raises(ValueError, match=message):
        two_channels(volume, channels, ranges)
