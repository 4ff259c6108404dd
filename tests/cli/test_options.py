"""What commands share: the chain behind their own words, image options."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import pytest

from cnntool.cli.options import ChainCommand, preparation_of, refuse_layer_as_output
from cnntool.errors import CnntoolError
from cnntool.layers.table import LAYERS
from tests.cli.conftest import Tool, save


@click.command(cls=ChainCommand)
@click.argument("input")
@click.argument("output")
@click.option("--size", type=int)
@click.option("--flag", is_flag=True)
def command(**values: object) -> dict[str, object]:
    return values


def parsed(line: str) -> dict[str, object]:
    return command.main(line.split(), standalone_mode=False)


@pytest.mark.parametrize(
    "line",
    [
        "--size 3 --flag a b relu conv 4 3 --size 5",
        "a --size 3 b --flag relu conv 4 3 --size 5",
        "a --flag b --size=3 relu conv 4 3 --size 5",
        "a b --flag --size 3 relu conv 4 3 --size 5",
    ],
)
def test_own_words_stand_anywhere_before_the_chain(line: str) -> None:
    expected = {"input": "a", "output": "b", "size": 3, "flag": True}
    assert parsed(line) == expected | {"words": ("relu", "conv", "4", "3", "--size", "5")}


def test_a_negative_value_and_a_lone_dash() -> None:
    assert parsed("- - --size -3 relu") == {"input": "-", "output": "-", "size": -3, "flag": False, "words": ("relu",)}


def test_no_chain() -> None:
    assert parsed("a b")["words"] == ()


def test_the_help_says_where_the_layers_go(cnntool: Tool) -> None:
    for name, own in (("run", "INPUT OUTPUT"), ("extract", "INPUT OUTPUT"), ("shape", "HxWxC|IMAGE")):
        assert cnntool(name, "--help").text.splitlines()[0] == f"Usage: cnntool {name} [OPTIONS] {own} LAYER..."


@pytest.mark.parametrize("word", LAYERS)
def test_layer_words_are_no_output(word: str) -> None:
    with pytest.raises(CnntoolError, match="did you forget OUTPUT"):
        refuse_layer_as_output(word)


@pytest.mark.parametrize("output", ["relu.png", "./relu", "relu/", "-"])
def test_other_outputs_are_left_to_the_command(output: str) -> None:
    refuse_layer_as_output(output)


def test_preparation_takes_its_options_out() -> None:
    values = {"gray": True, "rgb": False, "resize": 9, "crop": None, "normalize": None, "page": 3, "max_pixels": 7}
    values["threads"] = 2
    preparation = preparation_of(values)
    assert (preparation.gray, preparation.resize, preparation.page, preparation.max_pixels) == (True, 9, 3, 7)
    assert values == {"threads": 2}


def test_negative_values_reach_the_layers(cnntool: Tool, here: Path) -> None:
    save("a.png")
    assert cnntool("run", "a.png", "o.npy", "--normalize", "1/1", "leaky-relu", "--slope", "-2").code == 0
    # All values are at most 0 after normalising, and a negative slope turns them round.
    result = np.load("o.npy")
    assert result.min() >= 0
    assert result.max() > 1
