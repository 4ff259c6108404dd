"""The one reader of array files: what numpy writes is read, what is hostile is one clear error in every reader."""

from __future__ import annotations

import io
import json
import os
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cnntool
from cnntool import Pipeline
from cnntool.arrays import LARGEST_HEADER, npy_array, npy_header, open_arrays, telling
from cnntool.banks.file import FileBank
from cnntool.errors import BadInput, CnntoolError
from cnntool.images import volumes
from cnntool.learning.linear import read_table

TYPES = ["<f2", "<f4", ">f4", "<f8", "|i1", "<i8", ">u2", "|b1", "<c8", "<U5", "|S3", "<M8[s]"]


@pytest.mark.parametrize("descr", TYPES)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(), (0,), (7,), (2, 3, 4)])
def test_headers_are_what_numpy_wrote(tmp_path, descr, order, shape):
    array = np.asarray(np.zeros(shape, descr), order=order)
    np.save(tmp_path / "a.npy", array)
    for source in (tmp_path / "a.npy", (tmp_path / "a.npy").read_bytes()):
        header = npy_header(source)
        assert (header.shape, header.dtype, header.itemsize) == (shape, array.dtype, array.dtype.itemsize)
        assert header.kind == array.dtype.kind
        assert header.type_name in (array.dtype.name, array.dtype.str, array.dtype.name.partition("[")[0])


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_all_versions_of_the_format(tmp_path, version):
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    with open(tmp_path / "a.npy", "wb") as file:
        np.lib.format.write_array(file, array, version)
    assert np.array_equal(npy_array(tmp_path / "a.npy", npy_header(tmp_path / "a.npy")), array)


@pytest.mark.parametrize("descr", ["<f4", ">f8", "|u1", "<U4"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_members_are_read_in_this_machines_order(tmp_path, descr, save):
    array = np.asfortranarray(np.arange(24).reshape(2, 3, 4).astype(descr))
    save(tmp_path / "a.npz", a=array, empty=array[:0])
    with open_arrays(tmp_path / "a.npz", inflate=1000) as file:
        assert file.names() == ["a", "empty"]
        assert file.header("a").shape == (2, 3, 4)
        found = file.read("a")
        assert file.read("empty").shape == (0, 3, 4)
    assert np.array_equal(found, array)
    assert found.dtype.isnative
    assert found.flags.c_contiguous


def test_tensors_are_read_as_their_own_package_wrote_them(tmp_path):
    save_file = pytest.importorskip("safetensors.numpy").save_file
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.ones((), np.float64),
        "c": np.zeros((0, 2), "i1"),
    }
    save_file(arrays, tmp_path / "a.safetensors", metadata={"x": "y"})
    with open_arrays(tmp_path / "a.safetensors") as file:
        assert sorted(file.names()) == ["a", "b", "c"]
        assert file.metadata == {"x": "y"}
        for name, array in arrays.items():
            found = file.read(name)
            assert np.array_equal(found, array)
            assert found.dtype == array.dtype


def npy(shape: str, descr: str = "'<f4'", order: str = "False", numbers: int = 48, version: int = 1) -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    size = len(text).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + size + text + bytes(numbers)


def literal(text: str, version: int = 2) -> bytes:
    return b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(4, "little") + text.encode()


ODD = {
    "a shape of truth": npy("(True, 4)"),
    "a negative side": npy("(-3, -4)"),
    "a huge side": npy(f"({10**30}, 4)"),
    "sides that overflow": npy(f"({2**62}, {2**62})"),
    "a fraction": npy("(3.0, 4)"),
    "a nested shape": npy("((3, 4), 2)"),
    "a shape that is a number": npy("12"),
    "a shape of texts": npy("('3', '4')"),
    "superscripts": npy("(\u00b2, 4)"),
    "no shape": literal("{'descr': '<f4', 'fortran_order': False}"),
    "objects": npy("(3, 4)", "'|O'"),
    "records": npy("(3, 4)", "[('a', '<f4'), ('b', '<f8')]"),
    "two types": npy("(3, 4)", "'f4,f4'"),
    "a type that is none": npy("(3, 4)", "'nonsense'"),
    "numbers of a strange size": npy("(3, 4)", "'<f3'", numbers=36),
    "texts": npy("(3, 4)", "'<U1'"),
    "dates": npy("(3, 4)", "'<M8[s]'", numbers=96),
    "an order that is a number": npy("(3, 4)", order="0"),
    "cut off": npy("(3, 4)", numbers=47),
    "a huge array": npy("(100000, 100000, 1000)"),
    "another version": npy("(3, 4)", version=4),
    "a long header": literal("{" + " " * LARGEST_HEADER + "'descr': '<f4', 'fortran_order': False, 'shape': (3, 4)}"),
    "a header of megabytes": literal("[" * 5_000_000),
    "brackets": literal("(" * 60_000),
    "signs": literal("-" * 60_000 + "1"),
    "a header that is cut off": b"\x93NUMPY\x02\x00\xff\xff\x00\x00{'descr': '<f4'",
    "code": literal("__import__('os').system('false')"),
    "nothing": b"",
    "a magic alone": b"\x93NUMPY",
    "another file": b"\x89PNG\r\n\x1a\n" + bytes(100),
}


def in_npz(path: Path, name: str, content: bytes, **others: Any) -> Path:
    stream = io.BytesIO()
    np.savez(stream, **others)
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr(f"{name}.npy", content)
    path.write_bytes(stream.getvalue())
    return path


def written(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


def weights(path: Path) -> None:
    Pipeline.parse(["conv", "4", "3", "--weights", str(path)]).run(np.zeros((9, 9, 1)))


READERS: dict[str, Callable[[Path, bytes], Any]] = {
    "volume": lambda folder, content: volumes.load(written(folder / "x.npy", content), "x.npy"),
    "volume of bytes": lambda folder, content: volumes.load(content, "x.npy"),
    "bank": lambda folder, content: FileBank(written(folder / "x.npy", content)).filters(),
    "weights": lambda folder, content: weights(Path(written(folder / "x.npy", content))),
    "weights of an archive": lambda folder, content: weights(in_npz(folder / "x.npz", "weight", content)),
    "model": lambda folder, content: cnntool.load(
        in_npz(
            folder / "x.npz", "1.weight", content, format=1, words=["conv", "4", "3", "--no-bias"],
            input_shape=[9, 9, 1], classes=np.array([], str), preparation="{}",
        )
    ),
    "table": lambda folder, content: read_table(str(in_npz(folder / "x.npz", "features", content, paths=["a"]))),
}  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", ODD)
def test_odd_headers_are_one_clear_error_everywhere(tmp_path, name, reader):
    tracemalloc.start()
    try:
        with pytest.raises(CnntoolError, match=r"x\.np[yz]") as caught:
            READERS[reader](tmp_path, ODD[name])
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert most < 40_000_000


def test_one_odd_volume_does_not_stop_the_others(tmp_path, monkeypatch):
    from cnntool.cli.main import main

    monkeypatch.chdir(tmp_path)
    Path("d").mkdir()
    np.save("d/a.npy", np.ones((3, 4, 1), np.float32))
    Path("d/b.npy").write_bytes(ODD["a shape of truth"])
    assert main(["extract", "d", "t.npz", "--quiet", "globalpool", "avg"]) == 1
    assert read_table("t.npz").paths == ["a.npy"]
    assert "b.npy" in Path("t.npz.errors.jsonl").read_text()


def bomb(path: Path, **shapes: tuple[int, ...]) -> Path:
    np.savez_compressed(path, **{name: np.zeros(shape, np.float32) for name, shape in shapes.items()})
    return path


def test_compressed_numbers_are_not_unpacked_before_their_shape_is_right(tmp_path):
    path = bomb(tmp_path / "w.npz", weight=(1000, 1000, 30))
    assert path.stat().st_size < 200_000
    tracemalloc.start()
    try:
        with pytest.raises(CnntoolError, match=r"`weight` is float32 of shape \(1000, 1000, 30\)"):
            weights(path)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_a_member_that_grows_beyond_what_is_allowed_is_refused(tmp_path):
    with open_arrays(bomb(tmp_path / "w.npz", weight=(100, 100)), inflate=10_000) as file:
        assert file.header("weight").shape == (100, 100)
        with pytest.raises(ValueError, match="grows to 40128 bytes: expected at most 10000"):
            file.read("weight")


def test_other_ways_to_compress_are_refused(tmp_path):
    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    with zipfile.ZipFile(tmp_path / "w.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("weight.npy", stream.getvalue())
    with open_arrays(tmp_path / "w.npz", inflate=10_000) as file, pytest.raises(ValueError, match="in another way"):
        file.header("weight")


def tensors(index: Any, content: bytes = bytes(24)) -> bytes:
    text = index if isinstance(index, bytes) else json.dumps(index).encode()
    return len(text).to_bytes(8, "little") + text + content


def entry(first: int = 0, last: int = 24, shape: Any = (2, 3), dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, last]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 8,
        (2**20).to_bytes(8, "little") + b"{}",
        tensors([]),
        tensors(b"{"),
        tensors(b"[" * 100_000),
        tensors({"a": 1}),
        tensors({"a": entry(shape=[2, -3])}),
        tensors({"a": entry(shape=[2, 3.0])}),
        tensors({"a": entry(shape=[True, 6])}),
        tensors({"a": entry(shape=[2**70, 0])}),
        tensors({"a": entry(dtype="F31")}),
        tensors({"a": entry(dtype=["F32"])}),
        tensors({"a": entry(last=20)}),
        tensors({"a": entry(4, 28)}),
        tensors({"a": entry(), "b": entry()}),
        tensors({"a": entry()}, bytes(23)),
        tensors({"a": entry()}, bytes(25)),
        tensors({"a": entry(0, 10**15, [10**15 // 4])}),
        tensors(b'{"a": %b, "a": %b}' % ((json.dumps(entry()).encode(),) * 2)),
        tensors({"__metadata__": [], "a": entry()}),
        tensors({"__metadata__": {"x": 1}, "a": entry()}),
    ],
)
def test_hostile_tensors(tmp_path, content):
    path = written(tmp_path / "x.safetensors", content)
    with (
        pytest.raises(CnntoolError, match=r"x\.safetensors: damaged"),
        telling(path, "expected tensors"),
        open_arrays(path) as file,
    ):
        file.read("a")


def test_a_hostile_tensor_would_have_been_right(tmp_path):
    with open_arrays(written(tmp_path / "x.safetensors", tensors({"a": entry()}))) as file:
        assert file.read("a").shape == (2, 3)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
@pytest.mark.parametrize("suffix", ["npy", "npz", "safetensors"])
def test_what_may_have_no_end_is_not_opened(tmp_path, suffix):
    os.mkfifo(tmp_path / f"x.{suffix}")
    with pytest.raises(ValueError, match="no regular file"), open_arrays(tmp_path / f"x.{suffix}"):
        pass


def test_errors_tell_what_is_missing_from_what_is_damaged(tmp_path):
    def told(action: Callable[[], Any]) -> CnntoolError:
        with pytest.raises(CnntoolError) as caught, telling("it", "expected more", damaged=BadInput):
            action()
        return caught.value

    missing, folder = told((tmp_path / "none").read_bytes), told(tmp_path.read_bytes)
    assert (str(missing), type(missing)) == ("it: no such file: expected more", CnntoolError)
    assert type(folder) is CnntoolError
    assert "a folder" in str(folder)
    damaged = told(lambda: int("\n x"))
    assert type(damaged) is BadInput
    assert str(damaged).startswith("it: damaged, or of another kind (invalid literal")


def test_a_long_header_is_not_read(tmp_path):
    with pytest.raises(ValueError, match="a header of 5000000 bytes: expected at most"):
        npy_header(ODD["a header of megabytes"])


def test_a_member_with_more_than_its_header_tells_is_refused(tmp_path):
    path = in_npz(tmp_path / "x.npz", "a", npy("(3, 4)", numbers=49))
    with open_arrays(path) as file, pytest.raises(ValueError, match="`a`: not of the size that its header tells"):
        file.read("a")
    assert npy_header(npy("(3, 4)", numbers=49)).shape == (3, 4)  # a file may go on behind its numbers
