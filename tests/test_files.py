"""Files that are replaced whole, and the refusals before any work."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cnntool import files, locks
from cnntool.errors import CnntoolError
from cnntool.files import atomic, outputs, removed


def test_a_new_file_appears_at_the_end(tmp_path):
    path = tmp_path / "a.txt"
    with atomic(path, text=True) as file:
        file.write("new")
        assert [name[:9] for name in os.listdir(tmp_path)] == [".cnntool-"]
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit, OSError])
def test_what_is_interrupted_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def interrupted():
        with atomic(path, text=True) as file:
            file.write("half" * 9999)
            raise error

    with pytest.raises(error):
        interrupted()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_links_are_written_through_and_devices_are_left(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a.txt").write_text("old")
    os.symlink(tmp_path / "real/a.txt", tmp_path / "link.txt")
    with atomic(tmp_path / "link.txt", text=True) as file:
        file.write("new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real/a.txt").read_text() == "new"
    with atomic(os.devnull) as file:
        file.write(b"gone")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_a_file_that_is_there_is_never_opened(tmp_path, monkeypatch):
    """A link that somebody planted under the hidden name, should he guess it."""
    monkeypatch.setattr(locks.os, "urandom", lambda _: b"\0")
    (tmp_path / "victim").write_text("old")
    os.symlink(tmp_path / "victim", tmp_path / f".cnntool-{locks.HOST}-{os.getpid()}-00.tmp")
    with pytest.raises(CnntoolError, match=r"a.txt: cannot be written: File exists"), atomic(tmp_path / "a.txt"):
        pytest.fail("the block ran")
    assert (tmp_path / "victim").read_text() == "old"


@pytest.mark.parametrize("operation", ["write", "fsync", "close", "replace"])
def test_each_failure_is_told_and_leaves_the_old_file(tmp_path, monkeypatch, operation):
    path = tmp_path / "a.txt"
    path.write_text("old")
    real = getattr(os, operation)

    def failing(*arguments):
        if operation == "close":
            real(*arguments)
        monkeypatch.setattr(files.os, operation, real)
        raise OSError(5, "Input/output error")

    def written():
        with atomic(path, text=True) as file:
            file.write("new")
            monkeypatch.setattr(files.os, operation, failing)

    with pytest.raises(CnntoolError, match=r"a.txt: cannot be written: Input/output error"):
        written()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("number", [38, 95, 22])
def test_file_systems_without_fsync_and_locks(tmp_path, monkeypatch, number):
    def missing(*_):
        raise OSError(number, "not here")

    monkeypatch.setattr(files.os, "fsync", missing)
    monkeypatch.setattr("fcntl.flock", missing)
    (tmp_path / "a.txt").write_text("old")
    with outputs(tmp_path / "a.txt", overwrite=True), atomic(tmp_path / "a.txt", text=True) as file:
        file.write("new")
        with pytest.raises(CnntoolError, match=rf"written by another process \(pid {os.getpid()}\)"):
            outputs(tmp_path / "a.txt", overwrite=True).__enter__()
    assert (tmp_path / "a.txt").read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_outputs_are_refused_before_any_work(tmp_path):
    (tmp_path / "there").write_text("old")
    (tmp_path / "folder").mkdir()
    os.symlink("nothing", tmp_path / "link")
    for name, reason in {
        "there": "there is there already: give --overwrite", "folder": "folder is a folder: expected a file name",
        "link": "link is there already", "none/a": "none: no such folder to write a into",
    }.items():  # fmt: skip
        with pytest.raises(CnntoolError, match=reason), outputs(tmp_path / "free", tmp_path / name, overwrite=False):
            pytest.fail("the block ran")
    with (
        pytest.raises(CnntoolError, match="two outputs would be written to it"),
        outputs(tmp_path / "a", tmp_path / "folder/../a", overwrite=True),
    ):
        pytest.fail("the block ran")
    assert sorted(os.listdir(tmp_path)) == ["folder", "link", "there"]


def test_what_another_process_finished_in_between_is_seen(tmp_path, monkeypatch):
    claim = locks.Claim.__init__

    def late(self, path):
        Path(path).write_text("theirs")
        claim(self, path)

    monkeypatch.setattr(locks.Claim, "__init__", late)
    with pytest.raises(CnntoolError, match="there already"), outputs(tmp_path / "a", overwrite=False):
        pytest.fail("the block ran")
    assert (tmp_path / "a").read_text() == "theirs"


def test_removed(tmp_path):
    removed(tmp_path / "none")
    with pytest.raises(CnntoolError, match=f"{tmp_path.name}: cannot be removed: "):
        removed(tmp_path)


def test_a_reader_finds_the_old_file_or_the_new_one(tmp_path):
    """While one process replaces a file again and again, another one reads whole files only."""
    path = tmp_path / "a"
    path.write_bytes(b"0" * 300_000)
    code = f"""
from cnntool.files import atomic
for number in range(300):
    with atomic({os.fspath(path)!r}) as file:
        for _ in range(3):
            file.write(b"%d" % (number % 10) * 100_000)
"""
    writer = subprocess.Popen([sys.executable, "-c", code])
    while writer.poll() is None:
        content = path.read_bytes()
        assert len(content) == 300_000
        assert len(set(content)) == 1
    assert writer.returncode == 0
    assert os.listdir(tmp_path) == ["a"]
