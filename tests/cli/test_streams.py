"""Streams that are closed, full or left by their reader; names that would drive a terminal; signals."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cnntool.cli.streams import printable
from tests.cli.conftest import Tool, files, pixels, save

PROGRAM = f"{shlex.quote(sys.executable)} -m cnntool"
FULL = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full")


def shell(line: str) -> tuple[int, str, str]:
    """Runs `cnntool LINE` by the shell: exit code, what was told, what was printed."""
    result = subprocess.run(f"{PROGRAM} {line}", shell=True, capture_output=True, text=True, timeout=100)
    return result.returncode, result.stderr, result.stdout


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ("run a.png o.npy --quiet relu <&-", 0, ""),
        ("run a.png o.npy --quiet relu >&-", 0, ""),
        ("run a.png o.npy --verbose relu 2>&-", 0, ""),
        ("run a.png o.npy --quiet relu <&- >&- 2>&-", 0, ""),
        ("run - o.npy --quiet relu <&-", 1, "stdin: empty: expected an image"),
        ("run none o.npy relu 2>&-", 2, ""),
        ("shape 9x9x1 relu 2>&-", 0, ""),
        ("shape 9x9x1 relu >&-", 2, "cnntool: standard output: cannot be written: Bad file descriptor"),
        ("run a.png - --quiet relu >&-", 2, "cnntool: standard output: cannot be written: Bad file descriptor"),
        ("--help >&-", 1, "cnntool: standard output: cannot be written: Bad file descriptor"),
    ],
)
def test_streams_that_the_parent_closed(here: Path, line: str, code: int, told: str) -> None:
    save("a.png")
    found, stderr, _ = shell(line)
    assert found == code, stderr
    assert stderr.startswith(told)
    assert len(stderr.splitlines()) == bool(told)
    if " o.npy" in line and code == 0:
        assert np.load("o.npy").shape == (20, 24, 3)  # and holds nothing that was told


@FULL
@pytest.mark.parametrize(
    "line", ["shape 9x9x1 relu", "shape 9x9x1 --json relu", "--help", "layers", "run a.png - relu",
             "run a.png - --format png relu", "--version"],
)  # fmt: skip
def test_results_that_cannot_be_written_are_told(here: Path, line: str) -> None:
    save("a.png")
    code, stderr, _ = shell(f"{line} >/dev/full")
    assert code in (1, 2)
    told = [text for text in stderr.splitlines() if "compiling" not in text]
    assert told == ["cnntool: standard output: cannot be written: No space left on device"]


@FULL
def test_that_nothing_can_be_told_stops_no_work(here: Path) -> None:
    save("f/a.png")
    Path("f/bad.png").write_text("no picture")
    assert shell("extract f t.csv --verbose globalpool avg 2>/dev/full")[0] == 1
    assert len(Path("t.csv").read_text().splitlines()) == 2
    reader, writer = os.pipe()
    os.close(reader)
    line = f"exec {PROGRAM} extract f u.csv --verbose globalpool avg"
    assert subprocess.run(line, shell=True, stderr=writer).returncode == 1
    os.close(writer)
    assert Path("u.csv").read_bytes() == Path("t.csv").read_bytes()


def test_names_are_shown_as_what_they_are() -> None:
    assert printable("a\x1b[2J\r\n\x9b\x7f.png") == "a\\x1b[2J\\x0d\\x0a\\x9b\\x7f.png"
    assert printable("gpj.\u202egnp") == "gpj.\\u202egnp"
    assert printable("\udcff\u2028") == "\\xff\\u2028"
    assert printable("Ünï 日本 👩‍👩‍👧 [bold]") == "Ünï 日本 👩‍👩‍👧 [bold]"


def test_no_name_reaches_the_terminal_raw(cnntool: Tool, here: Path) -> None:
    evil = "e\x1b[31m\x9b2J"
    for number in range(3):
        save(f"f/{evil}/{number}.png")
        save(f"f/other/{number}.png", pixels(seed=number))
    Path(f"f/{evil}/bad.png").write_text("no picture")
    told = []
    for line in (
        ("extract", "f", "t.csv", "globalpool", "avg"),
        ("run", "f", f"{evil}/", "relu"),
        ("run", f"{evil}.png", "o.npy", "relu"),
        ("run", f"f/{evil}/0.png", "o.npy", "--verbose", "mark", evil, "relu", "add", evil),
        ("run", f"f/{evil}/0.png", f"{evil}.npy", "--until", evil, "relu"),
        ("shape", "9x9x3", "mark", evil, "relu", "add", evil),
        ("shape", "9x9x3", "--markdown", "mark", evil, "relu", "add", evil),
        (evil,),
        ("shape", "9x9x3", evil),
        ("shape", "9x9x3", "relu", f"--{evil}"),
        ("train", "f", "m.npz", "--epochs", 1, "fc", 2),
        ("predict", "m.npz", "f"),
        ("evaluate", "m.npz", "f"),
    ):
        result = cnntool(*line)
        told.append(result.err)
        told.append(result.out.decode("utf-8", "backslashreplace"))
    assert not any(mark in text for text in told for mark in ("\x1b", "\x9b"))
    assert sum("\\x1b[31m\\x9b2J" in text for text in told) >= 10
    # data for programs is what it is
    assert f"{evil}/0.png" in Path("t.csv").read_text()
    assert json.loads(Path("t.csv.errors.jsonl").read_text())["path"] == f"{evil}/bad.png"


def test_progress_shows_no_name_raw(cnntool: Tool, here: Path) -> None:
    for number in range(2):
        save(f"f/{number}.png")
    Path("f/\x1b[31m.png").write_text("no picture")
    result = cnntool("extract", "f", "t.csv", "globalpool", "avg", terminal=("stderr",))
    assert "f/\\x1b[31m.png: not an image" in result.err
    assert "f/\x1b[31m" not in result.err


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("command", ["extract @list.txt t.csv", "run @list.txt m/%s.npy", "fit @list.txt m.npz"])
def test_signals_end_work_like_ctrl_c(here: Path, number: int, command: str) -> None:
    save("a.png", pixels(100, 100))
    Path("list.txt").write_text("a.png\n" * 100_000)
    chain = "whiten" if command.startswith("fit") else "conv 16 5"
    if command.startswith("run"):
        os.mkdir("d")
        for place in range(3000):
            os.link("a.png", f"d/{place}.png")
        command = "run d m/"
    process = subprocess.Popen(f"exec {PROGRAM} {command} {chain}", shell=True, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not any(name.startswith(".cnntool-") or name == "m" for name in os.listdir()):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.2)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert told.decode().splitlines()[-1] == "cnntool: interrupted"
    left = {name for name in files(here) if not name.startswith(("d/", "t.csv.parts/"))}
    left -= {"a.png", "list.txt", ".m.index.jsonl", "m/.%s.npy.index.jsonl"}
    assert all(name.startswith("m/") and name.endswith(".npy") for name in left), left
    for name in left:
        assert np.load(name).shape == (96, 96, 16)


def test_signals_that_are_ignored_stay_so(here: Path) -> None:
    save("a.png", pixels(100, 100))
    Path("list.txt").write_text("a.png\n" * 400)
    line = f"exec {PROGRAM} extract @list.txt t.csv conv 16 5 globalpool avg"
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which the process inherits
    try:
        process = subprocess.Popen(["sh", "-c", line], stderr=subprocess.PIPE)
    finally:
        signal.signal(signal.SIGHUP, former)
    while process.poll() is None:
        process.send_signal(signal.SIGHUP)
        time.sleep(0.05)
    process.communicate()
    assert process.returncode == 0
