from __future__ import annotations

import numpy as np
import pytest

from cnntool.kernels import pointwise
from cnntool.kernels.arguments import Corner, Size
from tests.kernels.volumes import COLUMN, GUARD, ROW, assert_near, guarded, noise, written


@pytest.mark.parametrize("channels", [1, 3, 16, 40])
@pytest.mark.parametrize("repeats", [1, 4])
def test_values_follow_the_channels_along_the_row(channels, repeats):
    mean, scale, shift = noise(3, channels)
    for pixels in range(12):
        length = pixels * channels
        v = np.full((4, length + 5), GUARD)
        x = noise(2, length)
        v[1:3, 2 : 2 + length] = x
        pointwise.affine_forward(
            v, 1, 2, v, 1, 2, 2, length, *(np.tile(values, repeats) for values in (mean, scale, shift))
        )
        m, a, b = (np.tile(values.astype(np.float64), pixels) for values in (mean, scale, shift))
        assert_near(v[1:3, 2 : 2 + length], (x - m) * a + b, 1e-6)
        v[1:3, 2 : 2 + length] = GUARD
        assert (v == GUARD).all()


def test_centring_far_from_zero_keeps_the_digits():
    x = (np.float32(1e4) + np.arange(8, dtype=np.float32) / 128)[None]
    pointwise.affine_forward(x, 0, 0, x, 0, 0, 1, 8, np.float32([1e4]), np.float32([128]), np.float32([1]))
    np.testing.assert_array_equal(x[0], np.arange(8) + 1)


REDUCTIONS = {
    pointwise.MAX: lambda group: group.max(axis=2),
    pointwise.ABSOLUTE_MAX: lambda group: np.abs(group).max(axis=2),
    pointwise.MODULUS: lambda group: np.sqrt((group.astype(np.float64) ** 2).sum(axis=2)),
}


def reduced(x, groups, how, rows, columns):
    out = guarded(rows, columns, len(groups))
    members, starts = np.concatenate(groups), np.cumsum([0, *map(len, groups)])
    source, target, size = Corner(x, 1, 2), Corner(out, ROW, COLUMN), Size(rows, columns)
    pointwise.channel_reduce_forward(source, target, size, members, starts, np.array(how))
    return written(out, rows, columns)


def test_groups_of_channels_are_reduced_each_in_its_way():
    x = noise(5, 7, 9)
    groups, how = [[0, 3, 5], [2], [8, 1, 0, 4], [6], [6], [7, 2]], [0, 1, 2, 0, 2, 1]
    found = reduced(x, groups, how, 3, 4)
    for place, (group, code) in enumerate(zip(groups, how, strict=True)):
        np.testing.assert_allclose(found[..., place], REDUCTIONS[code](x[1:4, 2:6, group]), rtol=1e-6)


@pytest.mark.parametrize("how", REDUCTIONS)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_nan_in_a_group_is_a_nan_out(how, place):
    x = noise(3, 4, 4)
    x[1, 2, place] = np.nan
    found = reduced(x, [[0, 1, 2], [3]], [how, how], 2, 2)
    assert np.isnan(found).sum() == 1
    assert np.isnan(found[0, 0, 0])


@pytest.mark.parametrize("how", [pointwise.ABSOLUTE_MAX, pointwise.MODULUS])
def test_minus_infinity_is_large(how):
    x = noise(3, 4, 2)
    x[1, 2, 0] = -np.inf
    assert reduced(x, [[0, 1]], [how], 1, 1) == np.inf
