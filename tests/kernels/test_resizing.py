"""The kernel that resizes, against Pillow's arithmetic written out."""

from __future__ import annotations

import numpy as np
import pytest

from cnntool.images.resizing import BITS, PIXELS, ROWS, weights
from cnntool.kernels import resizing
from cnntool.kernels.sources import resizing as source
from tests.naive.resizing import resize


def test_both_sides_have_the_same_limits() -> None:
    assert (source.BITS, source.PIXELS, source.ROWS) == (BITS, PIXELS, ROWS)


@pytest.mark.parametrize(
    ("present", "wanted"),
    [((16, 16), (1, 4)), ((17, 40), (9, 13)), ((40, 17), (5, 17)), ((23, 31), (50, 70)), ((18, 64), (18, 20)),
     ((5, 4), (3, 4)), ((9, 400), (7, 5)), ((2, 60), (2, 7)), ((2, 60), (11, 6)), ((35, 64), (2, 9)),
     ((301, 50), (97, 21)), ((129, 50), (16, 21))],
)  # fmt: skip
@pytest.mark.parametrize("values", ["any", "extremes"])
def test_it_is_pillows_arithmetic(present: tuple[int, int], wanted: tuple[int, int], values: str) -> None:
    rng = np.random.default_rng(0)
    shape = (*present, 4)
    pixels = rng.integers(0, 256, shape, np.uint8) if values == "any" else rng.choice(np.uint8([0, 255]), shape)
    before = pixels.copy()
    (height, width), (rows, columns) = present, wanted
    out = np.full((rows + 1, 3 * columns), np.float32(7))  # a row more, which must stay
    by_row = weights(height, rows)
    middle = np.empty((1 << (by_row[1].shape[1] + ROWS - 1).bit_length(), 4 * columns), np.uint8)
    resizing.resize_forward(pixels.reshape(height, -1), *weights(width, columns, PIXELS), *by_row, middle, out[:rows])
    expected = np.divide(resize(pixels[:, :, :3], wanted), np.float32(255), dtype=np.float32)
    assert np.array_equal(out[:rows].reshape(rows, columns, 3), expected)
    assert (out[rows] == 7).all()
    assert np.array_equal(pixels, before)


def test_every_value_is_the_nearest_float_to_its_part_of_255() -> None:
    """A picture of its own size: what goes in comes out, divided."""
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[:, :, 0] = np.arange(256).reshape(16, 16)
    out = np.empty((16, 48), np.float32)
    resizing.resize_forward(
        pixels.reshape(16, -1), *weights(16, 16, PIXELS), *weights(16, 16), np.empty((8, 64), np.uint8), out
    )
    assert np.array_equal(out[:, ::3].ravel(), np.float32(np.arange(256) / 255))
