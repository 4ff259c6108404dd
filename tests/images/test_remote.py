"""INPUT behind URLs: `memory://` and `file://` as every file system of fsspec, and a web server on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http.server
import importlib.util
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntool.errors import BadInput, CnntoolError
from cnntool.images import remote
from cnntool.images.sources import open_source
from tests.cli.conftest import Tool, cnntool, here, pixels, save
from tests.images.test_webdataset import sample, shard

__all__ = ["cnntool", "here"]
fsspec = pytest.importorskip("fsspec")
pytest.importorskip("fsspec.asyn")
CHAIN = ("bank", "sobel", "abs", "globalpool", "avg")


@pytest.fixture
def bucket(here: Path) -> Iterator[str]:
    """The URL of a folder in memory, with the same files below `f/` on disk."""
    for seed, name in enumerate(("cats/a.png", "cats/b.png", "dogs/c.png")):
        save(f"f/{name}", pixels(seed=seed))
    Path("f/cats/notes.md").write_text("x")
    Path("f/.hidden").mkdir()
    save("f/.hidden/x.png")
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]
    memory.put("f", "/bucket", recursive=True)
    yield "memory://bucket"
    memory.store.clear()


def named(text: str, **others: Any) -> list[tuple[str, str | None]]:
    with open_source(text, **others) as source:
        return [(item.name, item.label) for item in source]


EXPECTED = [("cats/a.png", "cats"), ("cats/b.png", "cats"), ("dogs/c.png", "dogs")]


def test_a_folder_a_file_a_pattern(bucket: str, here: Path) -> None:
    for text in (bucket, f"{bucket}/", f"file://{here}/f"):
        assert named(text, labels=True) == EXPECTED
        with open_source(text) as source:
            assert source.notes() == ["not read: 1 .md"]
            assert np.array_equal(source[2].read(), open_source("f/dogs/c.png")[0].read())
    assert named(f"{bucket}/dogs/c.png") == [("c.png", None)]
    assert named(f"{bucket}/*/*.png") == EXPECTED
    assert named(f"{bucket}/cats/*.png") == [("a.png", "cats"), ("b.png", "cats")]


def test_lists_and_tables(bucket: str, here: Path) -> None:
    Path("l.txt").write_text(f"f/cats/a.png\n{bucket}/dogs/c.png\n")
    assert named("@l.txt") == [("f/cats/a.png", "cats"), (f"{bucket}/dogs/c.png", "dogs")]
    table = b"file_name,label\ncats/a.png,x\ndogs/c.png,y\n"
    fsspec.filesystem("memory").pipe("/bucket/metadata.csv", table)
    assert named(f"{bucket}/metadata.csv", labels=True) == [("cats/a.png", "x"), ("dogs/c.png", "y")]
    with open_source(f"{bucket}/metadata.csv") as source:
        assert source[1].read().shape == (20, 24, 3)
        assert source[1].where == f"{bucket}/dogs/c.png"


@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
def test_shards(bucket: str, suffix: str) -> None:
    memory = fsspec.filesystem("memory")
    for number in range(2):
        shard(f"s-{number}.{suffix}", sample(number, cls=b"cat") | sample(9, cls=b"dog"))
        memory.put(f"s-{number}.{suffix}", f"/shards/s-{number}.{suffix}")
    expected = [(f"s-{n}/{key:04}.png", label) for n in range(2) for key, label in ((n, "cat"), (9, "dog"))]
    for text in (f"memory://shards/s-{{0..1}}.{suffix}", "memory://shards", f"memory://shards/*.{suffix}"):
        assert named(text, labels=True) == expected
        with open_source(text) as source:
            assert [round(float(item.read()[0, 0, 0]) * 255) for item in source] == [0, 9, 1, 9]
    with pytest.raises(CnntoolError, match=rf"memory://shards/s-2.{suffix}: no such file"):
        open_source(f"memory://shards/s-{{1..2}}.{suffix}")


def test_the_table_is_that_of_the_same_files_on_disk(cnntool: Tool, bucket: str) -> None:
    assert cnntool("extract", "f", "t.npz", "--labels", *CHAIN).code == 0
    assert cnntool("extract", bucket, "u.npz", "--labels", *CHAIN).code == 0
    assert Path("t.npz").read_bytes() == Path("u.npz").read_bytes()
    assert "0 images computed, 3 known" in cnntool("extract", bucket, "t.npz", "--labels", *CHAIN).err
    assert cnntool("run", f"{bucket}/cats/a.png", "a.npy", "relu").code == 0
    assert cnntool("run", bucket, "m/", "relu").code == 0
    assert sorted(path.name for path in Path("m").rglob("*.npy")) == ["a.npy", "b.npy", "c.npy"]


def test_a_file_that_vanished_is_one_failure_and_is_tried_again(cnntool: Tool, bucket: str) -> None:
    Path("l.txt").write_text(f"{bucket}/cats/a.png\n{bucket}/cats/none.png\n")
    result = cnntool("extract", "@l.txt", "t.npz", *CHAIN)
    assert result.code == 1
    assert f"{bucket}/cats/none.png: no such file" in result.err
    assert '"kind": "missing"' in Path("t.npz.errors.jsonl").read_text()
    fsspec.filesystem("memory").pipe("/bucket/cats/none.png", Path("f/dogs/c.png").read_bytes())
    assert "1 images computed, 1 known" in cnntool("extract", "@l.txt", "t.npz", *CHAIN).err
    assert len(np.load("t.npz")["paths"]) == 2


def test_what_is_refused(cnntool: Tool, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for url, told in (
        (f"{bucket}/none", "no such file or folder"),
        ("nosuch://a/b.png", "nosuch"),
        (f"{bucket}/cats/*.jpg", "no images in it"),
    ):
        assert told in cnntool("extract", url, "t.npz", *CHAIN).refused()
    assert "URLs are only read" in cnntool("extract", bucket, "s3://b/t.npz", *CHAIN).refused()
    assert cnntool("run", f"{bucket}/none.png", "a.npy", "relu").code == 1
    monkeypatch.setitem(sys.modules, "fsspec", None)
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    assert "pip install 'cnntool[remote]'" in cnntool("extract", bucket, "t.npz", *CHAIN).refused()
    assert "pip install 'cnntool[remote]'" in cnntool("extract", f"{bucket}/a.png", "t.npz", *CHAIN).refused()


def test_whatever_a_file_system_raises_is_a_failure_of_one_input(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*words: Any, **others: Any) -> bytes:
        raise RuntimeError("the token\nhas expired")

    with open_source(bucket) as source:
        monkeypatch.setattr(fsspec.implementations.memory.MemoryFileSystem, "cat_file", broken)
        with pytest.raises(BadInput, match=r"a.png: cannot be read: the token has expired") as caught:
            source[0].read()
        assert caught.value.kind == "failed"


class Slow(fsspec.asyn.AsyncFileSystem):
    """A server that takes a request and gives no answer."""

    protocol = "slow"

    async def _cat_file(self, path: str, **others: Any) -> bytes:
        await asyncio.sleep(30)
        return b""


def test_a_server_that_gives_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.register_implementation("slow", Slow, clobber=True)
    monkeypatch.setattr(remote, "SECONDS", 0.1)
    with (
        open_source("slow://a.png") as source,
        pytest.raises(BadInput, match=r"slow://a.png: no answer for 0.1 seconds") as caught,
    ):
        source[0].read()
    assert caught.value.kind == "failed"


class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if "slow" in self.path:
            time.sleep(1.5)
        with contextlib.suppress(BrokenPipeError):  # nobody waits for it any more
            super().do_GET()

    def log_message(self, *words: Any) -> None:
        pass


@pytest.fixture
def server(bucket: str) -> Iterator[str]:
    handler = functools.partial(Handler, directory="f")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{found.server_address[1]}"
        found.shutdown()
        thread.join()


@pytest.mark.skipif(importlib.util.find_spec("aiohttp") is None, reason="fsspec reads the web by aiohttp")
def test_a_web_server(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_source(f"{server}/dogs/c.png?size=full") as source:
        assert source[0].name == "c.png"
        assert np.array_equal(source[0].read(), open_source("f/dogs/c.png")[0].read())
    with open_source(f"{server}/cats/none.png") as source, pytest.raises(BadInput, match=r"none.png: no such file"):
        source[0].read()
    monkeypatch.setattr(remote, "SECONDS", 0.3)
    with open_source(f"{server}/slow.png") as source, pytest.raises(BadInput, match=r"no answer for 0.3 seconds"):
        source[0].read()
