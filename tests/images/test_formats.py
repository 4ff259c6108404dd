"""Which formats and suffixes are taken as images, with what reads them and without it."""

from __future__ import annotations

import importlib
import io
import sys

import pytest
from PIL import Image

from cnntool.images import formats
from cnntool.images.formats import BY_EXTRA, READ, WRITTEN
from cnntool.images.read import read_image
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
    assert source.notes() == ['not read: 1 .cr3, 1 .heic, 1 .hif; pip install "cnntool[heif]" for .heic, .hif']


def test_heif_is_an_input_where_something_reads_it(folder):
    pytest.importorskip("pillow_heif")
    assert set(HEIF) <= formats.IMAGE_SUFFIXES
    source = open_source(f"{folder}")
    assert [item.name for item in source] == ["a.png", "b.heic", "c.HIF"]
    assert source.notes() == ["not read: 1 .cr3"]


Image.init()
PICTURE = Image.linear_gradient("L").resize((64, 64))
SUFFIXES = [(name, suffix) for name, suffixes in READ.items() for suffix in suffixes if name not in BY_EXTRA]


@pytest.mark.parametrize(("name", "suffix"), SUFFIXES)
def test_pillow_reads_the_format_and_knows_the_suffix(name, suffix):
    assert name in Image.OPEN or name in Image.SAVE  # the reader of JPEG opens MPO as well
    assert Image.registered_extensions().get(suffix, name) == name


@pytest.mark.parametrize(("name", "suffix"), [pair for pair in SUFFIXES if pair[0] in Image.SAVE])
def test_a_picture_of_the_format_is_read(name, suffix):
    stream = io.BytesIO()
    try:
        PICTURE.convert("RGB").save(stream, name)
    except OSError:  # black and white only
        PICTURE.convert("1").save(stream, name)
    volume = read_image(stream.getvalue(), name=f"a{suffix}")
    assert volume.shape[0] == volume.shape[1] >= 64  # ICNS holds larger ones, too
    assert abs(volume[..., :3].mean() - 0.5) < 0.05


@pytest.mark.parametrize("suffix", WRITTEN)
def test_what_is_written_can_be_read(suffix):
    assert suffix in READ[WRITTEN[suffix][0]]
