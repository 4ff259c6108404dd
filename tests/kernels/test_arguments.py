"""Windows by themselves; that tuples reach kernels as their numbers is tested in `test_code.py`."""

from __future__ import annotations

from cnntool.kernels.arguments import POINT, Window


def test_a_point_is_a_pixel_without_border() -> None:
    assert POINT.is_point
    assert not Window((1, 1), (2, 2)).is_point
    assert not Window(padding=(1, 1, 0, 0)).is_point


def test_the_extent_of_a_window_holds_what_dilation_skips() -> None:
    assert Window((3, 2), dilation=(4, 5)).extent == (9, 6)
