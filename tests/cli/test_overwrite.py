"""What each command writes: refused before any work when it is there, or when another process is writing it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cnntool.locks import Claim
from cnntool.pictures import figures
from tests.cli.conftest import Tool, files
from tests.faults.injection import make_inputs

COMMANDS = [
    ("run a.png o.npy relu", ["o.npy"], "o.npy"),
    ("run a.png o.png relu", ["o.png"], "o.png"),
    ("run photos maps/ relu", ["maps/x/0.npy", "maps/y/2.npy", "maps.errors.jsonl"], "maps"),
    ("run photos m_%s.png relu", ["m_x/0.png", "m_%s.png.errors.jsonl"], None),
    ("extract photos t.npz relu", ["t.npz", "t.npz.errors.jsonl"], "t.npz"),
    ("extract photos t.csv relu", ["t.csv", "t.csv.errors.jsonl"], "t.csv"),
    ("extract photos t.jsonl relu", ["t.jsonl", "t.jsonl.errors.jsonl"], "t.jsonl"),
    ("fit photos m.npz --show-filters f.png bank kmeans 4 3", ["m.npz", "f.png"], "m.npz"),
    ("train photos m.npz --curves c.png fc 2", ["m.npz", "m.history.csv", "m.checkpoint.npz", "c.png"], "m.npz"),
    ("train table.npz m.npz", ["m.npz"], "m.npz"),
    ("predict model.npz photos p.csv", ["p.csv"], "p.csv"),
    ("predict model.npz photos p.jsonl", ["p.jsonl"], "p.jsonl"),
    ("evaluate model.npz photos --csv c.csv --picture c.png", ["c.csv", "c.png"], "c.csv"),
]


@pytest.fixture
def spoilt(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Inputs of which none can be read: whoever refuses something else has not looked at them."""
    make_inputs()
    monkeypatch.setattr(figures, "check_picture", lambda *_: None)
    for path in (*here.rglob("*.png"), Path("table.npz")):
        path.write_bytes(b"spoilt")
    return here


@pytest.mark.parametrize(
    ("line", "output"), [(line, output) for line, outputs, _ in COMMANDS for output in outputs], ids=str
)
def test_what_is_there_is_refused_before_any_work(cnntool: Tool, spoilt: Path, line: str, output: str) -> None:
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    Path(output).write_bytes(b"old")
    before = files(spoilt)
    message = cnntool(*line.split()).refused()
    assert f"{output}" in message
    assert "is there already" in message
    assert "--overwrite" in message
    assert files(spoilt) == before
    assert Path(output).read_bytes() == b"old"
    # with --overwrite it is the inputs that are refused, and the old output stays
    words = line.split()
    assert "already" not in cnntool(*words[:3], "--overwrite", *words[3:]).err
    if "errors" not in output:
        assert Path(output).read_bytes() == b"old"


@pytest.mark.parametrize(("line", "claimed"), [(line, claimed) for line, _, claimed in COMMANDS if claimed], ids=str)
def test_one_writer_of_an_output(cnntool: Tool, spoilt: Path, line: str, claimed: str) -> None:
    claim = Claim(claimed)
    before = files(spoilt)
    words = line.split()
    message = cnntool(*words[:3], "--overwrite", *words[3:]).refused()
    assert f"is being written by another process (pid {os.getpid()})" in message
    assert claimed in message
    assert files(spoilt) == before
    claim.release()
    assert "being written" not in cnntool(*words[:3], "--overwrite", *words[3:]).err


def test_resume_replaces_what_its_run_made_and_nothing_else(cnntool: Tool, here: Path, monkeypatch) -> None:
    make_inputs()
    monkeypatch.setattr(figures, "check_picture", lambda *_: None)
    Path("m.checkpoint.npz").write_bytes(b"old")
    message = cnntool("train", "photos", "m.npz", "fc", 2).refused()
    assert "m.checkpoint.npz is there already, of a run that was stopped: give --resume to go on" in message
    Path("c.png").write_bytes(b"old")
    assert (
        "c.png is there already"
        in cnntool("train", "photos", "m.npz", "--resume", "--curves", "c.png", "fc", 2).refused()
    )
    assert Path("m.checkpoint.npz").read_bytes() == b"old"
    assert "--curves and --resume" in cnntool("train", "table.npz", "m.npz", "--curves", "d.png").refused()


def test_one_name_for_two_outputs(cnntool: Tool, here: Path, monkeypatch) -> None:
    make_inputs()
    monkeypatch.setattr(figures, "check_picture", lambda *_: None)
    assert (
        "two outputs" in cnntool("evaluate", "model.npz", "photos", "--csv", "c.png", "--picture", "./c.png").refused()
    )


def test_folders_that_were_made_for_nothing_go(cnntool: Tool, here: Path) -> None:
    Path("bad.png").write_text("no picture")
    Path("list.txt").write_text("bad.png\n")
    assert cnntool("run", "@list.txt", "new/deep/maps/", "relu").code == 1
    assert files(here) == {"bad.png", "list.txt", "new/deep/maps.errors.jsonl"}
    assert cnntool("run", "bad.png", "other/deep/maps/", "relu").code == 1
    assert not Path("other").exists()
