from __future__ import annotations

import io
import os
import threading

import numpy as np
import pytest
from PIL import Image

from cnntool.errors import BadInput, CnntoolError
from cnntool.images.preparation import Preparation
from cnntool.images.sources import open_source

RED = np.array([1, 0, 0], np.float32)


def png(colour="red", size=(4, 3)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder of images in two classes, and much that is none; the present folder is its parent."""
    names = ["cats/2.png", "cats/10.png", "dogs/young/1.PNG", "dogs/notes.txt", ".hidden/1.png", "cats/.1.png"]
    for name in names:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png())
    np.save(tmp_path / "photos/dogs/v.npy", np.zeros((2, 2), np.float32))
    (tmp_path / "photos/empty.png").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


def names_and_labels(source):
    return [(item.name, item.label) for item in source]


EXPECTED = [("cats/10.png", "cats"), ("cats/2.png", "cats"), ("dogs/v.npy", "dogs"), ("dogs/young/1.PNG", "dogs")]


def test_a_folder(photos):
    for text in ("photos", "photos/", str(photos)):
        source = open_source(text, labels=True)
        assert names_and_labels(source) == EXPECTED
        assert len(source) == 4
        assert not source.single
        assert source.labels == ["cats", "dogs"]
    assert (source[0].read() == RED).all()
    assert source[0].shape(Preparation(gray=True)) == (3, 4, 1)
    assert source[2].shape() == (2, 2, 1)
    assert [item.name for item in source[1:3]] == ["cats/2.png", "dogs/v.npy"]


def test_a_folder_of_one_is_not_single(photos):
    assert not open_source("photos/dogs/young").single


def test_links(photos):
    os.symlink(photos / "cats", photos / "linked")
    os.symlink(photos, photos / "cats" / "loop")
    names = [item.name for item in open_source("photos")]
    assert "linked/2.png" in names
    assert not any("loop" in name for name in names)


def test_an_unlabelled_image_is_an_error_only_with_labels(photos):
    (photos / "loose.png").write_bytes(png())
    assert names_and_labels(open_source("photos"))[-1] == ("loose.png", None)
    with pytest.raises(CnntoolError, match=r"photos/loose.png: no label.*sub-folder"):
        open_source("photos", labels=True)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser lists every folder")
def test_a_folder_that_cannot_be_listed(photos):
    (photos / "cats").chmod(0)
    try:
        with pytest.raises(CnntoolError, match=r"photos/cats: cannot be listed"):
            open_source("photos")
    finally:
        (photos / "cats").chmod(0o755)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("photos/cats/*.png", [("10.png", "cats"), ("2.png", "cats")]),
        ("photos/*/*", [("cats/10.png", "cats"), ("cats/2.png", "cats"), ("dogs/v.npy", "dogs")]),
        ("photos/**/*.PNG", [("dogs/young/1.PNG", "young")]),
        ("*/cats/[0-9].png", [("photos/cats/2.png", "cats")]),
    ],
)
def test_a_glob(photos, pattern, expected):
    assert names_and_labels(open_source(pattern)) == expected
    assert not open_source(pattern).single


def test_a_name_that_looks_like_a_glob(photos):
    (photos / "a[1].png").write_bytes(png())
    source = open_source("photos/a[1].png")
    assert source.single
    assert (source[0].read() == RED).all()


def test_one_file(photos):
    source = open_source("photos/cats/2.png")
    assert source.single
    assert names_and_labels(source) == [("2.png", None)]
    assert source[0].path == "photos/cats/2.png"
    assert (source[0].read() == RED).all()


def test_a_list(photos):
    lines = ["# mine", "", "cats/2.png  ", str(photos / "dogs/young/1.PNG"), "cats/none.png", "../photos/cats/10.png"]
    (photos / "list.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    source = open_source("@photos/list.txt")
    assert [item.name for item in source] == ["cats/2.png", *lines[3:]]
    assert [item.label for item in source] == ["cats", "young", "cats", "cats"]
    for item in (source[0], source[1], source[3]):
        assert (item.read() == RED).all()
    for failing in (source[2].read, source[2].shape):
        with pytest.raises(BadInput, match=r"photos/cats/none.png: no such file"):
            failing()


def test_lists_that_cannot_be_used(photos):
    with pytest.raises(CnntoolError, match=r"none.txt: no such file"):
        open_source("@none.txt")
    (photos / "list.txt").write_text("# nothing\n\n")
    with pytest.raises(CnntoolError, match=r"@photos/list.txt: no images"):
        open_source("@photos/list.txt")
    (photos / "list.txt").write_bytes(b"a.png\nb\0.png\n")
    with pytest.raises(CnntoolError, match="path 2 holds a zero byte"):
        open_source("@photos/list.txt")


def test_a_list_on_standard_input(photos):
    source = open_source("-", files_from="-", stdin=io.BytesIO(b"photos/cats/2.png\n#x\nphotos/dogs/v.npy"))
    assert names_and_labels(source) == [("photos/cats/2.png", "cats"), ("photos/dogs/v.npy", "dogs")]
    assert not source.single
    assert source[0].shape() == (3, 4, 3)
    (photos / "list.txt").write_text("photos/cats/2.png\n")
    assert open_source("-", files_from="photos/list.txt")[0].shape() == (3, 4, 3)
    with pytest.raises(CnntoolError, match="expected - for INPUT"):
        open_source("photos", files_from="-")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    source = open_source(str(tmp_path / "pipe"))
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(png(),))
    writer.start()
    assert source.single
    assert source[0].shape() == (3, 4, 3)
    assert (source[0].read() == RED).all()
    writer.join()


def test_a_folder_in_a_list(photos):
    source = open_source("-", files_from="-", stdin=io.BytesIO(b"photos/cats\n"))
    with pytest.raises(BadInput, match="photos/cats: not a file"):
        source[0].read()


def test_an_image_on_standard_input():
    source = open_source("-", stdin=io.BytesIO(png()))
    assert source.single
    assert source[0].shape() == (3, 4, 3)
    assert (source[0].read() == RED).all()
    empty = open_source("-", stdin=io.BytesIO())
    for failing in (empty[0].read, empty[0].shape):
        with pytest.raises(BadInput, match="stdin: empty"):
            failing()
    with pytest.raises(BadInput, match="stdin: not an image"):
        open_source("-", stdin=io.BytesIO(b"text"))[0].read()


@pytest.mark.parametrize("text", ["none.png", "", "no/where/*.png", "photos/dogs/*.txt", "a\0b"])
def test_what_is_not_there(photos, text):
    with pytest.raises(CnntoolError, match="expected") as caught:
        open_source(text)
    assert caught.value.exit_code == 2
    assert repr(text)[1:-1] in str(caught.value)


def test_an_empty_folder(tmp_path):
    with pytest.raises(CnntoolError, match=f"{tmp_path}: no images in it"):
        open_source(str(tmp_path))
