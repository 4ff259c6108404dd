"""From inputs to results: order, threads, failures, what is said on stderr, progress in a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.batches.order import AHEAD
from cnntool.cli import work
from cnntool.errors import CnntoolError
from cnntool.images.preparation import Preparation
from cnntool.images.sources import open_source
from tests.cli.conftest import Tool, pixels, save


def results_of(folder: str, threads: int, finish: Any = lambda number, volume: volume) -> tuple[list[Any], list[str]]:
    """(number, name, result) of each image, and the messages of those that failed."""
    failures: list[str] = []
    pipeline = Pipeline.parse("conv 3 3 relu")
    with open_source(folder) as source:
        found = work.volumes(
            source, pipeline, Preparation(), threads, work.Notices(quiet=True, verbose=False), finish,
            lambda item, error: failures.append(f"{item.name}: {error}"),
        )  # fmt: skip
        return [(number, item.name, result) for number, item, result, _ in found], failures


@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_the_order_of_the_inputs(here: Path, threads: int) -> None:
    for number in range(20):
        save(f"f/{number:02}.png", pixels(5 + (37 * number) % 50, 8, seed=number))
    found, failures = results_of("f", threads)
    assert [(number, name) for number, name, _ in found] == [(n, f"{n:02}.png") for n in range(20)]
    assert failures == []


@pytest.mark.parametrize("threads", [1, 3])
def test_failures_come_in_their_order_and_stop_nothing(here: Path, threads: int) -> None:
    for number in range(9):
        save(f"f/{number}.png", pixels(2 if number % 4 == 1 else 9, 9))
    found, failures = results_of("f", threads)
    assert [number for number, _, _ in found] == [0, 2, 3, 4, 6, 7, 8]
    assert [failure[:5] for failure in failures] == ["1.png", "5.png"]


def test_images_are_read_ahead_but_not_all(here: Path) -> None:
    """Memory stays bounded: while a result is not taken, at most AHEAD images a thread are under way."""
    for number in range(30):
        save(f"f/{number:02}.png")
    finished: list[int] = []
    with open_source("f") as source:
        results = work.volumes(
            source, Pipeline.parse("relu"), Preparation(), 2, work.Notices(True, False),
            lambda number, volume: finished.append(number), lambda item, error: None,
        )  # fmt: skip
        next(results)
        assert len(finished) <= 2 * AHEAD + 1
        results.close()  # type: ignore[attr-defined]
    assert len(finished) < 30


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_that_is_no_users_stops_the_work(here: Path, threads: int) -> None:
    for number in range(9):
        save(f"f/{number}.png")

    def finish(number: int, volume: np.ndarray) -> None:
        if number == 4:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        results_of("f", threads, finish)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("image")]


def test_one_image_of_a_wrong_chain_is_a_wrong_use(here: Path) -> None:
    save("a.png", pixels(2, 2))
    with pytest.raises(CnntoolError, match=r"conv \(layer 1\)"):
        results_of("a.png", 1)
    save("f/a.png", pixels(2, 2))
    assert results_of("f", 1)[0] == []


def test_each_thing_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    notices = work.Notices(quiet=False, verbose=False)
    for text in ("a", "b", "a"):
        notices.say(text)
    notices.say("another text of one kind", key="b")
    assert capsys.readouterr().err == "cnntool: a\ncnntool: b\n"
    work.Notices(quiet=True, verbose=True).say("a")
    assert capsys.readouterr().err == ""


def test_the_compiler_is_listened_to_only_while_working() -> None:
    """A second call in one process must not speak for the first."""
    from cnntool import kernels

    notices = work.Notices(quiet=False, verbose=False)
    before = len(kernels.compile_listeners)
    with notices.watching_compiler():
        assert len(kernels.compile_listeners) == before + 1
    assert len(kernels.compile_listeners) == before


def test_no_progress_bar_without_a_terminal(cnntool: Tool, here: Path) -> None:
    for number in range(3):
        save(f"f/{number}.png")
    assert cnntool("run", "f", "m/", "relu") == (0, b"", "")
    assert cnntool("extract", "f", "t.npz", "relu") == (0, b"", "")


def in_terminal(*words: str, columns: int = 60) -> tuple[int, bytes, str]:
    """The command with stderr at a terminal of that many columns: exit code, stdout, and what the terminal got."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "cnntool", *words], stdout=subprocess.PIPE, stderr=theirs, stdin=theirs,
        env=environment | {"TERM": "xterm-256color"},
    )  # fmt: skip
    os.close(theirs)
    parts = []
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        parts.append(part)
    os.close(ours)
    assert process.stdout is not None
    out = process.stdout.read()
    process.stdout.close()
    return process.wait(), out, b"".join(parts).decode()


def test_progress_and_the_table_in_a_terminal(here: Path) -> None:
    for number in range(5):
        save(f"f/{number}.png")
    Path("f/bad.png").write_text("no picture")
    code, out, seen = in_terminal("extract", "f", "t.csv", "conv", "4", "3", "globalpool", "avg")
    assert (code, out) == (1, b"")
    assert "extract" in seen
    assert re.search(r"[0-6]/6", seen)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)
    lines = [line.strip() for line in re.split(r"[\r\n]+", text)]
    # The error stands in one line of its own above the bar, and the table comes after it.
    error = next(n for n, line in enumerate(lines) if line.startswith("f/bad.png: not an image"))
    assert lines[error].endswith("PPM file")
    table = next(n for n, line in enumerate(lines) if line.startswith("1   conv 4 3"))
    assert error < table
    assert len(Path("t.csv").read_text().splitlines()) == 6


def test_quiet_in_a_terminal_says_errors_only(here: Path) -> None:
    for number in range(2):
        save(f"f/{number}.png")
    Path("f/bad.png").write_text("no picture")
    code, out, seen = in_terminal("run", "f", "m/", "--quiet", "relu")
    assert (code, out) == (1, b"")
    assert seen.startswith("f/bad.png: ")
    assert len(seen.splitlines()) == 1


def test_stdout_stays_clean_beside_a_terminal(here: Path) -> None:
    save("a.png")
    code, out, seen = in_terminal("run", "a.png", "-", "relu")
    assert code == 0
    assert out.startswith(b"\x93NUMPY")
    assert len(out) > 20 * 24 * 3 * 4
    assert "20x24x3" in seen


def test_a_log_gets_a_line_every_so_often(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "SECONDS_OF_SILENCE", -1)
    with work.Progress(3, work.Notices(quiet=False, verbose=False), "extract") as progress:
        progress.advance()
        progress.advance(failed=True)
        progress.advance()
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("cnntool: extract: 1 of 3 images, ")
    assert "/s, 1 failed, about 0 min left" in second
    with work.Progress(3, work.Notices(quiet=True, verbose=False), "extract") as progress:
        progress.advance()
    assert capsys.readouterr().err == ""
