"""Saved models: what is written comes back, and no file, however made, does anything but give one clear error."""

from __future__ import annotations

import io
import json
import os
import pickle
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cnntool
from cnntool import Pipeline
from cnntool.errors import CnntoolError
from cnntool.models.saving import FORMAT, SUFFIXES

WORDS = "conv 5 3 --padding same relu mark a batchnorm bank sobel --per-channel maxpool 2 flatten fc 3 softmax"
SHAPE = (8, 6, 2)

safetensors = pytest.importorskip("safetensors")


def volume(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).random(shape, np.float32)


def made(words: str = WORDS, shape: tuple[int, ...] = SHAPE, seed: int = 3) -> Pipeline:
    pipeline = Pipeline.parse(words, seed=seed)
    pipeline.run(volume(*shape))
    return pipeline


def entries(**changed: Any) -> dict[str, Any]:
    """The arrays of a whole small model, with some of them changed or, by None, left out."""
    whole = {
        "format": np.array(FORMAT), "words": np.array(["conv", "2", "3", "relu"]), "input_shape": np.array([5, 6, 1]),
        "classes": np.array([], str), "preparation": np.array("{}"),
        "1.weight": np.ones((3, 3, 1, 2), np.float32), "1.bias": np.zeros(2, np.float32),
    }  # fmt: skip
    return {name.replace("__", "."): array for name, array in (whole | changed).items() if array is not None}


def npz(path: Path, arrays: dict[str, Any], save: Any = np.savez) -> Path:
    with open(path, "wb") as file:
        save(file, **arrays)
    return path


def refused(path: Path) -> str:
    with pytest.raises(CnntoolError) as error:
        cnntool.load(path)
    message = str(error.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert len(message) < 600
    return message


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("words", "shape"),
    [
        (WORDS, SHAPE),
        ("conv 4 3 mark x conv 4 1 add x relu", (7, 7, 3)),
        ("relu", (4, 4, 1)),
        ("whiten", (4, 4, 3)),
        ("mark x from x globalpool avg", (4, 5, 2)),
    ],
)
def test_what_is_saved_comes_back(tmp_path, suffix, words, shape):
    pipeline = made(words, shape)
    pipeline.classes, pipeline.preparation = ["été", "b c", "\udcff"], {"resize": [4, 5], "gray": True}
    path = tmp_path / f"model{suffix}"
    pipeline.save(path)
    loaded = cnntool.load(path)
    x = volume(*shape)
    assert loaded.run(x).tobytes() == pipeline.run(x).tobytes()
    assert loaded.layers == pipeline.layers
    assert loaded.input_shape == shape
    assert (loaded.classes, loaded.preparation) == (pipeline.classes, pipeline.preparation)
    for here, there in zip(pipeline.weights(shape), loaded.weights(shape), strict=True):
        assert {n: (a.dtype, a.tobytes()) for n, a in here.items()} == {
            n: (a.dtype, a.tobytes()) for n, a in there.items()
        }


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_model_gives_the_same_file_and_can_be_saved_again(tmp_path, suffix):
    made().save(tmp_path / f"a{suffix}")
    cnntool.load(tmp_path / f"a{suffix}").save(tmp_path / f"b{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_numpy_reads_it_without_pickle(tmp_path):
    made().save(tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz", allow_pickle=False) as arrays:
        assert arrays["words"].tolist() == WORDS.split()
        assert arrays["input_shape"].tolist() == list(SHAPE)
        assert {"1.weight", "1.bias", "3.gamma", "4.weight", "7.bias"} < set(arrays)


def test_a_part_of_a_pipeline(tmp_path):
    pipeline = made()
    part = pipeline.until("a")
    part.save(tmp_path / "m.npz")
    loaded = cnntool.load(tmp_path / "m.npz")
    assert [layer.word for layer in loaded.layers] == ["conv", "relu"]
    np.testing.assert_array_equal(loaded.run(volume(*SHAPE)), part.run(volume(*SHAPE)))


def test_files_of_weights_and_filters_are_inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("w.npy", volume(3, 3, 1, 4))
    np.save("bank.npy", volume(5, 3, 2))
    pipeline = made("conv 4 3 --weights w.npy bank bank.npy --per-channel", (9, 9, 1))
    pipeline.save("m.npz")
    os.unlink("w.npy")
    os.unlink("bank.npy")
    loaded = cnntool.load("m.npz")
    np.testing.assert_array_equal(loaded.run(volume(9, 9, 1)), pipeline.run(volume(9, 9, 1)))
    assert " ".join(w for layer in loaded.layers for w in layer.words()) == "conv 4 3 bank stored 2 5x3 --per-channel"


def test_another_size_where_the_arrays_allow_it(tmp_path):
    made("conv 4 3 relu globalpool max fc 2").save(tmp_path / "m.npz")
    assert cnntool.load(tmp_path / "m.npz").run(volume(20, 30, 2)).shape == (1, 1, 2)
    made("conv 4 3 flatten fc 2").save(tmp_path / "m.npz")
    with pytest.raises(CnntoolError, match=r"fc \(layer 3\): the model's `weight` has the shape"):
        cnntool.load(tmp_path / "m.npz").run(volume(20, 30, 2))


def test_a_shape_must_be_known(tmp_path):
    pipeline = Pipeline.parse("conv 4 3")
    with pytest.raises(CnntoolError, match="no input shape is known yet"):
        pipeline.save(tmp_path / "m.npz")
    pipeline.input_shape = (8, 8, 2)
    pipeline.save(tmp_path / "m.npz")
    assert cnntool.load(tmp_path / "m.npz").weights((8, 8, 2))[0]["weight"].shape == (3, 3, 2, 4)


@pytest.mark.parametrize("name", ["model", "model.pth", "model.npy"])
def test_suffixes(tmp_path, name):
    for action in (made().save, cnntool.load):
        with pytest.raises(CnntoolError, match=r"a model's name ends in \.npz or \.safetensors"):
            action(tmp_path / name)


def test_without_the_extra(tmp_path, monkeypatch):
    made().save(tmp_path / "m.safetensors")
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(CnntoolError, match=r"pip install cnntool\[safetensors\]"):
        made().save(tmp_path / "n.safetensors")
    assert cnntool.load(tmp_path / "m.safetensors").graph.nodes == made().graph.nodes


HOSTILE = {
    "no format": ({"format": None}, "does not say which `format`"),
    "another format": ({"format": np.array(FORMAT + 1)}, "reads 1: make it again"),
    "a format that is a text": ({"format": np.array("1")}, "`format`"),
    "no words": ({"words": None}, "`words` are no list"),
    "words that are numbers": ({"words": np.array([1, 2])}, "`words` are no list"),
    "empty words": ({"words": np.array([], str)}, "no layers"),
    "an unknown layer": ({"words": np.array(["convv", "2", "3"])}, "did you mean conv"),
    "an option that is none": ({"words": np.array(["relu", "--help"])}, "no such option"),
    "an absurd number": ({"words": np.array(["conv", "9" * 30, "3"])}, "conv .layer 1."),
    "a file of weights": ({"words": np.array(["conv", "2", "3", "--weights", "/etc/x.npy"])}, "is not read here"),
    "a file of filters": ({"words": np.array(["bank", "/etc/x.npy"])}, "is not read here"),
    "no shape": ({"input_shape": None}, "`input_shape`"),
    "a shape of two": ({"input_shape": np.array([5, 6])}, "`input_shape`"),
    "a shape below one": ({"input_shape": np.array([5, 0, 1])}, "`input_shape`"),
    "a shape beyond reason": ({"input_shape": np.array([2**60, 2**60, 1])}, "`input_shape`"),
    "a shape that does not fit": ({"input_shape": np.array([2, 6, 1])}, "does not fit into the input"),
    "another number of channels": ({"input_shape": np.array([5, 6, 2])}, "`1.weight` has the shape"),
    "classes that are numbers": ({"classes": np.array([1])}, "`classes` are no list"),
    "broken JSON": ({"preparation": np.array("{")}, "damaged"),
    "JSON of another kind": ({"preparation": np.array("[1]")}, "`preparation` is no object"),
    "endless JSON": ({"preparation": np.array("[" * 100_000)}, "damaged"),
    "no weights": ({"1__weight": None}, "`1.weight` of the layer `conv` is missing"),
    "weights of another shape": ({"1__weight": np.ones((3, 3, 1, 3), np.float32)}, "has the shape"),
    "weights without a shape": ({"1__weight": np.float32(1)}, "has the shape"),
    "weights that are integers": ({"1__weight": np.ones((3, 3, 1, 2), np.int64)}, "holds int64"),
    "weights that are complex": ({"1__weight": np.ones((3, 3, 1, 2), np.complex64)}, "holds complex64"),
    "weights of half precision": ({"1__weight": np.ones((3, 3, 1, 2), np.float16)}, "holds float16"),
    "weights that are texts": ({"1__weight": np.full((3, 3, 1, 2), "x")}, "holds <U1"),
    "weights with fields": ({"1__weight": np.zeros((3, 3, 1, 2), "f4,f4")}, "holds"),
    "weights of a layer without": ({"2__weight": np.ones(2, np.float32)}, "`2.weight` belongs to none"),
    "weights of no layer": ({"7__weight": np.ones(2, np.float32)}, "`7.weight` belongs to none"),
    "one statistic of two": (
        {"words": np.array(["standardize"]), "1__weight": None, "1__bias": None, "1__mean": np.zeros(1)},
        "`1.scale` of the layer `standardize` is missing",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_entries(tmp_path, name):
    changed, message = HOSTILE[name]
    arrays = entries(**{key.replace("__", "."): array for key, array in changed.items()})
    assert message.replace(".layer 1.", "(layer 1)") in refused(npz(tmp_path / "m.npz", arrays))


def test_the_whole_small_model_is_taken(tmp_path):
    assert cnntool.load(npz(tmp_path / "m.npz", entries())).run(volume(5, 6, 1)).shape == (3, 4, 2)
    without_bias = entries(**{"1.bias": None, "1.weight": np.ones((3, 3, 1, 2), ">f8")})
    assert cnntool.load(npz(tmp_path / "m.npz", without_bias)).run(volume(5, 6, 1)).shape == (3, 4, 2)


class Mark:
    """Leaves a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, "w")


@pytest.mark.parametrize("entry", ["words", "format", "preparation", "1.weight"])
def test_pickles_are_not_unpickled(tmp_path, entry):
    trace = tmp_path / "trace"
    arrays = entries(**{entry: np.array([Mark(str(trace))], object)})
    assert "holds object" in refused(npz(tmp_path / "m.npz", arrays))
    (tmp_path / "p.npz").write_bytes(pickle.dumps(Mark(str(trace))))
    refused(tmp_path / "p.npz")
    assert not trace.exists()


def test_compressed_members_are_refused_before_they_grow(tmp_path):
    bomb = entries(**{"1.weight": np.zeros((3, 3, 1, 2_000_000), np.float32)})
    path = npz(tmp_path / "m.npz", bomb, np.savez_compressed)
    assert path.stat().st_size < 200_000
    assert "is compressed" in refused(path)


def member(path: Path, name: str, content: bytes) -> Path:
    """The small model with one member of these bytes."""
    arrays = {key: array for key, array in entries().items() if key != name}
    npz(path, arrays)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"{name}.npy", content)
    return path


def header(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        header((3, 3, 1, 2)),  # no numbers follow
        header((10**9, 10**9)),
        header((2**62, 4)),
        header((-3, -24)) + bytes(288),
        b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535,
        b"\x93NUMPY\x01\x00\x10\x00{'descr': 'O'}  \n",
        b"\x93NUMPY\x09\x00" + bytes(100),
        b"",
        b"no array at all",
    ],
)
def test_hostile_headers(tmp_path, content):
    assert "damaged" in refused(member(tmp_path / "m.npz", "1.weight", content))


def test_members_that_are_there_twice_or_overlap(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(npz(tmp_path / "a.npz", entries()), "a") as file:
        file.writestr("words.npy", b"")
    assert "twice" in refused(tmp_path / "a.npz")
    npz(tmp_path / "b.npz", entries(**{f"{row}.weight": np.zeros(10_000, np.float32) for row in range(3, 40)}))
    with zipfile.ZipFile(tmp_path / "b.npz") as archive:
        first = archive.getinfo("3.weight.npy").header_offset
        end = archive.getinfo("4.weight.npy").header_offset
    content = (tmp_path / "b.npz").read_bytes()
    directory = content.index(b"PK\x01\x02")
    listed = bytearray(content[directory:])
    for offset in range(len(listed) - 46):  # all members begin where the third does
        if listed[offset : offset + 4] == b"PK\x01\x02" and b".weight" in listed[offset + 46 : offset + 60]:
            listed[offset + 42 : offset + 46] = first.to_bytes(4, "little")
    place = listed.rindex(b"PK\x05\x06") + 16
    listed[place : place + 4] = end.to_bytes(4, "little")
    (tmp_path / "b.npz").write_bytes(content[:end] + bytes(listed))
    refused(tmp_path / "b.npz")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_truncated_and_spoilt_files(tmp_path, suffix):
    path = tmp_path / f"m{suffix}"
    made("conv 2 3 relu", (6, 6, 1)).save(path)
    whole = path.read_bytes()
    for length in [*range(0, len(whole), 41), len(whole) - 1]:
        path.write_bytes(whole[:length])
        refused(path)
    dice = np.random.default_rng(0)
    expected = cnntool.load(_written(path, whole)).run(volume(6, 6, 1))
    for _ in range(150):
        spoilt = bytearray(whole)
        spoilt[dice.integers(len(whole))] ^= 1 << int(dice.integers(8))
        path.write_bytes(spoilt)
        try:
            assert cnntool.load(path).run(volume(6, 6, 1)).shape == expected.shape
        except CnntoolError as error:
            assert str(error).startswith(str(path))  # noqa: PT017 many spoilt bits are in no need of an error


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_hostile_safetensors(tmp_path):
    from safetensors.numpy import save

    path = tmp_path / "m.safetensors"
    arrays = {"1.weight": np.ones((3, 3, 1, 2), np.float32), "1.bias": np.zeros(2, np.float32)}
    head: dict[str, Any] = {
        "format": FORMAT, "words": ["conv", "2", "3"], "input_shape": [5, 6, 1], "classes": [], "preparation": {},
    }  # fmt: skip

    def model(arrays: dict[str, Any] = arrays, **changed: Any) -> Path:
        return _written(path, save(arrays, {"cnntool": json.dumps(head | changed)}))

    assert cnntool.load(model()).run(volume(5, 6, 1)).shape == (3, 4, 2)
    assert "`format`" in refused(_written(path, save(arrays)))
    assert "`words`" in refused(model(words=[1]))
    assert "`input_shape`" in refused(model(input_shape=[5, True, 1]))
    assert "NaN" in refused(model(preparation={"resize": float("nan")}))
    assert "missing" in refused(model(arrays={"1.bias": arrays["1.bias"]}))
    assert "float16" in refused(model(arrays=arrays | {"1.bias": np.zeros(2, np.float16)}))
    assert "no object" in refused(_written(path, save(arrays, {"cnntool": "[]"})))
    refused(_written(path, (2**40).to_bytes(8, "little") + b"{}"))


def test_no_file_and_a_folder(tmp_path):
    assert "no such file" in refused(tmp_path / "none.npz")
    (tmp_path / "folder.npz").mkdir()
    assert "cannot be read" in refused(tmp_path / "folder.npz")
    with pytest.raises(CnntoolError, match="a folder, expected"):
        made().save(tmp_path / "folder.npz")
    with pytest.raises(CnntoolError, match="there is no folder"):
        made().save(tmp_path / "none/m.npz")


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_killed_at_any_moment_the_file_is_whole(tmp_path, suffix):
    """The old file or the new one: both have one number in all their weights."""
    path = tmp_path / f"m{suffix}"
    code = (
        "import sys, numpy as np; from cnntool import Pipeline\n"
        "p = Pipeline.parse('conv 64 7 --no-bias'); p.input_shape = (9, 9, 64); n = 0\n"
        "while True:\n"
        "    p.set_weights([{'weight': np.full((7, 7, 64, 64), n, np.float32)}]); p.save(sys.argv[1]); n += 1\n"
        "    print(n, flush=True)\n"
    )
    dice = np.random.default_rng(1)
    for _ in range(5):
        process = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(float(dice.uniform(0, 0.05)))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        weight = cnntool.load(path).weights((9, 9, 64))[0]["weight"]
        assert weight.min() == weight.max()
