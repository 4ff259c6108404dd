from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import Tool, pixels, save
from tests.suffixes import tables

SAMPLES = Path(__file__).parents[2] / "samples"
CHAIN = ("bank", "gabor", "--scales", 2, "relu", "globalpool", "avg")


@pytest.fixture
def table(cnntool: Tool, here: Path) -> Path:
    for number in range(6):
        save(f"f/{number % 2}/{number}.png", pixels(seed=number))
    save("f/0/copy.png", pixels(seed=2))
    assert cnntool("extract", "f", "t.npz", "--gray", *CHAIN).code == 0
    return Path("t.npz")


def test_rows_by_path_end_and_number(cnntool: Tool, table: Path) -> None:
    result = cnntool("similar", table, "0/2.png", "-n", 2)
    assert (result.code, result.err) == (0, "")
    assert result.text.splitlines()[0] == " 1.0000  0/copy.png"
    assert len(result.text.splitlines()) == 2
    assert cnntool("similar", table, "2.png", "-n", 2).out == result.out
    row = np.load(table)["paths"].tolist().index("0/2.png")
    assert cnntool("similar", table, row, "-n", 2).out == result.out
    found = json.loads(cnntool("similar", table, "2.png", "--json", "--metric", "l2").text)
    assert found["nearest"][0] == {"path": "0/copy.png", "row": 3, "l2": 0.0}
    assert len(found["nearest"]) == 5


@pytest.mark.parametrize("name", ["caf\u00e9.png", "cafe\u0301.png"])
def test_names_in_any_form(cnntool: Tool, here: Path, name: str) -> None:
    """Both in the table, and of a picture beside it, whose name is decomposed on the disk."""
    for path in ("f/a.png", "f/cafe\u0301.png", "other/cafe\u0301.png"):
        save(path, pixels(seed=len(path)))
    assert cnntool("extract", "f", "t.npz", *CHAIN).code == 0
    result = cnntool("similar", "t.npz", name, "--sheet", "o.png", "--root", "f")
    assert (result.code, result.text.split()[1:]) == (0, ["a.png"])
    assert cnntool("similar", "t.npz", f"other/{name}").code == 0


@pytest.mark.parametrize("suffix", tables("csv", "jsonl", "parquet", "npy", "safetensors", "npz"))
def test_an_image_goes_through_the_pipeline_of_the_table(cnntool: Tool, table: Path, suffix: str) -> None:
    assert cnntool("extract", "f", f"u.{suffix}", "--gray", *CHAIN).code == 0
    save("elsewhere.png", pixels(seed=5))
    for options in ((), ("--whiten",)):
        result = cnntool("similar", f"u.{suffix}", "elsewhere.png", "-n", 1, *options)
        assert result == (0, b" 1.0000  1/5.png\n", "")


def test_groups(cnntool: Tool, table: Path) -> None:
    assert cnntool("similar", table, "--threshold", "0.999999").text == "0/2.png\t0/copy.png\n"
    assert cnntool("similar", table, "--metric", "l2", "--threshold", "0").text == "0/2.png\t0/copy.png\n"
    found = json.loads(cnntool("similar", table, "--threshold", "0.999999", "--json").text)
    assert [[row["path"] for row in group] for group in found["groups"]] == [["0/2.png", "0/copy.png"]]


def test_a_sheet_of_pictures(cnntool: Tool, table: Path) -> None:
    assert cnntool("similar", table, "2.png", "-n", 3, "--sheet", "o.png").refused().count("--root") == 1
    assert cnntool("similar", table, "0/2.png", "-n", 3, "--sheet", "o.png", "--root", "f").code == 0
    assert min(Image.open("o.png").size) > 128
    assert "already" in cnntool("similar", table, "2.png", "--sheet", "o.png", "--root", "f").refused()


def test_what_cannot_be_found(cnntool: Tool, table: Path) -> None:
    assert "neither a path of the table nor a file" in cnntool("similar", table, "none.png").refused()
    assert "expected a row from 0 to 6" in cnntool("similar", table, "7").refused()
    assert "no such file" in cnntool("similar", "none.npz", "0").refused()
    save("f/1/2.png", pixels(seed=9))
    assert cnntool("extract", "f", "t.npz", "--gray", *CHAIN).code == 0
    assert "2 paths of the table end so" in cnntool("similar", table, "2.png").refused()
    np.savez("plain.npz", features=np.eye(2, dtype=np.float32), paths=np.array(["a", "b"]))
    save("x.png")
    assert "does not tell its pipeline" in cnntool("similar", "plain.npz", "x.png").refused()
    assert cnntool("similar", "plain.npz", "a", "-n", 1).text == " 0.0000  b\n"
    assert "Traceback" not in cnntool("similar", table, "0", "--metric", "dot").err


def test_planted_copies_are_found(cnntool: Tool, here: Path) -> None:
    """Recompressed, resized and cropped a little, with the texture pipeline of the samples."""
    names = ["astronaut.jpg", "coffee.jpg", "grass.png", "rocket.jpg"]
    for path in sorted((SAMPLES / "images").iterdir()):
        image = Image.open(path).convert("RGB")
        image.thumbnail((256, 256))
        Path("f").mkdir(exist_ok=True)
        image.save(f"f/{path.stem}.png")
        if path.name not in names:
            continue
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=60)
        Image.open(buffer).save(f"f/{path.stem}-recompressed.png")
        image.resize((image.width * 9 // 10, image.height * 9 // 10)).save(f"f/{path.stem}-resized.png")
        image.crop((4, 4, image.width - 4, image.height - 4)).save(f"f/{path.stem}-cropped.png")
    assert cnntool("extract", "f", "t.npz", "-p", SAMPLES / "pipelines/texture.cnn").code == 0
    for name in names:
        stem = Path(name).stem
        found = json.loads(cnntool("similar", "t.npz", f"{stem}.png", "-n", 3, "--json").text)
        copies = {f"{stem}-{how}.png" for how in ("recompressed", "resized", "cropped")}
        assert {row["path"] for row in found["nearest"]} == copies
