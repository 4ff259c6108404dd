"""`cnntool run`: what happens to images that cannot be read, and outputs that cannot be written."""

from __future__ import annotations

import errno
import json
import os
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from cnntool import Pipeline, read_image
from cnntool.files import writing
from tests.cli.conftest import Tool, files, pixels, save

CHAIN = ("conv", "5", "3", "--padding", "same", "relu", "maxpool", "2")


def bomb(side: int = 60_000) -> bytes:
    """A small PNG file that says it holds side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


def spoil(name: str) -> Path:
    """A file that cannot be read as an image, in the way that its name says."""
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.stem == "cut":
        save(path)
        path.write_bytes(path.read_bytes()[:400])
    elif path.stem == "folder":
        path.mkdir()
    elif path.stem != "missing":
        content = {"text": b"no picture at all", "empty": b"", "bomb": bomb(), "head": bomb()[:20]}
        path.write_bytes(content[path.stem])
    return path


BAD = ["text.png", "empty.png", "cut.png", "bomb.png", "head.png"]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_image_is_one_line(cnntool: Tool, here: Path, name: str) -> None:
    spoil(name)
    result = cnntool("run", name, "o.npy", "relu")
    assert (result.code, result.out) == (1, b"")
    assert len(result.err.splitlines()) == 1
    assert result.err.startswith(f"{name}: ")
    assert files(here) == {name}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_image_on_stdin(cnntool: Tool, here: Path, name: str) -> None:
    result = cnntool("run", "-", "o.npy", "relu", stdin=spoil(name).read_bytes())
    assert (result.code, result.out) == (1, b"")
    assert result.err.startswith("stdin: ")
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize("threads", [1, 2])
def test_in_a_list_the_good_ones_are_written(cnntool: Tool, here: Path, threads: int) -> None:
    names = ["first.png", *BAD, "missing.png", "folder.png", "last.png"]
    for name in names:
        save(name) if name in ("first.png", "last.png") else spoil(name)
    Path("list.txt").write_text("\n".join(names))
    result = cnntool("run", "@list.txt", "m/", "--threads", threads, *CHAIN)
    assert result.code == 1
    *lines, last = result.err.splitlines()
    assert [line.partition(":")[0] for line in lines] == names[1:-1]
    assert last == "cnntool: 7 of 9 images failed; they are listed in m.errors.jsonl"
    assert files(Path("m")) == {"first.npy", "last.npy"}
    assert np.array_equal(np.load("m/last.npy"), Pipeline.parse(list(CHAIN)).run(read_image("last.png")))
    failures = [json.loads(line) for line in Path("m.errors.jsonl").read_text().splitlines()]
    assert [failure["path"] for failure in failures] == names[1:-1]
    assert [failure["message"] for failure in failures] == lines


def test_a_run_without_failures_takes_their_list_away(cnntool: Tool, here: Path) -> None:
    save("f/good.png")
    bad = spoil("f/text.png")
    assert cnntool("run", "f", "m/", "relu").code == 1
    assert Path("m.errors.jsonl").is_file()
    bad.unlink()
    assert cnntool("run", "f", "m/", "--overwrite", "relu").code == 0
    assert files(here) == {"f/good.png", "m/good.npy", ".m.index.jsonl"}


def test_images_that_the_chain_does_not_fit(cnntool: Tool, here: Path) -> None:
    save("f/large.png", pixels(20, 20))
    save("f/small.png", pixels(4, 4))
    result = cnntool("run", "f", "m/", "conv", "2", "5")
    assert result.code == 1
    assert result.err.startswith("f/small.png: conv (layer 1): kernel 5x5 does not fit into the input of 4x4")
    assert files(Path("m")) == {"large.npy"}


def test_one_image_in_a_folder_that_is_too_small_for_the_crop(cnntool: Tool, here: Path) -> None:
    save("a.png")
    result = cnntool("run", "a.png", "o.npy", "--crop", "99", "relu")
    assert result.code == 1
    assert result.err == "a.png: 20 x 24 pixels are too few for a crop of 99 x 99: crop less, or resize first\n"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_disk_ends_the_run_at_once(
    cnntool: Tool, here: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    for index in range(40):
        save(f"photos/{index:02}.png")
    written: list[str] = []

    def write(path: Path, *_: object, **__: object) -> None:
        with writing(path):
            if len(written) == 2:
                raise OSError(number, os.strerror(number))
            written.append(path.name)

    monkeypatch.setattr("cnntool.images.write.write_volume", write)
    result = cnntool("run", "photos", "maps/", "--threads", 1, "relu")
    assert result.code == 2
    (line,) = result.err.splitlines()
    assert line == f"cnntool: maps/02.npy: cannot be written: {os.strerror(number)}"
    assert written == ["00.npy", "01.npy"]


def test_an_output_that_alone_cannot_be_written_is_one_failure(
    cnntool: Tool, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        save(f"photos/{name}.png")

    def write(path: Path, *_: object, **__: object) -> None:
        with writing(path):
            if path.name == "b.npy":
                raise OSError(errno.ENAMETOOLONG, "name too long")

    monkeypatch.setattr("cnntool.images.write.write_volume", write)
    result = cnntool("run", "photos", "maps/", "--threads", 1, "relu")
    assert result.code == 1
    assert "1 of 3 images failed" in result.err


@pytest.mark.parametrize("name", ["a.png", "a.npy", "a.tif"])
def test_an_empty_file_is_told_to_be_empty(cnntool: Tool, here: Path, name: str) -> None:
    save("photos/b.png")
    Path("photos", name).write_bytes(b"")
    for line in (["run", f"photos/{name}", "o.npy", "relu"], ["shape", f"photos/{name}", "relu"]):
        result = cnntool(*line)
        assert (result.code, len(result.err.splitlines())) == (1, 1)
        assert f"photos/{name}: an empty file: expected a whole PNG" in result.err
    with zipfile.ZipFile("photos.zip", "w") as archive:
        archive.write(f"photos/{name}")
        archive.write("photos/b.png")
    for source in ("photos", "photos.zip"):
        result = cnntool("run", source, f"{source}.maps/", "relu")
        assert result.code == 1
        assert "an empty file: expected a whole PNG" in result.err
