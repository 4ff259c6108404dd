from __future__ import annotations

import gzip
import importlib.util
import io
import os
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from cnntool.errors import BadInput
from cnntool.images import tars
from cnntool.images.sources import open_source
from tests.images.archives import SUFFIXES, packed, png


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


def test_groups_of_many_threads_are_read_forwards(tmp_path, monkeypatch):
    members = [(f"{value:04}.png", png(value % 256)) for value in range(2000)]
    source = open_source(packed(tmp_path / "a.tar.gz", members))
    begins = beginnings(monkeypatch)
    for first in range(0, 2000, 1000):
        for group in np.random.default_rng(0).permutation(50):  # in the order that 25 threads may come to
            for place in range(first + 20 * group, first + 20 * group + 20):
                assert np.allclose(source[place].read() * 255, place % 256)
    assert begins == ["opened"]


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
    begins = beginnings(monkeypatch)
    for first in range(0, 60, 4):  # the order in which a few threads ask
        for place in (first + 2, first, first + 3, first + 1):
            assert np.array_equal(source[place].read()[:, :, 0], noise[place] / np.float32(255))
    assert begins == ["opened"]
    assert not tar._kept


def beginnings(monkeypatch) -> list[str]:
    """A word each time that decompression of a .gz begins at the first byte."""
    begins = []
    stream, rewind = tars.Decompressed.__init__, gzip._GzipReader._rewind
    monkeypatch.setattr(tars.Decompressed, "__init__", lambda *words: (begins.append("opened"), stream(*words))[1])
    monkeypatch.setattr(gzip._GzipReader, "_rewind", lambda self: (begins.append("rewound"), rewind(self))[1])
    return begins


def test_what_is_kept_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(tars, "SMALL_MEMBERS", 80)
    source = open_source(packed(tmp_path / "a.tgz", [(f"{value:03}.png", png(value)) for value in range(200)]))
    tar = source[0]._content.args[0]
    assert np.allclose(source[199].read() * 255, 199)
    assert len(tar._kept) == 80
    monkeypatch.setattr(tars, "SMALL_BYTES", 500)
    assert np.allclose(source[2].read() * 255, 2)
    assert np.allclose(source[60].read() * 255, 60)
    assert len(tar._kept) == tars.KEPT_MEMBERS
    monkeypatch.setattr(tars, "KEPT_BYTES", 500)
    assert np.allclose(source[3].read() * 255, 3)
    assert np.allclose(source[90].read() * 255, 90)
    assert sum(map(len, tar._kept.values())) <= 500


def links(path, members: list[tuple[str, str, str]]) -> str:
    """An archive of `cats/1.png` and of links (kind, name, target)."""
    packed(path, [("cats/1.png", png(1)), ("cats/.hidden.png", png(2))])
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "a") as archive:
            for kind, name, target in members:
                link = zipfile.ZipInfo(name)
                mode = {"soft": 0o120777, "device": 0o020644}[kind]
                link.create_system, link.external_attr = 3, mode << 16
                archive.writestr(link, target)
    else:
        with tarfile.open(path, "a") as archive:
            for kind, name, target in members:
                info = tarfile.TarInfo(name)
                info.type = {"soft": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "device": tarfile.CHRTYPE}[kind]
                info.linkname = target
                archive.addfile(info)
    return str(path)


INNER = [
    ("soft", "dogs/a.png", "../cats/1.png"),
    ("soft", "dogs/b.png", "a.png"),
    ("soft", "dogs/c.png", "../cats/.hidden.png"),
]
OUTER = [
    ("soft", "x/absolute.png", "/etc/passwd"),
    ("soft", "x/up.png", "../../cats/1.png"),
    ("soft", "x/none.png", "none.png"),
    ("soft", "x/loop.png", "loop.png"),
    ("soft", "x/folder.png", "../cats"),
    ("device", "x/null.png", ""),
]


@pytest.mark.parametrize("suffix", [".tar", ".zip"])
def test_links_that_stay_inside_are_followed(tmp_path, suffix):
    hard = [("hard", "dogs/d.png", "cats/1.png")] if suffix == ".tar" else []
    source = open_source(links(tmp_path / f"a{suffix}", INNER + OUTER + hard), labels=True)
    values = {item.name: round(float(item.read()[0, 0, 0] * 255)) for item in source}
    expected = {"cats/1.png": 1, "dogs/a.png": 1, "dogs/b.png": 1, "dogs/c.png": 2} | {name: 1 for _, name, _ in hard}
    assert values == expected
    assert source.notes(labels=True) == [
        "not read, links that lead to no file of the archive: 5 (x/absolute.png, x/folder.png, x/loop.png, ...)",
        "not read, devices, pipes and sockets: 1 (x/null.png)",
        "no image in the folder x: no such class",
    ]


def test_hard_links_are_decompressed_once(tmp_path, monkeypatch):
    """In a compressed tar going back means to begin again."""
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        for value in range(10):
            info = tarfile.TarInfo(f"{value}.png")
            info.size = len(png(value))
            archive.addfile(info, io.BytesIO(png(value)))
        for value in range(10):
            info = tarfile.TarInfo(f"link{value}.png")
            info.type, info.linkname = tarfile.LNKTYPE, f"{value}.png"
            archive.addfile(info)
    source = open_source(str(tmp_path / "a.tgz"))
    begins = beginnings(monkeypatch)
    assert np.allclose([item.read()[0, 0, 0] * 255 for item in source], [*range(10)] * 2)
    assert begins == ["opened"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_what_is_not_read_is_counted(tmp_path, suffix):
    names = [
        "cats/1.png",
        "b/2.CR3",
        "b/3.cr3",
        "notes.txt",
        "inner.tar.gz",
        ".DS_Store",
        "b/Thumbs.db",
        "cats/1.png",
    ]
    names += ["../up.png", "/root.png", "./cats/4.png"]
    source = open_source(packed(tmp_path / f"a{suffix}", [(name, png(1)) for name in names]))
    assert [item.name for item in source] == ["cats/1.png", "up.png", "root.png", "cats/4.png"]
    assert source.notes() == [
        "not read: 2 .cr3, 1 .tar.gz, 1 .txt",
        "not read, members that a later one of the same name replaces: 1 (cats/1.png)",
        "read under names without the root, a drive or `..`: 2 (../up.png, /root.png)",
    ]
    assert source.empty == ["b"]


@pytest.mark.parametrize("around", ["", "set/"])
def test_a_folder_without_an_image_is_no_class(tmp_path, around):
    names = [f"{around}a/1.png", f"{around}b/2.cr3", f"{around}c/3.png", f"{around}notes.txt", "__MACOSX/d/1.png"]
    source = open_source(packed(tmp_path / "a.zip", [(name, png(1)) for name in names]), labels=True)
    assert (source.labels, source.empty) == (["a", "c"], ["b"])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_names_of_any_kind(tmp_path, suffix):
    names = ["a b.png", "new\nline.png", "quote'\".png", "cafe\u0301/1.png", "caf\u00e9/2.png"]
    with open_source(packed(tmp_path / f"a{suffix}", [(name, png(1)) for name in names])) as source:
        assert [item.name for item in source] == [*names[:3], "caf\u00e9/1.png", "caf\u00e9/2.png"]
        assert [item.shape() for item in source] == [(4, 5, 1)] * 5


def test_names_in_utf8_without_the_flag(tmp_path):
    path = tmp_path / "a.zip"
    packed(path, [("caf?.png", png(1)), ("stra?e.png", png(2))])
    content = path.read_bytes().replace(b"caf?.png", b"caf\xe9.png").replace(b"stra?e", "stra\u00dfe".encode("cp437"))
    path.write_bytes(content)
    assert [item.name for item in open_source(str(path))] == ["caf\u0398.png", "stra\u00dfe.png"]  # cp437
    packed(path, [("caf??.png", png(1))])
    path.write_bytes(path.read_bytes().replace(b"caf??.png", "caf\u00e9.png".encode()))
    source = open_source(str(path))
    assert [item.name for item in source] == ["caf\u00e9.png"]
    assert source[0].shape() == (4, 5, 1)


def test_a_name_that_is_no_utf8_in_a_tar(tmp_path):
    path = tmp_path / "a.tar"
    packed(path, [("caf?.png", png(1))])
    content = bytearray(path.read_bytes())
    content[:8] = b"caf\xe9.png"
    content[148:156] = b"%06o\0 " % (sum(content[:148]) + 8 * 32 + sum(content[156:512]))
    path.write_bytes(content)
    assert [item.name for item in open_source(str(path))] == ["caf\udce9.png"]


def test_zstandard(tmp_path, monkeypatch):
    """By Python 3.14 or the package, or with a word about them."""
    path = tmp_path / "a.tar.zst"
    try:
        zstd = importlib.import_module("compression.zstd")
    except ImportError:
        zstd = pytest.importorskip("zstandard") if importlib.util.find_spec("zstandard") else None
    if zstd is None:
        path.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(20))
        with pytest.raises(BadInput, match=r"a.tar.zst.*Zstandard.*Python 3.14.*pip install zstandard"):
            open_source(str(path))
        return
    packed(tmp_path / "a.tar", [(f"{value}.png", png(value)) for value in range(5)])
    path.write_bytes(zstd.compress((tmp_path / "a.tar").read_bytes()))
    source = open_source(str(path))
    for place in (3, 0, 4, 1, 2):
        assert np.allclose(source[place].read() * 255, place)


def test_many_members(tmp_path):
    content = png(7)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for value in range(20_000):
            archive.writestr(f"{value % 10}/{value}.png", content)
    source = open_source(str(tmp_path / "a.zip"), labels=True)
    assert (len(source), source.labels) == (20_000, [*"0123456789"])
    assert np.allclose(source[19_999].read() * 255, 7)
