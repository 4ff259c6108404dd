"""The numbers of pooling: naive windows, and the share that is left."""

from __future__ import annotations

import numpy as np
import pytest

from cnntool.errors import CnntoolError
from cnntool.pictures.pooling import busiest, pooled, share_text

RANDOM = np.random.default_rng(4)


@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 2), (3, 1)])
def test_every_kind_is_what_naive_windows_give(size: int, stride: int) -> None:
    values = RANDOM.normal(size=(9, 11)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(values, (size, size))[::stride, ::stride].astype(np.float64)
    largest, mean, length, conv = pooled(values, size, stride, seed=5)
    np.testing.assert_allclose(largest.values, windows.max(axis=(2, 3)))
    np.testing.assert_allclose(mean.values, windows.mean(axis=(2, 3)), atol=1e-6)
    np.testing.assert_allclose(length.values, np.sqrt((windows**2).sum(axis=(2, 3))), rtol=1e-5)
    assert conv.weights is not None
    np.testing.assert_allclose(conv.values, (windows * conv.weights).sum(axis=(2, 3)), atol=1e-5)


def test_the_75_percent() -> None:
    even = share_text((32, 32), (16, 16), 2, 2)
    assert "32 x 32 = 1,024 activations become 16 x 16 = 256: 25.0% are left, 75.0% discarded" in even
    assert "leaves 1 of 4 = 25.0% and discards 75.0%" in even
    assert "divide evenly" not in even
    odd = share_text((33, 33), (16, 16), 2, 2)
    assert "23.5% are left" in odd
    assert "do not divide evenly" in odd


def test_the_busiest_square_lies_on_the_grid_of_windows() -> None:
    values = np.zeros((12, 12), np.float32)
    values[7, 9] = 1
    y, x = busiest(values, 4, 2)
    assert (y % 2, x % 2) == (0, 0)
    assert y <= 7 < y + 4
    assert x <= 9 < x + 4


def test_windows_that_do_not_fit() -> None:
    with pytest.raises(CnntoolError, match="windows of 5x5 do not fit into 4x4"):
        pooled(np.zeros((4, 4), np.float32), 5, 5, 0)
