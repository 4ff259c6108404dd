"""Errors of the elementary functions in units in the last place of float32, over dense samples.

The bounds are a little above the largest error that was found on 2 million samples.
"""

from __future__ import annotations

import functools
import math

import numba
import numpy as np
import pytest

from cnntool.kernels.sources import elementary

TINY = [s * x for s in (1, -1) for x in (0.0, 1e-45, 1e-42, 1.1754942e-38, 1.1754944e-38, 1e-30, 1e-20, 1e-8)]


def samples(low: float, high: float) -> np.ndarray:
    some = np.random.default_rng(0).uniform(low, high, 200_000)
    near_zero = np.geomspace(1e-44, 1, 50_000)
    x = np.concatenate([np.linspace(low, high, 200_001), some, near_zero, -near_zero, TINY]).astype(np.float32)
    return x[(low <= x) & (x <= high)]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.where(x < 0, np.exp(np.minimum(x, 0)), 1) / (1 + np.exp(-np.abs(x)))


# exact function of float64, the range of samples, the bound in units in the last place
FUNCTIONS = {
    "exp": (np.exp, (-110.0, 95.0), 1.1),
    "expm1_negative": (np.expm1, (-110.0, 0.0), 1.0),
    "tanh": (np.tanh, (-20.0, 20.0), 10.0),
    "sigmoid": (sigmoid, (-86.9, 95.0), 2.5),
    "log1p": (np.log1p, (0.0, 1.0), 2.0),
}


@functools.cache
def over_arrays(name):
    function = getattr(elementary, name)

    @numba.njit
    def loop(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    return loop


def applied(name: str, values) -> np.ndarray:
    x = np.float32(values)
    out = np.empty_like(x)
    over_arrays(name)(x, out)
    return out


@pytest.mark.parametrize("name", FUNCTIONS)
def test_error_in_units_in_the_last_place(name):
    exact, (low, high), bound = FUNCTIONS[name]
    x = samples(low, high)
    found = applied(name, x)
    with np.errstate(over="ignore"):
        expected = exact(x.astype(np.float64))
        rounded = expected.astype(np.float32)
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(found[~finite], rounded[~finite])
    unit = np.maximum(np.spacing(np.abs(rounded[finite])), np.float32(2.0**-149)).astype(np.float64)
    error = np.abs(found[finite] - expected[finite]) / unit
    assert error.max() < bound, f"at {x[finite][error.argmax()]}"
    assert error.max() > bound / 4  # the bound says something


def test_erfc_is_near_in_absolute_terms():
    x = np.linspace(0, 12, 50_001).astype(np.float32)
    expected = np.vectorize(math.erfc)(x.astype(np.float64))
    assert np.abs(applied("erfc_positive", x) - expected).max() < 6e-7


LIMITS = {
    "exp": [np.nan, np.inf, 0.0, 1.0],
    "tanh": [np.nan, 1.0, -1.0, 0.0],
    "sigmoid": [np.nan, 1.0, 0.0, 0.5],
}


@pytest.mark.parametrize("name", LIMITS)
def test_nan_infinities_and_zero(name):
    np.testing.assert_array_equal(applied(name, [np.nan, np.inf, -np.inf, 0.0] * 8), LIMITS[name] * 8)


def test_tanh_never_leaves_its_range():
    found = applied("tanh", samples(-20.0, 20.0))
    assert np.abs(found).max() == 1.0
    assert (np.abs(applied("tanh", np.linspace(8, 1000, 5001))) == 1.0).all()


def test_expm1_at_its_ends():
    np.testing.assert_array_equal(applied("expm1_negative", [np.nan, -np.inf, 0.0]), [np.nan, -1.0, 0.0])


def test_erfc_and_log1p_at_their_ends():
    np.testing.assert_array_equal(applied("erfc_positive", [np.nan, np.inf]), [np.nan, 0.0])
    assert applied("erfc_positive", [0.0]) == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_array_equal(applied("log1p", [0.0, np.nan]), [0.0, np.nan])


def test_exp_reaches_through_the_denormals():
    x = np.linspace(-103.9, -87.4, 5001).astype(np.float32)
    found = applied("exp", x)
    assert (found > 0).all()
    assert (found < np.finfo(np.float32).tiny).all()


def test_powers_of_two_are_exact():
    n = np.arange(-126, 128)
    np.testing.assert_array_equal(applied("two_to_the", n), np.ldexp(np.float32(1), n))
