"""`cnntool explain`: the arithmetic at the shell, in all forms, and every wrong use of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import Tool, files, save

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
DEMO = (
    "5x5x3",
    "--values",
    ROOT / "samples/values/cs231n-convolution.txt",
    "conv",
    2,
    3,
    "--stride",
    2,
    "--padding",
    1,
)
OUTPUT = [
    [[2, 3, 3], [3, 7, 3], [8, 10, -3]],
    [[-8, -8, -3], [-3, 1, 0], [-3, -8, -5]],
]  # of the demo, filter by filter


def explained(cnntool: Tool, *words: object) -> list[dict[str, Any]]:
    result = cnntool("explain", "--json", *words)
    assert (result.code, result.err) == (0, "")
    return json.loads(result.out)["layers"]


@pytest.mark.parametrize("language", ["en", "ro"])
def test_golden_output_of_the_demo(cnntool: Tool, language: str) -> None:
    result = cnntool("explain", "--lang", language, *DEMO)
    assert (result.code, result.err) == (0, "")
    assert result.text == (GOLDEN / f"explain.{language}.txt").read_text(encoding="utf-8")


def test_the_arithmetic_of_the_golden_output() -> None:
    """Every sum of the page again, and the product of each window with its filter."""
    text = (GOLDEN / "explain.en.txt").read_text(encoding="utf-8")
    sums = re.findall(r"^    (-?\d+(?: [+-] \d+)+) = (-?\d+)$", text, re.MULTILINE)
    assert len(sums) == 4
    for terms, total in sums:
        assert eval(terms) == int(total)
    rows = re.findall(r"^    +((?:-?\d+ +){8}-?\d+)$", text, re.MULTILINE)
    assert len(rows) == 9
    for row in rows:
        numbers = [int(number) for number in row.split()]
        assert [a * b for a, b in zip(numbers[:3], numbers[3:6], strict=True)] == numbers[6:]


def test_all_outputs_of_the_demo(cnntool: Tool) -> None:
    for c, plane in enumerate(OUTPUT):
        for y, line in enumerate(plane):
            for x, value in enumerate(line):
                (layer,) = explained(cnntool, "--at", f"{y},{x},{c}", *DEMO)
                assert layer["value"] == layer["computed"] == value
                assert layer["agrees"]


def test_an_image_has_the_values_that_run_gives(cnntool: Tool, here: Path) -> None:
    save("a.png")
    words = ("conv", 6, 3, "--stride", 2, "relu", "maxpool", 2)
    assert cnntool("run", "a.png", "y.npy", *words).code == 0
    layers = explained(cnntool, "--at", "1,2,3", "a.png", *words)
    assert layers[-1]["computed"] == pytest.approx(float(np.load("y.npy")[1, 2, 3]), rel=1e-5)
    assert [layer["row"] for layer in layers] == [1, 2, 3]


def test_a_volume_and_a_row(cnntool: Tool, here: Path) -> None:
    np.save("v.npy", np.arange(24, dtype=np.float32).reshape(4, 3, 2))
    result = cnntool("explain", "v.npy", "--row", 2, "conv", 2, 1, "flatten")
    assert result.code == 0
    assert "2  flatten" in result.text
    assert "1  conv" not in result.text
    assert "small and whole" not in result.text


def test_romanian_and_english_say_the_same_numbers(cnntool: Tool, here: Path) -> None:
    save("a.png")
    words = ("a.png", "whiten", "conv", 4, 5, "--stride", 3, "batchnorm", "prelu", "avgpool", 2, "fc", 3, "softmax")
    english, romanian = (cnntool("explain", "--lang", lang, *words).text for lang in ("en", "ro"))
    assert "The window of output" in english
    assert "Fereastra ieșirii" in romanian
    number = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e-?\d+)?")
    assert sorted(number.findall(english)) == sorted(number.findall(romanian))


def test_a_shape_says_where_its_numbers_come_from(cnntool: Tool) -> None:
    one, same, other = (cnntool("explain", "--seed", seed, "4x4x1", "conv", 2, 2).text for seed in (1, 1, 2))
    assert "drawn from --seed 1" in " ".join(one.split())
    assert one == same
    assert one != other


def test_values_that_differ_from_the_kernels_end_with_1(cnntool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    from cnntool.explaining import units

    right = units.computed_alone
    monkeypatch.setattr(units, "computed_alone", lambda *arguments: right(*arguments) + np.float32(0.5))
    result = cnntool("explain", *DEMO)
    assert result.code == 1
    assert "layer 1): the kernels compute 7.5, expected 7" in result.err
    assert "THE KERNELS COMPUTE 7.5" in result.text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["5x5x3"], "no layers"),
        (["none.png", "relu"], "none.png: no such file, and no shape"),
        (["5x5x3", "--at", "9,0,0", "relu"], "expected a row of 0 to 4"),
        (["5x5x3", "--at", "one", "relu"], "'one' is no place of an output"),
        (["5x5x3", "--at", "-1,0,0", "relu"], "no place of an output"),
        (["5x5x3", "--row", "2", "relu"], "--row 2: no such row"),
        (["5x5x3", "--values", "none.txt", "relu"], "none.txt: no such file"),
        (["2x2x3", "--values", str(DEMO[2]), "conv", "2", "3"], "kernel 3x3 does not fit"),
        (["6x6x3", "--values", str(DEMO[2]), "conv", "2", "3"], "INPUT is 6x6x3, and x is 5x5x3"),
        (["5x5x3", "--json", "--terminal", "relu"], "exclude each other"),
        (["5x5x3", "--terminal", "relu"], "--terminal reads the keyboard"),
        (["5x5x3", "--animate", "a.mp4", "relu"], "expected a name ending in .gif, .svg or .html"),
        (["64x64x3", "--animate", "a.gif", "relu"], "expected at most 16x16"),
        (["5x5x3", "--animate", "none/a.gif", "relu"], "no such folder"),
        (["5x5x3", "--gray", "relu"], "need an image"),
        (["5x5x3", "--lang", "de", "relu"], "'de' is not one of 'en', 'ro'"),
        (["5x5x3", "bank", "kmeans", "4", "3"], "needs data"),
        (["5x5x3", "conv", "2", "9"], "conv (layer 1): kernel 9x9 does not fit"),
        (["5x5x3", "relu", "--at", "0,0,0"], "--at belongs before the first layer"),
    ],
)
def test_wrong_uses(cnntool: Tool, here: Path, words: list[str], message: str) -> None:
    assert message in cnntool("explain", *words).refused()
    assert not files(here)


def test_a_broken_image_ends_with_1(cnntool: Tool, here: Path) -> None:
    Path("a.png").write_bytes(b"no image")
    result = cnntool("explain", "a.png", "relu")
    assert result.code == 1
    assert "a.png" in result.err


def test_a_gif_has_a_frame_for_each_output(cnntool: Tool, here: Path) -> None:
    assert cnntool("explain", "--animate", "a.gif", *DEMO).code == 0
    with Image.open("a.gif") as image:
        assert image.n_frames == 18
        assert image.info["loop"] == 0
        frames = set()
        for number in range(18):
            image.seek(number)
            frames.add(image.convert("RGB").tobytes())
    assert len(frames) == 18
    assert files(here) == {"a.gif"}


@pytest.mark.parametrize("suffix", ["gif", "svg", "html"])
def test_an_animation_is_written_once(cnntool: Tool, here: Path, suffix: str) -> None:
    words = ("--animate", f"a.{suffix}", "4x4x1", "maxpool", 2)
    assert cnntool("explain", "--overwrite", *words).code == 0
    first = Path(f"a.{suffix}").read_bytes()
    assert "there already" in cnntool("explain", *words).refused()
    assert cnntool("explain", "--overwrite", *words).code == 0
    assert Path(f"a.{suffix}").read_bytes() == first
    assert files(here) == {f"a.{suffix}"}


def test_a_row_of_a_chain_is_animated_by_itself(cnntool: Tool, here: Path) -> None:
    assert cnntool("explain", "--animate", "a.gif", "--row", 2, "6x6x1", "conv", 1, 3, "maxpool", 2).code == 0
    with Image.open("a.gif") as image:
        assert image.n_frames == 4
