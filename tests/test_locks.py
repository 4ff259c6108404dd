"""Who writes what: the right to an output ends with its process, and what a killed one left goes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cnntool import locks
from cnntool.errors import CnntoolError
from cnntool.files import atomic
from cnntool.locks import Claim, holder_in, refuse_claimed

WRITER = """
import sys, time
from cnntool.files import atomic
from cnntool.locks import Claim
claim = Claim("a")
with atomic("a") as file:
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.fixture(params=["locks", "no locks"])
def here(request, tmp_path, monkeypatch) -> Path:
    """An empty folder that is the present one, with locks or as on a file system that has none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(locks, "_scanned", set())
    if request.param == "no locks":
        monkeypatch.setattr(locks, "lock", lambda *_, **__: None)
    return tmp_path


def writer() -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, "-c", WRITER], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def again() -> list[str]:
    """Another file of the same folder is written; what then lies there besides."""
    locks._scanned.clear()
    with atomic("b") as file:
        file.write(b"b")
    os.unlink("b")
    return sorted(os.listdir())


def test_a_living_writer_keeps_others_out_and_a_killed_one_does_not(here):
    process = writer()
    try:
        with pytest.raises(CnntoolError, match=rf"^a is being written by another process \(pid {process.pid}\)"):
            Claim("a")
        Claim("c").release()
        left = again()
        assert len(left) == 2  # its lock, and what it writes
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert sorted(os.listdir()) == left
    assert again() == []
    claim = Claim("a")
    claim.release()
    claim.release()
    assert os.listdir() == []


def test_a_killed_one_blocks_nobody_where_its_lock_is_found_first(here):
    process = writer()
    process.kill()
    process.communicate()
    locks._scanned.add(here)
    Claim("a").release()
    assert [name[-4:] for name in os.listdir()] == [".tmp"]


def test_two_names_of_one_file(here):
    os.mkdir("d")
    os.symlink("d/a", "link")
    claim = Claim("d/a")
    for name in ("link", "d/../d/a"):
        with pytest.raises(CnntoolError, match="being written"):
            Claim(name)
    claim.release()
    Claim("link").release()


def test_files_of_others_are_left_alone(here):
    Path(".cnntool-elsewhere-1-ab.tmp").touch()  # another host, and new
    Path(".cnntool-odd.tmp").touch()
    Path(".cnntool-x.lock").touch()
    os.symlink("b", f".cnntool-{locks.HOST}-999999999-ab.tmp")
    os.mkdir(f".cnntool-{locks.HOST}-999999999-ac.tmp")
    assert len(again()) == 5


def test_files_of_another_host_go_when_they_are_old(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(".cnntool-elsewhere-1-ab.tmp").touch()
    os.utime(".cnntool-elsewhere-1-ab.tmp", (0, 0))
    assert again() == []


def test_a_planted_link_is_no_lock(here):
    Claim("a").release()
    claim = Claim("a")
    name = claim._path
    claim.release()
    Path("victim").write_text("mine")
    os.symlink("victim", name)
    with pytest.raises(OSError, match="symbolic links"):
        Claim("a")
    assert Path("victim").read_text() == "mine"


def test_long_names_have_locks(here):
    with atomic("x" * 255):
        claim = Claim("x" * 255)
    claim.release()
    assert os.listdir() == ["x" * 255]


@pytest.mark.skipif(os.name == "nt", reason="Windows removes no file that is open")
def test_a_lock_that_was_released_is_not_taken_for_the_next_ones(tmp_path, monkeypatch):
    """Between opening and locking a file, its owner releases it, and another one takes a new file of the same name."""
    first, others = Claim(tmp_path / "a"), []
    lock = locks.lock

    def late(descriptor: int) -> bool | None:
        if not others:
            others.append(None)
            first.release()
            others.append(Claim(tmp_path / "a"))
        return lock(descriptor)

    monkeypatch.setattr(locks, "lock", late)
    with pytest.raises(CnntoolError, match="being written by another process"):
        Claim(tmp_path / "a")
    others[1].release()


def test_a_claim_is_told_without_taking_it(here):
    process = writer()
    for _ in range(2):
        with pytest.raises(CnntoolError, match=rf"a is being written by another process \(pid {process.pid}\)"):
            refuse_claimed("a")
        assert holder_in(here) == f"pid {process.pid}"
    process.kill()
    process.wait()
    refuse_claimed("a")
    assert holder_in(here) is None
    Claim("a").release()


def test_many_at_once_one_has_it(tmp_path):
    """Takes and releases of eight processes: never two at a time."""
    code = """
import os, sys, time
from cnntool.errors import CnntoolError
from cnntool.locks import Claim
done = 0
while done < 30:
    try:
        claim = Claim("a")
    except CnntoolError:
        continue
    os.close(os.open("alone", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    os.unlink("alone")
    claim.release()
    done += 1
"""
    processes = [subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    assert os.listdir(tmp_path) == []
