"""Archives that are damaged, encrypted, or made to exhaust memory."""

from __future__ import annotations

import tarfile
import tracemalloc
import zipfile

import numpy as np
import pytest

from cnntool.errors import BadInput
from cnntool.images import limits, zips
from cnntool.images.sources import open_source
from tests.images.archives import SUFFIXES, packed, png


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_that_grow_out_of_proportion(tmp_path, method, monkeypatch):
    monkeypatch.setattr(limits, "FOLD_FROM", 2**20)
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("bomb.npy", bytes(2**21))
        archive.writestr("small.png", png(1) + bytes(2**19))
    source = open_source(str(path))
    with pytest.raises(BadInput, match=r"bomb.npy: 2097152 bytes compressed to \d+, more than 200 to 1"):
        source[0].read()
    assert np.allclose(source[1].read() * 255, 1)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_members_larger_than_they_declare(tmp_path, method, monkeypatch):
    """What is decompressed is bounded by what was declared, or by the limit of a piece."""
    monkeypatch.setattr(zips, "LARGEST_PIECE", 2**22)
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.png", bytes(2**23))
    content = path.read_bytes()
    path.write_bytes(content.replace((2**23).to_bytes(4, "little"), (100).to_bytes(4, "little")))
    tracemalloc.start()
    with pytest.raises(BadInput, match=r"a.zip/a.png: "):
        open_source(str(path))[0].read()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * 2**22


@pytest.mark.parametrize("suffix", [".tgz", ".tar.bz2", ".tar.xz"])
def test_a_compressed_tar_that_grows_out_of_proportion(tmp_path, suffix, monkeypatch):
    path = packed(tmp_path / f"a{suffix}", [("notes.txt", bytes(2**22)), ("a.png", png(1))])
    assert len(open_source(path)) == 1
    monkeypatch.setattr(limits, "ARCHIVE_FOLD_FROM", 2**21)
    with pytest.raises(BadInput, match=r"decompress to over \d+: at most 200 to 1"):
        open_source(path)


def test_a_header_without_an_end(tmp_path, monkeypatch):
    """A member's attributes may declare any length, and tarfile would read all of it."""
    monkeypatch.setattr(limits, "HEADER_BYTES", 2**16)
    info = tarfile.TarInfo("a.png")
    info.pax_headers = {"comment": "x" * 2**17}
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info)
    with pytest.raises(BadInput, match="a header of over"):
        open_source(str(tmp_path / "a.tar.gz"))


def test_a_sparse_member(tmp_path):
    """300 bytes of an archive that say they are 4 GB."""
    packed(tmp_path / "a.tar", [("big.npy", bytes(512)), ("b.png", png(1))])
    content = bytearray((tmp_path / "a.tar").read_bytes())
    content[156:157] = b"S"  # GNU's old form: a map of four pieces, and the size of the whole
    content[386:410] = b"%011o\0%011o\0" % (0, 512)
    content[483:495] = b"%011o\0" % 2**32
    content[257:265] = b"ustar  \0"
    content[345:386] = bytes(41)
    content[148:156] = b"%06o\0 " % (sum(content[:148]) + 8 * 32 + sum(content[156:512]))
    (tmp_path / "a.tar").write_bytes(content)
    source = open_source(str(tmp_path / "a.tar"))
    with pytest.raises(BadInput, match=r"big.npy: a sparse member"):
        source[0].read()
    assert np.allclose(source[1].read() * 255, 1)


def test_a_damaged_header_is_no_end(tmp_path):
    path = tmp_path / "a.tar"
    packed(path, [("a.png", png(1)), ("b.png", png(2)), ("c.png", png(3))])
    content = bytearray(path.read_bytes())
    content[1024 + 10] ^= 1
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"a.tar: not an archive that can be read \(damaged after a.png\)"):
        open_source(str(path))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_too_large_a_member(tmp_path, suffix, monkeypatch):
    source = open_source(packed(tmp_path / f"a{suffix}", [("a.png", png(1)), ("big.npy", bytes(10_000))]))
    monkeypatch.setattr(limits, "VOLUME_BYTES", 5_000)
    with pytest.raises(BadInput, match=rf"a{suffix}/big.npy: over 5000 bytes are too many"):
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


def test_what_the_library_quotes_of_a_damaged_archive_is_cut_short(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("a.png", bytes(20000))
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[26:28] = (15000).to_bytes(2, "little")  # the length of the name in front of the member
    (tmp_path / "a.zip").write_bytes(content)
    (item,) = open_source(f"{tmp_path}/a.zip")
    with pytest.raises(BadInput, match=r"a.zip/a.png: cannot be read from the archive") as found:
        item.read()
    assert len(str(found.value)) < 300 + len(str(tmp_path))
