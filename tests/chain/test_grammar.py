"""Words to layers and back, for every layer and bank with values made from their declarations."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from cnntool.chain.commands import group_of
from cnntool.chain.grammar import parse_open_words, parse_words
from cnntool.declare import (
    MISSING,
    Choice,
    File,
    Flag,
    Integer,
    Kind,
    Nested,
    Padding,
    Pair,
    Real,
    Text,
    fields_of,
    option_name,
    words_of,
)
from cnntool.errors import CnntoolError
from cnntool.layers.base import Layer
from cnntool.layers.table import LAYERS, load
from cnntool.network.templates import Template


@pytest.fixture(scope="module", autouse=True)
def filters(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of filters for the layers that name one."""
    path = tmp_path_factory.mktemp("filters") / "filters.npy"
    np.save(path, np.ones((3, 3, 2), np.float32))
    FILES["file"] = str(path)
    return str(path)


FILES: dict[str, str] = {}
BANKS = group_of(load("bank"))
assert BANKS is not None


def values_of(kind: Kind, default: Any) -> list[Any]:
    """Values of a kind that are not the default, its limits among them."""
    found: list[Any]
    match kind:
        case Pair():
            low, high = kind.minimum, min(kind.maximum, kind.minimum + 4)
            found = [(low, low), (low + 2, low + 2), (low, high)]
        case Padding():
            found = ["same", "valid", (0, 0, 0, 0), (2, 2, 2, 2), (1, 2, 1, 2), (1, 2, 3, 4)]
        case Integer():
            found = [n for n in (kind.minimum, kind.minimum + 1, 7) if n <= kind.maximum]
        case Real():
            found = [x for x in (-2.5, 0.0, 1e-7, 0.3, 0.75, 1.5, 12.5) if _fits(kind, x)]
        case Choice():
            found = list(kind.values)
        case Flag():
            found = [not default]
        case File():
            found = [FILES["file"]]
        case Text():
            found = ["a name", "2"]
        case _:
            raise AssertionError(f"no values are known for {kind}")
    return [value for value in found if value != default]


def _fits(kind: Kind, value: float) -> bool:
    try:
        return kind.parse(kind.word(value)) == value
    except ValueError:
        return False


def made(declared: type, values: dict[str, Any]) -> Any | None:
    """The object, or None where the values do not go together."""
    try:
        return declared(**values)
    except CnntoolError:
        return None


def objects_of(declared: type) -> list[Any]:
    """Objects of a layer or a bank: bare, each field by itself with each value, and all fields together."""
    fields = list(fields_of(declared))
    choices: dict[str, list[Any]] = {}
    for field in fields:
        kind = field.metadata["kind"]
        if isinstance(kind, Nested):
            choices[field.name] = [one for name in kind.table for one in objects_of(kind.load(name))]
        else:
            choices[field.name] = values_of(kind, field.default)
    # Tied to what the object under test needs: fields without a default.
    bare = {field.name: choices[field.name][0] for field in fields if field.default is MISSING}
    found = [bare]
    found += [bare | {name: value} for name, values in choices.items() for value in values]
    found += [bare | {name: values[place % len(values)] for name, values in choices.items() if values}
              for place in range(3)]  # fmt: skip
    return [one for values in found if (one := made(declared, values)) is not None]


@pytest.mark.parametrize("word", LAYERS)
def test_words_of_a_layer_make_it_again(word: str) -> None:
    layers = objects_of(load(word))
    assert layers
    for layer in layers:
        words = layer.words()
        assert parse_words(words) == [layer], words


@pytest.mark.parametrize("word", LAYERS)
def test_every_option_of_a_layer_was_given(word: str) -> None:
    """The values above reach each field: no option is left out of the round trip."""
    given = {name for layer in objects_of(load(word)) for name in layer.words() if name.startswith("--")}
    fields = [field for field in fields_of(load(word)) if not field.metadata["argument"]]
    assert {option_name(field) for field in fields} <= given


@pytest.mark.parametrize("name", BANKS.table)
def test_every_option_of_a_bank_was_given(name: str) -> None:
    bank = BANKS.load(name)
    given = {word for one in objects_of(bank) for word in words_of(one) if word.startswith("--")}
    assert {option_name(field) for field in fields_of(bank) if not field.metadata["argument"]} <= given


def test_any_layers_in_a_row_make_one_chain() -> None:
    rng = random.Random(0)
    pool = [layer for word in LAYERS for layer in objects_of(load(word))]
    for _ in range(100):
        layers: list[Layer] = rng.choices(pool, k=rng.randint(1, 12))
        assert parse_words([word for layer in layers for word in layer.words()]) == layers


def shuffled(layer: Layer, rng: random.Random) -> list[str]:
    """The words of a layer with its options anywhere, before and between its arguments, some as `--name=value`."""
    word, *rest = layer.words()
    first_option = next((place for place, one in enumerate(rest) if one.startswith("--")), len(rest))
    arguments, options = rest[:first_option], rest[first_option:]
    pieces: list[list[str]] = []
    for one in options:
        if one.startswith("--"):
            pieces.append([one])
        else:
            pieces[-1] = [f"{pieces[-1][0]}={one}"] if rng.random() < 0.5 else [pieces[-1][0], one]
    fixed = 1 if word == "bank" and arguments[0] in BANKS.table else 0  # a bank's name tells which options there are
    for piece in pieces:
        arguments.insert(rng.randint(fixed, len(arguments)), " ".join(piece))
    return [word, *(part for one in arguments for part in (one.split(" ") if one.startswith("--") else [one]))]


@pytest.mark.parametrize("word", [word for word in LAYERS if word not in ("mark", "from", "add", "concat")])
def test_options_stand_anywhere_in_a_piece(word: str) -> None:
    rng = random.Random(0)
    for layer in objects_of(load(word)):
        assert parse_words([*shuffled(layer, rng), "relu"]) == [layer, *parse_words(["relu"])]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("whiten relu", ["whiten zca", "relu"]),
        ("whiten pca relu", ["whiten pca", "relu"]),
        ("conv 64 7 --stride 2 relu", ["conv 64 7 --stride 2", "relu"]),
        ("conv --stride 2 64 7 relu", ["conv 64 7 --stride 2", "relu"]),
        ("conv 64 --stride=2 7 relu", ["conv 64 7 --stride 2", "relu"]),
        ("conv 64 7 --no-bias relu", ["conv 64 7 --no-bias", "relu"]),
        ("elu --alpha -2 relu", ["elu --alpha -2.0", "relu"]),
        ("leaky-relu --slope -0.5 abs", ["leaky-relu --slope -0.5", "abs"]),
        ("leaky-relu --slope=-0.5 abs", ["leaky-relu --slope -0.5", "abs"]),
        ("mark relu from relu", ["mark relu", "from relu"]),
        ("bank sobel --magnitude --stride 2 relu", ["bank sobel --magnitude --stride 2", "relu"]),
    ],
)
def test_where_pieces_are_cut(text: str, pieces: list[str]) -> None:
    assert [" ".join(layer.words()) for layer in parse_words(text.split())] == pieces


def test_a_file_of_filters_is_a_bank(filters: str) -> None:
    by_name, by_word = parse_words(["bank", filters]), parse_words(["bank", "file", filters])
    assert by_name == by_word
    assert by_name[0].options()["bank"] == "file"


def test_a_file_called_as_a_bank_can_be_given(tmp_path, monkeypatch) -> None:
    np.save(tmp_path / "gabor.npy", np.ones((3, 3, 2), np.float32))
    monkeypatch.chdir(tmp_path)
    assert parse_words(["bank", "gabor.npy"])[0].options()["bank"] == "file"
    assert parse_words(["bank", "gabor"])[0].options()["bank"] == "gabor"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("relu rleu", "layer 2 after `relu`: no layer is called 'rleu'; did you mean relu"),
        ("relu --slope 3", "relu (layer 1): no such option '--slope'"),
        ("relu conv 4 relu", "conv (layer 2): invalid value for 'KERNEL_SIZE': 'relu'"),
        ("conv 4", "conv (layer 1): missing argument 'KERNEL_SIZE'"),
        ("conv 4 3 --stride", "conv (layer 1): option '--stride' requires an argument"),
        ("conv -4 3", "conv (layer 1): -4 is no option, and a number by position cannot be negative"),
        ("--stride 2 conv 4 3", "layer 1: expected a layer, got the option --stride"),
        ("relu 3", "layer 2 after `relu`: no layer is called '3'"),
        ("bank", "bank (layer 1): missing argument NAME|FILE.npy: expected one of gabor"),
        ("bank gabr", "bank (layer 1): 'gabr' is no bank; did you mean gabor?"),
        ("bank relu", "bank (layer 1): 'relu' is no bank; expected gabor"),
        ("relu bank gabor --scale 3", "bank gabor (layer 2): no such option '--scale'"),
        ("conv 4 3 --help", "conv (layer 1): no such option '--help'"),
    ],
)
def test_messages_name_the_layer_and_its_place(text: str, message: str) -> None:
    with pytest.raises(CnntoolError) as caught:
        parse_words(text.split())
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_options_of_the_command_are_told_their_place() -> None:
    with pytest.raises(CnntoolError, match="--threads belongs before the first layer"):
        parse_words(["relu", "--threads=2"], command_options=["--threads"])


def test_relative_files_start_from_the_base(filters: str) -> None:
    (layer,) = parse_words(["conv", "2", "3", "--weights", "w.npy"], base="some/folder")
    assert layer.options()["weights"] == "some/folder/w.npy"
    (layer,) = parse_words(["conv", "2", "3", "--weights", "/w.npy"], base="some/folder")
    assert layer.options()["weights"] == "/w.npy"


def test_no_words_are_no_layers() -> None:
    assert parse_words([]) == []


def test_open_numbers_make_templates() -> None:
    conv, relu, mark = parse_open_words(["conv", "4", "?", "--padding", "?x1", "relu", "mark", "?"])
    assert isinstance(conv, Template)
    assert {name: blank.text for name, blank in conv.blanks.items()} == {"kernel_size": "?", "padding": "?x1"}
    assert conv.layer([3, 2]) == parse_words(["conv", "4", "3", "--padding", "2x1"])[0]
    assert isinstance(relu, Layer)
    assert mark.words() == ["mark", "?"]  # type: ignore[union-attr]
