"""Learning without labels through the Python facade: every layer that learns, alone and after others."""

from __future__ import annotations

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.errors import BadInput, CnntoolError
from cnntool.learning import statistics
from tests.naive import learned


def images(count: int = 12, height: int = 14, width: int = 15, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Smooth, correlated, of some mean: a little like photographs."""
    dice = np.random.default_rng(seed)
    x = dice.random((count, height + 3, width + 3, channels))
    x = sum(x[:, i : i + height, i : i + width] for i in range(4)) / 4
    return (0.8 * x + 0.2 * x.mean(axis=3, keepdims=True)).astype(np.float32)


def pixels(volumes: np.ndarray) -> np.ndarray:
    return volumes.reshape(-1, volumes.shape[-1]).astype(np.float64)


def covariance(volumes: np.ndarray) -> np.ndarray:
    return np.cov(pixels(volumes).T, bias=True)


@pytest.mark.parametrize("how", ["", " pca", " zca", " std"])
def test_fitted_whitening_gives_an_identity_covariance(how):
    x = images()
    y = Pipeline.parse(f"whiten{how}").fit(x).run(x)
    np.testing.assert_allclose(pixels(y).mean(axis=0), 0, atol=1e-5)
    found = covariance(y)
    np.testing.assert_allclose(
        np.diagonal(found) if how == " std" else found, 1 if how == " std" else np.eye(3), atol=1e-3
    )


@pytest.mark.parametrize("words", ["center", "standardize", "whiten", "whiten pca", "decorrelate"])
def test_streaming_and_in_one_piece_are_the_same(words):
    """One volume that holds all pixels learns by itself what many volumes learn one after another."""
    x = images()
    piece = x.reshape(1, -1, x.shape[2], 3)
    whole = Pipeline.parse(words).run(piece[0]).reshape(x.shape)
    np.testing.assert_allclose(Pipeline.parse(words).fit(x).run(x), whole, atol=1e-5 * np.abs(whole).max())
    np.testing.assert_allclose(Pipeline.parse(words).fit(piece).run(x), whole, atol=1e-5 * np.abs(whole).max())


def test_volumes_of_several_sizes():
    volumes = [images(1, 9 + i, 20 - i, seed=i)[0] for i in range(6)]
    y = [Pipeline.parse("whiten").fit(volumes).run(volume) for volume in volumes]
    everything = np.concatenate([pixels(volume) for volume in y])
    np.testing.assert_allclose(np.cov(everything.T, bias=True), np.eye(3), atol=1e-3)


def test_batch_norm_has_the_statistics_of_all():
    x = images()
    pipeline = Pipeline.parse("batchnorm").fit(x)
    arrays = pipeline.weights(x.shape[1:])[0]
    np.testing.assert_allclose(arrays["running_mean"], pixels(x).mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(arrays["running_var"], pixels(x).var(axis=0, ddof=1), rtol=1e-9)
    assert arrays["gamma"].tolist() == [1, 1, 1]


def test_each_layer_sees_the_layers_before_it_fitted():
    x = images()
    whole = Pipeline.parse("standardize conv 4 3 relu whiten maxpool 2 batchnorm", seed=5).fit(x)
    before = x
    for row in range(1, 7):
        expected = whole.until(str(row)).run(x)
        layer = Pipeline.parse([*whole.layers[row - 1].words()])
        layer.set_weights([whole.weights(x.shape[1:])[row - 1]])
        np.testing.assert_allclose(layer.run(before), expected, atol=1e-4)
        before = expected
    np.testing.assert_allclose(covariance(whole.until("4").run(x)), np.eye(4), atol=1e-3)


def test_branches():
    x = images()
    pipeline = Pipeline.parse("mark a whiten conv 3 1 add a batchnorm from a").fit(x)
    np.testing.assert_array_equal(pipeline.run(x), x)
    pipeline = Pipeline.parse("mark a whiten conv 3 1 add a batchnorm").fit(x)
    np.testing.assert_allclose(pixels(pipeline.run(x)).std(axis=0), 1, atol=1e-3)


def test_k_means_learns_by_the_book():
    """The stages one by one, from all patches there are."""
    x = images(4, 10, 10)
    pipeline = Pipeline.parse("bank kmeans 6 4 --iterations 3").fit(x)
    arrays = pipeline.weights(x.shape[1:])[0]
    every = np.concatenate([learned.patches(v, (4, 4)).reshape(-1, 48) for v in x])
    normal = learned.normalised(every, 10 / 255**2)
    mean, whitening = learned.zca(normal, 0.1)
    np.testing.assert_allclose(arrays["mean"], mean, atol=1e-6)
    np.testing.assert_allclose(arrays["whitening"], whitening, atol=1e-4)
    many = Pipeline.parse("bank kmeans 6 4 --iterations 500").fit(x).weights(x.shape[1:])[0]["weight"]
    centroids = many.reshape(48, 6).T
    np.testing.assert_allclose(learned.lloyd((normal - mean) @ whitening, centroids), centroids, atol=1e-3)


def test_components_are_those_of_the_patches():
    x = images(4, 10, 10)
    weight = Pipeline.parse("bank pca 5 3").fit(x).weights(x.shape[1:])[0]["weight"].reshape(27, 5)
    every = np.concatenate([learned.patches(v, (3, 3)).reshape(-1, 27) for v in x])
    every -= every.mean(axis=1, keepdims=True)
    variances, axes = np.linalg.eigh(every.T @ every / len(every))
    np.testing.assert_allclose(weight.T @ weight, np.eye(5), atol=1e-5)
    np.testing.assert_allclose(np.abs(weight.T @ axes[:, ::-1][:, :5]), np.eye(5), atol=1e-3)
    powers = ((every @ weight) ** 2).mean(axis=0)
    np.testing.assert_allclose(powers, variances[::-1][:5], rtol=1e-3)


def test_patches_are_whitened_patches_of_length_one():
    x = images(4, 10, 10)
    arrays = Pipeline.parse("bank patches 7 4").fit(x).weights(x.shape[1:])[0]
    every = np.concatenate([learned.patches(v, (4, 4)).reshape(-1, 48) for v in x])
    mean, whitening = learned.zca(every, 0.001)
    filters = arrays["weight"].reshape(48, 7)
    np.testing.assert_allclose(arrays["bias"], -mean @ filters, atol=1e-3)
    whitened = (every - mean) @ whitening
    directions = whitened / np.linalg.norm(whitened, axis=1, keepdims=True)
    chosen = np.linalg.solve(whitening, filters)  # filters are W c
    np.testing.assert_allclose(np.linalg.norm(chosen, axis=0), 1, atol=1e-3)
    assert (directions @ chosen).max(axis=0).min() > 0.999


@pytest.mark.parametrize("bank", ["kmeans", "pca", "patches"])
def test_the_seed_decides_and_the_threads_do_not(bank):
    x = images()
    words = f"conv 4 3 relu bank {bank} 8 3 --patches 300 triangle gridpool 2"

    def result(seed: int, threads: int) -> bytes:
        return Pipeline.parse(words, seed=seed).fit(x, threads=threads).run(x).tobytes()

    assert result(1, 1) == result(1, 3) == result(1, 1)
    assert result(1, 1) != result(2, 1)


def test_a_fitted_pipeline_saved_and_loaded(tmp_path):
    import cnntool

    x = images()
    pipeline = Pipeline.parse("whiten bank kmeans 8 5 triangle gridpool 2 standardize").fit(x)
    for suffix in (".npz", ".safetensors"):
        pipeline.save(tmp_path / f"m{suffix}")
        assert cnntool.load(tmp_path / f"m{suffix}").run(x).tobytes() == pipeline.run(x).tobytes()


def test_data_that_cannot_be_learned_from():
    with pytest.raises(CnntoolError, match="no volumes"):
        Pipeline.parse("whiten").fit([])
    with pytest.raises(BadInput, match=r"volume 1: 2 channels, and the images before have 3"):
        Pipeline.parse("whiten").fit([np.zeros((4, 4, 3)), np.zeros((4, 4, 2))])
    with pytest.raises(BadInput, match="volume 1: expected real numbers"):
        Pipeline.parse("whiten").fit([np.zeros((4, 4, 3)), np.zeros(4)])
    with pytest.raises(CnntoolError, match=r"bank \(layer 1\): 99 filters need .* different patches, and 1 "):
        Pipeline.parse("bank kmeans 99 3").fit(np.zeros((1, 6, 6, 1)))
    with pytest.raises(CnntoolError, match=r"bank \(layer 1\): needs its filters"):
        Pipeline.parse("bank stored 3 3").fit(np.zeros((1, 6, 6, 1)))


def test_a_generator_of_volumes_is_enough():
    x = images()
    expected = Pipeline.parse("whiten bank pca 4 3").fit(x).run(x)
    np.testing.assert_array_equal(Pipeline.parse("whiten bank pca 4 3").fit(v for v in x).run(x), expected)


def test_constant_images_become_finite_models():
    x = np.full((3, 8, 8, 3), 0.5, np.float32)
    for words in ("whiten", "standardize", "bank kmeans 1 3", "batchnorm", "bank pca 1 3"):
        assert np.isfinite(Pipeline.parse(words).fit(x).run(x)).all(), words


@pytest.mark.parametrize("bank", ["kmeans", "pca", "patches"])
def test_copies_of_few_patches_are_not_enough_for_a_bank(bank):
    """The five 4x4 patches of an edge; of k-means and components the even ones, black and white, are the same."""
    x = np.zeros((3, 16, 16, 1), np.float32)
    x[:, :, 8:] = 1
    there = 5 if bank == "patches" else 4
    with pytest.raises(CnntoolError, match=rf"bank .*: 8 filters need .* different patches, and {there} "):
        Pipeline.parse(f"bank {bank} 8 4").fit(x)
    weight = Pipeline.parse(f"bank {bank} {there - 1} 4").fit(x).weights((16, 16, 1))[0]["weight"]
    assert len(np.unique(weight.reshape(16, -1).T.round(5), axis=0)) == there - 1


def test_whole_images_are_whitened_by_one_covariance(monkeypatch):
    """Of 30 images of 12 numbers each: gathered until they are as many as channels, whatever the order of sizes."""
    x = images(30, 2, 2)
    products = []
    partial_moments = statistics.partial_moments
    monkeypatch.setattr(statistics, "partial_moments", lambda *args: products.append(1) or partial_moments(*args))
    arrays = Pipeline.parse("flatten whiten pca").fit(x).weights((2, 2, 3))[1]
    assert len(products) == 3
    flat = x.reshape(30, 12).astype(np.float64)
    np.testing.assert_allclose(arrays["mean"], flat.mean(axis=0), rtol=1e-6)
    matrix = arrays["matrix"].T @ np.cov(flat.T, bias=True) @ arrays["matrix"]
    np.testing.assert_allclose(matrix, np.eye(12), atol=1e-4)
