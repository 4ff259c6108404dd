from __future__ import annotations

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.layers.affine import Moments, inverse_deviation, principal_axes
from tests.kernels.volumes import assert_near, noise
from tests.naive import twins

WORDS = ["center", "standardize", "whiten", "whiten std", "whiten pca", "decorrelate"]


def run(words: str, x: np.ndarray, **options) -> np.ndarray:
    return Pipeline.parse(words).run(x, **options)


def mixed(height: int, width: int, channels: int) -> np.ndarray:
    """Correlated channels of different variances, far from zero."""
    rotation, _ = np.linalg.qr(noise(channels, channels))
    return (noise(height, width, channels) * np.geomspace(2, 0.1, channels) @ rotation + 3).astype(np.float32)


def covariance(y: np.ndarray) -> np.ndarray:
    pixels = y.reshape(-1, y.shape[-1]).astype(np.float64)
    return np.cov(pixels.T, bias=True).reshape(y.shape[-1], -1)


@pytest.mark.parametrize("how", ["pca", "zca"])
@pytest.mark.parametrize("shape", [(20, 30, 2), (25, 31, 3), (40, 40, 12), (60, 50, 33)])
def test_whitening_gives_the_identity_as_covariance(how, shape):
    y = run(f"whiten {how}", mixed(*shape))
    np.testing.assert_allclose(covariance(y), np.eye(shape[2]), atol=1e-3)
    np.testing.assert_allclose(y.mean(axis=(0, 1)), 0, atol=1e-3)


def test_whitening_by_zca_is_nearest_to_the_volume_and_by_pca_turned():
    x = mixed(25, 31, 3)
    zca, pca = run("whiten zca", x), run("whiten pca", x)
    cross = (x - x.mean(axis=(0, 1))).reshape(-1, 3).T @ zca.reshape(-1, 3)
    np.testing.assert_allclose(cross, cross.T, rtol=1e-3)
    np.testing.assert_allclose((zca**2).sum(axis=2), (pca**2).sum(axis=2), rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(run("whiten", x), zca)


def test_standard_whitening_is_standardising():
    x = mixed(25, 31, 4)
    assert_near(run("whiten std", x), run("standardize", x), 1e-6)
    np.testing.assert_allclose(covariance(run("standardize", x)).diagonal(), 1, atol=1e-5)


def test_decorrelation_leaves_variances_that_decrease():
    found = covariance(run("decorrelate", mixed(25, 31, 5)))
    variances = found.diagonal()
    assert (np.diff(variances) < 0).all()
    np.testing.assert_allclose(found, np.diag(variances), atol=1e-5)


def test_two_channels_of_different_scales_are_decorrelated_after_standardising():
    """A in 0 to 20 and B in 0 to 2, independent: of the raw values both mean and difference are little but A."""
    x = np.random.default_rng(0).random((60, 70, 2)).astype(np.float32) * np.float32([20, 2])

    def correlation(words: str) -> float:
        (a, c), (_, b) = covariance(run(words, x))
        return c / np.sqrt(a * b)

    assert correlation("decorrelate") > 0.97
    assert abs(correlation("standardize decorrelate")) < 1e-4


@pytest.mark.parametrize("how", ["std", "pca", "zca"])
def test_eps_is_a_share_of_the_largest_variance(how):
    """Variances 4 and 1: with eps 0.5, 2 is added to both, and 4 / 6 and 1 / 3 are left."""
    axes = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]]).reshape(2, 2, 2) * [2, 1]
    found = covariance(run(f"whiten {how} --eps 0.5", axes.astype(np.float32)))
    np.testing.assert_allclose(found, np.diag([4 / 6, 1 / 3]), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(covariance(run(f"whiten {how} --eps 0", axes.astype(np.float32))), np.eye(2), atol=1e-6)
    constant = axes * [1, 0]
    assert not run(f"whiten {how} --eps 0", constant.astype(np.float32))[..., 1].any()


def test_two_channels_become_their_mean_and_their_difference():
    x = noise(6, 7, 2) + 5
    np.testing.assert_allclose(
        run("decorrelate", x), np.stack([(x[..., 0] + x[..., 1]) / 2, x[..., 0] - x[..., 1]], axis=2), rtol=1e-6
    )
    assert Pipeline.parse("decorrelate").shape((6, 7, 2))["totals"]["buffers"] == 0


@pytest.mark.parametrize("words", WORDS)
def test_a_grey_picture_in_colour_has_no_nan(words):
    x = np.repeat(noise(12, 13, 1), 3, axis=2)
    y = run(words, x)
    assert np.isfinite(y).all()
    if words in ("whiten pca", "decorrelate"):
        assert np.abs(y[..., 0]).max() > 1
        np.testing.assert_allclose(y[..., 1:], 0, atol=1e-4)
    else:
        np.testing.assert_allclose(y, y[..., :1].repeat(3, axis=2), atol=1e-5)
    if words == "whiten":
        np.testing.assert_allclose(covariance(y), np.full((3, 3), 1 / 3), atol=1e-4)


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("value", [0.0, 0.1, 1.0, 255.0, 1e4, -1e30])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_constant_picture_becomes_zero(words, value, channels):
    y = run(words, np.full((9, 11, channels), value, np.float32))
    np.testing.assert_allclose(y, 0, atol=1e-6 * abs(value))
    if words in ("standardize", "whiten std", "whiten", "whiten pca"):
        assert not y.any()


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("channels", [1, 3, 20])
def test_a_single_pixel_becomes_zero(words, channels):
    assert not run(words, noise(1, 1, channels)).any()


def test_a_constant_channel_among_others_becomes_zero():
    x = mixed(12, 13, 3)
    x[..., 1] = 0.7
    for words in ("center", "standardize", "whiten std", "whiten"):
        y = run(words, x)
        np.testing.assert_allclose(y[..., 1], 0, atol=1e-5)
        assert np.abs(y[..., [0, 2]]).max() > 0.1
        assert np.isfinite(y).all()


@pytest.mark.parametrize("words", WORDS)
def test_small_variances_far_from_zero_are_not_lost(words):
    x = (1e4 + 0.1 * mixed(40, 41, 3)).astype(np.float32)
    operation, *how = words.split()
    expected = getattr(twins, operation)(x, *how)
    assert_near(run(words, x), expected, 1e-5)


def test_channels_of_very_different_scales_are_all_standardised():
    x = (noise(30, 31, 3) * np.float32([1e-6, 1, 1e6])).astype(np.float32)
    for words in ("standardize", "batchnorm --eps 0"):
        np.testing.assert_allclose(covariance(run(words, x)).diagonal(), 1, atol=1e-4)


def test_each_picture_of_a_batch_has_its_own_statistics():
    batch = np.stack([mixed(9, 8, 3), 5 * mixed(9, 8, 3) - 2, np.ones((9, 8, 3), np.float32)])
    for words in WORDS:
        found = run(words, batch)
        for y, x in zip(found, batch, strict=True):
            assert y.tobytes() == run(words, x).tobytes()


def test_results_do_not_depend_on_threads():
    x = mixed(64, 50, 5)
    for words in WORDS:
        assert run(words, x, threads=1).tobytes() == run(words, x, threads=3).tobytes()


SAVED = {
    "center": (("mean",), lambda x, mean: x - mean),
    "standardize": (("mean", "scale"), lambda x, mean, scale: (x - mean) * scale),
    "whiten": (("mean", "matrix"), lambda x, mean, matrix: (x - mean) @ matrix),
    "whiten pca": (("mean", "matrix"), lambda x, mean, matrix: (x - mean) @ matrix),
    "decorrelate": (("mean", "matrix"), lambda x, mean, matrix: (x - mean) @ matrix),
}


@pytest.mark.parametrize("words", SAVED)
def test_saved_statistics_take_the_place_of_the_picture_s_own(words):
    names, expected = SAVED[words]
    arrays = {name: noise(4, 4) if name == "matrix" else noise(4) for name in names}
    pipeline = Pipeline.parse(words)
    pipeline.set_weights([arrays])
    x = mixed(6, 7, 4)
    assert_near(pipeline.run(x), expected(x.astype(np.float64), **arrays), 1e-6)
    pipeline.set_weights([{}])
    assert pipeline.run(x).tobytes() == run(words, x).tobytes()


def test_saved_standard_whitening_uses_the_matrix_s_diagonal():
    pipeline = Pipeline.parse("whiten std")
    pipeline.set_weights([{"mean": np.float32([1, 2]), "matrix": np.diag(np.float32([3, 4]))}])
    np.testing.assert_array_equal(pipeline.run(np.full((1, 1, 2), 2.0))[0, 0], [3, 0])


@pytest.mark.parametrize("words", SAVED)
def test_what_is_learnt_from_a_picture_gives_what_it_gave_itself(words):
    x = mixed(9, 8, 3)
    (layer,) = Pipeline.parse(words).layers
    learnt = layer.learn(moments_of(x[None]))
    assert {name: array.shape for name, array in learnt.items()} == layer.buffer_shapes(x.shape)
    pipeline = Pipeline.parse(words)
    pipeline.set_weights([learnt])
    assert_near(pipeline.run(x), run(words, x))


def moments_of(batch: np.ndarray) -> Moments:
    return Moments(batch, lambda function, items: [function(item) for item in items])


def test_moments_are_those_of_all_positions_of_the_batch():
    batch = np.stack([mixed(7, 5, 3), mixed(7, 5, 3) + 1])
    pixels = batch.reshape(-1, 3).astype(np.float64)
    moments = moments_of(batch)
    assert moments.count == 70
    np.testing.assert_allclose(moments.mean, pixels.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.variance(), pixels.var(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.covariance(), np.cov(pixels.T, bias=True), rtol=0, atol=1e-12)


def test_principal_axes_are_orthonormal_by_decreasing_variance_with_a_positive_largest_component():
    variances, axes = principal_axes(covariance(mixed(20, 20, 5)))
    np.testing.assert_allclose(axes.T @ axes, np.eye(5), atol=1e-12)
    assert (np.diff(variances) <= 0).all()
    assert (axes[np.abs(axes).argmax(axis=0), range(5)] > 0).all()
    assert np.isnan(principal_axes(np.full((2, 2), np.nan))[1]).all()


def test_the_slope_of_a_direction_without_variance_is_zero():
    found = inverse_deviation(np.array([4.0, 1e-9, 0.0]), np.zeros(3))
    np.testing.assert_allclose(found, [0.5, 0, 0], rtol=1e-6)
    assert not inverse_deviation(np.zeros(2), np.array([1.0, 2.0])).any()
    assert inverse_deviation(np.array([1e-9]), np.array([1e6])) == 0
    assert np.isnan(inverse_deviation(np.array([np.nan]), np.zeros(1))).all()


@pytest.mark.parametrize("words", ["standardize", "whiten", "whiten std", "whiten pca", "decorrelate"])
@pytest.mark.parametrize("scale", [1e-36, 1e-40, 1e-44])
def test_a_channel_of_denormal_deviation_gives_finite_numbers(words, scale):
    x = noise(20, 20, 3)
    x[..., 1] *= np.float32(scale)
    result = Pipeline.parse(words).run(x)
    assert np.abs(result).max() < 10
    if words == "standardize" and scale < 1e-38:
        assert (result[..., 1] == 0).all()
