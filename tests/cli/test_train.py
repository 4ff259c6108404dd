from __future__ import annotations

import csv
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnntool import Pipeline
from cnntool.cli import watch
from cnntool.learning.losses import softmax
from tests.cli.conftest import Tool, files, save
from tests.cli.training import CHAIN, WORDS, pictures


def test_train_writes_a_model_and_its_history(cnntool: Tool, here: Path):
    pictures("photos")
    result = cnntool("train", "photos", "m.npz", "--epochs", 12, "--batch-size", 8, "--seed", 1, *WORDS)
    assert result.code == 0, result.err
    assert result.out == b""
    assert result.err.count("epoch ") == 13  # one a line, and the last tells which is kept
    assert {"m.npz", "m.history.csv"} == {name for name in files(here) if "/" not in name}
    rows = list(csv.DictReader(Path("m.history.csv").read_text().splitlines()))
    assert [int(row["epoch"]) for row in rows] == list(range(1, 13))
    assert float(rows[-1]["validation_accuracy"]) == 1
    model = Pipeline.load("m.npz")
    assert model.classes == ["above", "below"]
    assert model.input_shape == (12, 10, 1)
    slope = model.weights((12, 10, 1))[2]["alpha"]
    assert slope != 0.25


@pytest.mark.parametrize("chain", [CHAIN, "conv 4 3 relu maxpool 2 fc 8 relu fc 2"])
def test_defaults_learn_few_images_in_few_epochs(cnntool: Tool, here: Path, chain: str):
    """With and without batch normalisation; guessing is right by half."""
    pictures("photos", 20)
    assert cnntool("train", "photos", "m.npz", *chain.split()).code == 0
    assert json.loads(cnntool("evaluate", "m.npz", "photos", "--json").text)["accuracy"] > 0.9


def test_the_same_seed_gives_the_same_model_with_any_number_of_threads(cnntool: Tool, here: Path):
    pictures("photos")
    for name, threads in (("a", 1), ("b", 2)):
        cnntool("train", "photos", f"{name}.npz", "--epochs", 2, "--batch-size", 8, "--threads", threads, *WORDS)
    assert Path("a.npz").read_bytes() == Path("b.npz").read_bytes()


def test_archives_and_image_options(cnntool: Tool, here: Path):
    pictures("photos", 6)
    with zipfile.ZipFile("photos.zip", "w") as archive:
        for name in sorted(files(Path("photos"))):
            archive.write(f"photos/{name}", f"photos/{name}")
    result = cnntool("train", "photos.zip", "m.npz", "--epochs", 1, "--resize", "8x6", "--rgb", "conv", 2, 3, "fc", 2)
    assert result.code == 0, result.err
    model = Pipeline.load("m.npz")
    assert model.input_shape == (8, 6, 3)
    assert model.preparation == {"resize": [8, 6], "rgb": True}


def test_a_pipeline_file_and_a_model_to_go_on_from(cnntool: Tool, here: Path):
    pictures("photos", 6)
    Path("net.cnn").write_text("conv 2 3 relu\nfc 2 softmax\n")
    assert cnntool("train", "photos", "a.npz", "--epochs", 1, "-p", "net.cnn").code == 0
    assert cnntool("train", "photos", "b.npz", "--epochs", 1, "--lr", 1e-9, "-m", "a.npz").code == 0
    first, second = (Pipeline.load(f"{name}.npz").weights((12, 10, 1))[0]["weight"] for name in "ab")
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_a_table_is_trained_on_by_a_linear_head(cnntool: Tool, here: Path):
    pictures("photos")
    cnntool("extract", "--labels", "photos", "t.npz", "avgpool", 2)
    for head in ("l2svm", "logistic"):
        result = cnntool("train", "t.npz", f"{head}.npz", "--head", head, "--c", 10, "--validation", 0.2)
        assert result.code == 0, result.err
        assert "on the rows held back 100.00%" in result.err
    assert json.loads(cnntool("evaluate", "l2svm.npz", "t.npz", "--json").text)["accuracy"] == 1
    assert "expected a .npz of features" in cnntool("train", "photos", "x.npz", "--c", 1, "fc", 2).refused()
    assert "without layers" in cnntool("train", "t.npz", "x.npz", "fc", 2).refused()
    assert "--epochs is for training on images" in cnntool("train", "t.npz", "x.npz", "--epochs", 3).refused()
    assert "--gray is for training on images" in cnntool("train", "t.npz", "x.npz", "--gray").refused()


@pytest.mark.parametrize(("words", "message"), [
    (["fc", 3], "3 outputs, and there are 2 classes (above, below): end the layers with `fc 2`"),
    (["relu"], "120 outputs, and there are 2 classes"),
    ([], "no layers"),
    (["--augment", "flpi", "fc", 2], "did you mean flip"),
    (["--lr", 0, "fc", 2], "expected a number above 0"),
    (["--epochs", 0, "fc", 2], "at least 1"),
    (["--validation", 1, "fc", 2], "expected a number below 1"),
    (["--optimizer", "lbfgs", "fc", 2], "'lbfgs' is not one of"),
    (["--resume", "fc", 2], "no checkpoint"),
    (["bank", "kmeans", 4, 3, "fc", 2], "needs data: `cnntool fit"),
])  # fmt: skip
def test_wrong_usage_is_refused_before_training(cnntool: Tool, here: Path, words, message):
    pictures("photos", 3)
    assert message in cnntool("train", "photos", "m.npz", *words).refused()
    assert not Path("m.npz").exists()


def test_what_cannot_be_a_folder_of_classes_is_refused(cnntool: Tool, here: Path):
    pictures("photos", 3)
    save("flat/a.png")
    assert "no label" in cnntool("train", "flat", "m.npz", "fc", 2).refused()
    save("single/only/a.png")
    assert "one class only" in cnntool("train", "single", "m.npz", "fc", 2).refused()
    assert "no such file" in cnntool("train", "nowhere", "m.npz", "fc", 2).refused()
    save("photos/above/large.png", np.zeros((30, 30), np.uint8))
    assert "expected images of one size; give --resize" in cnntool("train", "photos", "m.npz", "fc", 2).refused()
    assert "a model's name ends in" in cnntool("train", "photos", "m.bin", "fc", 2).refused()
    Path("m.npz").touch()
    assert "--overwrite" in cnntool("train", "photos", "m.npz", "fc", 2).refused()


def test_broken_images_are_named_and_left_out(cnntool: Tool, here: Path):
    pictures("photos", 6)
    Path("photos/above/broken.png").write_bytes(b"no image")
    result = cnntool("train", "photos", "m.npz", "--epochs", 1, *WORDS)
    assert result.code == 1
    assert "photos/above/broken.png" in result.err
    assert Pipeline.load("m.npz").classes == ["above", "below"]


def test_quiet_and_a_terminal(cnntool: Tool, here: Path):
    pictures("photos", 4)
    assert cnntool("train", "photos", "m.npz", "--epochs", 1, "--quiet", *WORDS).err == ""
    result = cnntool("train", "photos", "n.npz", "--epochs", 2, *WORDS, terminal=("stderr",))
    assert result.code == 0
    assert "epoch 2/2" in result.err


def test_the_line_of_an_epoch_fits_80_columns():
    row = {"epoch": 100, "loss": 1 / 3, "accuracy": 1.0, "images_per_second": 12345.6}
    row |= {"validation_loss": 2 / 3, "validation_accuracy": 1.0}
    line = watch.line_of(row, 100, best=True)
    assert line == "epoch 100/100  loss 0.3333 100.00%  validation 0.6667 100.00%  12,346 images/s *"
    assert len(line) == 80


def test_one_image_a_batch_cannot_be_normalised(cnntool: Tool, here: Path):
    pictures("photos", 3)
    words = ["--batch-size", 1, "globalpool", "avg", "batchnorm", "fc", 2]
    assert "batchnorm (layer 2): one image at 1x1" in cnntool("train", "photos", "m.npz", *words).refused()
    assert files(here) == {f"photos/{name}" for name in files(here / "photos")}


def test_a_learning_rate_that_is_too_large_leaves_the_last_good_epoch(cnntool: Tool, here: Path):
    pictures("photos", 6)
    result = cnntool("train", "photos", "m.npz", "--lr", 1e30, "--schedule", "constant", "conv", 4, 3, "fc", 2)
    assert result.code == 1
    assert "learning rate 1e+30" in result.err
    assert "Warning" not in result.err
    assert not Path("m.npz").exists()


def test_classes_of_one_image_leave_nothing_for_validation(cnntool: Tool, here: Path):
    pictures("photos", 1)
    result = cnntool("train", "photos", "m.npz", "--epochs", 1, *WORDS)
    assert result.code == 0
    assert "--validation 0.05 holds nothing back, since every class has one image only" in result.err
    Path("photos/above/0.png").write_bytes(b"no image")
    result = cnntool("train", "photos", "n.npz", "--epochs", 1, *WORDS)
    assert result.code == 1
    assert "no image of the class 'above' can be read" in result.err


def test_curves_need_matplotlib(cnntool: Tool, here: Path):
    pictures("photos", 6)
    result = cnntool("train", "photos", "m.npz", "--epochs", 2, "--curves", "c.png", *WORDS)
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        assert "cnntool[plots]" in result.refused()
    else:
        assert result.code == 0
        assert Image.open("c.png").size[0] > 500


@pytest.mark.parametrize("channels", [1, 3])
def test_the_model_keeps_the_number_of_channels(cnntool: Tool, here: Path, channels: int):
    for label, value in (("dark", 0), ("light", 250)):
        for number in range(3):
            save(f"f/{label}/{number}.png", np.full((8, 8, 3) if channels == 3 else (8, 8), value + number, np.uint8))
    assert cnntool("train", "f", "m.npz", "--quiet", "--epochs", 1, "globalpool", "avg", "fc", "2").code == 0
    assert Pipeline.load("m.npz").preparation == ({"rgb": True} if channels == 3 else {"gray": True})
    save("other.png", np.full((8, 8) if channels == 3 else (8, 8, 3), 9, np.uint8))
    assert cnntool("predict", "m.npz", "other.png").code == 0


def test_folders_without_images_are_told_before_training(cnntool: Tool, here: Path):
    for label in "ac":
        save(f"f/{label}/1.png")
    Path("f/b").mkdir()
    Path("f/b/1.CR3").write_bytes(b"")
    result = cnntool("train", "f", "m.npz", "--epochs", 1, "globalpool", "avg", "fc", "3")
    assert result.code == 2
    assert result.err.splitlines()[:2] == [
        "cnntool: not read: 1 .cr3",
        "cnntool: no image in the folder b: no such class",
    ]


def test_labels_from_a_table(cnntool: Tool, here: Path):
    """The classes of folders again, from a .csv and images in one folder: the very same arrays."""
    pictures("photos", 6)
    Path("flat").mkdir()
    lines = ["path,label"]
    for path in sorted(Path("photos").glob("*/*.png")):
        name = f"{path.parent.name}-{path.name}"
        Path("flat", name).write_bytes(path.read_bytes())
        lines.append(f"{name},{path.parent.name}")
    Path("labels.csv").write_text("\n".join(lines))
    given = ["--epochs", 2, *WORDS]
    assert cnntool("train", "photos", "a.npz", *given).code == 0
    result = cnntool("train", "flat", "b.npz", "--labels", "labels.csv", *given)
    assert result.code == 0, result.err
    found = (Pipeline.load(name).weights((12, 10, 1)) for name in ("a.npz", "b.npz"))
    for ours, theirs in zip(*found, strict=True):
        for name, array in ours.items():
            np.testing.assert_array_equal(array, theirs[name])
    results = [
        json.loads(cnntool("evaluate", "b.npz", *where, "--json").text)
        for where in (["photos"], ["flat", "--labels", "labels.csv"])
    ]
    assert results[0] == results[1]
    Path("labels.csv").write_text("\n".join(lines[:-1]))
    result = cnntool("evaluate", "b.npz", "flat", "--labels", "labels.csv", "--json")
    assert json.loads(result.text)["images"] == 11
    assert "no row in labels.csv: 1 (below-5.png)" in result.err


def test_class_weights(cnntool: Tool, here: Path):
    """With 2 images of one class and 18 of the other, which look the same, the weights decide."""
    image = save("photos/a/0.png", np.full((4, 4), 90, np.uint8)).read_bytes()
    for label, count in (("a", 2), ("b", 18)):
        for number in range(count):
            path = Path("photos", label, f"{number}.png")
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(image)

    def share_of_a(*options: str) -> float:
        given = ["--epochs", 100, "--lr", 0.3, "--optimizer", "sgd", "--validation", 0, "--overwrite"]
        assert cnntool("train", "photos", "m.npz", *given, *options, "fc", 2).code == 0
        (found,) = Pipeline.load("m.npz").run(np.full((1, 4, 4, 1), np.float32(90 / 255))).reshape(1, 2)
        return float(softmax(found[None])[0, 0])

    np.testing.assert_allclose(share_of_a(), 0.1, atol=0.03)
    np.testing.assert_allclose(share_of_a("--class-weights", "balanced"), 0.5, atol=0.03)
    np.testing.assert_allclose(share_of_a("--class-weights", "a=27"), 0.75, atol=0.03)  # 2 * 27 : 18


@pytest.mark.parametrize("name", ["caf\u00e9", "cafe\u0301"])
def test_class_weights_of_a_name_in_any_form(cnntool: Tool, here: Path, name: str):
    pictures("photos", 2)
    os.rename("photos/above", "photos/cafe\u0301")
    assert cnntool("train", "photos", "m.npz", "--class-weights", f"{name}=2", "--epochs", 1, *WORDS).code == 0


@pytest.mark.parametrize(
    ("weights", "told"),
    [("a", "expected balanced, or CLASS=WEIGHT"), ("a=0", "above 0"), ("a=nan", "above 0"), ("abov=2", "mean above?")],
)
def test_wrong_class_weights(cnntool: Tool, here: Path, weights: str, told: str):
    pictures("photos", 2)
    assert told in cnntool("train", "photos", "m.npz", "--class-weights", weights, *WORDS).refused()
