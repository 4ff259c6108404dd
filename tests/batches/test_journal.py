"""`run` into a folder: outputs that are there are not made again, and none of somebody else's is replaced."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cnntool import Pipeline
from tests.cli.conftest import Tool, files, pixels, save

CHAIN = ("conv", "4", "3", "relu")
COUNT = 8


@pytest.fixture
def runs(here: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A folder of images; a number for each volume that is computed."""
    for number in range(COUNT):
        save(f"f/{number % 2}/{number}.png", pixels(seed=number))
    found: list[int] = []
    run = Pipeline.run

    def counted(self: Pipeline, volume: np.ndarray, threads: int | None = None) -> np.ndarray:
        found.append(1)
        return run(self, volume, threads)

    monkeypatch.setattr(Pipeline, "run", counted)
    return found


@pytest.mark.parametrize("output", ["m/", "m_%s.npy"])
def test_only_what_is_new_or_changed_is_computed(cnntool: Tool, runs: list[int], output: str) -> None:
    for _ in range(2):
        assert cnntool("run", "f", output, *CHAIN).code == 0
    assert len(runs) == COUNT
    save("f/0/0.png", pixels(seed=50))
    save("f/1/new.png", pixels(seed=51))
    Path(output.replace("%s.npy", "") + "0/2.npy").unlink()
    assert cnntool("run", "f", output, *CHAIN).code == 0
    assert len(runs) == COUNT + 3
    assert cnntool("run", "f", f"fresh-{output}", *CHAIN).code == 0
    made = {name: Path(name).read_bytes() for name in files(Path()) if name.endswith(".npy")}
    ours = {name: content for name, content in made.items() if name.startswith("m")}
    assert {f"fresh-{name}": content for name, content in ours.items()} == {
        name: content for name, content in made.items() if name.startswith("fresh")
    }


def test_other_pipelines_and_files_of_others_are_refused(cnntool: Tool, runs: list[int]) -> None:
    assert cnntool("run", "f", "m/", *CHAIN).code == 0
    for words in (("relu",), ("--seed", 1, *CHAIN), ("--gray", *CHAIN)):
        assert "is there already: give --overwrite" in cnntool("run", "f", "m/", *words).refused()
    Path("m/0/2.npy").write_bytes(b"mine")
    assert "m/0/2.npy is there already" in cnntool("run", "f", "m/", *CHAIN).refused()
    assert Path("m/0/2.npy").read_bytes() == b"mine"
    Path(".m.index.jsonl").write_text("damaged")
    assert "is there already" in cnntool("run", "f", "m/", *CHAIN).refused()
    assert cnntool("run", "f", "m/", "--overwrite", "relu").code == 0
    assert cnntool("run", "f", "m/", "relu").code == 0
    assert len(runs) == 2 * COUNT


def test_a_run_that_was_killed_goes_on(cnntool: Tool, here: Path) -> None:
    for number in range(60):
        save(f"f/{number:02}.png", pixels(64, 64, seed=number))
    command = [sys.executable, "-m", "cnntool", "run", "f", "m/", "--threads", "1", "bank", "lm"]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])})
    while process.poll() is None and not list(here.glob("m/*.npy")):
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert cnntool("run", "f", "m/", "bank", "lm").code == 0
    assert cnntool("run", "f", "fresh/", "bank", "lm").code == 0
    assert len(os.listdir("fresh")) == 60
    for name in os.listdir("fresh"):
        assert Path("fresh", name).read_bytes() == Path("m", name).read_bytes()
