"""What INPUT may be besides one image, for each command that takes many; and the limit on an image's pixels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Tool, pixels, save
from tests.images.test_webdataset import sample, shard

CHAIN = ("bank", "sobel", "abs", "globalpool", "avg")


@pytest.fixture
def table(here: Path) -> str:
    """A table of pictures in two classes, which do not lie in folders, with one that is missing."""
    lines = ["file_name,label"]
    for number in range(12):
        light = 128 * (number % 2)
        save(f"f/{number}.png", (pixels(16, 16, 1, seed=number) // 2 + light).astype(np.uint8))
        lines.append(f"{number}.png,{'light' if light else 'dark'}")
    Path("f/metadata.csv").write_text("\n".join([*lines, "none.png,dark"]))
    return "f/metadata.csv"


def test_extract_and_its_update(cnntool: Tool, table: str) -> None:
    result = cnntool("extract", table, "t.npz", "--labels", *CHAIN)
    assert result.code == 1
    assert "f/none.png: no such file" in result.err
    assert json.loads(Path("t.npz.errors.jsonl").read_text())["kind"] == "missing"
    found = np.load("t.npz")
    assert dict(zip(found["paths"].tolist(), found["labels"].tolist(), strict=True))["3.png"] == "light"
    assert len(found["paths"]) == 12
    save("f/none.png", pixels(16, 16, 1, seed=99))
    assert "1 images computed, 12 known" in cnntool("extract", table, "t.npz", "--labels", *CHAIN).err
    assert not Path("t.npz.errors.jsonl").exists()
    renamed = Path(table).read_text().replace("file_name,label", "where,kind")
    Path("f/other.csv").write_text(renamed)
    words = ("--path-column", "where", "--label-column", "kind")
    assert cnntool("extract", "f/other.csv", "u.npz", "--labels", *words, *CHAIN).code == 0
    assert Path("t.npz").read_bytes() == Path("u.npz").read_bytes()
    assert "the columns are where, kind" in cnntool("extract", "f/other.csv", "v.npz", *CHAIN).refused()


def test_a_shard_of_a_table_with_rows_twice(cnntool: Tool, table: str) -> None:
    save("f/none.png", pixels(16, 16, 1, seed=99))
    text = Path(table).read_text()
    Path(table).write_text(text + "\n" + text.partition("\n")[2])
    assert cnntool("extract", table, "t.npz", *CHAIN).code == 0
    for shard_of in ("1/2", "2/2"):
        assert cnntool("extract", table, "u.npz", "--shard", shard_of, *CHAIN).code == 0
    assert cnntool("merge", "u.npz").code == 0
    assert len(np.load("u.npz")["paths"]) == 26
    assert Path("t.npz").read_bytes() == Path("u.npz").read_bytes()


def test_fit_train_evaluate_predict_and_run(cnntool: Tool, table: str) -> None:
    assert cnntool("fit", table, "w.npz", "whiten").code == 1
    options, words = ("--epochs", 2, "--validation", 0), ("conv", 2, 3, "relu", "globalpool", "avg", "fc", 2)
    assert cnntool("train", table, "m.npz", *options, *words).code == 1
    result = cnntool("evaluate", "m.npz", table, "--json")
    assert json.loads(result.out)["images"] == 12
    assert {row["class"] for row in json.loads(result.out)["classes"]} == {"dark", "light"}
    assert cnntool("predict", "m.npz", table, "p.csv").code == 1
    assert len(Path("p.csv").read_text().splitlines()) == 13
    assert cnntool("run", table, "maps/", *CHAIN).code == 1
    assert len(list(Path("maps").iterdir())) == 12


def test_labels_of_a_table_by_columns(cnntool: Tool, table: str) -> None:
    save("f/none.png", pixels(16, 16, 1, seed=99))
    Path("l.csv").write_text(Path(table).read_text().replace("file_name,label", "a,b"))
    words = ("conv", 2, 3, "globalpool", "avg", "fc", 2)
    assert cnntool("train", "f", "m.npz", "--epochs", 1, "--labels", "l.csv", *words).code == 2
    options = ("--epochs", 1, "--labels", "l.csv", "--path-column", "a", "--label-column", "b")
    assert cnntool("train", "f", "m.npz", *options, *words).code == 0
    assert "--path-column: f has no columns" in cnntool("train", "f", "n.npz", "--path-column", "a", *words).refused()


def test_shards_of_tars(cnntool: Tool, here: Path) -> None:
    for number in range(3):
        shard(f"s/{number:02}.tar", sample(number, cls=b"x") | sample(number + 10, cls=b"y"))
    assert cnntool("extract", "s/{00..02}.tar", "t.npz", "--labels", *CHAIN).code == 0
    found = np.load("t.npz")
    assert found["labels"].tolist() == ["x", "y"] * 3
    assert found["paths"][2] == "01/0001.png"
    shard("s/03.tar", sample(3, cls=b"x"))
    assert "1 images computed, 6 known" in cnntool("extract", "s", "t.npz", "--labels", *CHAIN).err


def test_an_image_of_too_many_pixels_is_a_failure(cnntool: Tool, here: Path) -> None:
    save("f/a.png", pixels(10, 10))
    save("f/b.png", pixels(10, 11))
    np.save("f/c.npy", np.zeros((11, 10, 3), np.float32))
    result = cnntool("extract", "f", "t.npz", "--max-pixels", 100, *CHAIN)
    assert result.code == 1
    assert "f/b.png: 10 x 11 pixels are too many: at most 100 are read" in result.err
    assert "f/c.npy: 11 x 10 pixels are too many: at most 100 are read" in result.err
    assert np.load("t.npz")["paths"].tolist() == ["a.png"]
    assert "2 images computed, 1 known" in cnntool("extract", "f", "t.npz", *CHAIN).err
    assert cnntool("run", "f/b.png", "b.npy", "--max-pixels", 100, "relu").code == 1
    assert cnntool("run", "f/b.png", "b.npy", "--max-pixels", 110, "relu").code == 0
    assert "at most 536870912" in cnntool("run", "f/b.png", "c.npy", "--max-pixels", 2**30, "relu").refused()
