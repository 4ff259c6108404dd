from __future__ import annotations

import pytest

from cnntool import Pipeline
from cnntool.chain.grammar import parse_words
from cnntool.errors import BadInput, CnntoolError
from cnntool.network.graph import INPUT, connect, named


def graph(words: str):
    return connect(parse_words(words.split()))


def edges(words: str) -> list[tuple[str, tuple[int, ...]]]:
    return [(node.layer.word, node.inputs) for node in graph(words).nodes]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("relu abs", [("relu", (INPUT,)), ("abs", (0,))]),
        ("mark x relu add x", [("relu", (INPUT,)), ("add", (0, INPUT))]),
        ("relu mark x add x", [("relu", (INPUT,)), ("add", (0, 0))]),
        ("mark x relu from x abs", [("relu", (INPUT,)), ("abs", (INPUT,))]),
        (
            "mark x relu mark y from x abs concat y",
            [("relu", (INPUT,)), ("abs", (INPUT,)), ("concat", (1, 0))],
        ),
        ("mark x relu mark x abs add x", [("relu", (INPUT,)), ("abs", (0,)), ("add", (1, 0))]),
        ("mark x from x relu", [("relu", (INPUT,))]),
        ("mark x relu mark y from x mark x from y add x", [("relu", (INPUT,)), ("add", (0, INPUT))]),
    ],
)
def test_connections(words, expected):
    assert edges(words) == expected


def test_the_output_is_where_the_chain_ends():
    assert graph("relu abs").output == 1
    assert graph("mark x relu from x").output == INPUT
    assert graph("relu mark y abs from y").output == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "no layers: expected at least one"),
        ("mark x", "no layers"),
        ("relu add x", r"add \(layer 2\): no volume is marked `x`; put `mark x` before it"),
        ("relu from x", r"from \(layer 2\): no volume is marked `x`"),
        ("mark block relu add blok", "did you mean block"),
        ("relu add y mark y", "no volume is marked `y`"),
    ],
)
def test_what_cannot_be_connected_is_named(words, message):
    with pytest.raises(CnntoolError, match=message):
        graph(words)


def test_only_what_the_output_depends_on_is_needed():
    assert graph("mark x relu abs from x tanh").needed() == [2]
    assert graph("mark x relu mark y abs from x tanh add y").needed() == [0, 2, 3]
    assert graph("mark x relu from x").needed() == []


@pytest.mark.parametrize(("stop", "output"), [("1", 0), ("3", 2), ("a", INPUT), ("b", 1)])
def test_until_ends_at_a_row_or_a_mark(stop, output):
    assert graph("mark a relu abs mark b tanh").until(stop).output == output


@pytest.mark.parametrize("stop", ["0", "4", "-1", "1.5", "c", ""])
def test_until_names_what_there_is(stop):
    with pytest.raises(CnntoolError, match=r"no such row.*expected a number from 1 to 3 or one of the marks alpha, b"):
        graph("mark alpha relu abs mark b tanh").until(stop)


def test_until_guesses_a_misspelt_mark():
    with pytest.raises(CnntoolError, match="did you mean alpha"):
        graph("mark alpha relu").until("alpa")


def test_shapes_are_those_of_the_needed_nodes():
    found = graph("mark x conv 4 9 from x maxpool 2 concat x").until("2").shapes((6, 8, 3))
    assert found == {INPUT: (6, 8, 3), 1: (3, 4, 3)}


def test_a_mark_that_is_not_reached_may_be_impossible():
    assert Pipeline.parse("mark x conv 4 9 from x relu").shape((5, 5, 1))["layers"][0]["layer"] == "relu"


def test_named_keeps_the_kind_of_error_and_says_where():
    with pytest.raises(BadInput, match=r"^conv \(layer 3\): broken$"), named("conv", 2):
        raise BadInput("broken")
    with pytest.raises(KeyError), named("conv", 2):
        raise KeyError("other errors pass as they are")


def test_more_layers_than_any_network_has_are_refused(monkeypatch):
    monkeypatch.setattr("cnntool.network.graph.MOST_LAYERS", 3)
    assert len(graph("relu relu relu").nodes) == 3
    with pytest.raises(CnntoolError, match="4 layers: expected at most 3"):
        graph("relu relu relu relu")
