"""The operations of all commands, each with one error in turn; `python -m tests.faults` tries each with all."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cnntool.cli import run
from tests.faults.injection import CASES, FAULTS, OLD, Case, Sweep, call, make_inputs

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the operations of POSIX")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faults")
    before = os.getcwd()
    os.chdir(folder)
    make_inputs()
    os.chdir(before)
    return folder


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.line.partition(" --")[0] + str(case.large))
def test_any_operation_may_fail(inputs: Path, monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    monkeypatch.chdir(inputs)
    monkeypatch.setattr(run, "LARGE_BYTES", run.LARGE_BYTES)
    sweep = Sweep(case)
    number = 1
    outcomes = []
    while (outcome := sweep.once(number, FAULTS[number % len(FAULTS)])) is not None:
        outcomes.append(outcome)
        number += 1 if number < 25 else 4  # a long run does the same again and again
    assert {"told", "killed"} <= set(outcomes)
    assert number > 12
    for name in case.outputs:
        Path(name).unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("line", "output"),
    [("run a.png o.npy --overwrite relu", "o.npy"), ("run a.png o.png --overwrite relu", "o.png"),
     ("run a.png o.jpg --overwrite relu", "o.jpg"),
     ("extract a.png t.npz --overwrite relu", "t.npz"), ("extract a.png t.csv --overwrite relu", "t.csv"),
     ("fit a.png m.npz --overwrite conv 64 9", "m.npz")],
)  # fmt: skip
def test_a_disk_that_is_really_full(inputs: Path, tmp_path: Path, monkeypatch, line: str, output: str) -> None:
    """The system itself stops the writing, at 5000 bytes a file."""
    monkeypatch.chdir(tmp_path)
    os.symlink(inputs / "a.png", "a.png")
    Path(output).write_bytes(OLD)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))

    command = [sys.executable, "-m", "cnntool", *line.split()]
    result = subprocess.run(command, preexec_fn=limit, capture_output=True, text=True)
    assert result.returncode in (1, 2)
    last = result.stderr.splitlines()[-1]
    assert last == f"cnntool: {output}: cannot be written: File too large"
    assert Path(output).read_bytes() == OLD
    assert sorted(os.listdir()) == sorted(["a.png", output])


def test_a_model_that_is_replaced_is_read_whole(inputs: Path, monkeypatch) -> None:
    monkeypatch.chdir(inputs)
    line = "fit photos r.npz --overwrite --threads 1 whiten"
    assert call(line).code == 0
    code = f"""
from tests.faults.injection import call
for _ in range(40):
    assert call({line!r}).code == 0
"""
    root = Path(__file__).parents[2]
    writer = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(root)})
    while writer.poll() is None:
        with np.load("r.npz", allow_pickle=False) as loaded:
            assert all(loaded[name] is not None for name in loaded.files)
    assert writer.returncode == 0
    os.unlink("r.npz")
