"""The curves of the activations: the formulas of the lecture, derivatives against differences, what is saturated."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cnntool.pictures.activations import ACTIVATIONS, FORMULAS, curve, curves, terminal_plot

LECTURE = {
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2),
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "relu": (lambda x: np.maximum(0, x), lambda x: 1.0 * (x > 0)),
    "leaky-relu": (lambda x: np.maximum(0.01 * x, x), lambda x: np.where(x > 0, 1, 0.01)),
    "prelu": (lambda x: np.maximum(0.25 * x, x), lambda x: np.where(x > 0, 1, 0.25)),
}


def test_every_activation_has_a_formula() -> None:
    assert set(FORMULAS) == set(ACTIVATIONS)
    assert len(ACTIVATIONS) >= 12


@pytest.mark.parametrize("word", LECTURE)
def test_the_lectures_formulas_and_their_derivatives(word: str) -> None:
    x = np.linspace(-6, 6, 400)  # not at 0, where a rectifier has no derivative
    found = curve(word, x)
    f, slope = LECTURE[word]
    np.testing.assert_allclose(found.y, f(x), atol=1e-6)
    np.testing.assert_allclose(found.slope, slope(x), atol=1e-6)


@pytest.mark.parametrize("word", ACTIVATIONS)
def test_derivatives_are_those_of_the_curves(word: str) -> None:
    """Central differences in float32, away from the kinks at -3, 0 and 3."""
    x = np.linspace(-4.95, 4.95, 134)
    x = x[(np.abs(np.abs(x) - 3) > 0.05) & (np.abs(x) > 0.05)]
    step = 2.0**-6
    ahead, behind = curve(word, x + step), curve(word, x - step)
    # A difference over 1/32 of float32 numbers of at most 5, and what the third derivative leaves.
    np.testing.assert_allclose(curve(word, x).slope, (ahead.y - behind.y) / (2 * step), atol=2e-4)


def test_what_is_saturated() -> None:
    sigmoid, relu, leaky, silu = curves(["sigmoid", "relu", "leaky-relu", "silu"], 8.0)
    # s (1 - s) < 0.01 where |x| > ln((1 + sqrt(0.96)) / (1 - sqrt(0.96)))
    edge = math.log((1 + math.sqrt(0.96)) / (1 - math.sqrt(0.96)))
    np.testing.assert_array_equal(sigmoid.saturated, np.abs(sigmoid.x) > edge)
    np.testing.assert_array_equal(relu.saturated, relu.x <= 0)
    assert not leaky.saturated.any()
    assert "never flat" in leaky.remark()
    assert not silu.saturated[np.abs(silu.x + 1.28) < 0.1].any(), "the minimum of silu is no plateau"
    assert "mean 0.50" in sigmoid.remark()


def test_in_a_terminal() -> None:
    pytest.importorskip("plotille")
    (tanh,) = curves(["tanh"], 5.0)
    lines = terminal_plot(tanh, 80).splitlines()
    assert lines[0].startswith("tanh")
    assert max(map(len, lines)) <= 80
    assert "flat over 40%" in lines[-1]
