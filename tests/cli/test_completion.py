"""What the shells offer at the cursor: by click's machinery, and by a real bash."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from cnntool.banks.table import BANKS
from cnntool.cli.completion import completions
from cnntool.cli.main import COMMANDS, cnntool
from cnntool.layers.table import LAYERS

PROGRAM = "import sys; from cnntool.cli.main import main; sys.exit(main())"


def offered(line: str) -> list[str]:
    """The words offered for the last word of a line; `FILES` where the shell completes names of files."""
    *words, incomplete = line.split(" ")
    return ["FILES" if item.type == "file" else item.value for item in completions(cnntool, words, incomplete)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ex", ["extract", "explain"]),
        ("--v", ["--version"]),
        ("run a.png", ["FILES"]),
        ("run a.png o", ["FILES"]),
        ("run --over", ["--overwrite"]),
        ("run --threads ", []),
        ("run a.png o.npy max", ["maxpool"]),
        ("run a.png o.npy --overwrite max", ["maxpool"]),
        ("run a.png o.npy -p net", ["FILES"]),
        ("run a.png o.npy --normalize ", ["imagenet"]),
        ("run a.png o.npy --page ", ["all"]),
        ("run a.png o.npy --algorithm w", ["winograd"]),
        ("run a.png o.npy --format pn", ["png"]),
        ("run a.png o.npy conv ", []),
        ("run a.png o.npy conv 3 ", []),
        ("run a.png o.npy conv 3 5 max", ["maxpool"]),
        ("run a.png o.npy conv 3 5 --str", ["--stride"]),
        ("run a.png o.npy conv --str", ["--stride"]),
        ("run a.png o.npy conv 3 5 --padding ", ["same", "valid"]),
        ("run a.png o.npy conv 3 5 --padding=s", ["--padding=same"]),
        ("run a.png o.npy conv 3 5 --padding = s", ["same"]),
        ("run a.png o.npy conv 3 5 --padding =", ["same", "valid"]),
        ("run a.png o.npy conv 3 5 --weights ", ["FILES"]),
        ("run a.png o.npy conv 3 5 relu maxpool 2 --str", ["--stride"]),
        ("run a.png o.npy bank gab", ["gabor"]),
        ("run a.png o.npy bank filters/", ["FILES"]),
        ("run a.png o.npy bank gabor --orient", ["--orientations"]),
        ("run a.png o.npy bank gabor --per", ["--per-channel"]),
        ("run a.png o.npy relu bank gabor --scales 2 bank so", ["sobel"]),
        ("run a.png o.npy globalpool ", ["max", "avg", "l2"]),
        ("run a.png o.npy whiten pc", ["pca"]),
        ("run a.png o.npy whiten max", ["maxpool"]),
        ("run a.png o.npy whiten std max", ["maxpool"]),
        ("run a.png o.npy mark one relu mark two add ", ["one", "two"]),
        ("run a.png o.npy nosuch ", []),
        ("nosuch ", []),
        ("shape 9x9 --convention fv", ["fvcore"]),
        ("train photos m.npz --optimizer s", ["sgd"]),
        ("train photos m.npz --head ", ["logistic", "l2svm"]),
        ("predict m", ["FILES"]),
        ("layers glob", ["globalpool"]),
        ("layers bank gab", ["gabor"]),
        ("layers relu ", []),
        ("show bank gab", ["gabor"]),
        ("show bank filters/", ["FILES"]),
        ("show bank kme", ["FILES"]),
        ("show bank gabor --orient", ["--orientations"]),
        ("show bank gabor --over", ["--overwrite"]),
        ("show bank gabor ", ["FILES"]),
        ("show bank --", ["--overwrite", "--help"]),
        ("show filters lm", ["lm"]),
    ],
)
def test_words_at_the_cursor(line: str, expected: list[str]) -> None:
    assert offered(line) == expected


def test_everything_that_is_there_is_offered() -> None:
    assert offered("") == list(COMMANDS)
    assert offered("shape 9x9 ") == list(LAYERS)
    assert offered("layers ") == list(LAYERS)
    assert set(BANKS) <= set(offered("shape 9x9 bank "))
    for name in COMMANDS:
        command = cnntool.get_command(click.Context(cnntool), name)
        assert command is not None
        options = {
            option for p in command.params if isinstance(p, click.Option) for option in p.opts if option[1] == "-"
        }
        assert options <= set(offered(f"{name} --"))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_and_its_form_of_answer(shell: str) -> None:
    def said(instruction: str, **variables: str) -> str:
        environment = os.environ | variables | {"_CNNTOOL_COMPLETE": f"{shell}_{instruction}"}
        return subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
        ).stdout

    assert f"_CNNTOOL_COMPLETE={shell}_complete" in said("source")
    line = {"COMP_WORDS": "cnntool shape 9x9 bank gab", "COMP_CWORD": "gab" if shell == "fish" else "4"}
    expected = {"bash": "plain,gabor\n", "zsh": "plain\ngabor\n", "fish": "plain,gabor\t"}
    assert said("complete", **line).startswith(expected[shell])


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_a_real_bash(tmp_path: Path) -> None:
    program = tmp_path / "cnntool"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(PROGRAM)} "$@"\n')
    program.chmod(0o755)
    script = """
        compopt() { echo compopt "$@"; }  # it works at a prompt only
        eval "$(_CNNTOOL_COMPLETE=bash_source cnntool)"
        offer() {
            COMPREPLY=() COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
            _cnntool_completion cnntool
            echo "${COMPREPLY[@]}"
        }
        offer cnntool run a.png o.npy bank gauss
        offer cnntool run a.png o.npy conv 3 3 --padding = s
        offer cnntool run a.p
    """
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    result = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == ["gaussian-derivatives", "same", "compopt -o default", ""]


def test_completion_imports_nothing_slow() -> None:
    code = (
        "import sys, click; from cnntool.cli.completion import completions; from cnntool.cli.main import cnntool\n"
        "assert completions(cnntool, ['train', 'a', 'm.npz', 'conv', '3', '3', 'bank', 'gabor'], '--')\n"
        "print(*{'numpy', 'numba', 'PIL', 'rich'} & {name.partition('.')[0] for name in sys.modules})"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
