"""A disk that is full or read-only, an output folder that goes away, two runs at once: a clear end, nothing wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cnntool.batches import parts
from cnntool.batches.compute import Work
from tests.cli.conftest import Tool, pixels, save
from tests.suffixes import tables

CHAIN = ("bank", "sobel", "avgpool", "2")  # 240 numbers an image
ROOT = str(Path(__file__).parents[2])


@pytest.fixture
def small(here: Path) -> Iterator[Path]:
    """A disk of 256 KiB, which is full before the rows of the folder `f` are written."""
    for number in range(300):
        save(f"f/{number:03}.png", pixels(seed=number))
    disk = here / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("no small disk can be mounted here")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", disk], check=True)


@pytest.mark.parametrize("suffix", tables("npz", "csv", "parquet"))
def test_a_full_disk(cnntool: Tool, small: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    monkeypatch.setattr(parts, "ROWS", 32)
    table = small / f"t.{suffix}"
    message = cnntool("extract", "f", table, *CHAIN).refused()
    assert f"{table}: cannot be written: No space left on device" in message
    assert not table.exists()
    assert not list(small.glob(".cnntool-*"))
    left = list(small.glob("*.parts/*.rows"))
    assert left  # whole parts, which the next run takes
    remount(small, "size=8m")
    result = cnntool("extract", "f", table, *CHAIN)
    assert result.code == 0
    assert f"{32 * len(left)} known from before" in result.err
    assert cnntool("extract", "f", f"u.{suffix}", *CHAIN).code == 0
    assert table.read_bytes() == Path(f"u.{suffix}").read_bytes()
    beside = [f"t.{suffix}.index.npz"] if suffix == "csv" else []
    assert sorted(os.listdir(small)) == [f"t.{suffix}", *beside]


@pytest.mark.parametrize("suffix", tables("npz", "csv", "parquet"))
def test_a_disk_that_is_full_at_the_end(cnntool: Tool, small: Path, suffix: str) -> None:
    """The rows have room in parts, the table beside them has not: an older table stays as it was."""
    remount(small, "size=8m")
    table = small / f"t.{suffix}"
    assert cnntool("extract", "f/00*.png", table, *CHAIN).code == 0
    before = table.read_bytes()
    used = shutil.disk_usage(small).used
    remount(small, f"size={(used + 300 * 240 * 4 + 60_000) // 1024}k")
    message = cnntool("extract", "f", table, *CHAIN).refused()
    assert "No space left on device" in message
    assert table.read_bytes() == before
    remount(small, "size=8m")
    assert "0 images computed, 300 known" in cnntool("extract", "f", table, *CHAIN).err
    assert cnntool("extract", "f", f"u.{suffix}", *CHAIN).code == 0
    assert table.read_bytes() == Path(f"u.{suffix}").read_bytes()


def test_a_full_disk_under_outputs_of_run(cnntool: Tool, small: Path) -> None:
    message = cnntool("run", "f", f"{small}/m/", "bank", "sobel").refused()
    assert "No space left on device" in message
    whole = 20 * 24 * 2 * 4 + 128
    assert {path.stat().st_size for path in small.glob("m/*.npy")} == {whole}
    remount(small, "size=8m")
    assert cnntool("run", "f", f"{small}/m/", "bank", "sobel").code == 0
    assert len(list(small.glob("m/*.npy"))) == 300


def test_a_read_only_disk(cnntool: Tool, small: Path) -> None:
    remount(small, "ro")
    table = small / "t.npz"
    assert f"{table}: cannot be written: Read-only file system" in cnntool("extract", "f", table, *CHAIN).refused()
    assert "Read-only file system" in cnntool("run", "f", f"{small}/m/", "relu").refused()
    assert os.listdir(small) == []


def without_rights(*words: str) -> subprocess.CompletedProcess[str]:
    """The command as a user to whom permissions apply: the superuser gives up writing into every folder."""
    before = []
    if os.geteuid() == 0:
        before = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
        if shutil.which("setpriv") is None or subprocess.run([*before, "true"], capture_output=True).returncode:
            pytest.skip("the superuser writes into every folder")
    command = [*before, sys.executable, "-m", "cnntool", *words]
    return subprocess.run(command, env=os.environ | {"PYTHONPATH": ROOT}, capture_output=True, text=True)


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
@pytest.mark.parametrize("command", ["extract f closed/t.npz", "extract f closed/t.csv", "run f closed/maps/"])
def test_a_folder_without_the_right_to_write(here: Path, command: str) -> None:
    save("f/a.png")
    save("f/b.png", pixels(seed=1))
    Path("closed").mkdir(0o500)
    result = without_rights(*command.split(), *CHAIN)
    output = command.split()[-1]
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"cnntool: {output}: cannot be written: Permission denied\n"
    assert os.listdir("closed") == []


@pytest.mark.parametrize("gone", ["out", "out/t.npz.parts"])
def test_a_folder_that_is_removed_half_way(
    cnntool: Tool, here: Path, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    for number in range(60):
        save(f"f/{number:02}.png", pixels(seed=number))
    Path("out").mkdir()
    monkeypatch.setattr(parts, "ROWS", 8)
    vectors, computed = Work.vectors, []

    def removing(self: Work, volumes, threads):  # type: ignore[no-untyped-def]
        computed.extend(volumes)
        if len(computed) >= 30 > len(computed) - len(volumes):
            while not list(Path("out/t.npz.parts").glob("*.rows")):
                time.sleep(0.001)
            while os.path.exists(gone):
                shutil.rmtree(gone, ignore_errors=True)  # a file that is renamed meanwhile is no error
        return vectors(self, volumes, threads)

    monkeypatch.setattr(Work, "vectors", removing)
    result = cnntool("extract", "f", "out/t.npz", "--threads", 1, *CHAIN)
    assert result.code in (1, 2)
    assert "Traceback" not in result.err
    assert "out/t.npz" in result.err
    assert not Path("out/t.npz").exists()
    Path("out").mkdir(exist_ok=True)
    assert cnntool("extract", "f", "out/t.npz", *CHAIN).code == 0
    assert cnntool("extract", "f", "u.npz", *CHAIN).code == 0
    assert Path("out/t.npz").read_bytes() == Path("u.npz").read_bytes()
    assert os.listdir("out") == ["t.npz"]


def test_two_runs_at_once(cnntool: Tool, here: Path) -> None:
    for number in range(60):
        save(f"f/{number:02}.png", pixels(64, 64, seed=number))
    slow = """
import sys, time
from cnntool.batches.compute import Work
from cnntool.cli.main import main
vectors = Work.vectors
Work.vectors = lambda self, *words: (time.sleep(0.05), vectors(self, *words))[1]
sys.exit(main(sys.argv[1:]))
"""
    command = [sys.executable, "-c", slow, "extract", "f", "t.npz", "--threads", "1", *CHAIN]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": ROOT})
    while process.poll() is None and not any(path.stat().st_size for path in here.glob(".cnntool-*.lock")):
        time.sleep(0.01)  # the process writes its number once the lock is its own
    message = cnntool("extract", "f", "t.npz", *CHAIN).refused()
    assert f"t.npz is being written by another process (pid {process.pid})" in message
    assert process.wait(60) == 0
    assert "0 images computed, 60 known" in cnntool("extract", "f", "t.npz", *CHAIN).err
    assert cnntool("extract", "f", "u.npz", *CHAIN).code == 0
    assert Path("t.npz").read_bytes() == Path("u.npz").read_bytes()
