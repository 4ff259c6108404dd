from __future__ import annotations

import numpy as np
import pytest

from cnntool import Pipeline
from tests.kernels.volumes import assert_near, noise
from tests.naive import twins


def batchnorm(x: np.ndarray, words: str = "batchnorm", threads: int | None = None, **arrays: np.ndarray) -> np.ndarray:
    pipeline = Pipeline.parse(words)
    if arrays:
        pipeline.set_weights([arrays])
    return pipeline.run(x, threads)


BATCH = noise(4, 7, 6, 3) * np.float32([1, 2, 0.5]) + np.float32([0, 5, -1])
GAMMA, BETA = np.float32([0.5, 2, -1]), np.float32([1, 0, 3])


def test_without_running_statistics_it_takes_those_of_the_batch():
    assert_near(batchnorm(BATCH), twins.batchnorm(BATCH), 1e-6)
    assert_near(batchnorm(BATCH, gamma=GAMMA, beta=BETA), twins.batchnorm(BATCH, GAMMA, BETA), 1e-6)


def test_the_statistics_are_of_the_batch_and_not_of_each_volume():
    together = batchnorm(BATCH)
    np.testing.assert_allclose(together.mean(axis=(0, 1, 2), dtype=np.float64), 0, atol=1e-6)
    np.testing.assert_allclose(together.var(axis=(0, 1, 2), dtype=np.float64), 1, atol=1e-4)
    assert np.abs(together[0].mean(axis=(0, 1))).max() > 1e-3
    assert not np.allclose(together[0], batchnorm(BATCH[0]))


@pytest.mark.parametrize("eps", [0.0, 1e-5, 0.1])
def test_running_statistics(eps):
    mean, var = np.float32([0.2, 4, -1]), np.float32([0.5, 3, 0.1])
    arrays = {"gamma": GAMMA, "beta": BETA, "running_mean": mean, "running_var": var}
    expected = twins.batchnorm(BATCH, GAMMA, BETA, mean, var, eps)
    found = batchnorm(BATCH, f"batchnorm --eps {eps}", **arrays)
    assert_near(found, expected, 1e-6)
    assert found[2].tobytes() == batchnorm(BATCH[2], f"batchnorm --eps {eps}", **arrays).tobytes()


def test_a_fitting_gamma_and_beta_give_the_input_back():
    mean, var = BATCH.mean(axis=(0, 1, 2)), BATCH.var(axis=(0, 1, 2))
    gamma = np.sqrt(var + 1e-5)
    np.testing.assert_allclose(batchnorm(BATCH, gamma=gamma, beta=mean), BATCH, atol=1e-5)


def test_a_bias_before_it_changes_nothing():
    x, weight, bias = noise(2, 9, 8, 3), noise(3, 3, 3, 5), 10 * noise(5)
    results = []
    for arrays in ({"weight": weight}, {"weight": weight, "bias": bias}):
        pipeline = Pipeline.parse("conv 5 3 batchnorm")
        pipeline.set_weights([arrays, {"gamma": np.ones(5), "beta": np.zeros(5)}])
        results.append(pipeline.run(x))
    np.testing.assert_allclose(*results, atol=1e-5)


def test_a_constant_channel_becomes_beta():
    x = np.full((5, 6, 2), 0.3, np.float32)
    found = batchnorm(x, gamma=np.ones(2), beta=np.float32([7, 8]))
    np.testing.assert_allclose(found, np.broadcast_to([7, 8], x.shape), atol=1e-3)
    assert np.isfinite(batchnorm(np.ones((1, 1, 3)))).all()


def test_no_variance_and_no_eps_is_not_hidden():
    assert np.isnan(batchnorm(np.full((5, 6, 1), 2.0), "batchnorm --eps 0")).all()


def test_a_small_variance_far_from_zero():
    x = (1e4 + 0.1 * noise(40, 41, 3)).astype(np.float32)
    assert_near(batchnorm(x), twins.batchnorm(x))


@pytest.mark.parametrize("threads", [2, 3])
def test_statistics_of_a_batch_do_not_depend_on_threads(threads):
    assert batchnorm(BATCH, threads=threads).tobytes() == batchnorm(BATCH, threads=1).tobytes()


@pytest.mark.parametrize("p", ["0", "0.5", "0.99"])
def test_dropout_passes_everything_and_shares_nothing(p):
    x = noise(5, 6, 3)
    found = Pipeline.parse(f"dropout {p}").run(x)
    np.testing.assert_array_equal(found, x)
    assert not np.may_share_memory(found, x)
    between = Pipeline.parse(f"relu dropout {p} abs").run(x)
    np.testing.assert_array_equal(between, np.maximum(x, 0))


@pytest.mark.parametrize("channels", [1, 2, 5, 40])
@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_lrn_of_odd_and_even_sizes(channels, size):
    x = 2 * noise(5, 6, channels)
    found = Pipeline.parse(f"lrn --size {size} --alpha 0.3 --k 1.5").run(x)
    assert_near(found, twins.lrn(x, size, 0.3, 0.75, 1.5), 1e-6)


def test_lrn_of_one_value_on_paper():
    x = np.full((1, 1, 1), 2.0)
    found = Pipeline.parse("lrn --size 1 --alpha 3 --beta 0.5 --k 4").run(x)
    assert found == pytest.approx(2 / (4 + 3 * 4) ** 0.5)
