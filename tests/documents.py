"""Runs what the Markdown pages show, as a reader would, and compares what they print.

A block of `sh` is run; the block of `text` that follows it is its output. Numbers with a decimal point may differ by
rounding, spaces at the ends of lines do not count. After `sh exits-2` the command must end so, and the text is what it
says on stderr. `text example` shows an output that depends on the machine: its lines must begin alike, and `...` stands
for the rest. A block of `pycon` is a doctest.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from docs.examples import ROOT, Block, blocks, commands

NUMBER = re.compile(r"-?\d+\.\d+(?:e[-+]?\d+)?")


def sections(path: Path) -> dict[str, list[Block]]:
    """The blocks of a page below each heading that has some."""
    found: dict[str, list[Block]] = {}
    for block in blocks(path.read_text(encoding="utf-8")):
        found.setdefault(block.section, []).append(block)
    return found


def desk(folder: Path) -> dict[str, str]:
    """Makes `folder` a place to work in, with a copy of the samples; the environment in which its commands run.

    `cnntool` and `python` are those of the running interpreter.
    """
    shutil.copytree(ROOT / "samples", folder / "samples")
    bin_folder = folder / ".bin"
    bin_folder.mkdir()
    for name, arguments in {"cnntool": "-m cnntool ", "python": ""}.items():
        script = bin_folder / name
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {arguments}"$@"\n')
        script.chmod(0o755)
    import cnntool

    package = str(Path(cnntool.__file__).parent.parent)  # the one that the tests import
    path = os.pathsep.join([str(bin_folder), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "PYTHONPATH": package}


def run_section(found: list[Block], folder: Path) -> None:
    """Runs the blocks of a section in order and compares their outputs."""
    environment = desk(folder)
    output = None
    for block in found:
        if block.language == "sh":
            lines = commands(block)
            assert lines or "pip install" in block.text, f"nothing to run in: {block.text}"
            result = subprocess.run(
                ["sh", "-e", "-c", "\n".join(lines)], cwd=folder, env=environment, capture_output=True, text=True
            )
            code = 2 if block.info == "exits-2" else 0
            assert result.returncode == code, f"{block.text}\n{result.stdout}{result.stderr}"
            output = result.stderr if code else result.stdout
        elif block.language == "text":
            assert output is not None, f"no command stands before the output: {block.text}"
            compare(output, block.text, example=block.info == "example")
            output = None
        elif block.language == "pycon":
            run_doctest(block, folder)


def compare(output: str, shown: str, *, example: bool) -> None:
    """Asserts that a page shows the output of a command, in the way that the module's docstring says."""
    if example:
        start, _, _ = shown.partition("\n...")
        expected = [label(line) for line in start.splitlines()]
        assert [label(line) for line in output.splitlines()][: len(expected)] == expected
        return
    lines, shown_lines = trimmed(output), trimmed(shown)
    assert [NUMBER.sub("#", line) for line in lines] == [NUMBER.sub("#", line) for line in shown_lines]
    numbers = [float(number) for number in NUMBER.findall("\n".join(lines))]
    assert numbers == pytest.approx([float(number) for number in NUMBER.findall(shown)], rel=1e-3, abs=2e-3)


def label(line: str) -> str:
    """What stands before the first gap of a line; nothing of a line that goes on from the one before."""
    return re.split(r"\s{2,}", line.rstrip())[0]


def trimmed(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip("\n").splitlines() if line.strip()]


def run_doctest(block: Block, folder: Path) -> None:
    test = doctest.DocTestParser().get_doctest(block.text + "\n", {}, block.section, None, 0)
    said: list[str] = []
    present = Path.cwd()
    os.chdir(folder)
    try:
        result = doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    finally:
        os.chdir(present)
    assert result.attempted
    assert not result.failed, "".join(said)


def cases(*pages: str) -> list[object]:
    """Parameters (page, section) for each section of the pages that has blocks."""
    return [
        pytest.param(page, section, id=f"{Path(page).stem}: {section}")
        for page in pages
        for section in sections(ROOT / page)
    ]
