"""`cnntool show report`: one file, small enough, from nothing but itself; every wrong use of it. Its page is tried in
`tests/explaining/test_templates.py`."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from cnntool.explaining.packing import unpacked
from tests.cli.conftest import Tool, files, pixels, save

ROOT = Path(__file__).parents[2]
LARGEST = 10_000_000


def test_a_report_holds_its_numbers_and_nothing_from_elsewhere(cnntool: Tool, here: Path) -> None:
    save("a b.png")
    words = ("conv", 4, 3, "relu", "maxpool", 2)
    result = cnntool("show", "report", "a b.png", "r.html", *words)
    assert (result.code, result.out, result.err) == (0, b"", "")
    assert files(here) == {"a b.png", "r.html"}
    page = Path("r.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(|<link|src=", page)
    assert "default-src &#x27;none&#x27;" in page or "default-src 'none'" in page
    assert cnntool("run", "a b.png", "y.npy", *words).code == 0
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL).group(1))  # type: ignore[union-attr]
    assert [layer["word"] for layer in data["layers"]] == ["conv", "relu", "maxpool"]
    packed = re.search(r'id="v3">(.*?)</script>', page)
    assert packed is not None
    np.testing.assert_allclose(unpacked(packed.group(1)), np.load("y.npy").ravel(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "command", ["show report {} o.html", *(f"explain --animate o.{form} {{}}" for form in ("html", "svg", "gif"))]
)
def test_names_that_are_no_utf8(cnntool: Tool, here: Path, command: str) -> None:
    image, filters = (os.fsdecode(name) for name in (b"caf\xe9.png", b"b\xe9.npy"))
    save(image, pixels(6, 6))
    np.save(filters, np.ones((3, 3, 1, 2), np.float32))
    result = cnntool(*command.format(image).split(), "bank", filters)
    assert (result.code, result.err) == (0, "")
    (page,) = Path().glob("o.*")
    if page.suffix != ".gif":
        assert "b\\udce9.npy" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("words", [["--resize", "224x224", "--until", "5"], ["--until", "13"], []])
def test_alexnet_on_a_photograph_is_under_10_mb(cnntool: Tool, here: Path, words: list[str]) -> None:
    photo, network = ROOT / "samples/images/astronaut.jpg", ROOT / "samples/pipelines/alexnet.cnn"
    result = cnntool("show", "report", photo, "r.html", *words, "-p", network)
    assert result.code == 0
    assert ("so that the page stays small" in result.err) == ("--resize" not in words)
    assert Path("r.html").stat().st_size < LARGEST


def test_the_page_says_that_the_image_was_made_smaller(cnntool: Tool, here: Path) -> None:
    save("large.png", pixels(900, 1200))
    result = cnntool("show", "report", "--lang", "ro", "large.png", "r.html", "relu")
    assert result.code == 0
    size = re.search(r"scaled to (\d+)x(\d+)", result.err)
    assert size is not None
    height, width = map(int, size.groups())
    assert height * width * 3 * 2 <= 1_700_000 < (height + 20) * (width + 27) * 6
    assert f"adusă la {height}x{width}" in Path("r.html").read_text(encoding="utf-8")


def test_names_cannot_write_into_the_page(cnntool: Tool, here: Path) -> None:
    name = "<img src=x onerror=alert(1)>.png"
    save(name)
    assert cnntool("show", "report", name, "r.html", "mark", "</script><b>", "relu", "add", "</script><b>").code == 0
    page = Path("r.html").read_text(encoding="utf-8")
    assert "<img" not in page
    assert "<b>" not in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.png", "r.html"], "no layers"),
        (["a.png", "relu"], "did you forget OUTPUT"),
        (["a.png", "r.png", "relu"], "expected a name ending in .html"),
        (["none.png", "r.html", "relu"], "none.png"),
        (["a.png", "none/r.html", "relu"], "no such folder"),
        (["a.png", "r.html", "conv", "2", "99"], "does not fit"),
        (["--resize", "2000x2000", "a.png", "r.html", "relu"], "too many numbers for a page"),
        (["a.png", "r.html", "bank", "kmeans", "4", "3"], "needs data"),
    ],
)
def test_wrong_uses(cnntool: Tool, here: Path, words: list[str], message: str) -> None:
    save("a.png")
    assert message in cnntool("show", "report", *words).refused()
    assert files(here) == {"a.png"}


def test_a_report_is_not_written_over(cnntool: Tool, here: Path) -> None:
    save("a.png")
    Path("r.html").write_text("mine")
    assert "there already" in cnntool("show", "report", "a.png", "r.html", "relu").refused()
    assert Path("r.html").read_text() == "mine"
    assert cnntool("show", "report", "--overwrite", "a.png", "r.html", "relu").code == 0


def test_a_broken_image_leaves_nothing(cnntool: Tool, here: Path) -> None:
    Path("a.png").write_bytes(b"no image")
    assert cnntool("show", "report", "a.png", "r.html", "relu").code == 1
    assert files(here) == {"a.png"}
