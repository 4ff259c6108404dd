"""`cnntool shape`: published networks to the last digit, golden output with its arithmetic, agreement with `run`."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntool.network.conventions import CONVENTIONS
from tests.cli.conftest import Tool, pixels, save

GOLDEN = Path(__file__).parent / "golden"
PIPELINES = Path(__file__).parents[2] / "samples/pipelines"
MIXED = (
    "whiten pca bank sobel --stride 2 mark x conv 8 3x5 --padding same --no-bias batchnorm relu conv 2 1 add x "
    "maxpool 2 fc 10 softmax"
)


def shape(cnntool: Tool, *words: object) -> dict[str, Any]:
    result = cnntool("shape", words[0], "--json", *words[1:])
    assert (result.code, result.err) == (0, "")
    return json.loads(result.out)


# Published numbers: parameters, multiply-adds of convolutions and full connections where a source gives them, and the
# receptive field and centre before the first layer that looks at the whole volume.
NETWORKS: dict[str, tuple[int, int | None, int | None, float | None]] = {
    "lenet5": (61_706, None, None, None),
    "alexnet": (61_100_840, None, 195, 31),
    "vgg16": (138_357_544, None, 212, 15.5),
    "vgg19": (143_667_240, None, 268, None),
    "resnet18": (11_689_512, None, 435, None),
    "resnet50": (25_557_032, 4_089_184_256, 427, None),
    "resnet50-v1": (25_557_032, 3_857_973_248, 483, None),
    "squeezenet": (1_248_424, None, None, None),
    "mobilenet-v1": (4_231_976, None, 315, None),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_published_networks(cnntool: Tool, name: str) -> None:
    parameters, macs, field, center = NETWORKS[name]
    summary = shape(cnntool, stated(name)["input"], "-p", PIPELINES / f"{name}.cnn")
    assert summary["totals"]["parameters"] == parameters
    if macs is not None:
        assert summary["totals"]["macs"] == macs
    whole = next(row["row"] for row in summary["layers"] if row["layer"] in ("globalpool", "flatten", "fc"))
    before = [row for row in summary["layers"] if row["row"] < whole][-1]
    if field is not None:
        assert before["receptive_field"] == [field, field]
    if center is not None:
        assert before["center"] == [center, center]


def test_vgg16_before_its_last_pool(cnntool: Tool) -> None:
    summary = shape(cnntool, "224x224x3", "-p", PIPELINES / "vgg16.cnn")
    last = [place for place, row in enumerate(summary["layers"]) if row["layer"] == "maxpool"][-1]
    assert summary["layers"][last - 1]["receptive_field"] == [196, 196]
    assert summary["layers"][last]["receptive_field"] == [212, 212]


def test_mobilenet_has_the_running_statistics_of_keras(cnntool: Tool) -> None:
    assert shape(cnntool, "224x224x3", "-p", PIPELINES / "mobilenet-v1.cnn")["totals"]["buffers"] == 21_888


def stated(name: str) -> dict[str, str]:
    """What the head of a sample pipeline says of it."""
    lines = (PIPELINES / f"{name}.cnn").read_text().splitlines()
    return dict(re.findall(r"^# (input|parameters|MACs): (\S+)", "\n".join(lines), re.MULTILINE))


@pytest.mark.parametrize("path", sorted(PIPELINES.glob("*.cnn")), ids=lambda path: path.stem)
def test_the_heads_of_the_samples_are_true(cnntool: Tool, path: Path) -> None:
    facts = stated(path.stem)
    size = facts["input"] if "x" in facts["input"] else "64x48x3"
    totals = shape(cnntool, size, "-p", path)["totals"]
    assert totals["parameters"] == int(facts["parameters"].replace(",", ""))
    if "MACs" in facts:
        assert totals["macs"] == int(facts["MACs"].replace(",", ""))


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_what_other_tools_count(cnntool: Tool, convention: str) -> None:
    """ResNet-50, as each of these tools printed it."""
    summary = shape(cnntool, "224x224x3", "--convention", convention, "-p", PIPELINES / "resnet50.cnn")
    assert summary["totals"]["macs"] == CONVENTIONS[convention].resnet50
    assert summary.get("convention", "cnntool") == convention


def test_what_sharing_saves(cnntool: Tool) -> None:
    """The example of Stanford's course CS231n: 55 x 55 x 96 from filters of 11 x 11 x 3."""
    words = ("conv", "96", "11", "--stride", "4")
    summary = shape(cnntool, "227x227x3", "--without-sharing", "--as-fc", *words)
    (row,) = summary["layers"]
    assert row["output_shape"] == [55, 55, 96]
    assert row["parameters"] == 34_944
    assert row["parameters_without_sharing"] == 105_705_600
    assert row["parameters_as_fc"] == (227 * 227 * 3 + 1) * 55 * 55 * 96
    for key in ("parameters", "parameters_without_sharing", "parameters_as_fc"):
        assert summary["totals"][key] == row[key]
    table = cnntool("shape", "227x227x3", "--without-sharing", "--as-fc", *words).text
    assert "105,705,600" in table
    assert "without sharing" in table
    assert f"{row['parameters_as_fc']:,}" in table


@pytest.mark.parametrize("form", ["table", "csv", "markdown", "json"])
def test_golden_output(cnntool: Tool, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")  # of no account where the output is no terminal
    options = [] if form == "table" else [f"--{form}"]
    result = cnntool("shape", "20x32x3", *options, *MIXED.split())
    assert (result.code, result.err) == (0, "")
    trimmed = "".join(f"{line.rstrip()}\n" for line in result.text.splitlines())
    suffix = {"table": "txt", "markdown": "md"}.get(form, form)
    assert trimmed == (GOLDEN / f"shape.{suffix}").read_text()


def test_the_arithmetic_of_the_golden_files() -> None:
    """Each number again from the words alone, and all files say the same."""
    summary = json.loads((GOLDEN / "shape.json").read_text())
    rows, totals = summary["layers"], summary["totals"]
    # whiten: mean and matrix; sobel: two 3x3 filters; conv 8 3x5 on 2 channels; batchnorm; conv 2 1; fc 10 on 5x8x2.
    assert [row["parameters"] for row in rows] == [0, 0, 8 * 2 * 15, 16, 0, 2 * 8 + 2, 0, 0, (5 * 8 * 2 + 1) * 10, 0]
    assert [row["buffers"] for row in rows] == [3 + 9, 2 * 9, 0, 16, 0, 0, 0, 0, 0, 0]
    positions = 10 * 16
    assert [row["macs"] for row in rows] == [
        0, positions * 18, positions * 240, 0, 0, positions * 16, 0, 0, 5 * 8 * 2 * 10, 0,
    ]  # fmt: skip
    assert [row["output_bytes"] for row in rows] == [4 * math.prod(row["output_shape"]) for row in rows]
    assert [row["input_shape"] for row in rows[1:]] == [row["output_shape"] for row in rows[:-1]]
    assert rows[0]["input_shape"] == summary["input"] == [20, 32, 3]
    for key, total in totals.items():
        column = "output_bytes" if key == "activation_bytes" else key
        assert total == sum(row[column] for row in rows)

    table = list(csv.DictReader(io.StringIO((GOLDEN / "shape.csv").read_text())))
    for line, row in zip(table, rows, strict=True):
        assert [int(line[f"output_{axis}"]) for axis in ("height", "width", "channels")] == row["output_shape"]
        assert [int(line[f"receptive_field_{axis}"]) for axis in ("height", "width")] == row["receptive_field"]
        assert [float(line[f"center_{axis}"]) for axis in ("height", "width")] == row["center"]
        for key in ("parameters", "buffers", "macs", "output_bytes"):
            assert int(line[key]) == row[key]

    for suffix, mark in (("md", "|"), ("txt", "   ")):
        lines = (GOLDEN / f"shape.{suffix}").read_text().replace("**", "").splitlines()
        total = next(line for line in lines if "total" in line)
        for key in ("parameters", "buffers", "macs"):
            assert f"{totals[key]:,}" in [cell.strip() for cell in re.split(re.escape(mark), total)]
        for row in rows:
            line = next(line for line in lines if re.match(rf"\W*{row['row']}\W+{row['layer']}", line))
            assert "x".join(map(str, row["output_shape"])) in line
            assert f"{row['parameters']:,}" in line
            assert f"{row['macs']:,}" in line


CHAINS = [
    MIXED,
    "conv 5 3 --stride 2 --padding 1,2,3,0 --dilation 2 relu maxpool 3 --stride 2 --ceil lrn",
    "bank gabor --scales 2 --per-channel avgpool 3x2 --padding 1 whiten std globalpool l2",
    "mark x conv 4 3x1 --padding same mark y from x conv 2 1x3 --padding same concat y l2pool 2 flatten",
]


@pytest.mark.parametrize("chain", CHAINS)
def test_every_row_is_what_run_gives(cnntool: Tool, here: Path, chain: str) -> None:
    save("a.png", pixels(20, 32))
    rows = shape(cnntool, "a.png", *chain.split())["layers"]
    assert rows == shape(cnntool, "20x32x3", *chain.split())["layers"]
    for row in rows:
        words = ("run", "a.png", "-", "--until", row["row"], *chain.split())
        volume = np.load(io.BytesIO(cnntool(*words).out))
        assert list(volume.shape) == row["output_shape"]
        assert volume.nbytes == row["output_bytes"]


@pytest.mark.parametrize("name", ["lenet5", "lecture", "texture", "squeezenet"])
def test_the_samples_run_as_they_are_shaped(cnntool: Tool, here: Path, name: str) -> None:
    size = stated(name)["input"]
    height, width, channels = map(int, size.split("x")) if "x" in size else (40, 50, 3)
    save("a.png", pixels(height, width, channels))
    summary = shape(cnntool, "a.png", "-p", PIPELINES / f"{name}.cnn")
    assert cnntool("run", "a.png", "o.npy", "-p", PIPELINES / f"{name}.cnn").code == 0
    result = np.load("o.npy")
    assert list(result.shape) == summary["layers"][-1]["output_shape"]
    assert np.isfinite(result).all()
    assert result.std() > 0


def test_the_shape_of_an_image_is_that_after_its_preparation(cnntool: Tool, here: Path) -> None:
    save("a.png", pixels(20, 32))
    np.save("v.npy", np.zeros((4, 5, 6), np.float32))
    assert shape(cnntool, "a.png", "relu")["input"] == [20, 32, 3]
    assert shape(cnntool, "a.png", "--gray", "--resize", "10", "--crop", "9x8", "relu")["input"] == [9, 8, 1]
    assert shape(cnntool, "v.npy", "relu")["input"] == [4, 5, 6]


def test_two_numbers_are_one_channel(cnntool: Tool) -> None:
    assert shape(cnntool, "28x30", "relu")["input"] == [28, 30, 1]
    assert shape(cnntool, "28X30X2", "relu")["input"] == [28, 30, 2]


@pytest.mark.parametrize(("typed", "meant"), [("3x224x320", "224x320x3"), ("1x28x28", "28x28x1"), ("4x8x9", "8x9x4")])
def test_a_shape_with_its_channels_first_is_asked_about(cnntool: Tool, typed: str, meant: str) -> None:
    result = cnntool("shape", typed, "relu")
    assert f"channels come last: is it {meant}?" in result.err
    assert len(result.err.splitlines()) == 1
    assert result.code == 0


@pytest.mark.parametrize("typed", ["224x224x3", "3x3x64", "1x1x512", "1x64", "5x64x64", "2x9x9"])
def test_other_shapes_are_taken_as_they_stand(cnntool: Tool, typed: str) -> None:
    result = cnntool("shape", typed, "relu")
    assert (result.code, result.err) == (0, "")


def test_a_file_called_like_a_shape_is_the_file(cnntool: Tool, here: Path) -> None:
    Path("28x28x3").write_bytes(save("a.png").read_bytes())
    assert shape(cnntool, "28x28x3", "relu")["input"] == [20, 24, 3]


def test_until_and_layers_that_are_not_needed(cnntool: Tool) -> None:
    words = ("conv", "4", "3", "mark", "x", "relu", "from", "x", "abs")
    assert [row["layer"] for row in shape(cnntool, "9x9x3", *words)["layers"]] == ["conv", "abs"]
    assert [row["layer"] for row in shape(cnntool, "9x9x3", "--until", "2", *words)["layers"]] == ["conv", "relu"]
    assert [row["row"] for row in shape(cnntool, "9x9x3", *words)["layers"]] == [1, 3]


def test_huge_shapes_are_integers_all_the_way(cnntool: Tool) -> None:
    summary = shape(cnntool, "10000000x10000000x3", "conv", "1000000", "3", "--padding", "1", "fc", "16000000")
    conv, fc = summary["layers"]
    assert conv["macs"] == 10**14 * 27 * 10**6
    assert fc["parameters"] == (10**20 + 1) * 16 * 10**6
    assert cnntool("shape", "10000000x10000000x3", "conv", "1000000", "3", "fc", "16000000").code == 0


def test_a_bad_image_is_one_line(cnntool: Tool, here: Path) -> None:
    Path("text.png").write_text("no picture")
    result = cnntool("shape", "text.png", "relu")
    assert (result.code, result.out) == (1, b"")
    assert result.err.startswith("cnntool: text.png: not an image")
    assert len(result.err.splitlines()) == 1
