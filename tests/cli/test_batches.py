"""Tables over several runs: what a run that was stopped leaves, and how a finished table is brought up to date."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntool.batches import compute, parts
from cnntool.batches.compute import Work
from tests.cli.conftest import Tool, files, pixels, save
from tests.suffixes import tables

CHAIN = ("conv", "4", "3", "relu", "globalpool", "avg")
SUFFIXES = tables("npz", "csv", "jsonl", "parquet", "npy", "safetensors", "parquet/")
COUNT = 12


@pytest.fixture
def folder(here: Path) -> Path:
    for number in range(COUNT):
        save(f"f/{number % 3}/{number:02}.png", pixels(seed=number))
    return Path("f")


class Computed(list):
    """The digests of the volumes that were computed; `stop_at` ends the process's work before that one."""

    stop_at: int | None = None


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Computed]:
    found = Computed()
    vectors = Work.vectors

    def counted(self: Work, volumes: Sequence[np.ndarray], threads: int) -> np.ndarray:
        for volume in volumes:
            if found.stop_at is not None and len(found) >= found.stop_at:
                raise KeyboardInterrupt
            found.append(hash(volume.tobytes()))
        return vectors(self, volumes, threads)

    monkeypatch.setattr(Work, "vectors", counted)
    monkeypatch.setattr(parts, "ROWS", 3)
    return found


def change(folder: Path) -> None:
    """Two new, two changed, one removed, two renamed: four to compute."""
    save(folder / "0/new.png", pixels(seed=100))
    save(folder / "2/zz.png", pixels(seed=101))
    save(folder / "0/00.png", pixels(seed=102))
    save(folder / "1/04.png", pixels(seed=103))
    (folder / "2/05.png").unlink()
    (folder / "0/03.png").rename(folder / "1/first.png")
    (folder / "1/10.png").rename(folder / "0/10.png")


def outputs(stem: str) -> dict[str, bytes]:
    """All files of a table, by what follows its stem."""
    files = [path for found in Path().glob(f"{stem}.*") for path in (found.iterdir() if found.is_dir() else [found])]
    return {os.fspath(path).removeprefix(stem): path.read_bytes() for path in files}


@pytest.mark.parametrize("options", [(), ("--labels", "--mirrored")], ids=["plain", "labels, mirrored"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_update_computes_what_changed_and_equals_a_fresh_table(
    cnntool: Tool, folder: Path, computed: Computed, suffix: str, options: tuple[str, ...]
) -> None:
    assert cnntool("extract", folder, f"t.{suffix}", *options, *CHAIN) == (0, b"", "")
    assert len(computed) == COUNT
    change(folder)
    computed.clear()
    result = cnntool("extract", folder, f"t.{suffix}", *options, *CHAIN)
    assert result == (0, b"", "cnntool: 4 images computed, 9 known from before\n")
    assert len(computed) == 4
    assert cnntool("extract", folder, f"u.{suffix}", *options, *CHAIN).code == 0
    assert outputs("t") == outputs("u")
    assert not list(Path().glob("t.*.parts"))
    computed.clear()
    before = Path(f"t.{suffix}").stat().st_mtime_ns
    assert cnntool("extract", folder, f"t.{suffix}", *options, *CHAIN).code == 0
    assert (len(computed), Path(f"t.{suffix}").stat().st_mtime_ns) == (0, before)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_interrupted_run_goes_on(
    cnntool: Tool, folder: Path, computed: Computed, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(compute, "LONGEST", 1)  # what a thread has in hand is lost
    assert cnntool("extract", folder, f"u.{suffix}", "--threads", 1, *CHAIN).code == 0
    command = ("extract", folder, f"t.{suffix}", "--threads", 1, *CHAIN)
    total = 0
    for stop in (5, 4):
        computed.clear()
        computed.stop_at = stop
        result = cnntool(*command)
        assert result.code == 130
        total += len(computed)
        assert f"{total} images are kept in {Path(f't.{suffix}')}.parts/" in result.err
        assert not Path(f"t.{suffix}").exists()
    computed.clear()
    computed.stop_at = None
    assert cnntool(*command).err == f"cnntool: {COUNT - 9} images computed, 9 known from before\n"
    assert len(computed) == COUNT - 9
    assert outputs("t") == outputs("u")


@pytest.mark.parametrize("suffix", tables("npz", "csv", "parquet"))
def test_kills_cost_a_part_at_most(here: Path, suffix: str) -> None:
    for number in range(40):
        save(f"f/{number:02}.png", pixels(90, 90, seed=number))
    script = """
import sys, time
from cnntool.batches import compute, parts
from cnntool.batches.compute import Work
from cnntool.cli.main import main
parts.ROWS, compute.LONGEST = 4, 2
vectors = Work.vectors
def counted(self, volumes, threads):
    found = vectors(self, volumes, threads)
    open("log", "a").write("x" * len(volumes))
    time.sleep(0.02)
    return found
Work.vectors = counted
sys.exit(main(sys.argv[1:]))
"""
    command = [sys.executable, "-c", script, "extract", "f", f"t.{suffix}", "--threads", "1", *CHAIN]
    root = str(Path(__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": root}
    kills = 0
    for after in (3, 12, 21, 30):
        process = subprocess.Popen(command, env=environment)
        begun = len(Path("log").read_text()) if Path("log").exists() else 0
        while process.poll() is None and (not Path("log").exists() or len(Path("log").read_text()) < begun + after):
            time.sleep(0.005)
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        if Path(f"t.{suffix}").exists():
            break
    assert kills >= 2
    assert subprocess.run(command, env=environment).returncode == 0
    # a part is 4 rows, and a thread has up to 2 groups of 2 images in hand
    assert len(Path("log").read_text()) <= 40 + kills * (4 + 2 * 2)
    Path("log").unlink()
    fresh = [word.replace("t.", "u.") if word == f"t.{suffix}" else word for word in command]
    assert subprocess.run(fresh, env=environment).returncode == 0
    assert outputs("t") == outputs("u")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_keep_what_was_computed(here: Path, number: int) -> None:
    for seed in range(300):
        save(f"f/{seed:03}.bmp", pixels(256, 256, seed=seed))  # written faster than a .png, and computed as slowly
    command = [sys.executable, "-m", "cnntool", "extract", "f", "t.npz", "--threads", "1", "bank", "lm", *CHAIN]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    )
    while process.poll() is None and not list(here.glob(".cnntool-*.lock")):
        time.sleep(0.01)
    time.sleep(0.7)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    assert b"the same command goes on from there" in err or not Path("t.npz.parts").exists()
    assert not list(here.glob(".cnntool-*"))


def test_another_pipeline_is_refused(cnntool: Tool, folder: Path, computed: Computed) -> None:
    assert cnntool("extract", folder, "t.npz", *CHAIN).code == 0
    before = Path("t.npz").read_bytes()
    for words in (
        ("--seed", 1, *CHAIN),
        ("--gray", *CHAIN),
        ("--mirrored", *CHAIN),
        ("conv", 4, 3),
        ("--algorithm", "direct", *CHAIN),
    ):
        message = cnntool("extract", folder, "t.npz", *words).refused()
        assert "t.npz: is there already" in message
        assert "give --overwrite to replace it" in message
        assert Path("t.npz").read_bytes() == before
    assert "of the pipeline `conv 4 3 relu globalpool avg`" in cnntool("extract", folder, "t.npz", "abs").refused()
    assert cnntool("extract", folder, "t.npz", "--overwrite", "--seed", 1, *CHAIN).code == 0
    assert Path("t.npz").read_bytes() != before


def test_weights_in_files_belong_to_the_pipeline(cnntool: Tool, folder: Path) -> None:
    words = ("conv", 2, 3, "--weights", "w.npy", "globalpool", "avg")
    np.save("w.npy", np.ones((3, 3, 3, 2), np.float32))
    assert cnntool("extract", folder, "t.npz", *words).code == 0
    assert "0 images computed" in cnntool("extract", folder, "t.npz", *words).err
    np.save("w.npy", np.full((3, 3, 3, 2), 2, np.float32))
    assert "made from other files" in cnntool("extract", folder, "t.npz", *words).refused()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_table_that_was_changed_by_hand_is_not_ours(cnntool: Tool, folder: Path, suffix: str) -> None:
    assert cnntool("extract", folder, f"t.{suffix}", *CHAIN).code == 0
    path = Path(f"t.{suffix}", "part-00000.parquet" if suffix.endswith("/") else "")
    content = path.read_bytes()
    path.write_bytes(content[:-5])
    assert "is there already" in cnntool("extract", folder, f"t.{suffix}", *CHAIN).refused()
    assert cnntool("extract", folder, f"t.{suffix}", "--overwrite", *CHAIN) == (0, b"", "")
    assert path.read_bytes() == content


def test_parts_of_another_pipeline_are_not_lost_in_silence(cnntool: Tool, folder: Path, computed: Computed) -> None:
    computed.stop_at = 7
    assert cnntool("extract", folder, "t.npz", *CHAIN).code == 130
    computed.stop_at = None
    message = cnntool("extract", folder, "t.npz", "relu", *CHAIN).refused()
    assert "t.npz.parts holds rows of another pipeline" in message
    assert "--restart" in message
    assert cnntool("extract", folder, "t.npz", "--restart", "relu", *CHAIN) == (0, b"", "")
    assert not Path("t.npz.parts").exists()


def test_restart_computes_all(cnntool: Tool, folder: Path, computed: Computed) -> None:
    for _ in range(2):
        computed.clear()
        assert cnntool("extract", folder, "t.npz", "--restart", *CHAIN) == (0, b"", "")
        assert len(computed) == COUNT


def test_dry_run(cnntool: Tool, folder: Path, computed: Computed) -> None:
    told = cnntool("extract", folder, "t.npz", "--dry-run", *CHAIN)
    assert told == (0, b"12 images: 0 known, 12 to compute; 0 rows to drop\n", "")
    assert files(Path()) == {path for path in files(Path()) if path.startswith("f/")}
    assert cnntool("extract", folder, "t.npz", *CHAIN).code == 0
    change(folder)
    before = Path("t.npz").read_bytes()
    computed.clear()
    told = cnntool("extract", folder, "t.npz", "--dry-run", *CHAIN)
    assert told == (0, b"13 images: 9 known, 4 to compute; 3 rows to drop\n", "")
    assert (Path("t.npz").read_bytes(), len(computed)) == (before, 0)


def test_failures_are_tried_again(cnntool: Tool, folder: Path, computed: Computed) -> None:
    Path("f/0/bad.png").write_text("no picture")
    for _ in range(2):
        assert cnntool("extract", folder, "t.npz", *CHAIN).code == 1
        failure = json.loads(Path("t.npz.errors.jsonl").read_text())
        assert (failure["path"], failure["kind"]) == ("0/bad.png", "unreadable")
        assert failure["message"].startswith("f/0/bad.png: not an image that can be read")
    assert len(computed) == COUNT
    save("f/0/bad.png", pixels(seed=50))
    assert cnntool("extract", folder, "t.npz", *CHAIN).code == 0
    assert not Path("t.npz.errors.jsonl").exists()
    assert len(computed) == COUNT + 1
    assert len(np.load("t.npz")["paths"]) == COUNT + 1


def test_the_first_failure_may_end_the_run(cnntool: Tool, folder: Path, computed: Computed) -> None:
    Path("f/1/bad.png").write_text("no picture")
    result = cnntool("extract", folder, "t.npz", "--threads", 1, "--on-error", "stop", *CHAIN)
    assert (result.code, result.out) == (1, b"")
    assert result.err.startswith("cnntool: f/1/bad.png: not an image")
    assert not Path("t.npz").exists()
    Path("f/1/bad.png").unlink()
    computed.clear()
    assert cnntool("extract", folder, "t.npz", *CHAIN).code == 0
    assert len(computed) < COUNT


def test_a_rename_keeps_rows_of_equal_content(cnntool: Tool, folder: Path, computed: Computed) -> None:
    for copy in ("1/copy.png", "2/copy.png"):
        Path("f", copy).write_bytes(Path("f/0/00.png").read_bytes())
    assert cnntool("extract", folder, "t.npz", "--threads", 1, *CHAIN).code == 0
    table = np.load("t.npz")
    rows = dict(zip(table["paths"].tolist(), table["features"].tolist(), strict=True))
    assert rows["1/copy.png"] == rows["2/copy.png"] == rows["0/00.png"]
    assert len(rows) == COUNT + 2


def test_damaged_parts_are_computed_again(
    cnntool: Tool, folder: Path, computed: Computed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compute, "LONGEST", 1)
    computed.stop_at = 7
    assert cnntool("extract", folder, "t.npz", "--threads", 1, *CHAIN).code == 130
    computed.stop_at = None
    computed.clear()
    first, *_ = sorted(Path("t.npz.parts").glob("*.rows"))
    first.write_bytes(first.read_bytes()[:-4])
    Path("t.npz.parts", "other.rows~").write_text("mine")
    assert cnntool("extract", folder, "t.npz", *CHAIN).code == 0
    assert COUNT - 7 < len(computed) <= COUNT - 7 + 3
    assert cnntool("extract", folder, "u.npz", *CHAIN).code == 0
    assert Path("t.npz").read_bytes() == Path("u.npz").read_bytes()
    assert os.listdir("t.npz.parts") == ["other.rows~"]


def test_rows_that_do_not_go_with_a_new_first_image(cnntool: Tool, here: Path, computed: Computed) -> None:
    """Which rows a table can hold depends on its first image, which may be new."""
    for name, width in (("b", 16), ("c", 17), ("d", 16)):
        save(f"f/{name}.png", pixels(16, width))
    assert cnntool("extract", "f", "t.npz", "fc", "3").code == 1
    assert np.load("t.npz")["paths"].tolist() == ["b.png", "d.png"]
    save("f/a.png", pixels(16, 17, seed=5))
    assert cnntool("extract", "f", "t.npz", "fc", "3").code == 1
    assert np.load("t.npz")["paths"].tolist() == ["a.png", "c.png"]
    assert cnntool("extract", "f", "u.npz", "fc", "3").code == 1
    assert Path("t.npz").read_bytes() == Path("u.npz").read_bytes()


def test_images_of_several_sizes_in_one_part(cnntool: Tool, here: Path) -> None:
    """Rows that cannot stand in the table lie between those that do."""
    for seed, (name, width) in enumerate((("a", 16), ("b", 17), ("c", 16), ("d", 18))):
        save(f"f/{name}.png", pixels(16, width, 1, seed=seed))
    assert cnntool("extract", "f", "t.npz", "globalpool", "avg").code == 0
    assert np.load("t.npz")["shapes"].tolist() == [[16, width, 1] for width in (16, 17, 16, 18)]
    assert cnntool("extract", "f", "u.npz", "relu").code == 1
    table = np.load("u.npz")
    assert table["paths"].tolist() == ["a.png", "c.png"]
    expected = [pixels(16, 16, 1, seed=seed).reshape(-1) / np.float32(255) for seed in (0, 2)]
    assert np.array_equal(table["features"], expected)


def test_archives_and_lists_are_brought_up_to_date_too(
    cnntool: Tool, folder: Path, computed: Computed, here: Any
) -> None:
    import tarfile

    def pack() -> None:
        with tarfile.open("f.tar", "w") as archive:
            archive.add("f")

    pack()
    assert cnntool("extract", "f.tar", "t.csv", *CHAIN).code == 0
    change(folder)
    pack()
    computed.clear()
    assert cnntool("extract", "f.tar", "t.csv", *CHAIN).code == 0
    assert len(computed) == 4
