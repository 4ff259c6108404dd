from __future__ import annotations

import math

import numpy as np

from cnntool.images.clipping import Clipped

VALUES = np.array([[-2.5, -1, 0, 1], [1.5, 40, math.nan, math.inf]], np.float32)


def test_what_lies_outside_is_counted():
    clipped = Clipped()
    clipped.look(VALUES, -1, 1)
    assert clipped.line() == "4 of 8 numbers, from -2.5 to inf, are clipped, 1 is NaN"
    clipped.look(VALUES[:, :2] * 2, -10, 10)
    assert clipped.line() == "5 of 12 numbers, from -2.5 to inf, are clipped, 1 is NaN"


def test_nothing_outside_is_nothing_to_tell():
    clipped = Clipped()
    clipped.look(VALUES[:1], -2.5, 1)
    assert clipped.line() is None
    clipped.look(VALUES[1:, 2:3], 0, 1)
    assert clipped.line() == "1 is NaN"
