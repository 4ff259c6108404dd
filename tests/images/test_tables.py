from __future__ import annotations

import csv
import json
import os
import sys

import numpy as np
import pytest

from cnntool.errors import BadInput, CnntoolError
from cnntool.images import tables
from cnntool.images.tables import KINDS, kind_of, open_table, shortest
from tests.suffixes import is_written

NAMES = ["a.png", 'odd, "name"\n.png', "ü/日本.png", "bad\udcff.png"]
LABELS = ["cats", None, "dogs", "ü"]
ROWS = np.random.default_rng(4).normal(size=(4, 3)).astype(np.float32)
ROWS[0] = 1e-20, 16777216, 0.1
SUFFIXES = [suffix for suffix in KINDS if is_written(suffix[1:])]
PARTS = sorted({part for suffix in SUFFIXES for part in kind_of(f"t{suffix}").work})


def write(path, labels=False, rows=ROWS, **options):
    with open_table(path, labels, **options) as table:
        for name, label, row in zip(NAMES, LABELS, rows, strict=True):
            table.append(name, label, row)


def read_npz(path):
    with np.load(path, allow_pickle=False) as table:
        assert table["features"].dtype == np.float32
        labels = table["labels"].tolist() if "labels" in table else None
        return table["paths"].tolist(), labels, table["features"]


def read_csv(path):
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    features = [[float(row[name]) for name in row if name not in ("path", "label")] for row in rows]
    return columns(rows, features, "label" in reader.fieldnames)


def read_json_lines(path):
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    features = [[np.nan if value is None else value for value in row["features"]] for row in rows]
    return columns(rows, features, bool(rows) and "label" in rows[0])


def columns(rows, features, labelled):
    labels = [row["label"] for row in rows] if labelled else None
    return [row["path"] for row in rows], labels, np.array(features).astype(np.float32)


def read_parquet(path):
    table = pytest.importorskip("pyarrow.parquet").read_table(path).to_pydict()
    # UTF-8 has no half of a surrogate pair, which stands for a byte of a name that is no text
    names = [name.replace("\\udcff", "\udcff") for name in table["path"]]
    return names, table.get("label"), np.array(table["features"], np.float32)


def read_npy(path):
    def lines(name):
        text = path.with_suffix(name).read_text("utf-8", "surrogateescape").removesuffix("\n")
        return [json.loads(line) if line.startswith('"') else line for line in text.split("\n") if text]

    labels = lines(".labels.txt") if path.with_suffix(".labels.txt").exists() else None
    return lines(".paths.txt"), labels, np.load(path, mmap_mode="r")


def read_safetensors(path):
    safetensors = pytest.importorskip("safetensors")
    with safetensors.safe_open(path, "numpy") as file:
        texts = {name: json.loads(text) for name, text in file.metadata().items()}
        return texts["paths"], texts.get("labels"), file.get_tensor("features")


READERS = {
    ".npz": read_npz,
    ".csv": read_csv,
    ".jsonl": read_json_lines,
    ".parquet": read_parquet,
    ".npy": read_npy,
    ".safetensors": read_safetensors,
}
"""(names, labels or None, rows float32) of a table, read by another way than the one that wrote it."""


def read(path):
    assert path.suffix in READERS, f"tables as {path.suffix} have no reader in these tests"
    return READERS[path.suffix](path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("labels", [False, True])
def test_what_is_written_is_read(tmp_path, suffix, labels):
    path = tmp_path / f"t{suffix}"
    write(path, labels)
    names, read_labels, rows = read(path)
    assert names == NAMES
    assert read_labels == (["cats", "", "dogs", "ü"] if labels else None)
    assert np.array_equal(rows, ROWS)
    assert {name.split(".")[0] for name in os.listdir(tmp_path)} == {"t"}
    assert not os.path.exists(f"{path}.parts")


def test_text_forms(tmp_path):
    write(tmp_path / "t.csv", labels=True)
    assert (
        (tmp_path / "t.csv").read_text("utf-8", "surrogateescape").startswith("path,label,f0,f1,f2\na.png,cats,1e-20,")
    )
    write(tmp_path / "t.jsonl", labels=True)
    first = (tmp_path / "t.jsonl").read_text().splitlines()[0]
    assert first == '{"path": "a.png", "label": "cats", "features": [1e-20, 1.6777216e+07, 0.1]}'
    write(tmp_path / "u.jsonl")
    assert (tmp_path / "u.jsonl").read_text().startswith('{"path": "a.png", "features": [')


def test_numbers_that_are_none(tmp_path):
    rows = ROWS.copy()
    rows[1] = np.nan, np.inf, -np.inf
    for suffix in SUFFIXES:
        path = tmp_path / f"t{suffix}"
        write(path, rows=rows)
        expected = np.where(np.isfinite(rows), rows, np.nan) if suffix == ".jsonl" else rows
        assert np.array_equal(read(path)[2], expected, equal_nan=True)
    assert '"features": [null, null, null]' in (tmp_path / "t.jsonl").read_text()


def test_shortest_numbers_come_back():
    bits = np.random.default_rng(0).integers(0, 2**32, 20_000, dtype=np.uint32)
    numbers = bits.view(np.float32)
    numbers = numbers[np.isfinite(numbers)]
    texts = shortest(numbers)
    assert np.array_equal(np.array([float(text) for text in texts]).astype(np.float32), numbers)
    assert max(map(len, texts)) <= 15


def test_volumes_are_flattened_in_the_order_h_w_c(tmp_path):
    volume = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    with open_table(tmp_path / "t.npz") as table:
        table.append("a", None, np.asfortranarray(volume))
    assert np.load(tmp_path / "t.npz")["features"].tolist() == [list(range(24))]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rows_of_another_length_are_refused_and_the_rest_is_kept(tmp_path, suffix):
    with open_table(tmp_path / f"t{suffix}") as table:
        table.append("a.png", None, ROWS[0])
        with pytest.raises(BadInput, match=r"b.png gives 2 values and a.png gave 3"):
            table.append("b.png", None, ROWS[0, :2])
        table.append("c.png", None, ROWS[1])
    names, _, rows = read(tmp_path / f"t{suffix}")
    assert names == ["a.png", "c.png"]
    assert np.array_equal(rows, ROWS[:2])


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_run_leaves_nothing(tmp_path, suffix, error):
    path = tmp_path / f"t{suffix}"

    def interrupted(**options):
        with open_table(path, **options) as table:
            table.append("a.png", None, ROWS[0])
            assert os.listdir(f"{path}.parts")
            raise error

    with pytest.raises(error):
        interrupted()
    assert os.listdir(tmp_path) == []
    path.write_text("old")
    with pytest.raises(error):
        interrupted(overwrite=True)
    assert path.read_text() == "old"
    assert {name.split(".")[0] for name in os.listdir(tmp_path)} == {"t"}
    assert not os.path.exists(f"{path}.parts")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failure_at_the_end_leaves_nothing(tmp_path, suffix, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tables.os, "replace", full)
    with pytest.raises(CnntoolError, match=r"cannot be written: No space"):
        write(tmp_path / f"t{suffix}")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_an_older_run_left_is_overwritten(tmp_path, suffix):
    path = tmp_path / f"t{suffix}"
    left = open_table(path)
    left.append("old.png", None, ROWS[0])
    os.close(left._claim._lock)  # as the end of the process does
    write(path)
    assert read(path)[0] == NAMES
    assert {name.split(".")[0] for name in os.listdir(tmp_path)} == {"t"}
    assert not os.path.exists(f"{path}.parts")


def test_parts_of_others_stay(tmp_path):
    (tmp_path / "t.csv.parts").mkdir()
    (tmp_path / "t.csv.parts/other").write_text("x")
    write(tmp_path / "t.csv")
    assert os.listdir(tmp_path / "t.csv.parts") == ["other"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_equal_tables_are_equal_files(tmp_path, suffix):
    write(tmp_path / f"a{suffix}", labels=True)
    write(tmp_path / f"b{suffix}", labels=True)
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_rows(tmp_path, suffix):
    with open_table(tmp_path / f"t{suffix}", labels=True):
        pass
    names, labels, rows = read(tmp_path / f"t{suffix}")
    assert names == []
    assert not labels
    assert rows.size == 0


def test_a_csv_without_rows_has_its_head_and_npz_its_arrays(tmp_path):
    for suffix in (".csv", ".npz"):
        with open_table(tmp_path / f"t{suffix}", labels=True):
            pass
    assert (tmp_path / "t.csv").read_text() == "path,label\n"
    with np.load(tmp_path / "t.npz", allow_pickle=False) as table:
        assert [table[name].shape for name in ("features", "paths", "labels")] == [(0, 0), (0,), (0,)]


def test_names_that_cannot_be_tables(tmp_path):
    for name in ("t.xlsx", "t.txt", "t"):
        with pytest.raises(CnntoolError, match=f"expected a table ending in {', '.join(KINDS)}"):
            open_table(tmp_path / name)
    (tmp_path / "t.csv").write_text("old")
    with pytest.raises(CnntoolError, match=r"t.csv: is there already: give --overwrite"):
        open_table(tmp_path / "t.csv")
    write(tmp_path / "t.csv", overwrite=True)
    assert read(tmp_path / "t.csv")[0] == NAMES
    (tmp_path / "d.npz").mkdir()
    with pytest.raises(CnntoolError, match="a folder"):
        open_table(tmp_path / "d.npz", overwrite=True)
    with pytest.raises(CnntoolError, match="there is no folder"):
        open_table(tmp_path / "none/t.csv")
    assert sorted(os.listdir(tmp_path)) == ["d.npz", "t.csv"]


def test_one_table_of_a_name_at_a_time(tmp_path):
    with open_table(tmp_path / "t.csv") as table:
        table.append("a.png", None, ROWS[0])
        with pytest.raises(CnntoolError, match=rf"t.csv is being written by another process \(pid {os.getpid()}\)"):
            open_table(tmp_path / "t.csv", overwrite=True)
        write(tmp_path / "u.csv")
    table.abort()
    with open_table(tmp_path / "t.csv", overwrite=True) as other:
        table.abort()  # has nothing to do with the parts of the other one
        for name, row in zip(NAMES, ROWS, strict=True):
            other.append(name, None, row)
    assert read(tmp_path / "t.csv")[0] == NAMES
    assert sorted(os.listdir(tmp_path)) == ["t.csv", "u.csv"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_links_that_were_planted_are_not_written_through(tmp_path, suffix):
    mine = tmp_path / "mine"
    mine.mkdir()
    for part in PARTS:
        (mine / part).write_text("mine")
    path = tmp_path / f"t{suffix}"
    os.symlink(mine, f"{path}.parts")
    with pytest.raises(CnntoolError, match=r"t\....*\.parts: expected a folder of your own"):
        write(path)
    assert {part.read_text() for part in mine.iterdir()} == {"mine"}
    assert len(list(mine.iterdir())) == len(PARTS)
    assert len(os.listdir(tmp_path)) == 2  # and no lock
    os.unlink(f"{path}.parts")
    os.mkdir(f"{path}.parts")
    for part in mine.iterdir():
        os.symlink(part, f"{path}.parts/{part.name}")
    write(path)
    assert read(path)[0] == NAMES
    assert {part.read_text() for part in mine.iterdir()} == {"mine"}


def test_parts_of_another_user_are_refused(tmp_path, monkeypatch):
    os.mkdir(tmp_path / "t.csv.parts")
    monkeypatch.setattr(tables.os, "geteuid", lambda: 54321)
    with pytest.raises(CnntoolError, match=r"t.csv.parts: expected a folder of your own"):
        write(tmp_path / "t.csv")
    assert os.listdir(tmp_path) == ["t.csv.parts"]


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real/t.csv").write_text("old")
    os.symlink("real/t.csv", tmp_path / "t.csv")
    write(tmp_path / "t.csv", overwrite=True)
    assert (tmp_path / "t.csv").is_symlink()
    assert read(tmp_path / "real/t.csv")[0] == NAMES
    assert os.listdir(tmp_path / "real") == ["t.csv"]


def test_values_that_were_lost_are_told(tmp_path):
    table = open_table(tmp_path / "t.npz")
    for name, row in zip(NAMES, ROWS, strict=True):
        table.append(name, None, row)
    table._features.flush()
    os.truncate(tmp_path / "t.npz.parts/features.f4", 8)
    with pytest.raises(CnntoolError, match=r"t.npz: cannot be written: .*features.f4 was changed"):
        table.commit()
    assert os.listdir(tmp_path) == []


def test_a_missing_package_is_named_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(CnntoolError, match=r"t\.parquet: \.parquet needs the package pyarrow: pip install 'cnntool\[p"):
        open_table(tmp_path / "t.parquet")
    assert not os.listdir(tmp_path)
