"""Tables as a folder of `.parquet` files: read as one by other programs, replaced as a whole."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from cnntool import files
from cnntool.batches import parts
from cnntool.errors import CnntoolError
from cnntool.images import parquet_folder
from cnntool.images.stored import read_stored
from cnntool.images.tables import Table, kind_of
from tests.cli.conftest import Tool, cnntool, here, pixels, save

pytest.importorskip("pyarrow")

__all__ = ["cnntool", "here"]
CHAIN = ("conv", "4", "3", "relu", "globalpool", "avg")
ROWS = np.random.default_rng(0).random((10, 5), np.float32)


@pytest.fixture(autouse=True)
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_folder, "PART_ROWS", 4)


def write(path: Path, rows: np.ndarray = ROWS, labels: bool = True) -> None:
    with kind_of(f"{path}/")(path, labels) as table:
        assert isinstance(table, Table)
        for number, row in enumerate(rows):
            table.append(f"{number}.png", f"c{number % 3}", row)


def names(path: Path) -> list[str]:
    return sorted(os.listdir(path))


def test_parts_are_full_but_the_last(tmp_path: Path) -> None:
    import pyarrow.parquet

    write(tmp_path / "t.parquet")
    assert names(tmp_path) == ["t.parquet"]
    assert names(tmp_path / "t.parquet") == [f"part-0000{number}.parquet" for number in range(3)]
    lengths = [pyarrow.parquet.read_metadata(part).num_rows for part in sorted((tmp_path / "t.parquet").iterdir())]
    assert lengths == [4, 4, 2]


def test_long_rows_make_shorter_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_folder, "PART_BYTES", 2 * ROWS[0].nbytes + 1)
    write(tmp_path / "t.parquet")
    assert len(names(tmp_path / "t.parquet")) == 5
    monkeypatch.setattr(parquet_folder, "PART_BYTES", 1)
    write(tmp_path / "u.parquet")
    assert len(names(tmp_path / "u.parquet")) == 10


@pytest.mark.parametrize("package", ["pyarrow.dataset", "pandas", "polars", "duckdb"])
def test_other_programs_read_one_table(tmp_path: Path, package: str) -> None:
    reader = pytest.importorskip(package)
    path = tmp_path / "t.parquet"
    write(path)
    if package == "pyarrow.dataset":
        found = reader.dataset(path).to_table().to_pydict()
    elif package == "pandas":
        found = reader.read_parquet(path).to_dict("list")
    elif package == "polars":
        found = reader.read_parquet(f"{path}/").to_dict(as_series=False)
    else:
        found = reader.sql(f"select * from '{path}/*.parquet'").to_arrow_table().to_pydict()
    assert found["path"] == [f"{number}.png" for number in range(10)]
    assert found["label"] == [f"c{number % 3}" for number in range(10)]
    assert (np.stack([np.asarray(row, np.float32) for row in found["features"]]) == ROWS).all()


@pytest.mark.parametrize("in_one_step", [True, False])
def test_an_older_table_is_replaced_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_one_step: bool
) -> None:
    path = tmp_path / "t.parquet"
    write(path)
    if not in_one_step:
        monkeypatch.setattr(parquet_folder, "exchanged", lambda *_: False)
    (path / ".hidden").write_text("of a file manager")
    write(path, ROWS[:3])
    assert names(tmp_path) == ["t.parquet"]
    assert names(path) == ["part-00000.parquet"]
    assert (read_stored(path).features() == ROWS[:3]).all()


def test_a_run_that_ends_early_leaves_the_older_table(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write(path)
    before = {part.name: part.read_bytes() for part in path.iterdir()}
    table = kind_of(path)(path, True)
    for number in range(9):
        table.append(f"{number}.png", "x", ROWS[0])
    table.abort()
    assert {part.name: part.read_bytes() for part in path.iterdir()} == before
    assert names(tmp_path) == ["t.parquet"]


def test_exchange(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").write_text("b")
    if not files.exchanged(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this system has no such call")
    assert (tmp_path / "a").read_text() == "b"
    assert (tmp_path / "b").is_dir()
    assert not files.exchanged(tmp_path / "a", tmp_path / "nothing")


@pytest.mark.parametrize("form", ["t.parquet/", "t.parquet"])
def test_what_is_there_and_no_such_folder_is_refused(tmp_path: Path, form: str) -> None:
    path = tmp_path / "t.parquet"
    path.mkdir()
    (path / "mine.txt").write_text("")
    with pytest.raises(CnntoolError, match="holds mine"):
        kind_of(f"{tmp_path}/{form}")
    (path / "mine.txt").unlink()
    kind_of(f"{tmp_path}/{form}")


def test_a_file_of_the_name_is_refused(cnntool: Tool, here: Path) -> None:
    save("f/a.png")
    Path("t.parquet").write_text("")
    assert "t.parquet/: a file is there" in cnntool("extract", "f", "t.parquet/", "--overwrite", *CHAIN).refused()
    assert "t.csv/: a folder, expected the name of a file" in cnntool("extract", "f", "t.csv/", *CHAIN).refused()


def test_rows_that_are_known_come_from_any_part(
    cnntool: Tool, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(parts, "ROWS", 3)
    for number in range(11):
        save(f"f/{number:02}.png", pixels(seed=number))
    assert cnntool("extract", "f", "t.parquet/", *CHAIN).code == 0
    Path("f/03.png").unlink()
    save("f/zz.png", pixels(seed=99))
    assert cnntool("extract", "f", "t.parquet", *CHAIN).err == "cnntool: 1 images computed, 10 known from before\n"
    assert cnntool("extract", "f", "u.parquet/", *CHAIN).code == 0
    assert [path.read_bytes() for path in sorted(Path("t.parquet").iterdir())] == [
        path.read_bytes() for path in sorted(Path("u.parquet").iterdir())
    ]
    assert cnntool("similar", "t.parquet/", "00.png", "-n", 1).code == 0


def test_failures_are_listed_beside_it(cnntool: Tool, here: Path) -> None:
    save("f/a.png")
    Path("f/bad.png").write_text("none")
    assert cnntool("extract", "f", "t.parquet/", *CHAIN).code == 1
    assert names(Path()) == ["f", "t.parquet", "t.parquet.errors.jsonl"]


def test_shards_are_merged_into_it(cnntool: Tool, here: Path) -> None:
    for number in range(9):
        save(f"f/{number:02}.png", pixels(seed=number))
    for shard in ("1/2", "2/2"):
        assert cnntool("extract", "f", "t.parquet/", "--shard", shard, *CHAIN).code == 0
    assert cnntool("merge", "t.parquet/").code == 0
    assert cnntool("extract", "f", "u.parquet/", *CHAIN).code == 0
    assert names(Path()) == ["f", "t.parquet", "u.parquet"]
    assert [path.read_bytes() for path in sorted(Path("t.parquet").iterdir())] == [
        path.read_bytes() for path in sorted(Path("u.parquet").iterdir())
    ]


def test_what_a_kill_after_the_exchange_leaves_goes_away(cnntool: Tool, here: Path) -> None:
    save("f/a.png")
    assert cnntool("extract", "f", "t.parquet/", *CHAIN).code == 0
    Path("t.parquet.parts/table").mkdir(parents=True, mode=0o700)
    Path("t.parquet.parts/table/part-00000.parquet").write_text("the older one")
    os.chmod("t.parquet.parts", 0o700)
    assert cnntool("extract", "f", "t.parquet/", *CHAIN).code == 0
    assert names(Path()) == ["f", "t.parquet"]
