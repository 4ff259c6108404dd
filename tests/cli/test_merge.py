"""`cnntool extract --shard I/N` and `cnntool merge`: the table of one run, from several."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cnntool.batches.shards import Shard
from cnntool.locks import Claim
from tests.cli.conftest import Tool, files, pixels, save
from tests.suffixes import tables

CHAIN = ("conv", "4", "3", "relu", "globalpool", "avg")


@pytest.fixture
def folder(here: Path) -> Path:
    for number in range(20):
        save(f"f/{number % 2}/{number:02}.png", pixels(seed=number))
    Path("f/0/bad.png").write_text("no picture")
    return Path("f")


@pytest.mark.parametrize("suffix", tables("npz", "csv", "parquet"))
def test_shards_make_the_table_of_one_run(cnntool: Tool, folder: Path, suffix: str) -> None:
    whole = cnntool("extract", folder, f"u.{suffix}", "--labels", *CHAIN)
    assert whole.code == 1
    for place in (3, 1, 2):
        code = cnntool("extract", folder, f"t.{suffix}", "--labels", "--shard", f"{place}/3", *CHAIN).code
        assert code == (Shard(place, 3).holds("0/bad.png"))
        assert not Path(f"t.{suffix}").exists()
    result = cnntool("merge", f"t.{suffix}")
    assert (result.code, result.err) == (
        1,
        whole.err.replace("21 images failed; they are listed in u.", "21 images failed; they are listed in t."),
    )
    assert Path(f"t.{suffix}").read_bytes() == Path(f"u.{suffix}").read_bytes()
    assert Path(f"t.{suffix}.errors.jsonl").read_bytes() == Path(f"u.{suffix}.errors.jsonl").read_bytes()
    assert not Path(f"t.{suffix}.parts").exists()
    # the table that came of it is brought up to date by one run, or by shards again
    save("f/1/new.png", pixels(seed=50))
    assert "1 images computed, 20 known" in cnntool("extract", folder, f"u.{suffix}", "--labels", *CHAIN).err
    for place in (1, 2, 3):
        cnntool("extract", folder, f"t.{suffix}", "--labels", "--shard", f"{place}/3", *CHAIN)
    assert cnntool("merge", f"t.{suffix}").code == 1
    assert Path(f"t.{suffix}").read_bytes() == Path(f"u.{suffix}").read_bytes()


def test_what_is_missing_is_named(cnntool: Tool, folder: Path) -> None:
    assert "no shard of it is there" in cnntool("merge", "t.npz").refused()
    cnntool("extract", folder, "t.npz", "--shard", "2/3", *CHAIN)
    assert "run --shard 1/3, 3/3" in cnntool("merge", "t.npz").refused()
    cnntool("extract", folder, "t.npz", "--shard", "1/3", *CHAIN)
    save("f/1/new.png", pixels(seed=50))
    cnntool("extract", folder, "t.npz", "--shard", "3/3", *CHAIN)
    assert "saw other inputs or options than" in cnntool("merge", "t.npz").refused()
    for place in (1, 2):
        cnntool("extract", folder, "t.npz", "--shard", f"{place}/3", *CHAIN)
    assert cnntool("merge", "t.npz").code == 1
    assert "rows of another pipeline" not in cnntool("merge", "t.npz").refused()


def test_one_shard_is_computed_once_at_a_time(cnntool: Tool, folder: Path) -> None:
    claim = Shard(1, 2).claim("t.npz")
    message = cnntool("extract", folder, "t.npz", "--shard", "1/2", *CHAIN).refused()
    assert f"is being written by another process (pid {os.getpid()})" in message
    cnntool("extract", folder, "t.npz", "--shard", "2/2", *CHAIN)
    assert "is being written by another process" in cnntool("merge", "t.npz").refused()
    claim.release()
    cnntool("extract", folder, "t.npz", "--shard", "1/2", *CHAIN)
    assert cnntool("merge", "t.npz").code == 1


def test_a_shard_and_the_whole_are_not_computed_at_once(cnntool: Tool, folder: Path) -> None:
    """The whole, once it is written, would take away what the shard has put down."""
    claim = Shard(1, 2).claim("t.npz")
    message = cnntool("extract", folder, "t.npz", *CHAIN).refused()
    assert f"a shard of it is being computed (pid {os.getpid()})" in message
    claim.release()
    whole = Claim("t.npz")
    message = cnntool("extract", folder, "t.npz", "--shard", "1/2", *CHAIN).refused()
    assert f"t.npz is being written by another process (pid {os.getpid()})" in message
    whole.release()
    assert cnntool("extract", folder, "t.npz", *CHAIN).code == 1
    assert files(Path()) - {"t.npz", "t.npz.errors.jsonl"} == {path for path in files(Path()) if path.startswith("f/")}


def test_lost_rows_are_told(cnntool: Tool, folder: Path) -> None:
    for place in (1, 2):
        cnntool("extract", folder, "t.npz", "--shard", f"{place}/2", *CHAIN)
    for path in Path("t.npz.parts").glob("*.rows"):
        path.unlink()
    assert cnntool("merge", "t.npz").code == 1
    kinds = [json.loads(line)["kind"] for line in Path("t.npz.errors.jsonl").read_text().splitlines()]
    assert sorted(kinds) == ["failed"] * 20 + ["unreadable"]
    assert not Path("t.npz").exists()


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/", "-1/2"])
def test_shards_that_cannot_be(cnntool: Tool, folder: Path, text: str) -> None:
    assert "expected I/N with I from 1 to N" in cnntool("extract", folder, "t.npz", "--shard", text, *CHAIN).refused()
    assert "t.npz" not in "".join(files(Path()))
