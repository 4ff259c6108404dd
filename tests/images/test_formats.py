"""Which suffixes are taken as images, with what reads them and without it."""

from __future__ import annotations

import importlib
import sys

import pytest
from PIL import Image

from cnntool.images import formats
from cnntool.images.sources import open_source

HEIF = (".heic", ".heif", ".hif")


@pytest.fixture
def without_heif(monkeypatch):
    """As where pillow-heif is not installed."""
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pillow_heif", None)
        importlib.reload(formats)
        yield
    importlib.reload(formats)


@pytest.fixture
def folder(tmp_path):
    for name in ("b.heic", "c.HIF", "d.cr3"):
        (tmp_path / name).write_bytes(b"")
    Image.new("L", (3, 2)).save(tmp_path / "a.png")
    return tmp_path


def test_heif_is_counted_where_nothing_reads_it(folder, without_heif):
    assert not formats.IMAGE_SUFFIXES & set(HEIF)
    source = open_source(f"{folder}")
    assert [item.name for item in source] == ["a.png"]
    assert source.notes() == ["not read: 1 .cr3, 1 .heic, 1 .hif"]


def test_heif_is_an_input_where_something_reads_it(folder):
    pytest.importorskip("pillow_heif")
    assert set(HEIF) <= formats.IMAGE_SUFFIXES
    source = open_source(f"{folder}")
    assert [item.name for item in source] == ["a.png", "b.heic", "c.HIF"]
    assert source.notes() == ["not read: 1 .cr3"]
