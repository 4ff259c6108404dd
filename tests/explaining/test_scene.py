"""Animations: each frame marks what its output is made of, and says the arithmetic."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.errors import CnntoolError
from cnntool.explaining.language import Language
from cnntool.explaining.scene import Scene, drawing_of, scenes
from cnntool.explaining.units import compute
from cnntool.images.drawing import Box, length
from tests.explaining.test_units import CS231N, demo, demo_input

ENGLISH = Language("en")


def scenes_of(words: str, shape: tuple[int, int, int]) -> list[Scene]:
    volume = np.random.default_rng(0).integers(0, 3, shape).astype(np.float32)
    return scenes(compute(Pipeline.parse(words), volume), ENGLISH)


def test_the_demo_frame_by_frame() -> None:
    (scene,) = scenes(compute(demo(), demo_input()), ENGLISH)
    assert [len(column) for column in scene.columns] == [3, 4, 4, 2]
    assert len(scene.shots) == 18
    for shot, (c, y, x) in zip(scene.shots, itertools.product(range(2), range(3), range(3)), strict=True):
        assert shot.marks[f"y{c}"] == [(y, x)]
        window = [(2 * y - 1 + i, 2 * x - 1 + j) for i in range(3) for j in range(3)]
        for channel in range(3):
            assert shot.marks[f"x0.{channel}"] == window
            assert len(shot.marks[f"w{c}.{channel}"]) == 9
        assert shot.line.startswith(f"[{y}, {x}, {c}]")
        assert shot.line.endswith(f" = {CS231N[c, y, x]}")


@pytest.mark.parametrize(
    ("words", "shape", "frames", "marked"),
    [
        ("maxpool 2", (4, 4, 1), 4, [(0, 0), (0, 1), (1, 0), (1, 1)]),
        ("conv 1 3 --dilation 2", (5, 5, 1), 1, [(y, x) for y in (0, 2, 4) for x in (0, 2, 4)]),
        ("conv 2 1", (2, 3, 1), 12, [(0, 0)]),
        ("batchnorm", (2, 2, 2), 8, [(0, 0)]),
        ("fc 2", (2, 2, 1), 2, [(0, 0), (0, 1), (1, 0), (1, 1)]),
        ("globalpool avg", (2, 2, 1), 1, [(0, 0), (0, 1), (1, 0), (1, 1)]),
        ("mark a relu add a", (2, 2, 1), 4, [(0, 0)]),
    ],
)
def test_what_the_first_frame_marks(
    words: str, shape: tuple[int, int, int], frames: int, marked: list[tuple[int, int]]
) -> None:
    scene = scenes_of(words, shape)[-1]
    assert len(scene.shots) == frames
    assert scene.shots[0].marks["x0.0"] == marked
    assert scene.shots[0].marks["y0"] == [(0, 0)]


def test_the_line_of_a_pool_is_its_numbers() -> None:
    computed = compute(Pipeline.parse("maxpool 2"), np.array([[1, 5], [-2, 3]], np.float32)[:, :, None])
    assert scenes(computed, ENGLISH)[0].shots[0].line == "[0, 0, 0]  max(1, 5, -2, 3) = 5"


@pytest.mark.parametrize(
    ("words", "shape"),
    [
        ("conv 3 3 --stride 2 --padding 1", (5, 5, 3)),
        ("conv 1 3 --padding 2 --border wrap", (4, 5, 1)),
        ("whiten", (5, 6, 3)),
        ("batchnorm", (3, 4, 4)),
        ("softmax", (2, 2, 9)),
    ],
)
def test_everything_lies_within_the_drawing(words: str, shape: tuple[int, int, int]) -> None:
    """No label is wider than its cell, nothing is cut off, and no two cells lie on each other."""
    drawing = drawing_of(scenes_of(words, shape)[0])
    for box in (*drawing.boxes, *(box for frame in drawing.frames for box in frame.boxes)):
        assert min(box.x, box.y) >= 0
        assert box.x + box.width <= drawing.width
        assert box.y + box.height <= drawing.height
    for label in (*drawing.labels, *(label for frame in drawing.frames for label in frame.labels)):
        wide = length(label.text, label.style)
        left = label.x if label.left else label.x - wide / 2
        assert left >= 0
        assert left + wide <= drawing.width
    for one, other in itertools.combinations(drawing.boxes, 2):
        assert apart(one, other)


def apart(one: Box, other: Box) -> bool:
    beside = one.x + one.width <= other.x + 1e-6 or other.x + other.width <= one.x + 1e-6
    return beside or one.y + one.height <= other.y + 1e-6 or other.y + other.height <= one.y + 1e-6


def test_what_is_too_large_is_refused_with_a_way_out() -> None:
    with pytest.raises(CnntoolError, match="expected at most 16x16; give a shape such as 5x5x3, or --resize"):
        scenes_of("conv 2 3", (20, 20, 1))
    with pytest.raises(CnntoolError, match="expected at most 400"):
        scenes_of("conv 4 1", (16, 16, 1))
    with pytest.raises(CnntoolError, match="--row 3"):
        scenes(compute(Pipeline.parse("relu"), np.ones((2, 2, 1), np.float32)), ENGLISH, 3)


def test_titles_name_the_channels_as_the_slides_do() -> None:
    (scene,) = scenes_of("conv 2 3 --padding 1", (4, 4, 2))
    titles = [panel.title for column in scene.columns for panel in column]
    assert titles[0] == "Input, with padding [:,:,0]"
    assert "Filter W1 [:,:,1]" in titles
    assert "Bias b0" in titles
    assert all(re.search(r"\[:,:,\d\]|b\d$", title) for title in titles)
