"""Arrays that show what a kernel touches: guard values around what it may write, NaN behind what it may use."""

from __future__ import annotations

import numpy as np

GUARD = np.float32(-12345.0)
ROW, COLUMN = 2, 3  # where the written part of a guarded array begins


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng([len(shape), *shape]).standard_normal(shape).astype(np.float32)


def guarded(rows: int, columns: int, channels: int) -> np.ndarray:
    """Guard values, with room for rows x columns from (ROW, COLUMN) on and a border on every side."""
    return np.full((ROW + rows + 1, COLUMN + columns + 2, channels), GUARD)


def written(out: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The rows x columns from (ROW, COLUMN) on; all else must still be guard values."""
    inside = np.zeros(out.shape, bool)
    inside[ROW : ROW + rows, COLUMN : COLUMN + columns] = True
    assert (out[~inside] == GUARD).all(), "written outside the asked rows and columns"
    return out[ROW : ROW + rows, COLUMN : COLUMN + columns]


def roomy(x: np.ndarray, spare: int) -> np.ndarray:
    """x with `spare` values of NaN behind it: a tile may read them, but nothing that is stored may come of them."""
    memory = np.full(x.size + spare, np.nan, np.float32)
    memory[: x.size] = x.ravel()
    return memory[: x.size].reshape(x.shape)


def fenced(x: np.ndarray) -> np.ndarray:
    """x in a memory where NaN stands before and behind it, as much as x holds and more."""
    memory = np.full(3 * x.size + 4096, np.nan, np.float32)
    start = x.size + 2048
    memory[start : start + x.size] = x.ravel()
    return memory[start : start + x.size].reshape(x.shape)


def assert_near(found: np.ndarray, expected: np.ndarray, tolerance: float = 1e-5, hint: str = "") -> None:
    """Equal up to `tolerance` of the largest expected value; NaN and infinities at the same places."""
    largest = np.abs(expected[np.isfinite(expected)]).max(initial=0.0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * max(largest, 1e-30), err_msg=hint)
