from __future__ import annotations

import numpy as np
import pytest

from cnntool import kernels
from cnntool.kernels.sources.dense import SLICE
from cnntool.layers.dense import BLOCK
from tests.kernels.volumes import GUARD, assert_near, noise


def dense(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, first: int, last: int) -> np.ndarray:
    out = np.full(weight.shape[1], GUARD)
    kernels.dense.dense_forward(x, weight, bias, out, first, last)
    outside = np.ones(len(out), bool)
    outside[first:last] = False
    assert (out[outside] == GUARD).all()
    return out[first:last]


def expected(x, weight, bias):
    return bias + x.astype(np.float64) @ weight.astype(np.float64)


@pytest.mark.parametrize("outputs", [1, 3, 16, 33])
def test_any_number_of_inputs(outputs):
    for inputs in [*range(1, 41), SLICE - 1, SLICE, SLICE + 1, 3 * SLICE + 2]:
        x, weight, bias = noise(inputs), noise(inputs, outputs), noise(outputs)
        assert_near(dense(x, weight, bias, 0, outputs), expected(x, weight, bias), 1e-6, f"{inputs} inputs")


def test_any_number_of_outputs():
    x = noise(70)
    for outputs in range(1, 41):
        weight, bias = noise(70, outputs), noise(outputs)
        assert_near(dense(x, weight, bias, 0, outputs), expected(x, weight, bias), 1e-6, f"{outputs} outputs")


@pytest.mark.parametrize(("first", "last"), [(0, 1), (5, 21), (39, 40), (7, 7)])
def test_a_slice_of_the_outputs(first, last):
    x, weight, bias = noise(30), noise(30, 40), noise(40)
    assert_near(dense(x, weight, bias, first, last), expected(x, weight, bias)[first:last], 1e-6)


def test_slices_equal_the_whole_to_the_byte():
    """In blocks, as threads take them; the last one may be short."""
    x, weight, bias = noise(200), noise(200, 300), noise(300)
    pieces = [dense(x, weight, bias, first, min(first + BLOCK, 300)) for first in range(0, 300, BLOCK)]
    np.testing.assert_array_equal(np.concatenate(pieces), dense(x, weight, bias, 0, 300))


def test_errors_do_not_grow_with_the_number_of_inputs():
    inputs = 500_000
    x, weight = np.full(inputs, 0.1, np.float32), np.full((inputs, 2), 0.1, np.float32)
    found = dense(x, weight, np.zeros(2, np.float32), 0, 2)
    np.testing.assert_allclose(found, inputs * float(np.float32(0.1)) ** 2, rtol=1e-6)


def test_nan_and_infinity_go_through():
    weight, bias = np.ones((3, 2), np.float32), np.zeros(2, np.float32)
    for bad in (np.nan, np.inf, -np.inf):
        np.testing.assert_array_equal(dense(np.float32([1, bad, 2]), weight, bias, 0, 2), [bad, bad])
    assert np.isnan(dense(np.float32([np.inf, -np.inf, 0]), weight, bias, 0, 2)).all()
