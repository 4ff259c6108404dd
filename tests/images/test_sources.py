from __future__ import annotations

import io
import os
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnntool.errors import BadInput, CnntoolError
from cnntool.images import limits
from cnntool.images.preparation import Preparation
from cnntool.images.read import read_image
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


def test_a_linked_folder_is_read_once_and_loops_end(photos, tmp_path):
    os.symlink(photos / "cats", photos / "a-link")
    os.symlink(photos, photos / "cats" / "loop")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "1.png").write_bytes(png())
    os.symlink(tmp_path / "elsewhere", photos / "birds")
    os.symlink("nowhere.png", photos / "cats" / "self.png")
    source = open_source("photos")
    assert names_and_labels(source) == sorted([("birds/1.png", "birds"), ("cats/self.png", "cats"), *EXPECTED])
    assert source.notes() == [
        "not read: 1 .txt",
        "not read, links to folders that are read already: 2 (a-link, cats/loop)",
    ]
    with pytest.raises(BadInput, match=r"cats/self.png: no such file"):
        source[3].read()
    # The folder around them has no other images, and the folder itself is not read again in it.
    os.symlink(tmp_path, photos / "within")
    source = open_source("photos")
    assert names_and_labels(source) == sorted([("birds/1.png", "birds"), ("cats/self.png", "cats"), *EXPECTED])
    os.remove(photos / "within")
    # Two loops make 2 to the power of 40 names for whoever follows them.
    os.symlink(photos, photos / "cats" / "loop2")
    assert names_and_labels(open_source("photos/**/*.png")) == [
        ("birds/1.png", "birds"), ("cats/10.png", "cats"), ("cats/2.png", "cats"), ("cats/self.png", "cats")
    ]  # fmt: skip


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
    os.mkfifo(tmp_path / "a.zip")
    with pytest.raises(CnntoolError, match=r"a.zip: a pipe: an archive or a table is read from a plain file"):
        open_source(str(tmp_path / "a.zip"))


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


def test_what_is_not_read_is_counted(photos):
    for name in ("cats/a.CR3", "cats/b.cr3", "cats/c.mov", "README", "x.tar.gz", "Thumbs.db", ".DS_Store"):
        (photos / name).write_bytes(b"")
    os.mkfifo(photos / "pipe.png")
    source = open_source("photos")
    assert names_and_labels(source) == EXPECTED
    assert source.notes() == [
        "not read: 2 .cr3, 1 .mov, 1 .tar.gz, 1 .txt, 1 without a suffix",
        "not read, devices, pipes and sockets: 1 (pipe.png)",
    ]
    assert open_source("photos/*/*").notes() == ["not read: 2 .cr3, 1 .mov, 1 .txt", *FOLDERS]
    assert open_source("photos/**/*.PNG").notes() == []
    for name in ("10.png", "2.png"):
        (photos / "cats" / name).unlink()
    with pytest.raises(CnntoolError, match=r"no images in it; not read: 2 .cr3, 1 .mov: expected"):
        open_source("photos/cats")


FOLDERS = ["not read, folders that the pattern matches: 1 (photos/dogs/young)"]


def test_folders_that_give_no_image_are_no_class(photos):
    (photos / "birds").mkdir()
    (photos / "fish").mkdir()
    (photos / "fish/1.cr3").write_bytes(b"")
    source = open_source("photos", labels=True)
    assert source.labels == ["cats", "dogs"]
    assert source.notes(labels=True) == [
        "not read: 1 .cr3, 1 .txt",
        "no image in the folders birds, empty.png, fish: no such class",
    ]
    assert source.notes() == ["not read: 1 .cr3, 1 .txt"]


def test_what_lies_in_an_output_is_no_input(photos):
    (photos / "maps").mkdir()
    (photos / "maps/1.png").write_bytes(png())
    (photos / "t.csv").write_bytes(b"")
    for text in ("photos", "./photos/", str(photos)):
        source = open_source(text, outputs=["photos/maps", "photos/t.csv"])
        assert names_and_labels(source) == EXPECTED
        assert source.notes() == ["not read: 1 .txt", "not read, OUTPUT inside INPUT: 1 (maps)"]
    for pattern in ("photos/*/*.png", "photos/**/*.png"):
        assert [item.label for item in open_source(pattern, outputs=["photos/maps"])] == ["cats", "cats"]
    for around in ("photos/maps", "photos/maps/*.png"):
        assert len(open_source(around, outputs=["photos/maps"])) == 1
    with pytest.raises(CnntoolError, match=r"^photos/maps/1.png: INPUT and OUTPUT are one file"):
        open_source("photos/maps/1.png", outputs=["./photos/maps/1.png"])


def test_outputs_beside_the_inputs(photos):
    for name in ("2-m.png", "10-m.png", "2-m-m.png"):
        (photos / "cats" / name).write_bytes(png())
    source = open_source("photos/cats")
    source.without_outputs([Path(f"photos/cats/{item.name[:-4]}-m.png") for item in source])
    assert [item.name for item in source] == ["10.png", "2.png"]
    source.without_outputs([Path(item.path) for item in source])  # each its own: for others to refuse
    assert [item.name for item in source] == ["10.png", "2.png"]


NFC, NFD = "caf\u00e9", "cafe\u0301"


def test_composed_and_decomposed_names_are_one(photos):
    (photos / NFD).mkdir()
    (photos / NFD / f"{NFD}.png").write_bytes(png())
    found = [(f"{NFC}/{NFC}.png", NFC)]
    assert names_and_labels(open_source("photos"))[:1] == found
    assert names_and_labels(open_source(f"photos/{NFC}")) == [(f"{NFC}.png", None)]
    assert names_and_labels(open_source(f"photos/{NFC}/*.png")) == [(f"{NFC}.png", NFC)]
    (photos / "list.txt").write_text(f"{NFC}/{NFC}.png\n", encoding="utf-8")
    listed = open_source("@photos/list.txt")
    assert names_and_labels(listed) == found
    assert (listed[0].read() == RED).all()
    # Two files stay two.
    (photos / NFD / f"{NFC}.png").write_bytes(png("blue"))
    two = open_source(f"photos/{NFD}")
    assert sorted(item.name for item in two) == sorted([f"{NFC}.png", f"{NFD}.png"])
    assert len({float(item.read()[0, 0, 0]) for item in two}) == 2


def test_a_pattern_below_a_folder_with_wildcards_in_its_name(photos):
    (photos / "set [2020]").mkdir()
    (photos / "set [2020]" / "a*b.png").write_bytes(png())
    (photos / "set [2020]" / "c.png").write_bytes(png())
    assert len(open_source("photos/set [[]2020]/*.png")) == 2
    for pattern in ("photos/set [2020]/*.png", "photos/set [2020]/**/*.png"):
        assert names_and_labels(open_source(pattern)) == [("a*b.png", "set [2020]"), ("c.png", "set [2020]")]
    assert len(open_source("photos/set [2020]/a*b.png")) == 1
    with pytest.raises(CnntoolError, match=r"\[ is a wildcard; a \[ itself is written \[\[\]"):
        open_source("photos/set [2021]/*.png")


@pytest.mark.parametrize("text", ["/dev/zero", "/dev/null", "@/dev/zero"])
def test_devices_are_refused(text):
    with pytest.raises(CnntoolError, match=r"/dev/\w+: a device: expected"):
        open_source(text)
    with pytest.raises(CnntoolError, match="a device: expected a list"):
        open_source("-", files_from="/dev/zero")


def test_a_socket_is_refused(photos):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.png")
        with pytest.raises(CnntoolError, match=r"s.png: a socket: expected an image"):
            open_source("s.png")


class Endless(io.RawIOBase):
    """A stream without an end, of one line again and again; it counts what was taken."""

    def __init__(self, line: bytes) -> None:
        self.line, self.taken = line, 0

    def read(self, size: int = -1) -> bytes:
        assert size > 0, "everything was asked for"
        self.taken += size
        return (self.line * (size // len(self.line) + 1))[:size]


def test_streams_without_an_end(monkeypatch):
    monkeypatch.setattr(limits, "IMAGE_BYTES", 2**22)
    monkeypatch.setattr(limits, "LIST_BYTES", 2**22)
    stream = Endless(b"\0")
    source = open_source("-", stdin=stream)
    for failing in (source[0].shape, source[0].read):
        with pytest.raises(BadInput, match=r"stdin: over 4194304 bytes are too many"):
            failing()
    assert stream.taken == 5 * 2**20
    with pytest.raises(BadInput, match="over 4194304 bytes"):
        read_image(Endless(b"\0"))
    with pytest.raises(CnntoolError, match=r"-: over 2,000,000 lines or 4 MiB"):
        open_source("-", files_from="-", stdin=Endless(b"\0"))
    monkeypatch.setattr(limits, "LIST_BYTES", 2**28)
    stream = Endless(b"y\n")
    with pytest.raises(CnntoolError, match=r"over 2,000,000 lines"):
        open_source("-", files_from="-", stdin=stream)
    assert stream.taken <= 2**23
