from __future__ import annotations

import numpy as np
import pytest

from cnntool.kernels import activations
from cnntool.kernels.sources import activations as sources_of_activations
from cnntool.kernels.vectors import LANES
from tests.kernels.volumes import GUARD, assert_near, noise
from tests.naive import twins

SLOPE = np.float32(0.3)
KERNELS = {
    "relu_forward": (twins.relu, ()),
    "leaky_relu_forward": (twins.leaky_relu, (SLOPE,)),
    "sigmoid_forward": (twins.sigmoid, ()),
    "tanh_forward": (twins.tanh, ()),
    "elu_forward": (twins.elu, (SLOPE,)),
    "gelu_forward": (twins.gelu, ()),
    "silu_forward": (twins.silu, ()),
    "softplus_forward": (twins.softplus, ()),
    "hard_sigmoid_forward": (twins.hard_sigmoid, ()),
    "hard_swish_forward": (twins.hard_swish, ()),
    "absolute_forward": (twins.abs, ()),
}

# Where float32 and its denormals end, and where the pieces of the functions meet.
TURNS = [0.0, 1e-45, 1e-40, 1.2e-38, 1e-10, 0.5, 1.0, 2.999999, 3.0, 3.000001, 9.0, 20.0, 87.0, 88.8, 104.0, 1e10, 3e38]
DENSE = np.float32([*np.linspace(-40, 40, 100_001), *np.linspace(-1, 1, 20_001), *TURNS, *(-turn for turn in TURNS)])


def applied(name: str, x: np.ndarray, *arguments) -> np.ndarray:
    v = np.array(x, np.float32)[None]
    getattr(activations, name)(v, 0, 0, v, 0, 0, 1, x.size, *arguments)
    return v[0]


def test_all_kernels_are_in_the_table():
    assert {name for name in vars(sources_of_activations) if name.endswith("_forward")} == {*KERNELS, "prelu_forward"}


@pytest.mark.parametrize("name", KERNELS)
def test_dense_samples(name):
    twin, arguments = KERNELS[name]
    expected = twin(DENSE.astype(np.float64), *arguments)
    error = np.abs(applied(name, DENSE, *arguments) - expected) / np.maximum(1, np.abs(expected))
    assert error.max() < 6e-7, f"at {DENSE[error.argmax()]}"


EACH_EXPONENT = np.arange(0, 0x7F800000, 9973, np.uint32).view(np.float32)  # 840 numbers of each, from zero on


@pytest.mark.parametrize(("name", "bound"), [("tanh_forward", 6e-7), ("sigmoid_forward", 3e-7)])
def test_error_in_units_of_the_result(name, bound):
    for x in (EACH_EXPONENT, -EACH_EXPONENT):
        expected = KERNELS[name][0](x.astype(np.float64))
        told = np.abs(expected) > 2e-38  # others may be zero
        error = np.abs(applied(name, x)[told] / expected[told] - 1)
        assert error.max() < bound, f"at {x[told][error.argmax()]}"


def test_tanh_is_odd_and_within_its_range_and_has_denormals():
    found = applied("tanh_forward", EACH_EXPONENT)
    np.testing.assert_array_equal(applied("tanh_forward", -EACH_EXPONENT), -found)
    assert found.max() == 1.0
    assert (found[EACH_EXPONENT >= 8] == 1).all()
    small = EACH_EXPONENT[EACH_EXPONENT < 1e-5]
    np.testing.assert_allclose(applied("tanh_forward", small), small, rtol=0 if LANES == 16 else 6e-7, atol=2**-149)
    assert np.signbit(applied("tanh_forward", np.full(40, -0.0, np.float32))).all()


@pytest.mark.parametrize("name", KERNELS)
def test_limits_and_nan(name):
    twin, arguments = KERNELS[name]
    x = np.tile(np.float32([np.nan, np.inf, -np.inf, 0.0, 1.0]), 9)  # long enough for the vectorised loop
    np.testing.assert_allclose(applied(name, x, *arguments), twin(x, *arguments), rtol=1e-6)


@pytest.mark.parametrize("name", KERNELS)
def test_zero_stays_zero_without_a_sign(name):
    twin, arguments = KERNELS[name]
    if twin(np.zeros(1), *arguments) == 0:
        assert not np.signbit(applied(name, np.zeros(40, np.float32), *arguments)).any()


@pytest.mark.parametrize("name", KERNELS)
def test_only_the_asked_piece_of_the_asked_rows_changes(name):
    twin, arguments = KERNELS[name]
    for length in [*range(41), 100]:
        v = np.full((5, length + 7), GUARD)
        v[1:3, 4 : 4 + length] = noise(2, length)
        getattr(activations, name)(v, 1, 4, v, 1, 4, 2, length, *arguments)
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
    np.testing.assert_array_equal(applied("prelu_forward", x, np.float32([0.5])), x)
