"""Where windows lie, and what none of them reaches, counted anew on marked planes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.explaining.view import coverage, listed, view
from cnntool.kernels.arguments import Window
from cnntool.steps.geometry import output_size

WINDOWS = [
    Window((kh, kw), stride, dilation, padding)
    for (kh, kw), stride, dilation, padding in itertools.product(
        [(1, 1), (3, 2)], [(1, 1), (2, 3), (4, 4)], [(1, 1), (2, 1)], [(0, 0, 0, 0), (1, 0, 2, 1)]
    )
]


@pytest.mark.parametrize("window", WINDOWS)
def test_a_view_is_a_piece_of_the_padded_plane(window: Window) -> None:
    plane = np.arange(1, 91, dtype=np.float32).reshape(9, 10)
    (kh, kw), (sy, sx), (dy, dx), (top, left, bottom, right) = window
    padded = np.pad(plane, ((top, bottom), (left, right)), constant_values=-7)
    for y, x in np.ndindex(*output_size(window, plane.shape)):
        seen = view(window, (9, 10, 1), y, x)
        piece = padded[y * sy : y * sy + dy * (kh - 1) + 1 : dy, x * sx : x * sx + dx * (kw - 1) + 1 : dx]
        np.testing.assert_array_equal(seen.of(plane, -7), piece)
        np.testing.assert_array_equal(seen.inside, piece != -7)


@pytest.mark.parametrize(
    "words",
    ["conv 1 3 --stride 2", "conv 1 2 --stride 3 --padding 1", "maxpool 2", "conv 1 3x5", "avgpool 3 --ceil",
     "conv 1 2 --dilation 3 --stride 2", "conv 1 1 --stride 2"],
)  # fmt: skip
@pytest.mark.parametrize("size", [(7, 8), (8, 10)])
def test_unreached_pixels_are_those_that_change_nothing(words: str, size: tuple[int, int]) -> None:
    layer = Pipeline.parse(words).layers[0]
    shape = (*size, 1)
    outputs = layer.output_shape(shape)
    reached = np.zeros(size, bool)
    for y, x in np.ndindex(*outputs[:2]):
        seen = view(layer.window(shape), shape, y, x)
        reached[np.ix_(seen.rows[seen.inside.any(axis=1)], seen.columns[seen.inside.any(axis=0)])] = True
    steps = {step.key: step.values for step in coverage(layer.window(shape), shape, outputs)}
    for axis, name in ((1, "rows"), (0, "columns")):
        unseen = np.flatnonzero(~reached.any(axis=axis))
        found = steps.get(f"window.unreached_{name}")
        assert (found["places"] if found else "") == (listed(unseen) if unseen.size else "")
        assert (found["count"] if found else 0) == unseen.size


def test_what_a_stride_leaves_over() -> None:
    """7 - 3 = 4 is divided by 2; 8 - 3 = 5 is not: after (5 - 1) / 2 + 1 = 3 positions one column is left."""
    steps = coverage(Window((3, 3), (2, 2)), (7, 8, 1), (3, 3, 1))
    assert [step.key for step in steps] == ["window.remainder_columns", "window.unreached_columns"]
    assert steps[0].values["room"] == 5
    assert steps[0].values["rest"] == 1
    assert steps[1].values == {"count": 1, "places": "7"}


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([3], "3"), ([-1, 0, 1], "-1..1"), ([0, 2, 4], "0, 2, 4"), ([4, 5], "4..5"), ([0, 2], "0, 2")],
)
def test_listed(numbers: list[int], text: str) -> None:
    assert listed(np.array(numbers)) == text
