"""Results do not depend on how high the bands are, nor on how many threads compute them: to the byte."""

from __future__ import annotations

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.steps import bands
from tests.cases.chains import random_configuration
from tests.kernels.volumes import assert_near, noise

CHAINS = [
    ("conv 16 3 --padding 1 relu maxpool 2", (37, 21, 3)),
    ("conv 33 5 --padding 2,0,1,3 --stride 2x1 batchnorm relu avgpool 3 --stride 2 --ceil", (41, 23, 3)),
    ("conv 32 3 --padding 1 relu conv 32 3 --padding 1 relu", (30, 17, 16)),
    ("maxpool 3 --stride 1 --padding same maxpool 3 --stride 1 --padding same avgpool 2", (33, 15, 5)),
    ("relu conv 8 7 --padding 3 --dilation 2 tanh maxpool 5 --stride 3 --padding 2", (40, 26, 2)),
    ("lrn conv 17 3 --groups 17 --padding 1 softmax l2pool 2", (29, 14, 17)),
    ("conv 17 3 --groups 17 --padding 9,1,2,3 relu maxpool 2", (29, 14, 17)),
    ("conv 5 3 --groups 5 --padding 1 --stride 2", (31, 12, 5)),
    ("conv 4 3 --padding 9 relu maxpool 3", (12, 13, 2)),
    ("whiten conv 8 3 --padding 1 abs", (26, 18, 3)),
    ("bank mr8 --size 11 --per-channel maxpool 2", (27, 16, 2)),
    ("mark x conv 5 3 --padding 1 add x relu conv 5 3 --padding 1 add x maxpool 2", (31, 12, 5)),
    ("conv 193 3 --padding 1 relu conv 210 1", (5, 6, 65)),
    ("conv 200 2 --stride 2 --groups 2", (6, 5, 64)),
    ("mark x conv 1024 1 add x relu conv 40 1 --stride 2", (5, 6, 1024)),
    ("mark x conv 16 1 add x relu maxpool 3 --stride 1 --padding 1", (19, 7, 16)),
    ("mark x conv 5 3 --padding 1 concat x relu conv 6 3 --stride 2", (31, 12, 5)),
]


def results(words: str, x: np.ndarray, threads: int) -> bytes:
    return Pipeline.parse(words).run(x, threads).tobytes()


@pytest.mark.parametrize(("words", "shape"), CHAINS)
@pytest.mark.parametrize("scratch", [1, 3_000, 20_000])
def test_bytes_do_not_depend_on_the_height_of_bands(monkeypatch, words, shape, scratch):
    x = noise(*shape)
    expected = results(words, x, 1)
    monkeypatch.setattr(bands, "SCRATCH_BYTES", scratch)
    for threads in (1, 2, 3):
        assert results(words, x, threads) == expected


@pytest.mark.parametrize(("words", "shape"), CHAINS)
def test_bytes_do_not_depend_on_threads_that_share_a_batch(words, shape):
    batch = np.stack([noise(*shape), 2 * noise(*shape) - 1, np.zeros(shape, np.float32)])
    expected = results(words, batch, 1)
    for threads in (2, 3, 5, 16):
        assert results(words, batch, threads) == expected


@pytest.mark.parametrize("seed", range(60))
def test_random_chains_equal_the_naive_twins_in_bands_of_any_height(monkeypatch, seed):
    one = random_configuration(seed)
    volume, weights = one.volume(), one.weights()

    def run(threads: int) -> np.ndarray:
        pipeline = Pipeline.parse(one.words)
        pipeline.set_weights(weights)
        return pipeline.run(volume, threads)

    found = run(2)
    assert_near(found, one.reference(volume, weights), hint=str(one))
    monkeypatch.setattr(bands, "SCRATCH_BYTES", 1)
    assert run(1).tobytes() == run(3).tobytes() == found.tobytes()


def test_random_chains_are_of_many_kinds():
    chains = [random_configuration(seed) for seed in range(60)]
    words = {layer.word for one in chains for layer in one.layers}
    assert {"conv", "maxpool", "avgpool", "l2pool", "add", "concat", "from", "batchnorm", "relu"} <= words
    assert sum("add" in one.words or "concat" in one.words for one in chains) >= 10
    assert {len(one.rows) for one in chains} == set(range(2, 9))
    assert len(set(map(str, chains))) == 60


@pytest.mark.parametrize("height", [1, 2, 3, 5, 1000])
def test_volumes_of_any_height(monkeypatch, height):
    words, x = "conv 4 3 --padding 1 relu maxpool 2 --ceil", noise(height, 3, 2)
    expected = results(words, x, 1)
    monkeypatch.setattr(bands, "SCRATCH_BYTES", 1)
    assert results(words, x, 3) == expected


def test_a_nan_does_not_reach_into_other_bands(monkeypatch):
    monkeypatch.setattr(bands, "SCRATCH_BYTES", 1)
    x = noise(30, 20, 16)
    x[14] = np.nan
    found = Pipeline.parse("conv 16 3 --padding 1 maxpool 3 --stride 1 --padding 1").run(x, 2)
    spoilt = np.isnan(found).any(axis=(1, 2))
    assert np.flatnonzero(spoilt).tolist() == [12, 13, 14, 15, 16]


def test_scratch_of_a_former_run_leaves_nothing_behind():
    pipeline = Pipeline.parse("conv 4 3 --padding 2 relu maxpool 3 --stride 2 --padding 1")
    x = noise(20, 14, 3)
    expected = pipeline.run(x, 2).tobytes()
    pipeline.run(np.full_like(x, np.nan), 2)
    assert pipeline.run(x, 2).tobytes() == expected
