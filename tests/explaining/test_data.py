"""When a float32 result counts as the float64 one."""

from __future__ import annotations

import math

import pytest

from cnntool.explaining.data import agree


@pytest.mark.parametrize(
    ("value", "computed", "scale", "same"),
    [
        (1.0, 1.0, 1.0, True),
        (1.0, 1.00001, 1.0, True),
        (1.0, 1.0001, 1.0, False),
        (0.0, 0.001, 1000.0, True),  # what is left of large terms that cancel
        (0.0, 0.001, 1.0, False),
        (math.nan, math.nan, 1.0, True),
        (math.nan, 1.0, 1.0, False),
        (math.inf, math.inf, math.inf, True),
        (-math.inf, math.inf, math.inf, False),
    ],
)
def test_agree(value: float, computed: float, scale: float, same: bool) -> None:
    assert agree(value, computed, scale) == same
