"""How figures are written: the same bytes each time, the command in their metadata, every suffix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnntool.errors import CnntoolError
from cnntool.pictures.figures import SUFFIXES, check_picture, draw
from cnntool.pictures.training import draw_confusion

pytest.importorskip("matplotlib")
COMMAND = "cnntool show 'a file.png' out.png"


def paint(figure: Any) -> None:
    axes = figure.subplots()
    axes.plot([0, 1], [1, 3])
    axes.set_title("a title")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_suffix_the_same_each_time_with_its_command(tmp_path: Path, suffix: str) -> None:
    one, other = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    draw(one, paint, (4, 3), COMMAND)
    draw(other, paint, (4, 3), COMMAND)
    content = one.read_bytes()
    assert content == other.read_bytes()
    if suffix == ".svg":
        text = content.decode()
        assert "a title" in text
        assert COMMAND in text
        assert "<dc:date>" not in text
    elif suffix != ".pdf":
        with Image.open(one) as image:
            assert image.size == (600, 450)


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
@pytest.mark.filterwarnings("error")
def test_any_name_can_stand_in_a_figure(tmp_path: Path, suffix: str) -> None:
    """Bytes that are no UTF-8, dollars that are no formula, signs that the font does not have."""
    names = ["caf\udce9.npy", "a$x_{$.npy", "\u4e2d"]

    def titled(figure: Any) -> None:
        figure.subplots().set_title("\n".join(names))

    draw(tmp_path / f"a{suffix}", titled, (4, 3))
    draw_confusion(str(tmp_path / f"b{suffix}"), np.eye(3, dtype=int), names)
    if suffix == ".svg":
        for path in tmp_path.iterdir():
            text = path.read_text(encoding="utf-8")
            assert all(name in text for name in ("caf\\udce9.npy", "a$x_{$.npy", "\u4e2d"))


def test_the_command_stands_where_readers_look(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", paint, (4, 3), COMMAND)
    with Image.open(tmp_path / "a.png") as image:
        assert image.info["Description"] == COMMAND
        assert image.info["Software"].startswith("cnntool ")


def test_what_cannot_be_drawn_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CnntoolError, match=r"OUT a\.xyz: expected the name of a picture"):
        check_picture("OUT", "a.xyz")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CnntoolError, match=r"OUT needs matplotlib: install it with `pip install 'cnntool\[plots\]'`"):
        check_picture("OUT", "a.png")
