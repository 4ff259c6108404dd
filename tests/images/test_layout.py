from __future__ import annotations

import pytest

from cnntool.images.layout import gap_of, nearly_square


@pytest.mark.parametrize(
    ("shape", "columns"),
    [
        ((9, 9, 64), 8),
        ((9, 9, 8), 3),
        ((9, 9, 3), 3),
        ((9, 9, 1), 1),
        ((10, 40, 16), 2),
        ((10, 90, 3), 1),
        ((40, 10, 16), 8),
    ],
)
def test_the_grid_is_nearly_square(shape, columns):
    assert nearly_square(*shape) == columns


def test_gaps_never_hide_what_they_part():
    assert [gap_of(cell) for cell in (1, 5, 6, 23, 24, 160)] == [0, 0, 1, 1, 2, 4]
