"""`cnntool fit`, and its models through -m of the other commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnntool import Pipeline, load
from cnntool.images.read import read_image
from tests.cli.conftest import Tool, files, pixels, save

BANK = ["bank", "kmeans", "6", "4", "--patches", "800", "triangle", "gridpool", "2"]


def picture(seed: int, height: int = 16, width: int = 18, channels: int = 3) -> np.ndarray:
    dice = np.random.default_rng(seed)
    x = dice.integers(0, 256, (height + 2, width + 2, channels)).astype(float)
    x = (x[:-2, :-2] + x[1:-1, :-2] + x[2:, 1:-1] + x[1:-1, 2:]) / 4
    return x.astype(np.uint8) if channels == 3 else x[:, :, 0].astype(np.uint8)


@pytest.fixture
def photos(here: Path) -> Path:
    """Twelve pictures in two folders."""
    for number in range(12):
        save(here / f"photos/{'ab'[number % 2]}/{number:02}.png", picture(number))
    return here / "photos"


def volumes(photos: Path) -> list[np.ndarray]:
    return [read_image(path) for path in sorted(photos.rglob("*.png"))]


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
@pytest.mark.parametrize("words", ["whiten", "whiten bank pca 4 3 relu standardize", " ".join(BANK)])
def test_the_model_is_what_python_fits(cnntool: Tool, photos: Path, words: str, suffix: str):
    if suffix == "safetensors":
        pytest.importorskip("safetensors")
    result = cnntool("fit", photos, f"m.{suffix}", *words.split())
    assert (result.code, result.out, result.err) == (0, b"", "")
    data = volumes(photos)
    expected = Pipeline.parse(words).fit(data).run(data[3])
    np.testing.assert_array_equal(load(f"m.{suffix}").run(data[3]), expected)
    assert cnntool("run", "-m", f"m.{suffix}", photos / "a/06.png", "y.npy").code == 0
    np.testing.assert_array_equal(np.load("y.npy"), expected)


def test_threads_and_archives_change_nothing(cnntool: Tool, photos: Path, here: Path):
    with tarfile.open("photos.tar.gz", "w:gz") as archive:
        archive.add("photos")
    for name, source, threads in (("a", photos, 1), ("b", photos, 3), ("c", "photos.tar.gz", 2)):
        assert cnntool("fit", "--threads", threads, source, f"{name}.npz", *BANK).code == 0
    assert (here / "a.npz").read_bytes() == (here / "b.npz").read_bytes() == (here / "c.npz").read_bytes()
    assert cnntool("fit", "--seed", 1, photos, "d.npz", *BANK).code == 0
    assert (here / "d.npz").read_bytes() != (here / "a.npz").read_bytes()


def test_extract_shape_and_until_with_a_model(cnntool: Tool, photos: Path):
    assert cnntool("fit", photos, "m.npz", *BANK).code == 0
    assert cnntool("extract", "-m", "m.npz", "--labels", photos, "t.npz").code == 0
    with np.load("t.npz") as table:
        assert table["features"].shape == (12, 2 * 2 * 6)
        assert set(table["labels"]) == {"a", "b"}
    assert cnntool("extract", "-m", "m.npz", "--until", 1, photos / "a", "u.npz").code == 0
    with np.load("u.npz") as table:
        assert table["features"].shape == (6, 13 * 15 * 6)
    summary = json.loads(cnntool("shape", "-m", "m.npz", "16x18x3", "--json").text)
    assert [row["output_shape"] for row in summary["layers"]] == [[13, 15, 6], [13, 15, 6], [2, 2, 6]]
    assert "the model's `mean` has the shape" in cnntool("shape", "-m", "m.npz", "16x18x1").refused()


def test_the_image_options_are_part_of_the_model(cnntool: Tool, photos: Path):
    assert cnntool("fit", "--gray", "--resize", "12x10", "--normalize", "0.5/0.25", photos, "m.npz", "whiten").code == 0
    assert load("m.npz").preparation == {
        "resize": [12, 10], "gray": True, "normalize": [[0.5], [0.25]],
    }  # fmt: skip
    one = photos / "a/00.png"
    assert cnntool("run", "-m", "m.npz", one, "a.npy").code == 0
    assert (
        cnntool("run", "--gray", "--resize", "12x10", "--normalize", "0.5/0.25", "-m", "m.npz", one, "b.npy").code == 0
    )
    assert np.load("a.npy").shape == (12, 10, 1)
    np.testing.assert_array_equal(np.load("a.npy"), np.load("b.npy"))
    assert cnntool("run", "-m", "m.npz", "--resize", "8x9", one, "c.npy").code == 0
    assert np.load("c.npy").shape == (8, 9, 1)
    assert cnntool("run", "-m", "m.npz", "--rgb", "--crop", "5", one, "d.npy").code == 2  # three channels do not fit
    assert json.loads(cnntool("shape", "-m", "m.npz", one, "--json").text)["input"] == [12, 10, 1]


def test_a_model_whose_preparation_is_hostile(cnntool: Tool, photos: Path):
    pipeline = Pipeline.parse("relu")
    pipeline.input_shape = (16, 18, 3)
    for preparation in ({"resize": "x" * 10**5}, {"open": 1}, {"gray": 1}, {"normalize": [[1], [0]]}, {"crop": {}}):
        pipeline.preparation = preparation
        pipeline.save("m.npz")
        message = cnntool("run", "-m", "m.npz", photos / "a/00.png", "y.npy").refused()
        assert "the model's preparation of images cannot be used" in message
        assert len(message) < 2000


def test_words_a_file_and_a_model_exclude_each_other(cnntool: Tool, photos: Path):
    Path("p.cnn").write_text("relu")
    assert cnntool("fit", photos, "m.npz", "whiten").code == 0
    for words in (["-m", "m.npz", "-p", "p.cnn"], ["-m", "m.npz"], ["-p", "p.cnn"]):
        layer = ["relu"] if len(words) == 2 else []
        for command in (["run", photos / "a/00.png", "y.npy"], ["extract", photos, "t.npz"], ["shape", "8x8x3"]):
            assert "exclude each other" in cnntool(command[0], *words, *command[1:], *layer).refused()


def test_a_bank_that_is_not_fitted(cnntool: Tool, photos: Path, here: Path):
    for command in (["run", photos, "maps/"], ["extract", photos, "t.npz"]):
        message = cnntool(*command, *BANK).refused()
        assert (
            message == "cnntool: bank (layer 1): needs data: `cnntool fit INPUT MODEL LAYER...` first, then -m MODEL\n"
        )
    assert cnntool("shape", "16x16x3", *BANK).code == 0
    assert not {name for name in files(here) if not name.startswith("photos/")}


def test_images_that_fail_are_named_once_and_left_out(cnntool: Tool, photos: Path):
    (photos / "a/broken.png").write_bytes(b"no image")
    save(photos / "b/gray.png", picture(0, channels=1))
    save(photos / "b/small.png", picture(0, 3, 3))
    result = cnntool("fit", photos, "m.npz", "whiten", *BANK)
    assert result.code == 1
    lines = result.err.splitlines()
    assert len(lines) == 3
    assert "broken.png" in lines[0]
    assert "gray.png: 1 channels, and the images before have 3" in lines[1]
    assert "small.png: a volume of 3x3 has no patch of 4x4" in lines[2]
    for name in ("a/broken.png", "b/gray.png"):
        os.unlink(photos / name)
    good = [v for v in volumes(photos) if v.shape[0] > 3]
    found = load("m.npz").until("1").run(good[0])
    with_small = Pipeline.parse("whiten").fit(volumes(photos)).run(good[0])
    np.testing.assert_allclose(found, with_small, atol=1e-5)


def test_nothing_to_learn_from(cnntool: Tool, here: Path):
    (here / "a.png").write_bytes(b"no image")
    result = cnntool("fit", "a.png", "m.npz", "whiten")
    assert result.code == 1
    assert "a.png" in result.err
    assert not Path("m.npz").exists()


def test_nothing_that_learns(cnntool: Tool, photos: Path):
    result = cnntool("fit", photos, "m.npz", "conv", 3, 3, "relu")
    assert result.code == 0
    assert "no layer learns from data" in result.err
    assert load("m.npz").weights((16, 18, 3))[0]["weight"].shape == (3, 3, 3, 3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["m.pth", "whiten"], "a model's name ends in .npz or .safetensors"),
        (["relu", "whiten"], "did you forget"),
        (["none/m.npz", "whiten"], "no such folder"),
        (["there.npz", "whiten"], "give --overwrite"),
        (["m.npz"], "no layers"),
        (["--show-filters", "f.npy", "m.npz", *BANK], "expected the name of a picture"),
        (["--show-filters", "f.txt", "m.npz", *BANK], ".txt is not known"),
        (["m.npz", "bank", "kmeans", "4", "30"], "does not fit into the input"),
        (["m.npz", "bank", "stored", "4", "4"], "which a saved model holds"),
        (["-m", "there.npz", "m.npz"], "no such option"),
    ],
)  # fmt: skip
def test_wrong_use_is_refused(cnntool: Tool, photos: Path, words: list[str], message: str):
    Path("there.npz").write_bytes(b"")
    options, rest = (words[:2], words[2:]) if words[0].startswith("-") else ([], words)
    assert message in cnntool("fit", *options, photos, *rest).refused()
    assert not Path("m.npz").exists()


def test_filters_as_a_picture(cnntool: Tool, photos: Path):
    assert cnntool("fit", "--show-filters", "f.png", photos, "m.npz", "relu", *BANK).code == 0
    with Image.open("f.png") as image:
        assert image.mode == "RGB"
        assert min(image.size) > 200
    assert cnntool("fit", "--gray", "--show-filters", "g.png", photos, "g.npz", *BANK).code == 0
    message = cnntool("fit", "--overwrite", "--show-filters", "h.png", photos, "m.npz", "whiten").refused()
    assert "no layer is a learned bank" in message


def test_progress_on_a_terminal(cnntool: Tool, photos: Path):
    result = cnntool("fit", photos, "m.npz", "whiten", *BANK, terminal=("stderr",))
    assert result.code == 0
    assert "whiten zca (layer 1)" in result.err
    assert "bank kmeans 6 4 (layer 2)" in result.err


@pytest.mark.skipif(sys.platform == "win32", reason="a script for the shell")
def test_the_experiment_of_coates(here: Path):
    """The whole script, on twelve pictures a class that differ in the direction of their stripes."""
    dice = np.random.default_rng(0)
    for number in range(12):
        for name, stripes in (("across", np.arange(16)[:, None]), ("down", np.arange(16))):
            level = 128 + 60 * np.sin(stripes * 1.5 + number) + dice.normal(0, 8, (16, 16))
            save(here / f"data/{name}/{number:02}.png", np.repeat(level[..., None], 3, axis=2).astype(np.uint8))
    script = Path(__file__).parents[2] / "samples/scripts/coates.sh"
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    done = subprocess.run(
        [script, "data", "work", "8", "4"], env=os.environ | {"PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert len((here / "work/train.txt").read_text().splitlines()) == 16
    assert {Path(line).name for line in (here / "work/test.txt").read_text().splitlines()} == {
        "08.png", "09.png", "10.png", "11.png",
    }  # fmt: skip
    assert {"bank-8.npz", "head-8.npz", "train-8.npz", "test-8.npz", "filters-8.png"} <= files(here / "work")
    assert "accuracy" in done.stdout
    with np.load("work/test-8.npz") as table:
        scores = load("work/head-8.npz").run(table["features"][:, None, None, :])[:, 0, 0]
        assert [["across", "down"][k] for k in scores.argmax(axis=1)] == list(table["labels"])


@pytest.mark.parametrize("words", [["whiten"], ["bank", "kmeans", "3", "2", "--patches", "200"]])
def test_gray_among_colours_is_told_once(cnntool: Tool, here: Path, words: list[str]) -> None:
    for number in range(8):
        save(f"mixed/{number}.png", pixels(channels=1 if number % 2 else 3))
    message = cnntool("fit", "mixed", "m.npz", *words).refused()
    assert "mixed/1.png has 1 channel(s) and mixed/0.png has 3" in message
    assert cnntool("fit", "mixed", "m.npz", "--rgb", *words).code == 0
    assert cnntool("run", "-m", "m.npz", "mixed", "maps/").code == 0  # the model makes the gray ones coloured


def test_a_picture_of_filters_in_the_input_is_no_input(cnntool: Tool, photos: Path) -> None:
    words = ["--overwrite", "bank", "kmeans", "3", "2", "--patches", "200"]
    for _ in range(2):
        result = cnntool("fit", photos, "m.npz", "--gray", "--show-filters", photos / "filters.png", *words)
        assert result.code == 0
        assert "filters.png" not in result.err
    models = []
    for name in ("m.npz", "n.npz"):
        (photos / "filters.png").unlink(missing_ok=True)
        assert name == "m.npz" or cnntool("fit", photos, name, "--gray", *words).code == 0
        models.append(Path(name).read_bytes())
    assert models[0] == models[1]
