"""The activations' functions against their kernels, and derivatives against differences and the backward kernels."""

from __future__ import annotations

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.explaining.functions import FUNCTIONS, constants_of, formula_of
from cnntool.layers import table
from cnntool.layers.activations import Activation, PRelu
from cnntool.steps.training import Training

X = np.array([-60, -4, -3, -2.5, -1, -0.3, 0.2, 1, 2.9, 3.5, 60], np.float32)


def test_all_activations_have_a_function() -> None:
    words = {word for word in table.LAYERS if issubclass(table.load(word), (Activation, PRelu))}
    assert set(FUNCTIONS) == words


@pytest.mark.parametrize("word", FUNCTIONS)
def test_values_are_those_of_the_kernels(word: str) -> None:
    pipeline = Pipeline.parse(word)
    constants = constants_of(pipeline.layers[0])
    values = [FUNCTIONS[word].value(float(x), **constants) for x in X]
    np.testing.assert_allclose(pipeline.run(X[None])[0, :, 0], values, rtol=3e-6, atol=1e-6)


@pytest.mark.parametrize("word", FUNCTIONS)
def test_derivatives_are_the_slopes_of_the_values(word: str) -> None:
    function, constants = FUNCTIONS[word], constants_of(Pipeline.parse(word).layers[0])
    for x in (-4.0, -2.5, -1.0, -0.3, 0.2, 1.0, 2.9, 3.5):
        ends = (function.value(x + side, **constants) for side in (1e-6, -1e-6))
        slope = (next(ends) - next(ends)) / 2e-6
        assert function.derivative(x, **constants) == pytest.approx(slope, abs=1e-8)


@pytest.mark.parametrize("word", FUNCTIONS)
def test_derivatives_are_those_that_training_takes(word: str) -> None:
    """At the kinks, too."""
    pipeline = Pipeline.parse(word)
    layer = pipeline.layers[0]
    x = np.append(X, np.float32(0)).reshape(1, 1, -1, 1)
    arrays = layer.initial((1, x.shape[2], 1), np.random.default_rng(0), False)
    training = Training(lambda function, items: [function(item) for item in items])
    _, saved = layer.train([x], arrays, training)
    (d_input,), _ = layer.gradient(np.ones_like(x), saved, arrays, training)
    assert d_input is not None
    constants = constants_of(layer)
    expected = [FUNCTIONS[word].derivative(float(value), **constants) for value in x.ravel()]
    np.testing.assert_allclose(d_input.ravel(), expected, rtol=1e-5, atol=1e-6)


def test_a_leaky_rectifier_is_the_maximum_of_the_slides() -> None:
    """f(x) = max(0.01x, x); for slopes above 1 that would be another function."""
    for words, formula in (("leaky-relu", "max(slope x, x)"), ("leaky-relu --slope 2", "max(0, x) + slope min(0, x)")):
        layer = Pipeline.parse(words).layers[0]
        assert formula_of(layer, constants_of(layer)) == formula
