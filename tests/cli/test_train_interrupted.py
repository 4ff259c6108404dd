"""`cnntool train`: what Ctrl-C, signals and kill -9 leave, and how `--resume` goes on from it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cnntool import Pipeline
from cnntool.cli import watch
from tests.cli.conftest import Tool, files
from tests.cli.training import WORDS, pictures


def press_ctrl_c(*_: object) -> None:
    raise KeyboardInterrupt


def test_ctrl_c_keeps_what_there_is_and_resume_goes_on_to_the_same_result(cnntool: Tool, here: Path, monkeypatch):
    pictures("photos")
    train = ["train", "photos", "m.npz", "--epochs", 4, "--batch-size", 8, "--augment", "shift"]
    cnntool("train", "photos", "whole.npz", *train[3:], *WORDS)
    line_of = watch.line_of

    def press(row, epochs, best):
        if row["epoch"] == 3:
            raise KeyboardInterrupt
        return line_of(row, epochs, best)

    monkeypatch.setattr(watch, "line_of", press)
    result = cnntool(*train, *WORDS)
    assert result.code == 130
    assert "--resume goes on" in result.err
    assert Path("m.checkpoint.npz").exists()
    assert json.loads(cnntool("evaluate", "m.npz", "photos", "--json").text)["images"] == 40
    monkeypatch.setattr(watch, "line_of", line_of)
    assert "with batch_size 8, and now it is 9" in cnntool(*train, "--resume", "--batch-size", 9, *WORDS).refused()
    assert cnntool(*train, "--resume", *WORDS).code == 0
    assert Path("m.npz").read_bytes() == Path("whole.npz").read_bytes()
    assert not Path("m.checkpoint.npz").exists()


def test_ctrl_c_in_the_first_epoch_saves_the_arrays_of_that_moment(cnntool: Tool, here: Path, monkeypatch):
    pictures("photos", 6)

    monkeypatch.setattr(watch.Watch, "batch", press_ctrl_c)
    result = cnntool("train", "photos", "m.npz", *WORDS)
    assert result.code == 130
    assert "m.npz holds the arrays of that moment; --resume goes on from the start" in result.err
    assert Pipeline.load("m.npz").classes == ["above", "below"]
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert cnntool("train", "photos", "m.npz", "--resume", *WORDS).code == 0
    assert cnntool("train", "photos", "whole.npz", *WORDS).code == 0
    assert Path("m.npz").read_bytes() == Path("whole.npz").read_bytes()


def test_resume_refuses_other_images_and_other_classes(cnntool: Tool, here: Path, monkeypatch):
    pictures("photos", 6)
    train = ["train", "photos", "m.npz", "--epochs", 2]
    with monkeypatch.context() as patch:
        patch.setattr(watch.Watch, "batch", press_ctrl_c)
        assert cnntool(*train, *WORDS).code == 130
    kept = Path("photos/above/0.png").read_bytes()
    Path("photos/above/0.png").write_bytes(Path("photos/below/0.png").read_bytes())
    assert "made with other images" in cnntool(*train, "--resume", *WORDS).refused()
    Path("photos/above/0.png").write_bytes(kept)
    Path("photos/above").rename("photos/zebra")
    assert "now it is ['below', 'zebra']" in cnntool(*train, "--resume", *WORDS).refused()
    Path("photos/zebra").rename("photos/above")
    assert cnntool(*train, "--resume", "--threads", 2, *WORDS).code == 0
    assert "no checkpoint" in cnntool(*train, "--resume", *WORDS).refused()


def test_an_interrupted_epoch_is_not_said_to_be_kept(cnntool: Tool, here: Path, monkeypatch):
    """Ctrl-C after the second epoch and before its checkpoint is written."""
    pictures("photos", 6)
    line_of = watch.line_of
    monkeypatch.setattr(
        watch, "line_of", lambda row, *rest: press_ctrl_c() if row["epoch"] == 2 else line_of(row, *rest)
    )
    result = cnntool("train", "photos", "m.npz", *WORDS)
    assert "--resume goes on after epoch 1" in result.err


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
def test_killed_at_any_moment_the_model_on_disk_is_whole(here: Path):
    pictures("photos", 10)
    command = [sys.executable, "-m", "cnntool", "train", "photos", "m.npz", "--epochs", "100000", "--overwrite", *WORDS]
    for delay in (0.0, 0.05, 0.11, 0.3):
        before = Path("m.npz").stat().st_mtime_ns if Path("m.npz").exists() else 0
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while not Path("m.npz").exists() or Path("m.npz").stat().st_mtime_ns == before:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(delay)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert Pipeline.load("m.npz").classes == ["above", "below"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_keeps_what_there_is_as_ctrl_c_does(here: Path, number: int):
    pictures("photos", 10)
    command = [sys.executable, "-m", "cnntool", "train", "photos", "m.npz", "--epochs", "100000", *WORDS]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not Path("m.history.csv").exists():  # which is written last
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "--resume goes on" in told.decode().splitlines()[-1]
    assert Pipeline.load("m.npz").classes == ["above", "below"]
    beside = {name for name in files(here) if "/" not in name}
    assert beside == {"m.npz", "m.history.csv", "m.checkpoint.npz"}


def test_what_is_told_of_resume_is_what_the_checkpoint_holds(cnntool: Tool, here: Path, monkeypatch):
    """Ctrl-C after an epoch and before its checkpoint: the one from before the first epoch is there."""
    pictures("photos", 6)

    def press(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(watch, "write_history", press)
        result = cnntool("train", "photos", "m.npz", "--epochs", 3, *WORDS)
    assert result.code == 130
    assert (
        result.err.splitlines()[-1]
        == "cnntool train: interrupted; m.npz holds epoch 1; --resume goes on from the start"
    )
    assert Pipeline.load("m.npz").classes == ["above", "below"]
    assert cnntool("train", "photos", "m.npz", "--resume", "--epochs", 3, *WORDS).code == 0
