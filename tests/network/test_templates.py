"""Layers with open numbers: their blanks in the order of the declaration, and the layer of any numbers."""

from __future__ import annotations

import pytest

from cnntool.chain.grammar import parse_open_words
from cnntool.errors import CnntoolError
from cnntool.network.templates import LARGEST_COUNT, LARGEST_SIZE, Template


def template(words: str) -> Template:
    (found,) = parse_open_words(words.split())
    assert isinstance(found, Template)
    return found


def test_the_layer_of_some_numbers() -> None:
    made = template("conv ? --padding ?,1,?,2 ?x3 --groups 2").layer([8, 5, 6, 7])
    assert made.words() == ["conv", "8", "5x3", "--padding", "6,1,7,2", "--groups", "2"]
    assert template("bank gabor --size ? --stride ?x2").layer([9, 3]).words() == [
        "bank",
        "gabor",
        "--size",
        "9",
        "--stride",
        "3x2",
    ]


def test_the_holes_are_named_and_have_ranges() -> None:
    holes = template("conv ? --padding ?,1,?,2 ?x3").holes(4, None)
    assert [(hole.row, hole.layer, hole.label) for hole in holes] == [
        (4, "conv", "OUT_CHANNELS"), (4, "conv", "KERNEL_SIZE height"), (4, "conv", "--padding top"),
        (4, "conv", "--padding bottom"),
    ]  # fmt: skip
    sizes, paddings = range(1, LARGEST_SIZE + 1), range(LARGEST_SIZE + 1)
    assert [hole.range for hole in holes] == [range(1, LARGEST_COUNT + 1), sizes, paddings, paddings]
    assert [hole.range.stop for hole in template("lrn --size ?").holes(1, 100_000)] == [65_536]


def test_an_example_needs_no_luck() -> None:
    assert template("bank gabor --size ?").example().words() == ["bank", "gabor", "--size", "3"]
    with pytest.raises(CnntoolError, match="--border mirror and --ceil"):
        template("avgpool ? --border mirror --ceil").example()
