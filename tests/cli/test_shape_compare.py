"""`cnntool shape --compare`: rows that belong together, signs of what differs, totals with ratios."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Tool

PIPELINES = Path(__file__).parents[2] / "samples/pipelines"
FIRST = "conv 8 3 relu maxpool 2 fc 10"
SECOND = "conv 8 3 batchnorm relu maxpool 3 fc 10"


@pytest.fixture
def second(tmp_path: Path) -> Path:
    path = tmp_path / "second.cnn"
    path.write_text(SECOND)
    return path


def signs(text: str) -> list[tuple[str, str, str]]:
    """The sign, and the words on both sides, of each row."""
    rows = [line for line in text.splitlines() if " │ " in line][2:]
    halves = [(line[1:2].strip(), *line[2:].split("│")) for line in rows]
    return [(sign, " ".join(one.split()), " ".join(other.split())) for sign, one, other in halves]


def test_what_differs_is_marked(cnntool: Tool, second: Path) -> None:
    result = cnntool("shape", "20x20x3", "--compare", "-p", second, *FIRST.split())
    assert (result.code, result.err) == (0, "")
    assert [(sign, one.split(" ")[1:2], other.split(" ")[1:2]) for sign, one, other in signs(result.text)] == [
        ("", ["conv"], ["conv"]), ("+", [], ["batchnorm"]), ("", ["relu"], ["relu"]),
        ("~", ["maxpool"], ["maxpool"]), ("", ["fc"], ["fc"]),
    ]  # fmt: skip
    assert "words" in result.text.splitlines()[0]
    assert "second.cnn" in result.text.splitlines()[0]


def test_two_files_and_their_totals(cnntool: Tool) -> None:
    files = ("-p", PIPELINES / "vgg16.cnn", "-p", PIPELINES / "vgg19.cnn")
    text = cnntool("shape", "224x224x3", "--compare", *files).text
    (line,) = (line for line in text.splitlines() if line.startswith(" parameters "))
    assert line.split() == ["parameters", "138,357,544", "143,667,240", f"{143_667_240 / 138_357_544:.3g}"]
    assert {sign for sign, *_ in signs(text)} == {"", "+"}
    assert sum(sign == "+" for sign, *_ in signs(text)) == 6  # three convolutions and their rectifiers


def test_json(cnntool: Tool, second: Path) -> None:
    found = json.loads(cnntool("shape", "20x20x3", "--compare", "--json", "-p", second, *FIRST.split()).text)
    for name, words in (("first", FIRST), ("second", SECOND)):
        assert found[name] == json.loads(cnntool("shape", "20x20x3", "--json", *words.split()).text)
    assert found["rows"] == [
        {"differs": False, "first": 1, "second": 1}, {"differs": True, "first": None, "second": 2},
        {"differs": False, "first": 2, "second": 3}, {"differs": True, "first": 3, "second": 4},
        {"differs": False, "first": 4, "second": 5},
    ]  # fmt: skip
    one, other = (found[name]["totals"]["parameters"] for name in ("first", "second"))
    assert found["totals"]["parameters"] == {"first": one, "second": other, "ratio": other / one}
    assert found["totals"]["buffers"] == {"first": 0, "second": 16, "ratio": None}


@pytest.mark.parametrize("columns", [80, 100, 160])
def test_it_fits_a_terminal(cnntool: Tool, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    files = ("-p", PIPELINES / "resnet18.cnn", "-p", PIPELINES / "squeezenet.cnn")
    text = cnntool("shape", "224x224x3", "--compare", *files, terminal=("stdout",)).text
    assert max(map(len, text.splitlines())) <= columns
    assert ("parameters" in text.splitlines()[1]) == (columns >= 120)
    assert "mark x" in text
    for words in ("--no-bias", "112x112x64", "concat wide"):
        assert words in text


def test_the_same_network_has_no_signs(cnntool: Tool) -> None:
    path = PIPELINES / "lenet5.cnn"
    text = cnntool("shape", "32x32x1", "--compare", "-p", path, "-p", path).text
    assert {sign for sign, *_ in signs(text)} == {""}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--compare relu", "--compare: expected a second network, as -p FILE"),
        ("-p a.cnn -p b.cnn", "--pipeline a.cnn and --pipeline b.cnn exclude each other"),
        ("--compare -p a.cnn -p b.cnn -p c.cnn", "exclude each other"),
        ("--compare --train -p a.cnn relu", "--compare and --train exclude each other"),
        ("--compare --markdown -p a.cnn relu", "--markdown: does not go with --compare"),
        ("--compare -p missing.cnn relu", "missing.cnn: no such file"),
    ],
)
def test_refusals(cnntool: Tool, words: str, said: str) -> None:
    assert said in " ".join(cnntool("shape", "9x9x3", *words.split()).refused().split())
