from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.batches import naming
from cnntool.batches.naming import column_names, distinct
from tests.cli.conftest import Tool, pixels, save
from tests.suffixes import is_written

SHAPE = (16, 16, 3)
POSITIONS = [f"sobel_{d}_y{y}_x{x}" for y in (0, 1) for x in (0, 1) for d in "xy"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("bank gabor --scales 1 --orientations 4 relu globalpool avg",
         ["gabor_0_0deg", "gabor_0_45deg", "gabor_0_90deg", "gabor_0_135deg"]),
        ("bank gabor --scales 1 --orientations 2 --energy globalpool avg", ["gabor_0_0deg", "gabor_0_90deg"]),
        ("bank mr8 globalpool max",
         [*(f"mr8_{shape}_{sigma}" for shape in ("edge", "bar") for sigma in (1, 2, 4)), "mr8_spot_10", "mr8_log_10"]),
        ("bank laplacian --per-channel abs globalpool avg", ["laplacian_c0", "laplacian_c1", "laplacian_c2"]),
        ("bank sobel avgpool 8", POSITIONS),
        ("bank sobel avgpool 8 flatten", POSITIONS),
        ("mark a bank sobel mark b from a bank laplacian concat b globalpool avg", ["laplacian", "sobel_x", "sobel_y"]),
        ("mark a bank sobel mark b from a bank sobel concat b globalpool avg",
         ["sobel_x", "sobel_y", "sobel_x_b", "sobel_y_b"]),
        ("bank sobel lrn globalpool avg", ["sobel_x", "sobel_y"]),
        ("mark a bank sobel mark b from a conv 2 3 --padding 1 concat b globalpool avg", []),
        ("bank laws --size 3 --pairs --no-level globalpool avg",
         ["L3E3_E3L3", "L3S3_S3L3", "E3E3", "E3S3_S3E3", "S3S3"]),
        ("bank sobel conv 2 3 globalpool avg", []),
        ("bank sobel whiten globalpool avg", []),
        ("relu globalpool avg", []),
    ],
)  # fmt: skip
def test_names_follow_channels(words: str, expected: list[str]) -> None:
    assert column_names(Pipeline.parse(words), SHAPE) == expected


def test_each_name_is_the_number_of_its_filter_at_its_place() -> None:
    """The order of the names is that of the numbers: each alone answers to its own filter."""
    pipeline = Pipeline.parse("bank sobel avgpool 8")
    volume = np.zeros((16, 16, 1), np.float32)
    volume[:, 8:] = np.arange(8)[:, None]  # rises to the right, in the right half
    row = dict(zip(column_names(pipeline, (16, 16, 1)), pipeline.run(volume).reshape(-1).tolist(), strict=True))
    assert row["sobel_x_y0_x1"] > 0.1
    assert row["sobel_y_y0_x1"] == row["sobel_x_y0_x0"] == row["sobel_x_y1_x0"] == 0


def test_names_are_distinct() -> None:
    assert distinct(["a", "a", "a_2", "a", "b"]) == ["a", "a_2", "a_2_2", "a_3", "b"]


def test_long_rows_have_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naming, "MOST_NAMES", 16 * 16 * 2 - 1)
    assert column_names(Pipeline.parse("bank sobel"), SHAPE) == []
    monkeypatch.setattr(naming, "MOST_NAMES", 16 * 16 * 2)
    assert len(column_names(Pipeline.parse("bank sobel"), SHAPE)) == 16 * 16 * 2


def test_tables_have_the_names(cnntool: Tool, here: Path) -> None:
    save("f/a.png", pixels())
    words = ("bank", "sobel", "globalpool", "avg")
    for suffix in filter(is_written, ("csv", "npz", "parquet", "safetensors")):
        assert cnntool("extract", "f", f"t.{suffix}", *words).code == 0
    assert next(csv.reader(Path("t.csv").read_text().splitlines())) == ["path", "sobel_x", "sobel_y"]
    assert np.load("t.npz")["columns"].tolist() == ["sobel_x", "sobel_y"]
    parquet = pytest.importorskip("pyarrow.parquet")
    assert json.loads(parquet.read_schema("t.parquet").metadata[b"cnntool.columns"]) == ["sobel_x", "sobel_y"]
    safetensors = pytest.importorskip("safetensors")
    with safetensors.safe_open("t.safetensors", "numpy") as file:
        assert json.loads(file.metadata()["columns"]) == ["sobel_x", "sobel_y"]
