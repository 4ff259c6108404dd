"""Derivatives of the activations where numbers end, and where pieces of the functions meet."""

from __future__ import annotations

import numpy as np
import pytest

from cnntool.kernels import activations_backward
from cnntool.kernels.sources import activations_backward as sources
from tests.naive import gradients

SLOPE = np.float32(0.3)
KERNELS = {
    "relu_backward": (gradients.relu_backward, {}),
    "leaky_relu_backward": (gradients.leaky_relu_backward, {"slope": SLOPE}),
    "sigmoid_backward": (gradients.sigmoid_backward, {}),
    "tanh_backward": (gradients.tanh_backward, {}),
    "elu_backward": (gradients.elu_backward, {"alpha": SLOPE}),
    "gelu_backward": (gradients.gelu_backward, {}),
    "silu_backward": (gradients.silu_backward, {}),
    "softplus_backward": (gradients.softplus_backward, {}),
    "hard_sigmoid_backward": (gradients.hard_sigmoid_backward, {}),
    "hard_swish_backward": (gradients.hard_swish_backward, {}),
    "absolute_backward": (gradients.abs_backward, {}),
}
SIZES = [0.0, 1e-45, 1e-40, 1e-30, 0.5, 1.0, 2.5, 3.0, 3.5, 6.0, 9.0, 13.5, 20.0, 87.0, 88.8, 104.0, 1e10, 1e20, 1e30]
TURNS = np.float32([*SIZES, 3.4028235e38, np.inf])
X = np.tile(np.float32([*TURNS, *-TURNS, np.nan]), 3)  # long enough for vectorised loops


def slopes(name: str, x: np.ndarray, **options: np.float32) -> np.ndarray:
    out = np.empty_like(x)
    getattr(activations_backward, name)(x, np.ones_like(x), out, *options.values())
    return out


def test_all_kernels_are_in_the_table():
    assert {name for name in vars(sources) if name.endswith("_backward")} == {*KERNELS, "prelu_backward"}


@pytest.mark.parametrize("name", KERNELS)
def test_slopes_at_the_ends_of_numbers(name):
    twin, options = KERNELS[name]
    with np.errstate(over="ignore", invalid="ignore"):
        expected, _ = twin(np.ones(X.size), X.astype(np.float64), **options)
    np.testing.assert_allclose(slopes(name, X, **options), expected, rtol=1e-6, atol=6e-7)


def test_slopes_of_prelu_at_the_ends_of_numbers():
    x, d_alpha = X[:, None], np.zeros(1)
    out = np.empty_like(x)
    activations_backward.prelu_backward(x, np.ones_like(x), out, np.float32([SLOPE]), d_alpha)
    np.testing.assert_allclose(out, gradients.prelu_backward(np.ones_like(x), x, [SLOPE])[0], rtol=1e-6)


def test_the_slope_of_a_sigmoid_keeps_its_digits_on_both_sides():
    x = np.linspace(-80, 80, 641, dtype=np.float32)
    expected = gradients.sigmoid_backward(1.0, x.astype(np.float64))[0]
    np.testing.assert_allclose(slopes("sigmoid_backward", x), expected, rtol=1e-6)
