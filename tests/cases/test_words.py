from __future__ import annotations

import pytest

from tests.cases.words import Layer, pair, parse, sides


def test_options_stand_anywhere_between_a_layer_and_the_next():
    layer = Layer("conv", ["64", "3x5"], {"--stride": "2", "--no-bias": ""})
    for words in ("conv 64 3x5 --stride 2 --no-bias", "conv --stride 2 64 --no-bias 3x5"):
        assert parse(words + " relu") == [layer, Layer("relu")]


def test_whitening_takes_its_argument_only_when_it_is_one():
    assert parse("whiten relu whiten pca") == [Layer("whiten"), Layer("relu"), Layer("whiten", ["pca"])]


def test_directives_take_a_name():
    assert [layer.arguments for layer in parse("mark x relu add x from x concat x")] == [["x"], [], ["x"], ["x"], ["x"]]


@pytest.mark.parametrize(("word", "expected"), [("3", (3, 3)), ("3x5", (3, 5))])
def test_sizes_are_height_x_width(word, expected):
    assert pair(word) == expected


@pytest.mark.parametrize(("word", "expected"), [("2", (2, 2, 2, 2)), ("1x2", (1, 2, 1, 2)), ("1,2,3,4", (1, 2, 3, 4))])
def test_paddings_are_top_left_bottom_right(word, expected):
    assert sides(word) == expected
