"""Branches in the table of shapes: marks and returns are rows, lines lead from a mark to all that take its volume."""

from __future__ import annotations

import json
import re

import pytest

from cnntool import Pipeline
from cnntool.cli.branches import ACROSS, BETWEEN, CROSSING, DOWN, LAST, MOST_LANES, START, entries_of
from cnntool.cli.encoding import PLAIN
from tests.cli.conftest import Tool

RESIDUAL = "relu mark x conv 4 3 --padding 1 relu add x"
SIDEWAYS = "mark x conv 4 3 --padding 1 mark main from x conv 4 1 add main relu"


def drawn(words: str, until: str | None = None) -> list[tuple[str, str]]:
    """The lanes and words of each row, for an input of 8x8x4."""
    pipeline = Pipeline.parse(words)
    pipeline = pipeline if until is None else pipeline.until(until)
    entries = entries_of(pipeline.layers, pipeline.shape((8, 8, 4)))
    return [(entry.lanes, entry.words) for entry in entries]


def test_a_chain_has_no_lines() -> None:
    assert drawn("conv 4 3 relu maxpool 2") == [("", "conv 4 3"), ("", "relu"), ("", "maxpool 2")]


def test_a_residual_block() -> None:
    assert drawn(RESIDUAL) == [
        ("  ", "relu"), ("┌─", "mark x"), ("│ ", "conv 4 3 --padding 1"), ("│ ", "relu"), ("└─", "add x"),
    ]  # fmt: skip


def test_a_line_crosses_another() -> None:
    assert drawn(SIDEWAYS) == [
        ("┌──", "mark x"), ("│  ", "conv 4 3 --padding 1"), ("│┌─", "mark main"), ("└┼─", "from x"),
        (" │ ", "conv 4 1"), (" └─", "add main"), ("   ", "relu"),
    ]  # fmt: skip


def test_a_mark_that_several_take() -> None:
    lanes = [lane for lane, _ in drawn("mark x relu mark y from x tanh add x concat y")]
    assert lanes == ["┌──", "│  ", "│┌─", "├┼─", "││ ", "└┼─", " └─"]


def test_a_later_mark_of_the_name_begins_another_line() -> None:
    lanes = [lane for lane, _ in drawn("mark x relu add x mark x tanh add x")]
    assert lanes == ["┌─", "│ ", "└─", "┌─", "│ ", "└─"]


def test_what_the_output_does_not_depend_on_is_left_out() -> None:
    assert [words for _, words in drawn(SIDEWAYS, "1")] == ["mark x", "conv 4 3 --padding 1", "mark main"]
    assert [words for _, words in drawn("relu mark x tanh mark y from x abs")] == ["relu", "mark x", "from x", "abs"]


def test_more_branches_than_lanes_keep_their_words() -> None:
    names = [f"m{number}" for number in range(MOST_LANES + 3)]
    words = " ".join(f"mark {name} relu" for name in names) + "".join(f" add {name}" for name in reversed(names))
    rows = drawn(words)
    assert max(len(lanes) for lanes, _ in rows) == MOST_LANES + 1
    assert [text for _, text in rows if text.startswith("mark")] == [f"mark {name}" for name in names]


@pytest.mark.parametrize("columns", [60, 80, 160])
def test_the_table_shows_where_branches_come_from_and_go_to(
    cnntool: Tool, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    chain = "conv 16 3 --stride 2 --padding 1 --no-bias relu " + SIDEWAYS.replace("4", "16")
    text = cnntool("shape", "56x56x64", *chain.split(), terminal=("stdout",)).text
    lines = re.sub("\x1b.*?m", "", text).splitlines()
    assert max(map(len, lines)) <= columns
    for lanes, words in (("┌──", "mark x"), ("│┌─", "mark main"), ("└┼─", "from x"), ("└─", "add main")):
        (line,) = (line for line in lines if words in line)
        assert f"{lanes} {words}" in line
        assert "28x28x16" in line
    if columns == 60:  # the words of a layer go on beside the lines that lead past it
        place = next(number for number, line in enumerate(lines) if "│   conv 16 3" in line)
        assert lines[place + 1].strip().startswith("│") or "--padding 1" in lines[place]


def test_lines_in_an_encoding_without_them() -> None:
    assert {ACROSS, BETWEEN, CROSSING, DOWN, LAST, START} <= PLAIN.keys()


def test_markdown_has_the_marks_too(cnntool: Tool) -> None:
    text = cnntool("shape", "8x8x4", "--markdown", *SIDEWAYS.split()).text
    assert "|  | `mark x` | 8x8x4 |" in text
    assert "|  | `from x` | 8x8x4 |" in text


def test_json_has_the_edges_and_the_words(cnntool: Tool) -> None:
    rows = json.loads(cnntool("shape", "8x8x4", "--json", *SIDEWAYS.split()).text)["layers"]
    assert [(row["words"], row["inputs"]) for row in rows] == [
        ("conv 4 3 --padding 1", [0]), ("conv 4 1", [0]), ("add main", [2, 1]), ("relu", [3]),
    ]  # fmt: skip
