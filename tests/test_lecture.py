"""Each slide of the lecture: its command runs, and gives the picture or prints what the table says."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from docs.drawing import GALLERY_COLOURS, LONGEST_FIGURE, alike, encoded, is_file_of, smaller
from docs.examples import GALLERY, ROOT, Slide, slides
from tests.documents import desk

ROWS = slides()
LARGEST_GALLERY = 1_500_000


def test_the_table_covers_the_lecture() -> None:
    assert len(ROWS) > 20
    told = " ".join(slide.title for slide in ROWS).lower()
    ideas = (
        "fully-connected", "structură", "activation map", "conectivitate locală", "aranjarea spațială",
        "partajarea parametrilor", "sumar", "1x1", "dilatată", "sigmoid, tanh", "relu", "pooling", "centrare",
        "whitening, decorelare", "batch normalization (1)", "batch normalization (2)", "regularizare",
    )  # fmt: skip
    for idea in ideas:
        assert idea in told, idea


@pytest.mark.parametrize("slide", ROWS, ids=lambda slide: slide.title)
def test_a_slides_command_shows_it(slide: Slide, tmp_path: Path) -> None:
    pytest.importorskip("plotille" if slide.command.startswith("cnntool show activations --only") else "matplotlib")
    environment = desk(tmp_path)
    result = subprocess.run(shlex.split(slide.command), cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    printed = " ".join(result.stdout.split())
    for text in re.findall(r"`([^`]+)`", re.sub(r"\[.*?\]\(.*?\)", "", slide.shown)):
        if text.startswith("cnntool "):
            again = subprocess.run(shlex.split(text), cwd=tmp_path, env=environment, capture_output=True, text=True)
            assert again.returncode == 0, again.stderr
        else:
            assert text in printed, f"{text!r} is not printed"
    written = [word for word in shlex.split(slide.command) if word.endswith((".png", ".svg")) and "/" not in word]
    for name in written:
        assert (tmp_path / name).stat().st_size > 2000
    picture = re.search(r"samples/gallery/([\w.-]+)\)", slide.shown)
    if picture:
        from PIL import Image

        assert any(is_file_of(name, Path(picture[1]).stem) for name in written)
        with Image.open(tmp_path / Path(picture[1]).with_suffix(".png").name) as image:
            made = encoded(smaller(image.convert("RGB"), LONGEST_FIGURE), Path(picture[1]).suffix, GALLERY_COLOURS)
        assert alike((GALLERY / picture[1]).read_bytes(), made), "run `python docs/generate.py`"


def test_the_gallery_is_small_and_shown() -> None:
    names = {path.name for path in GALLERY.iterdir()}
    pages = (ROOT / "README.md").read_text() + (ROOT / "docs" / "lecture.md").read_text()
    assert names <= set(re.findall(r"samples/gallery/([\w.-]+)", pages))
    assert sum(path.stat().st_size for path in GALLERY.iterdir()) < LARGEST_GALLERY
