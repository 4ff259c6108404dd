"""The maps of learned banks against their naive twins."""

from __future__ import annotations

import numpy as np
import pytest

from cnntool import Pipeline
from tests.naive import learned

SIZES = [((1, 1), 3, 5), ((3, 3), 1, 1), ((2, 5), 3, 17), ((6, 6), 3, 40), ((4, 3), 2, 33)]


def drawn(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def kmeans_pipeline(size, channels, number, eps=0.3, seed=0, options=""):
    length = size[0] * size[1] * channels
    arrays = {
        "mean": drawn(seed, length) / 5, "whitening": drawn(seed + 1, length, length) / np.sqrt(length),
        "weight": drawn(seed + 2, *size, channels, number).astype(np.float32),
    }  # fmt: skip
    pipeline = Pipeline.parse(f"bank kmeans {number} {size[0]}x{size[1]} --eps-contrast {eps} {options}")
    pipeline.set_weights([arrays])
    return pipeline, arrays


def assert_near(found, expected):
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("size", "channels", "number"), SIZES)
def test_distances_equal_the_twin(size, channels, number, threads):
    pipeline, arrays = kmeans_pipeline(size, channels, number)
    x = np.random.default_rng(9).random((11, 13, channels), np.float32)
    assert_near(pipeline.run(x, threads=threads), learned.kmeans_distances(x, **arrays, eps=0.3))


@pytest.mark.parametrize("stride", [(1, 2), (3, 1), (4, 4)])
def test_distances_with_strides(stride):
    pipeline, arrays = kmeans_pipeline((3, 4), 2, 9, options=f"--stride {stride[0]}x{stride[1]}")
    x = np.random.default_rng(9).random((14, 15, 2), np.float32)
    assert_near(pipeline.run(x), learned.kmeans_distances(x, **arrays, eps=0.3, stride=stride))


def test_distances_with_padding():
    pipeline, arrays = kmeans_pipeline((3, 3), 2, 9, options="--padding same")
    x = np.random.default_rng(9).random((7, 8, 2), np.float32)
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    assert_near(pipeline.run(x), learned.kmeans_distances(padded, **arrays, eps=0.3))


def test_a_patch_that_is_a_centroid_is_at_no_distance():
    """The short formula loses all digits there."""
    x = np.random.default_rng(1).random((9, 9, 3), np.float32)
    pipeline, arrays = kmeans_pipeline((4, 4), 3, 36, eps=1e-4)
    w = (learned.normalised(learned.patches(x, (4, 4)), 1e-4) - arrays["mean"]) @ arrays["whitening"]
    arrays["weight"] = np.ascontiguousarray(w.reshape(36, -1).T.reshape(4, 4, 3, 36), np.float32)
    pipeline.set_weights([arrays])
    found = pipeline.run(x).reshape(36, 36)
    assert np.diagonal(found).max() < 1e-4 * found.max()
    assert_near(pipeline.run(x), learned.kmeans_distances(x, **arrays, eps=1e-4))


def test_patches_without_contrast():
    pipeline, arrays = kmeans_pipeline((3, 3), 1, 4, eps=0.0)
    x = np.full((6, 6, 1), 0.7, np.float32)
    x[3:] = np.linspace(0, 1, 18, dtype=np.float32).reshape(3, 6, 1)
    found = pipeline.run(x)
    assert np.isfinite(found).all()
    assert_near(found, learned.kmeans_distances(x, **arrays, eps=0.0))


def test_pixels_far_from_zero():
    pipeline, arrays = kmeans_pipeline((3, 3), 3, 8)
    x = (100 + np.random.default_rng(2).random((8, 8, 3))).astype(np.float32)
    assert_near(pipeline.run(x), learned.kmeans_distances(x, **arrays, eps=0.3))


def test_a_nan_reaches_the_windows_it_lies_in():
    pipeline, _ = kmeans_pipeline((3, 3), 1, 4)
    x = np.random.default_rng(2).random((8, 8, 1), np.float32)
    x[0, 0] = np.nan
    assert np.isnan(pipeline.run(x)).sum() == 4


def test_components_take_the_mean_of_a_patch_off():
    x = np.random.default_rng(3).random((12, 12, 3), np.float32)
    pipeline = Pipeline.parse("bank pca 6 4").fit([x])
    weight = pipeline.weights(x.shape)[0]["weight"]
    np.testing.assert_allclose(weight.sum(axis=(0, 1, 2)), 0, atol=1e-6)
    assert_near(pipeline.run(x), learned.pca_responses(x, weight))


def test_patches_are_filters_of_a_convolution():
    x = np.random.default_rng(4).random((12, 12, 3), np.float32)
    pipeline = Pipeline.parse("bank patches 6 4").fit([x])
    assert_near(pipeline.run(x), learned.convolution(x, **pipeline.weights(x.shape)[0]))
