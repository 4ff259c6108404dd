"""`cnntool extract`: one vector an image, into each kind of table."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntool import Pipeline, read_image
from cnntool.batches import extraction
from tests.cli.conftest import Tool, files, pixels, save

CHAIN = ("conv", "6", "3", "relu", "maxpool", "4", "conv", "5", "2")


@pytest.fixture
def folder(here: Path) -> list[str]:
    """Pictures in two sub-folders of `f`; their names in it."""
    names = ["cats/1.png", "cats/2.png", "dogs/1.png"]
    for place, name in enumerate(names):
        save(f"f/{name}", pixels(seed=place))
    return names


def vectors(names: list[str]) -> np.ndarray:
    """What Python computes: volumes flattened in the order height, width, channels."""
    pipeline = Pipeline.parse(list(CHAIN))
    return np.stack([pipeline.run(read_image(f"f/{name}")).reshape(-1) for name in names])


def test_npz(cnntool: Tool, folder: list[str]) -> None:
    assert cnntool("extract", "f", "t.npz", *CHAIN) == (0, b"", "")
    table = np.load("t.npz", allow_pickle=False)
    assert sorted(table) == ["contents", "features", "paths", "pipeline", "shapes"]
    assert table["features"].dtype == np.float32
    assert np.array_equal(table["features"], vectors(folder))
    assert table["paths"].tolist() == folder
    assert not Path("t.npz.parts").exists()
    assert not Path("t.npz.errors.jsonl").exists()


def test_csv(cnntool: Tool, folder: list[str]) -> None:
    assert cnntool("extract", "f", "t.csv", *CHAIN).code == 0
    head, *rows = csv.reader(Path("t.csv").read_text().splitlines())
    numbers = np.array([row[1:] for row in rows]).astype(np.float32)
    assert head == ["path", *(f"f{place}" for place in range(numbers.shape[1]))]
    assert [row[0] for row in rows] == folder
    assert np.array_equal(numbers, vectors(folder))


def test_jsonl(cnntool: Tool, folder: list[str]) -> None:
    assert cnntool("extract", "f", "t.jsonl", *CHAIN).code == 0
    rows = [json.loads(line) for line in Path("t.jsonl").read_text().splitlines()]
    assert [row["path"] for row in rows] == folder
    assert np.array_equal(np.array([row["features"] for row in rows], np.float32), vectors(folder))


@pytest.mark.parametrize("suffix", ["npz", "csv", "jsonl"])
def test_labels_are_the_sub_folders(cnntool: Tool, folder: list[str], suffix: str) -> None:
    assert cnntool("extract", "f", f"t.{suffix}", "--labels", *CHAIN).code == 0
    if suffix == "npz":
        labels = np.load("t.npz", allow_pickle=False)["labels"].tolist()
    elif suffix == "csv":
        labels = [row["label"] for row in csv.DictReader(Path("t.csv").read_text().splitlines())]
    else:
        labels = [json.loads(line)["label"] for line in Path("t.jsonl").read_text().splitlines()]
    assert labels == ["cats", "cats", "dogs"]


def test_the_order_is_height_width_channels(cnntool: Tool, here: Path) -> None:
    given = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    np.save("v.npy", given)
    assert cnntool("extract", "v.npy", "t.npz", "relu").code == 0
    assert np.load("t.npz")["features"].tolist() == [list(range(24))]
    assert cnntool("extract", "v.npy", "flat.npz", "flatten").code == 0
    assert np.load("flat.npz")["features"].tolist() == [list(range(24))]


def test_mirror_images_are_second_rows(cnntool: Tool, folder: list[str]) -> None:
    assert cnntool("extract", "--mirrored", "--labels", "f", "t.npz", *CHAIN).code == 0
    table = np.load("t.npz")
    assert table["paths"].tolist() == [name for name in folder for _ in range(2)]
    assert table["labels"].tolist() == ["cats"] * 4 + ["dogs"] * 2
    assert np.array_equal(table["features"][::2], vectors(folder))
    pipeline = Pipeline.parse(list(CHAIN))
    sides = [pipeline.run(read_image(f"f/{name}")[:, ::-1]).reshape(-1) for name in folder]
    assert np.array_equal(table["features"][1::2], np.stack(sides))


@pytest.mark.parametrize("suffix", ["npz", "csv", "jsonl"])
def test_threads_change_no_byte(cnntool: Tool, folder: list[str], suffix: str) -> None:
    for threads in (1, 2, 7):
        assert cnntool("extract", "f", f"{threads}.{suffix}", "--threads", threads, "--labels", *CHAIN).code == 0
    assert len({Path(f"{threads}.{suffix}").read_bytes() for threads in (1, 2, 7)}) == 1


def test_seed(cnntool: Tool, folder: list[str]) -> None:
    for name, seed in (("a", 0), ("b", 1), ("c", 1)):
        assert cnntool("extract", "f", f"{name}.npz", "--seed", seed, *CHAIN).code == 0
    assert Path("b.npz").read_bytes() == Path("c.npz").read_bytes() != Path("a.npz").read_bytes()


@pytest.mark.parametrize("suffix", ["npz", "csv", "jsonl"])
def test_bad_images_are_left_out_and_listed(cnntool: Tool, folder: list[str], suffix: str) -> None:
    Path("f/cats/bad.png").write_text("no picture")
    save("f/dogs/tiny.png", pixels(2, 2))
    save("f/dogs/wide.png", pixels(20, 60))
    result = cnntool("extract", "f", f"t.{suffix}", *CHAIN)
    assert (result.code, result.out) == (1, b"")
    *lines, last = result.err.splitlines()
    assert len(lines) == 3
    assert all("Traceback" not in line for line in lines)
    assert "f/cats/bad.png: not an image that can be read" in lines[0]
    assert "f/dogs/tiny.png: conv (layer 1): kernel 3x3 does not fit into the input of 2x2" in lines[1]
    assert "dogs/wide.png gives" in lines[2]
    assert "global pool" in lines[2]
    assert last == f"cnntool: 3 of 6 images failed; they are listed in t.{suffix}.errors.jsonl"
    failures = [json.loads(line) for line in Path(f"t.{suffix}.errors.jsonl").read_text().splitlines()]
    assert [failure["path"] for failure in failures] == ["cats/bad.png", "dogs/tiny.png", "dogs/wide.png"]
    # The table holds the good ones only, as if the others were not there.
    for name in ("cats/bad.png", "dogs/tiny.png", "dogs/wide.png"):
        Path("f", name).unlink()
    assert cnntool("extract", "f", f"good.{suffix}", *CHAIN).code == 0
    assert Path(f"good.{suffix}").read_bytes() == Path(f"t.{suffix}").read_bytes()


def test_without_any_good_image_there_is_no_table(cnntool: Tool, here: Path) -> None:
    Path("bad.png").write_text("no picture")
    result = cnntool("extract", "bad.png", "t.npz", "relu")
    assert result.code == 1
    assert result.err.startswith("bad.png: ")
    assert files(here) == {"bad.png", "t.npz.errors.jsonl"}


def test_an_older_table_stays_when_all_fail(cnntool: Tool, here: Path) -> None:
    Path("bad.png").write_text("no picture")
    Path("t.npz").write_bytes(b"before")
    assert cnntool("extract", "bad.png", "t.npz", "--overwrite", "relu").code == 1
    assert Path("t.npz").read_bytes() == b"before"


def test_overwrite(cnntool: Tool, folder: list[str]) -> None:
    Path("t.npz").write_bytes(b"before")
    cnntool("extract", "f", "t.npz", *CHAIN).refused()
    assert Path("t.npz").read_bytes() == b"before"
    assert cnntool("extract", "f", "t.npz", "--overwrite", *CHAIN).code == 0
    assert np.load("t.npz")["paths"].tolist() == folder


def test_preparation_makes_sizes_equal(cnntool: Tool, here: Path) -> None:
    save("f/a.png", pixels(20, 24))
    save("f/b.png", pixels(33, 41))
    assert cnntool("extract", "f", "t.npz", "--gray", "--resize", "16x12", "relu").code == 0
    assert np.load("t.npz")["features"].shape == (2, 16 * 12)


def test_one_image_from_stdin(cnntool: Tool, folder: list[str]) -> None:
    content = Path("f/cats/1.png").read_bytes()
    assert cnntool("extract", "-", "t.npz", *CHAIN, stdin=content).code == 0
    table = np.load("t.npz")
    assert np.array_equal(table["features"], vectors(folder[:1]))
    assert table["paths"].tolist() == ["stdin"]


def test_numbers_that_are_not_finite(cnntool: Tool, here: Path) -> None:
    np.save("v.npy", np.array([[[np.nan, np.inf, -np.inf, 1]]], np.float32))
    for suffix in ("npz", "csv", "jsonl"):
        assert cnntool("extract", "v.npy", f"t.{suffix}", "leaky-relu").code == 0
    features = np.load("t.npz")["features"]
    np.testing.assert_array_equal(features, np.array([[np.nan, np.inf, -np.inf, 1]], np.float32))
    assert Path("t.csv").read_text().splitlines()[1] == "v.npy,nan,inf,-inf,1.0"
    assert json.loads(Path("t.jsonl").read_text())["features"] == [None, None, None, 1.0]


def test_what_is_not_read_is_told(cnntool: Tool, folder: list[str]) -> None:
    for name in ("1.CR3", "2.cr3", "3.mov"):
        Path("f/cats", name).write_bytes(b"")
    Path("f/birds").mkdir()
    counted = "cnntool: not read: 2 .cr3, 1 .mov\n"
    assert cnntool("extract", "f", "t.npz", *CHAIN) == (0, b"", counted)
    lost = "cnntool: no image in the folder birds: no such class\n"
    assert cnntool("extract", "f", "l.npz", "--labels", *CHAIN) == (0, b"", counted + lost)
    assert cnntool("extract", "f", "q.npz", "--quiet", *CHAIN) == (0, b"", "")


def test_outputs_in_the_input_are_not_counted(cnntool: Tool, folder: list[str]) -> None:
    for known in ("", "cnntool: 0 images computed, 3 known from before\n"):
        assert cnntool("extract", "f", "f/t.csv", *CHAIN) == (0, b"", known)
    assert len(Path("f/t.csv").read_text().splitlines()) == 4


def test_gray_among_colours_is_told_once(cnntool: Tool, here: Path) -> None:
    for number in range(6):
        save(f"f/{number}.png", pixels(channels=3 if number % 2 == 0 else 1))
    for chain in (("globalpool", "avg"), ("conv", "4", "3", "globalpool", "avg")):
        message = cnntool("extract", "f", "t.csv", *chain).refused()
        assert message.startswith("cnntool: f/1.png has 1 channel(s) and f/0.png has 3")
        assert "--rgb or --gray" in message
    assert not Path("t.csv").exists()
    for option in ("--rgb", "--gray"):
        assert cnntool("extract", "f", f"t{option}.npz", option, "globalpool", "avg").code == 0
    # A bank of the channels' mean gives both the same numbers.
    assert cnntool("extract", "f", "bank.npz", "bank", "sobel", "globalpool", "avg") == (0, b"", "")
    assert len(np.load("bank.npz")["features"]) == 6


def test_a_late_gray_image_is_left_out_and_the_rest_written(cnntool: Tool, here: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(extraction, "EARLY", 2)
    for number in range(6):
        save(f"f/{number}.png", pixels(channels=1 if number == 4 else 3))
    result = cnntool("extract", "f", "t.npz", "globalpool", "avg")
    assert result.code == 1
    assert result.err.startswith("f/4.png has 1 channel(s) and f/0.png has 3")
    assert len(np.load("t.npz")["features"]) == 5


def test_rows_of_other_weights_are_refused(cnntool: Tool, here: Path) -> None:
    for name, width in (("a", 16), ("b", 17), ("c", 16)):
        save(f"f/{name}.png", pixels(16, width))
    result = cnntool("extract", "f", "t.npz", "fc", "3")
    assert result.code == 1
    assert result.err.startswith("f/b.png is 16x17 and f/a.png 16x16: images of another size get other weights")
    assert "--resize" in result.err
    assert np.load("t.npz")["paths"].tolist() == ["a.png", "c.png"]
    assert cnntool("extract", "f", "r.npz", "--resize", "16x16", "fc", "3").code == 0
    assert len(np.load("r.npz")["features"]) == 3
    # A convolution has the same filters for all sizes.
    assert cnntool("extract", "f", "g.npz", "conv", "4", "3", "globalpool", "avg") == (0, b"", "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["conv", "4", "99"], "conv (layer 1): kernel 99x99 does not fit into the input of 20x"),
        (["conv", "4", "3", "--groups", "2"], "conv (layer 1)"),
        (["--crop", "500", "relu"], "500"),
        (["--normalize", "0.5,0.5/1,1", "relu"], "3 channel(s), but 2 values"),
    ],
)
def test_a_mistake_in_the_words_is_told_once(cnntool: Tool, here: Path, words: list[str], message: str) -> None:
    for number in range(30):
        save(f"f/{number:02}.png", pixels(20, 20 + number % 3))
    Path("f/00.png").write_bytes(b"no picture")
    result = cnntool("extract", "f", "t.npz", "--threads", 2, *words)
    assert result.code == 2
    first, last = result.err.splitlines()
    assert first.startswith("f/00.png: not an image")
    assert last.startswith("cnntool: f/01.png: ")
    assert message in last
    assert last.endswith("(nor does any other of the 30 inputs fit)")
    assert not Path("t.npz").exists()


def test_one_size_that_fits_is_enough(cnntool: Tool, here: Path) -> None:
    """The first image is too small, which is its own fault."""
    for number in range(5):
        save(f"f/{number}.png", pixels(2 if number < 3 else 20, 20))
    result = cnntool("extract", "f", "t.npz", *CHAIN)
    assert result.code == 1
    assert [line[:7] for line in result.err.splitlines()[:-1]] == ["f/0.png", "f/1.png", "f/2.png"]
    assert len(np.load("t.npz")["features"]) == 2


def test_double_dash_ends_the_options(cnntool: Tool, here: Path) -> None:
    save("-a.png")
    assert cnntool("extract", "--", "-a.png", "t.npz", "globalpool", "avg") == (0, b"", "")
    assert cnntool("extract", "--threads", 1, "--", "-a.png", "-t.npz", "relu", "globalpool", "avg") == (0, b"", "")
    assert np.load("-t.npz")["paths"].tolist() == ["-a.png"]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_pattern_that_the_shell_expanded(cnntool: Tool, here: Path, count: int) -> None:
    names = [save(f"f/{number}.png") for number in range(count)]
    message = cnntool("extract", *names, "t.npz", "globalpool", "avg").refused()
    assert "is one file too many: a pattern is quoted, such as 'f/*.png'" in message
    assert "such as 'f/*.png'" in cnntool("run", *names, "maps/", "relu").refused()
    Path("t.npz").write_bytes(b"")
    assert "a pattern" not in cnntool("extract", names[0], "t.npz", "--overwrite", "gabro").refused()


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_standard_output_is_as_a_file(cnntool: Tool, folder: list[str], form: str) -> None:
    Path("f/cats/bad.png").write_text("no picture")
    assert cnntool("extract", "f", f"t.{form}", "--labels", *CHAIN).code == 1
    before = files(Path())
    result = cnntool("extract", "f", "-", "--format", form, "--labels", *CHAIN)
    assert (result.code, result.out) == (1, Path(f"t.{form}").read_bytes())
    assert result.err.endswith("cnntool: 1 of 4 images failed\n")
    assert files(Path()) == before


def test_format_is_for_standard_output(cnntool: Tool, folder: list[str]) -> None:
    assert "give --format csv or jsonl" in cnntool("extract", "f", "-", "relu").refused()
    assert "--format goes with OUTPUT -" in cnntool("extract", "f", "t.csv", "--format", "csv", "relu").refused()


def test_a_pipeline_from_standard_input(cnntool: Tool, folder: list[str]) -> None:
    words = " ".join(CHAIN).encode() + b" # words\n"
    assert cnntool("extract", "f", "a.npz", "-p", "-", stdin=words) == (0, b"", "")
    assert cnntool("extract", "f", "b.npz", *CHAIN).code == 0
    assert Path("a.npz").read_bytes() == Path("b.npz").read_bytes()
    assert "is INPUT already" in cnntool("extract", "-", "c.npz", "-p", "-", stdin=words).refused()
    for content in (b"relu " * 2**18, b"\xff"):
        assert "at most 1 MiB" in cnntool("extract", "f", "c.npz", "-p", "-", stdin=content).refused()
