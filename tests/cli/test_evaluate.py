from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.cli.evaluate import summary_of
from tests.cli.conftest import Tool, pixels, save
from tests.cli.test_predict import model

__all__ = ["model"]


@pytest.fixture
def folder(model: Path) -> Path:
    """Three pictures that are what their folder says, and one that is not."""
    upper, lower = slice(0, 4), slice(4, 8)
    for name, rows in (("above/1", upper), ("above/2", upper), ("below/1", lower), ("below/2", upper)):
        image = np.zeros((8, 8, 3), np.uint8)
        image[rows] = 255
        save(f"test/{name}.png", image)
    return Path("test")


def test_numbers(cnntool: Tool, model: Path, folder: Path):
    result = cnntool("evaluate", model, folder, "--json")
    assert result.code == 0, result.err
    found = json.loads(result.text)
    assert found["accuracy"] == 0.75
    assert found["images"] == 4
    assert found["confusion"] == [[2, 0, 0], [1, 1, 0], [0, 0, 0]]
    above, below, nothing = found["classes"]
    assert (above["precision"], above["recall"]) == (2 / 3, 1)
    assert (below["precision"], below["recall"], below["images"]) == (1, 0.5, 2)
    assert nothing == {"class": "nothing", "images": 0, "precision": 0, "recall": 0, "f1": 0}


def test_tables_and_files(cnntool: Tool, model: Path, folder: Path):
    result = cnntool("evaluate", model, folder, "--csv", "c.csv")
    assert "accuracy 75.00% on 4 images" in result.text
    assert "precision" in result.text
    assert list(csv.reader(Path("c.csv").read_text().splitlines())) == [
        ["true", "above", "below", "nothing"], ["above", "2", "0", "0"], ["below", "1", "1", "0"],
        ["nothing", "0", "0", "0"],
    ]  # fmt: skip
    assert "--overwrite" in cnntool("evaluate", model, folder, "--csv", "c.csv").refused()


def test_wrong_folders(cnntool: Tool, model: Path, folder: Path):
    save("test/sideways/1.png", np.zeros((8, 8, 3), np.uint8))
    assert "'sideways' is no class of the model" in cnntool("evaluate", model, folder).refused()
    assert "no label" in cnntool("evaluate", model, "photos").refused()


def test_f1_is_the_harmonic_mean():
    row = summary_of(np.array([[6, 2], [1, 1]]), ["a", "b"])["classes"][0]
    assert abs(row["f1"] - 2 / (1 / row["precision"] + 1 / row["recall"])) < 1e-12


def test_a_picture_of_the_matrix(cnntool: Tool, model: Path, folder: Path):
    pytest.importorskip("matplotlib")
    assert cnntool("evaluate", model, folder, "--picture", "c.png").code == 0
    assert Path("c.png").stat().st_size > 1000


NFC, NFD = "caf\u00e9", "cafe\u0301"


@pytest.mark.parametrize(("known", "met"), [(NFC, NFD), (NFD, NFC)])
def test_decomposed_names_are_the_same_classes(cnntool: Tool, here: Path, known: str, met: str):
    pipeline = Pipeline.parse("globalpool avg fc 2")
    pipeline.input_shape, pipeline.classes = (8, 8, 1), [known, "tea"]
    pipeline.set_weights([{}, {"weight": np.float32([[-9, 9]]), "bias": np.float32([9, 0])}])
    pipeline.save("m.npz")
    for label, value in ((met, 0), ("tea", 250)):
        save(f"test/{label}/1.png", np.full((8, 8), value, np.uint8))
    Path("test/none").mkdir()
    result = cnntool("evaluate", "m.npz", "test", "--json")
    assert (result.code, json.loads(result.text)["accuracy"]) == (0, 1.0)
    assert result.err == "cnntool: no image in the folder none: no such class\n"


def test_a_class_whose_name_is_no_utf8(cnntool: Tool, here: Path):
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    pipeline = Pipeline.parse("globalpool avg fc 2")
    pipeline.input_shape, pipeline.classes = (8, 8, 1), [name, "tea"]
    pipeline.save("m.npz")
    save(f"test/{name}/1.png", np.zeros((8, 8), np.uint8))
    assert cnntool("evaluate", "m.npz", "test", "--csv", "c.csv").code == 0
    assert Path("c.csv").read_bytes().startswith(b"true,caf\xe9,tea\n")
    assert cnntool("predict", "m.npz", "test").code == 0


def test_a_model_that_gives_nan_has_no_accuracy(cnntool: Tool, here: Path):
    """The largest of NaN would be the first class, and half of the images right."""
    for label in ("a", "b"):
        save(Path("photos", label, "0.png"), pixels(6, 5, 1))
    pipeline = Pipeline.parse("fc 2")
    pipeline.classes, pipeline.input_shape = ["a", "b"], (6, 5, 1)
    pipeline.set_weights([{"weight": np.full((30, 2), np.nan, np.float32)}])
    pipeline.save("m.npz")
    result = cnntool("evaluate", "m.npz", "photos", "--json")
    assert result.code == 2
    assert "the network gives NaN" in result.err
    assert "accuracy" not in result.text
