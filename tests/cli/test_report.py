"""Tables of shapes in terminals of any width, CSV and Markdown."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest

from cnntool import Pipeline
from cnntool.cli.report import as_csv, as_markdown, columns_of, short_bytes, size
from tests.cli.conftest import Tool, save

CHAIN = "conv 64 7x5 --stride 2 --padding 1,2,3,4 --dilation 2x1 relu bank gabor mark x abs add x fc 1000"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (2**20, "1.0 MiB"), (5 * 2**40, "5120.0 GiB")],
)
def test_bytes(value: int, text: str) -> None:
    assert short_bytes(value) == text


@pytest.mark.parametrize(("pair", "text"), [([3, 3], "3"), ([3, 5], "3x5"), ([1.5, 1.5], "1.5"), ([0, -0.5], "0x-0.5")])
def test_sizes(pair: list[float], text: str) -> None:
    assert size(pair) == text


def plain(text: str) -> str:
    """Without the colours of a terminal."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140, 300])
def test_tables_fit_the_terminal(cnntool: Tool, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    result = cnntool("shape", "224x224x3", *CHAIN.split(), terminal=("stdout", "stderr"))
    assert (result.code, result.err) == (0, "")
    lines = plain(result.text).splitlines()
    assert max(map(len, lines)) <= width
    table = "\n".join(lines)
    assert "…" not in table
    # No column that is shown is cut; what matters most is shown at any width.
    summary = Pipeline.parse(CHAIN).shape((224, 224, 3))
    titles = next(line for line in lines if "layer" in line)
    first, second = titles.find("layer"), titles.find("output")
    assert titles.split()[:3] == ["layer", "output", "parameters"]
    numbers = [(place, re.match(r" *(\d+) ", line)) for place, line in enumerate(lines)]
    starts = {number[1]: place for place, number in numbers if number}
    for row in summary["layers"]:
        cells = lines[starts[str(row["row"])]][second:].split()
        assert cells[:2] == ["x".join(map(str, row["output_shape"])), f"{row['parameters']:,}"]
        assert ("MACs" in titles) == (f"{row['macs']:,}" in cells[2:])
    total = next(line for line in lines if "total" in line).split()
    assert f"{summary['totals']['parameters']:,}" in total
    # What is not shown is named.
    shown = next(line for line in lines if "layer" in line)
    _, _, note = table.partition("not shown at this width: ")
    left_out = set(" ".join(note.split()).partition(";")[0].split(", ")) - {""}
    assert left_out == {column.title for column in columns_of(summary)} - set(shown.split())
    # The words of the long layer are all there, whatever the lines they are folded into.
    words = "".join(line[first:second].replace(" ", "") for line in lines[starts["1"] : starts["2"]])
    assert words == "conv647x5--stride2--padding1,2,3,4--dilation2x1"


def test_wider_terminals_show_more(cnntool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    for width in (60, 80, 100, 140):
        monkeypatch.setenv("COLUMNS", str(width))
        text = plain(cnntool("shape", "224x224x3", *CHAIN.split(), terminal=("stdout",)).text)
        shown.append(next(line for line in text.splitlines() if "layer" in line).split())
    assert [len(columns) for columns in shown] == sorted(len(columns) for columns in shown)
    assert len(shown[0]) < len(shown[-1])
    assert shown[-1] == ["layer", "output", "parameters", "buffers", "MACs", "field", "jump", "centre", "memory"]


def test_a_pipe_gets_whole_rows_without_colours(cnntool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    text = cnntool("shape", "224x224x3", *CHAIN.split()).text
    assert "\x1b" not in text
    assert "conv 64 7x5 --stride 2 --padding 1,2,3,4 --dilation 2x1" in text
    assert len([line for line in text.splitlines() if re.match(r" *\d ", line)]) == 6


def test_words_are_shown_as_they_are_typed(cnntool: Tool) -> None:
    """Neither read as colours of the terminal, nor as cells of a table, and quoted where a shell needs it."""
    words = ["9x9x3", "mark", "[bold]x|y", "mark", "two words", "relu", "add", "[bold]x|y", "concat", "two words"]
    assert "add '[bold]x|y'" in cnntool("shape", *words).text
    assert "`add '[bold]x\\|y'`" in cnntool("shape", "--markdown", *words).text
    rows = list(csv.DictReader(io.StringIO(cnntool("shape", "--csv", *words).text)))
    assert [row["words"] for row in rows] == ["relu", "add '[bold]x|y'", "concat 'two words'"]


def test_csv_and_markdown_have_a_cell_for_each_column() -> None:
    pipeline = Pipeline.parse(CHAIN)
    summary = pipeline.shape((64, 64, 3), without_sharing=True, as_fc=True, convention="torch")
    head, *rows = csv.reader(io.StringIO(as_csv(summary)))
    assert len(rows) == len(summary["layers"])
    assert {len(row) for row in rows} == {len(head)}
    assert {"parameters_without_sharing", "parameters_as_fc"} <= set(head)
    lines = as_markdown(summary, pipeline).splitlines()
    assert {line.count("|") for line in lines} == {len(columns_of(summary)) + 3}
    assert "cost (torch)" in lines[0]


def test_the_table_goes_to_a_terminal_or_on_request(cnntool: Tool, here: Path) -> None:
    """At the end of `run` and `extract`: shapes and parameters, on stderr."""
    save("a.png")
    for command, output in (("run", "{}.npy"), ("extract", "{}.csv")):
        outputs = (output.format(place) for place in range(9))
        assert cnntool(command, "a.png", next(outputs), "conv", "4", "3").err == ""
        for options, terminal in (((), ("stderr",)), (("--verbose",), ())):
            result = cnntool(command, "a.png", next(outputs), *options, "conv", "4", "3", terminal=terminal)
            assert result.out == b""
            table = plain(result.err)
            assert "conv 4 3" in table
            assert "18x22x4" in table
            assert "112" in table
        for terminal in ((), ("stderr",)):
            result = cnntool(command, "a.png", next(outputs), "--quiet", "conv", "4", "3", terminal=terminal)
            assert result == (0, b"", "")


def test_a_pipe_gets_the_table_without_empty_lines_around_it(cnntool: Tool) -> None:
    lines = cnntool("shape", "9x9x3", "relu").text.splitlines()
    assert lines[0].split()[:2] == ["layer", "output"]
    assert lines[-1].split()[:1] == ["total"]
