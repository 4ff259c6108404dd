from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from cnntool import Pipeline
from tests.cli.conftest import Tool, save


@pytest.fixture
def model(here: Path) -> Path:
    """Tells pictures that are bright above from those that are bright below, by hand-made weights."""
    pipeline = Pipeline.parse("avgpool 4x8 fc 3")
    pipeline.set_weights([{}, {"weight": np.float32([[8, 0, -9], [0, 8, -9]]), "bias": np.zeros(3, np.float32)}])
    pipeline.input_shape, pipeline.classes = (8, 8, 1), ["above", "below", "nothing"]
    pipeline.preparation = {"gray": True}
    pipeline.save("m.npz")
    for name, rows in (("a", slice(0, 4)), ("b", slice(4, 8))):
        image = np.zeros((8, 8, 3), np.uint8)
        image[rows] = 255
        save(f"photos/{name}.png", image)
    return Path("m.npz")


def test_top_classes_with_scores(cnntool: Tool, model: Path):
    result = cnntool("predict", model, "photos/a.png")
    assert result.code == 0, result.err
    assert result.text == "a.png  above 100.0%  below 0.0%  nothing 0.0%\n"
    assert cnntool("predict", model, "photos", "--top", 1).text == "a.png  above 100.0%\nb.png  below 100.0%\n"


def test_tables(cnntool: Tool, model: Path):
    assert cnntool("predict", model, "photos", "p.csv", "--top", 2).code == 0
    rows = list(csv.reader(Path("p.csv").read_text().splitlines()))
    assert rows[0] == ["path", "class1", "score1", "class2", "score2"]
    assert [row[:2] for row in rows[1:]] == [["a.png", "above"], ["b.png", "below"]]
    assert cnntool("predict", model, "photos", "p.jsonl").code == 0
    found = [json.loads(line) for line in Path("p.jsonl").read_text().splitlines()]
    assert found[1]["path"] == "b.png"
    assert abs(sum(each["score"] for each in found[1]["classes"]) - 1) < 1e-5
    assert cnntool("predict", model, "photos", "--format", "csv").text.startswith("path,class1,")


def test_a_broken_image_is_named_and_the_others_written(cnntool: Tool, model: Path):
    Path("photos/broken.png").write_bytes(b"no image")
    result = cnntool("predict", model, "photos", "p.csv")
    assert result.code == 1
    assert "broken.png" in result.err
    assert len(Path("p.csv").read_text().splitlines()) == 3


def test_wrong_usage(cnntool: Tool, model: Path):
    assert "no such file" in cnntool("predict", "none.npz", "photos").refused()
    assert "expected a name ending in .csv or .jsonl" in cnntool("predict", model, "photos", "p.txt").refused()
    Path("p.csv").touch()
    assert "--overwrite" in cnntool("predict", model, "photos", "p.csv").refused()
    Pipeline.parse("relu")
    bare = Pipeline.parse("relu")
    bare.input_shape = (8, 8, 1)
    bare.save("bare.npz")
    assert "knows no classes" in cnntool("predict", "bare.npz", "photos").refused()


def test_an_image_of_another_size_fails_by_itself(cnntool: Tool, model: Path):
    save("photos/large.png", np.zeros((16, 16, 3), np.uint8))
    result = cnntool("predict", model, "photos")
    assert result.code == 1
    assert "large.png" in result.err
    assert len(result.text.splitlines()) == 2


@pytest.mark.parametrize("channels", [1, 3])
def test_images_become_gray_or_coloured_as_the_model_learned_from(cnntool: Tool, here: Path, channels: int):
    """A model saved without the option that it was trained with, as by versions before."""
    pipeline = Pipeline.parse("globalpool avg fc 2")
    pipeline.input_shape, pipeline.classes = (8, 8, channels), ["dark", "light"]
    pipeline.set_weights([{}, {"weight": np.float32([[-9, 9]] * channels), "bias": np.float32([9, 0])}])
    pipeline.save("m.npz")
    save("f/gray.png", np.full((8, 8), 250, np.uint8))
    save("f/rgb.png", np.full((8, 8, 3), 250, np.uint8))
    result = cnntool("predict", "m.npz", "f", "--top", 1)
    assert (result.code, result.err) == (0, "")
    assert [line.split("  ")[1].split()[0] for line in result.text.splitlines()] == ["light", "light"]


def test_images_of_a_wrong_size_are_told_once(cnntool: Tool, model: Path):
    for number in range(9):
        save(f"large/{number}.png", np.zeros((12, 12), np.uint8))
    message = cnntool("predict", model, "large").refused()
    assert message.count("large/") == 1
    assert "nor does any other of the 9 inputs fit" in message


def test_a_pattern_that_the_shell_expanded(cnntool: Tool, model: Path):
    words = ("predict", model, "photos/a.png", "photos/b.png", "photos/b.png")
    assert "quoted, such as 'photos/*.png'" in cnntool(*words).refused()


def test_what_is_not_read_is_told(cnntool: Tool, model: Path):
    Path("photos/c.CR3").write_bytes(b"")
    result = cnntool("predict", model, "photos")
    assert (result.code, result.err) == (0, "cnntool: not read: 1 .cr3\n")


def test_an_output_in_the_input_is_not_counted(cnntool: Tool, model: Path):
    for _ in range(2):
        result = cnntool("predict", model, "photos", "photos/p.csv", "--overwrite")
        assert (result.code, result.err) == (0, "")
