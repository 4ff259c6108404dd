from __future__ import annotations

import io
import os
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from cnntool.errors import BadInput, CnntoolError
from cnntool.images import archives
from cnntool.images.sources import open_source

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".zip")


def png(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (5, 4), value).save(buffer, "PNG")
    return buffer.getvalue()


def packed(path, members: list[tuple[str, bytes]]) -> str:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members:
                archive.writestr(name, content)
    else:
        with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as archive:
            for name, content in members:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return str(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_members(tmp_path, suffix):
    volume = io.BytesIO()
    np.save(volume, np.zeros((2, 3, 4), np.float32))
    members = [
        ("set/dogs/2.png", png(2)),
        ("set/cats/1.png", png(1)),
        ("set/cats/v.npy", volume.getvalue()),
        ("set/readme.txt", b"text"),
        ("set/.hidden/3.png", png(3)),
        ("__MACOSX/set/cats/1.png", png(4)),
    ]
    path = packed(tmp_path / f"a{suffix}", members)
    before = sorted(os.listdir(tmp_path))
    with open_source(path, labels=True) as source:
        assert [(item.name, item.label) for item in source] == [
            ("set/dogs/2.png", "dogs"),
            ("set/cats/1.png", "cats"),
            ("set/cats/v.npy", "cats"),
        ]
        assert not source.single
        assert np.allclose(source[1].read() * 255, 1)
        assert np.allclose(source[0].read() * 255, 2)
        assert [item.shape() for item in source] == [(4, 5, 1), (4, 5, 1), (2, 3, 4)]
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["cats/1.png", "cats/2.png"], ["cats", "cats"]),
        (["a/b/cats/1.png", "a/b/dogs/2.png"], ["cats", "dogs"]),
        (["1.png", "cats/2.png"], [None, "cats"]),
        (["1.png"], [None]),
    ],
)
def test_labels(tmp_path, names, labels):
    source = open_source(packed(tmp_path / "a.zip", [(name, png(1)) for name in names]))
    assert [item.label for item in source] == labels


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_names_cannot_lead_out(tmp_path, suffix):
    names = ["../../up.png", "/abs/x.png", "a/../../b.png", "C:\\w\\x.png"]
    source = open_source(packed(tmp_path / f"a{suffix}", [(name, png(1)) for name in names]))
    assert [item.name for item in source] == ["up.png", "abs/x.png", "a/b.png", "w/x.png"]
    assert [item.shape() for item in source] == [(4, 5, 1)] * 4


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_members_with_one_name_the_last_counts(tmp_path, suffix):
    path = packed(tmp_path / f"a{suffix}", [("a.png", png(1)), ("b.png", png(2)), ("a.png", png(3))])
    values = {item.name: round(float(item.read()[0, 0, 0] * 255)) for item in open_source(path)}
    assert values == {"a.png": 3, "b.png": 2}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_threads_out_of_order(tmp_path, suffix):
    members = [(f"{value:03}.png", png(value)) for value in range(200)]
    with open_source(packed(tmp_path / f"a{suffix}", members)) as source, ThreadPoolExecutor(8) as threads:
        shuffled = np.random.default_rng(0).permutation(200)
        values = list(threads.map(lambda place: source[int(place)].read()[0, 0, 0] * 255, shuffled))
        assert np.allclose(values, shuffled)
        again = list(threads.map(lambda item: item.read()[0, 0, 0] * 255, source))
        assert np.allclose(again, np.arange(200))


def test_a_compressed_tar_is_read_forwards(tmp_path, monkeypatch):
    # Noise does not compress, so that members lie apart in the file.
    noise = np.random.default_rng(0).integers(0, 256, (60, 64, 64), dtype=np.uint8)
    members = []
    for value, pixels in enumerate(noise):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        members.append((f"{value:03}.png", buffer.getvalue()))
    source = open_source(packed(tmp_path / "a.tar.gz", members))
    tar = source[0]._content.args[0]
    rewinds = []
    rewind = tar._file.fileobj._buffer.raw._rewind
    monkeypatch.setattr(tar._file.fileobj._buffer.raw, "_rewind", lambda: (rewinds.append(1), rewind()))
    for first in range(0, 60, 4):  # the order in which a few threads ask
        for place in (first + 2, first, first + 3, first + 1):
            assert np.array_equal(source[place].read()[:, :, 0], noise[place] / np.float32(255))
    assert len(rewinds) == 1  # from the end of the listing to the first member
    assert not tar._kept


def test_what_is_kept_is_bounded(tmp_path, monkeypatch):
    source = open_source(packed(tmp_path / "a.tgz", [(f"{value:03}.png", png(value)) for value in range(200)]))
    tar = source[0]._content.args[0]
    assert np.allclose(source[199].read() * 255, 199)
    assert len(tar._kept) == archives.KEPT_MEMBERS
    monkeypatch.setattr(archives, "KEPT_BYTES", 500)
    assert np.allclose(source[3].read() * 255, 3)
    assert np.allclose(source[90].read() * 255, 90)
    assert sum(map(len, tar._kept.values())) <= 500


def test_links_and_folders_are_skipped(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for kind, name in [(tarfile.SYMTYPE, "soft.png"), (tarfile.LNKTYPE, "hard.png"), (tarfile.DIRTYPE, "dir.png")]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    with pytest.raises(CnntoolError, match="no images"):
        open_source(str(path))
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("soft.png")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("dir.png/", b"")
    with pytest.raises(CnntoolError, match="no images"):
        open_source(str(path))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_too_large_a_member(tmp_path, suffix, monkeypatch):
    source = open_source(packed(tmp_path / f"a{suffix}", [("a.png", png(1)), ("big.npy", bytes(10_000))]))
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 5_000)
    with pytest.raises(BadInput, match=rf"a{suffix}/big.npy: 10000 bytes are too many: at most 5000"):
        source[1].read()
    assert source[0].shape() == (4, 5, 1)


def test_an_encrypted_member(tmp_path):
    path = tmp_path / "a.zip"
    packed(path, [("a.png", png(1)), ("b.png", png(2))])
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\x01\x02")
    content[entry + 8] |= 1
    path.write_bytes(content)
    source = open_source(str(path))
    with pytest.raises(BadInput, match=r"a.zip/a.png: encrypted"):
        source[0].read()
    assert np.allclose(source[1].read() * 255, 2)


def test_a_broken_member(tmp_path):
    path = tmp_path / "a.zip"
    packed(path, [("a.png", png(1)), ("b.png", b"text")])
    content = bytearray(path.read_bytes())
    content[45:55] = bytes(10)
    path.write_bytes(content)
    source = open_source(str(path))
    for place in (0, 1):
        with pytest.raises(BadInput, match=rf"a.zip/{'ab'[place]}.png: ") as caught:
            source[place].read()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("keep", [0.0, 0.6])
def test_a_broken_archive(tmp_path, suffix, keep):
    path = tmp_path / f"a{suffix}"
    noise = np.random.default_rng(0).bytes(50_000)
    packed(path, [("a.png", noise), ("b.png", noise)])
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(BadInput, match=f"a{suffix}: not an archive that can be read"):
        open_source(str(path))
    path.write_bytes(b"hello, this is a text\n" * 100)
    with pytest.raises(BadInput, match=f"a{suffix}: not an archive that can be read"):
        open_source(str(path))
