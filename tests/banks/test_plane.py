from __future__ import annotations

import math

import numpy as np
import pytest

from cnntool.banks.plane import balanced, gaussian, turned, unit
from cnntool.errors import CnntoolError


@pytest.mark.parametrize(
    ("angle", "u", "v"),
    [
        (0, [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]], [[1, 1, 1], [0, 0, 0], [-1, -1, -1]]),
        (math.pi / 2, [[-1, -1, -1], [0, 0, 0], [1, 1, 1]], [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]]),
    ],
)
def test_axes_at_right_angles(angle, u, v):
    np.testing.assert_allclose(turned((3, 3), angle), (u, v), atol=1e-15)


def test_the_centre_of_an_even_side_lies_between_two_pixels():
    u, v = turned((2, 4), 0)
    assert u[0].tolist() == [-1.5, -0.5, 0.5, 1.5]
    assert v[:, 0].tolist() == [0.5, -0.5]


def test_turning_keeps_distances():
    u, v = turned((6, 9), 0.7)
    x, y = turned((6, 9), 0)
    np.testing.assert_allclose(u**2 + v**2, x**2 + y**2)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 8])
def test_each_order_is_the_derivative_of_the_one_before(order):
    q, step = np.linspace(-4, 4, 81), 1e-5
    slope = (gaussian(q + step, order - 1) - gaussian(q - step, order - 1)) / (2 * step)
    np.testing.assert_allclose(gaussian(q, order), slope, atol=1e-6)


def test_balanced_sums_to_zero():
    plane = np.random.RandomState(0).rand(5, 7)
    envelope = np.exp(-((np.arange(7) - 3.0) ** 2)) * np.ones((5, 1))
    assert abs(balanced(plane).sum()) < 1e-12
    assert abs(balanced(plane, envelope).sum()) < 1e-12
    lost = plane - balanced(plane, envelope)
    np.testing.assert_allclose(lost / lost[0, 3], envelope)


def test_unit_divides_by_the_sum_of_absolute_values():
    assert unit(np.array([[1.0, -3.0]])).tolist() == [[0.25, -0.75]]


@pytest.mark.parametrize("value", [0.0, 1e-13, math.nan])
def test_a_filter_of_rounding_noise_is_refused(value):
    with pytest.raises(CnntoolError, match=r"vanishes on its 3x4 pixels.*larger --size"):
        unit(np.full((3, 4), value))
