from __future__ import annotations

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.layers.activations import PRelu, period
from cnntool.layers.table import load
from tests.cases.words import ACTIVATIONS as WORDS
from tests.kernels.volumes import noise


def run(words: str, *values: float) -> list[float]:
    return Pipeline.parse(words).run(np.float32(values).reshape(1, -1, 1))[0, :, 0].tolist()


@pytest.mark.parametrize(
    ("words", "given", "expected"),
    [
        ("relu", [-2, 0, 3], [0, 0, 3]),
        ("leaky-relu", [-2, 0, 3], [-0.02, 0, 3]),
        ("leaky-relu --slope 0.5", [-2, 0, 3], [-1, 0, 3]),
        ("leaky-relu --slope -1", [-2, 0, 3], [2, 0, 3]),
        ("prelu", [-2, 0, 3], [-0.5, 0, 3]),
        ("prelu --alpha 1", [-2, 0, 3], [-2, 0, 3]),
        ("sigmoid", [-1e3, 0, 1e3], [0, 0.5, 1]),
        ("tanh", [-1e3, 0, 1e3], [-1, 0, 1]),
        ("elu --alpha 2", [-1e3, 0, 3], [-2, 0, 3]),
        ("gelu", [-1e3, 0, 1e3], [0, 0, 1e3]),
        ("silu", [-1e3, 0, 1e3], [0, 0, 1e3]),
        ("softplus", [-1e3, 0, 1e3], [0, np.log(2), 1e3]),
        ("hard-sigmoid", [-4, -3, 0, 3, 4], [0, 0, 0.5, 1, 1]),
        ("hard-swish", [-4, -3, 0, 3, 4], [0, 0, 0, 3, 4]),
        ("abs", [-2, 0, 3], [2, 0, 3]),
    ],
)
def test_values_known_on_paper(words, given, expected):
    np.testing.assert_allclose(run(words, *given), expected, rtol=1e-6)


@pytest.mark.parametrize("word", WORDS)
def test_a_rectifier_passes_what_is_positive_and_little_of_what_is_negative(word):
    below, above = run(word, -100, 100)
    assert load(word).rectifies == (above == 100 and abs(below) < 50)


@pytest.mark.parametrize("word", WORDS)
def test_an_activation_keeps_shape_and_receptive_field_and_costs_nothing(word):
    row = Pipeline.parse(word).shape((5, 6, 7))["layers"][0]
    assert row["output_shape"] == [5, 6, 7]
    assert row["receptive_field"] == [1, 1]
    assert row["macs"] == 0
    assert row["parameters"] == (1 if word == "prelu" else 0)


def test_a_slope_for_each_channel_is_trained():
    layer = PRelu(per_channel=True, alpha=0.5)
    assert layer.parameter_shapes((4, 5, 6)) == {"alpha": (6,)}
    np.testing.assert_array_equal(
        layer.initial((4, 5, 6), np.random.default_rng(0), True)["alpha"], np.full(6, 0.5, np.float32)
    )
    pipeline = Pipeline.parse("prelu --per-channel")
    pipeline.set_weights([{"alpha": np.array([0.0, 1.0, -1.0])}])
    assert pipeline.run(np.full((1, 1, 3), -2.0))[0, 0].tolist() == [0, -2, 2]


@pytest.mark.parametrize("channels", [1, 3, 100, 256, 300])
def test_a_period_is_whole_and_long_enough_for_the_vectors(channels):
    values = noise(channels)
    repeated = period(values, channels)
    assert repeated.size % channels == 0
    assert 256 <= repeated.size < 256 + channels
    np.testing.assert_array_equal(repeated, np.resize(values, repeated.size))
    np.testing.assert_array_equal(period(2.0, channels), np.full(repeated.size, 2, np.float32))
