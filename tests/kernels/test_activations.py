from __future__ import annotations

import inspect
from collections.abc import Callable

import numpy as np
import pytest

from cnntool.kernels import activations
from cnntool.kernels.sources import activations as sources
from cnntool.kernels.vectors import HOST
from tests.cases.words import ACTIVATIONS
from tests.kernels.volumes import GUARD, assert_near, noise
from tests.naive import gradients, twins

SLOPE = np.float32(0.3)
WORDS = [word.replace("-", "_") for word in ACTIVATIONS]
NAMES = [word for word in WORDS if word != "prelu"]  # whose slopes are an array


def twin_of(name: str) -> tuple[Callable[..., np.ndarray], tuple[np.float32, ...]]:
    """The twin of a function, and values for its constants."""
    twin = getattr(twins, name)
    return twin, (SLOPE,) * (len(inspect.signature(twin).parameters) - 1)


# Where float32 and its denormals end, and where the pieces of the functions meet.
TURNS = [0.0, 1e-45, 1e-40, 1.2e-38, 1e-10, 0.5, 1.0, 2.999999, 3.0, 3.000001, 9.0, 20.0, 87.0, 88.8, 104.0, 1e10, 3e38]
DENSE = np.float32([*np.linspace(-40, 40, 100_001), *np.linspace(-1, 1, 20_001), *TURNS, *(-turn for turn in TURNS)])


def applied(name: str, x: np.ndarray, *arguments) -> np.ndarray:
    v = np.array(x, np.float32)[None]
    getattr(activations, f"{name}_forward")(v, 0, 0, v, 0, 0, 1, x.size, *arguments)
    return v[0]


def slopes(name: str, x: np.ndarray, *arguments) -> np.ndarray:
    out = np.empty_like(x)
    getattr(activations, f"{name}_backward")(x, np.ones_like(x), out, *arguments)
    return out


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_every_activation_has_its_kernel_and_none_is_left_over(direction):
    found = {name.removesuffix(f"_{direction}") for name in vars(sources) if name.endswith(f"_{direction}")}
    assert found == set(WORDS)


@pytest.mark.parametrize("name", NAMES)
def test_dense_samples(name):
    twin, arguments = twin_of(name)
    expected = twin(DENSE.astype(np.float64), *arguments)
    error = np.abs(applied(name, DENSE, *arguments) - expected) / np.maximum(1, np.abs(expected))
    assert error.max() < 6e-7, f"at {DENSE[error.argmax()]}"


EACH_EXPONENT = np.arange(0, 0x7F800000, 9973, np.uint32).view(np.float32)  # 840 numbers of each, from zero on


@pytest.mark.parametrize(("name", "bound"), [("tanh", 6e-7), ("sigmoid", 3e-7)])
def test_error_in_units_of_the_result(name, bound):
    for x in (EACH_EXPONENT, -EACH_EXPONENT):
        expected = getattr(twins, name)(x.astype(np.float64))
        told = np.abs(expected) > 2e-38  # others may be zero
        error = np.abs(applied(name, x)[told] / expected[told] - 1)
        assert error.max() < bound, f"at {x[told][error.argmax()]}"


def test_tanh_is_odd_and_within_its_range_and_has_denormals():
    found = applied("tanh", EACH_EXPONENT)
    np.testing.assert_array_equal(applied("tanh", -EACH_EXPONENT), -found)
    assert found.max() == 1.0
    assert (found[EACH_EXPONENT >= 8] == 1).all()
    small = EACH_EXPONENT[EACH_EXPONENT < 1e-5]
    np.testing.assert_allclose(applied("tanh", small), small, rtol=0 if HOST.tanh_by_table else 6e-7, atol=2**-149)
    assert np.signbit(applied("tanh", np.full(40, -0.0, np.float32))).all()


@pytest.mark.parametrize("name", NAMES)
def test_limits_and_nan(name):
    twin, arguments = twin_of(name)
    x = np.tile(np.float32([np.nan, np.inf, -np.inf, 0.0, 1.0]), 9)  # long enough for the vectorised loop
    np.testing.assert_allclose(applied(name, x, *arguments), twin(x, *arguments), rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_zero_stays_zero_without_a_sign(name):
    twin, arguments = twin_of(name)
    if twin(np.zeros(1), *arguments) == 0:
        assert not np.signbit(applied(name, np.zeros(40, np.float32), *arguments)).any()


@pytest.mark.parametrize("name", NAMES)
def test_only_the_asked_piece_of_the_asked_rows_changes(name):
    twin, arguments = twin_of(name)
    for length in [*range(41), 100]:
        v = np.full((5, length + 7), GUARD)
        v[1:3, 4 : 4 + length] = noise(2, length)
        getattr(activations, f"{name}_forward")(v, 1, 4, v, 1, 4, 2, length, *arguments)
        assert_near(v[1:3, 4 : 4 + length], twin(noise(2, length), *arguments), 1e-6)
        v[1:3, 4 : 4 + length] = GUARD
        assert (v == GUARD).all()


@pytest.mark.parametrize("period", [1, 3, 16, 100])
def test_slopes_follow_the_channels_along_the_row(period):
    alpha = noise(period)
    for length in (period, 3 * period, 5 * period + (0 if period > 1 else 7)):
        v = np.full((3, length + 5), GUARD)
        x = noise(1, length)[0]
        v[1, 2 : 2 + length] = x
        activations.prelu_forward(v, 1, 2, v, 1, 2, 1, length, alpha)
        slopes = np.resize(alpha, length)
        np.testing.assert_allclose(v[1, 2 : 2 + length], np.where(x < 0, slopes * x, x), rtol=1e-6)
        v[1, 2 : 2 + length] = GUARD
        assert (v == GUARD).all()


def test_slopes_let_nan_and_infinity_through():
    x = np.tile(np.float32([np.nan, np.inf, -np.inf, -0.0]), 8)
    np.testing.assert_array_equal(applied("prelu", x, np.float32([0.5])), x)


SIZES = [0.0, 1e-45, 1e-40, 1e-30, 0.5, 1.0, 2.5, 3.0, 3.5, 6.0, 9.0, 13.5, 20.0, 87.0, 88.8, 104.0, 1e10, 1e20, 1e30]
ENDS = np.float32([*SIZES, 3.4028235e38, np.inf])
X = np.tile(np.float32([*ENDS, *-ENDS, np.nan]), 3)  # long enough for vectorised loops


@pytest.mark.parametrize("name", NAMES)
def test_slopes_at_the_ends_of_numbers(name):
    constants = list(inspect.signature(getattr(twins, name)).parameters)[1:]
    options = dict.fromkeys(constants, SLOPE)
    with np.errstate(over="ignore", invalid="ignore"):
        expected, _ = getattr(gradients, f"{name}_backward")(np.ones(X.size), X.astype(np.float64), **options)
    np.testing.assert_allclose(slopes(name, X, *options.values()), expected, rtol=1e-6, atol=6e-7)


def test_slopes_of_prelu_at_the_ends_of_numbers():
    x, d_alpha = X[:, None], np.zeros(1)
    out = slopes("prelu", x, np.float32([SLOPE]), d_alpha)
    np.testing.assert_allclose(out, gradients.prelu_backward(np.ones_like(x), x, [SLOPE])[0], rtol=1e-6)


def test_the_slope_of_a_sigmoid_keeps_its_digits_on_both_sides():
    x = np.linspace(-80, 80, 641, dtype=np.float32)
    expected = gradients.sigmoid_backward(1.0, x.astype(np.float64))[0]
    np.testing.assert_allclose(slopes("sigmoid", x), expected, rtol=1e-6)
