"""`cnntool shape --solve`: its table, its JSON, and what it says where nothing can be found."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from cnntool.cli.shape_solve import runs
from tests.cli.conftest import Tool

KEEP = ("55x55x96", "--solve", "unchanged", "conv", "64", "?", "--padding", "?")


def test_the_table(cnntool: Tool) -> None:
    result = cnntool("shape", *KEEP)
    assert (result.code, result.err) == (0, "")
    assert result.text.splitlines() == [
        "55x55x96 to unchanged: 6 solutions with 1 to 11 for KERNEL_SIZE, 0 to 11 for --padding",
        "",
        " conv 1",
        " KERNEL_SIZE   --padding",
        " " + "\u2500" * 23,
        " 1             0", " 3             1", " 5             2", " 7             3", " 9             4",
        " 11            5",
    ]  # fmt: skip


def test_json_has_the_words_of_each_solution(cnntool: Tool) -> None:
    words = ("mark", "in", "conv", "8", "3", "--padding", "?", "add", "in", "relu")
    found = json.loads(cnntool("shape", "?x9x8", "--solve", "9x9", "--up-to", "9", "--json", *words).text)
    assert found == {
        "input": [None, 9, 8],
        "target": "9x9",
        "count": 1,
        "unknowns": [
            {"row": 0, "layer": "input", "option": "height", "low": 1, "high": 9},
            {"row": 1, "layer": "conv", "option": "--padding", "low": 0, "high": 9},
        ],
        "solutions": [
            {"numbers": [9, 1], "input": [9, 9, 8], "words": "mark in conv 8 3 --padding 1 add in relu"},
        ],
    }
    (solution,) = found["solutions"]
    again = json.loads(cnntool("shape", "9x9x8", "--json", *solution["words"].split()).text)
    assert again["layers"][-1]["output_shape"] == [9, 9, 8]


def test_from_a_file_and_up_to_a_row(cnntool: Tool, tmp_path) -> None:
    path = tmp_path / "net.cnn"
    path.write_text("conv 4 ? --stride 2  # open\nmark half relu\nmaxpool 2\n")
    for stop in ("1", "half"):
        text = cnntool("shape", "31x31x3", "--solve", "14x14", "--until", stop, "-p", path).text
        assert text.splitlines()[-2:] == [" " + "\u2500" * 11, " 4 to 5"]


def test_the_list_can_be_cut(cnntool: Tool) -> None:
    text = cnntool("shape", "9x9x3", "--solve", "?", "--limit", "3", "conv", "4", "?", "--padding", "?").text
    assert text.splitlines()[-3:] == [" 1             0 to 2", "", " the first 3 of them; --limit N shows more"]


@pytest.mark.parametrize("columns", [40, 80])
def test_narrow_terminals(cnntool: Tool, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    words = [
        "conv",
        "64",
        "?",
        "--stride",
        "?",
        "--padding",
        "?",
        "maxpool",
        "?",
        "--stride",
        "?",
        "--padding",
        "?",
        "conv",
        "8",
        "?",
    ]
    lines = cnntool(
        "shape", "64x64x3", "--solve", "9x9", "--up-to", "3", *words, terminal=("stdout",)
    ).text.splitlines()
    assert max(map(len, lines)) <= columns
    assert any("conv 1 KERNEL_SIZE 1" in line for line in lines)  # a list, since the table would be too wide


def test_runs_of_numbers_are_one_row() -> None:
    assert runs([(1, 5), (1, 6), (2, 5), (2, 6), (4, 5), (4, 6), (5, 5)]) == [
        ((1, 2), (5, 6)), ((4, 4), (5, 6)), ((5, 5), (5, 5)),
    ]  # fmt: skip
    assert runs([(1,), (3,)]) == [((1, 1),), ((3, 3),)]


def test_no_solution(cnntool: Tool) -> None:
    result = cnntool("shape", "55x55x96", "--solve", "27x27", "conv", "64", "?", "--padding", "?")
    assert (result.code, result.out) == (1, b"")
    assert result.err == (
        "cnntool: no solution: nothing makes 27x27 of 55x55x96 with 1 to 11 for KERNEL_SIZE, 0 to 11 for --padding; "
        "the nearest outputs are 45x45x64 or 46x46x64 or 47x47x64; --up-to N tries larger numbers\n"
    )
    wider = cnntool("shape", "55x55x96", "--solve", "27x27", "--up-to", "29", "conv", "64", "?", "--padding", "0")
    assert wider.text.splitlines()[-1] == " 29"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("9x9x3 --solve 3x3 conv 4 3", "no number is open: put a quoted '?' in the place of one"),
        ("9x9x3 conv 4 ?", "`cnntool shape --solve TARGET` finds the numbers that a `?` stands for"),
        ("?x?x3 conv 4 3", "--solve TARGET finds the sizes that a '?' stands for"),
        ("9x9x3 --solve 3x3 leaky-relu --slope ?", "a `?` stands for a whole number of a size, a padding or a count"),
        ("9x9x3 --solve 3x3 globalpool ?", "'?' is none of max, avg, l2"),
        ("9x9x3 --solve 3x3 conv 4 1?", "a `?` stands for a whole number, such as `?`, `3x?` or `0,?,0,?`"),
        ("9x9x3 --solve 3x3 ? relu", "a `?` can only stand for a number of one"),
        ("9x9x3 --solve 3x3 whiten ?", "layer 2 after `whiten`: expected a layer; a `?`"),
        ("9x9x3 --solve small conv 4 ?", "expected sizes such as 27x27, 27x27x64 or ?x27, or unchanged"),
        ("9x?x3x3 --solve 3x3 conv 4 ?", "expected HEIGHTxWIDTHxCHANNELS"),
        ("9x9x3 --solve 3x3 --csv conv 4 ?", "--csv: does not go with --solve"),
        ("9x9x3 --solve 3x3 --compare conv 4 ?", "--solve and --compare exclude each other"),
        ("9x9x3 --up-to 3 conv 4 3", "--up-to: expected --solve with it"),
        ("9x9x3 --solve 3x3 -m some.npz", "--model: does not go with --solve"),
    ],
)
def test_refusals(cnntool: Tool, words: str, said: str) -> None:
    assert said in " ".join(cnntool("shape", *words.split()).refused().split())


def test_a_name_may_hold_a_question_mark(cnntool: Tool) -> None:
    assert (
        cnntool("shape", "9x9x3", "--solve", "9x9", *["mark", "?", "conv", "3", "?", "--padding", "1", "add", "?"]).code
        == 0
    )


def test_it_imports_nothing_heavy() -> None:
    code = "import sys; from cnntool.cli.main import main; main(sys.argv[1:]); print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code, "shape", *KEEP], capture_output=True, text=True, check=True)
    loaded = set(result.stdout.splitlines()[-1].split())
    assert not {"numpy", "numba", "PIL", "rich"} & loaded
