"""Tables of paths: which columns are taken, what is told of others, and that rows are read as they come."""

from __future__ import annotations

import csv
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from cnntool.errors import BadInput, CnntoolError
from cnntool.images import columns, limits
from cnntool.images.columns import Columns, lines_of
from cnntool.images.sources import open_source
from tests.cli.conftest import pixels, save

PAIRS = [("a.png", "cat"), ("sub/b.png", "dog"), ("a.png", "cat")]


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two pictures below `photos/`; its parent is the present folder."""
    for seed, name in enumerate(("a.png", "sub/b.png")):
        save(tmp_path / "photos" / name, pixels(seed=seed))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


def written(path: str, text: str, encoding: str = "utf-8") -> str:
    Path(path).write_text(text, encoding=encoding)
    return path


def parquet(table: str, **found: Any) -> str:
    pa = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(pa.table(found), table)
    return table


def pairs(table: str, **others: Any) -> list[tuple[str, str | None]]:
    with open_source(table, columns=Columns(**others)) as source:
        assert not source.single
        return [(item.name, item.label) for item in source]


TABLES = [
    ("photos.csv", "path,label\na.png,cat\nsub/b.png,dog\na.png,cat\n"),
    ("metadata.csv", "file_name,text,class\na.png,x,cat\nsub/b.png,y,dog\na.png,x,cat"),
    ("photos.csv", 'File;Label;n\r\n"a.png";cat;1\r\n\r\nsub/b.png; dog;2\r\na.png;cat;3\r\n'),
    ("photos.tsv", "label\timage\ncat\ta.png\ndog\tsub/b.png\ncat\ta.png\n"),
]


@pytest.mark.parametrize(("name", "text"), TABLES)
def test_the_usual_columns_are_found(photos: Path, name: str, text: str) -> None:
    assert pairs(written(f"photos/{name}", text)) == PAIRS
    assert pairs(written(f"photos/{name}", text, "utf-8-sig")) == PAIRS
    with open_source(f"photos/{name}", labels=True) as source:
        assert source.labels == ["cat", "dog"]
        assert source[1].read().shape == (20, 24, 3)


def test_parquet(photos: Path) -> None:
    names = [name for name, _ in PAIRS]
    path = parquet("photos/t.parquet", n=[1, 2, 3], path=names, label=[0, 1, 0])
    assert pairs(path) == [("a.png", "0"), ("sub/b.png", "1"), ("a.png", "0")]
    assert pairs(path, label="n")[2] == ("a.png", "3")
    with pytest.raises(CnntoolError, match=r"no column|the columns of photos/t.parquet are n, path, label"):
        pairs(path, path="file")
    nested = parquet("photos/n.parquet", image=[{"bytes": b"", "path": "a.png"}])
    with pytest.raises(CnntoolError, match=r"the column image holds struct.*: expected text"):
        pairs(nested)
    with pytest.raises(CnntoolError, match=r"photos/x.parquet: cannot be read \(.*\): expected a .csv"):
        pairs(written("photos/x.parquet", "no table"))


def test_columns_by_name(photos: Path) -> None:
    text = "path,label,Where,Kind\nnone.png,x,a.png,cat\nnone.png,x,sub/b.png,dog\nnone.png,x,a.png,cat\n"
    path = written("photos/t.csv", text)
    assert pairs(path, path="Where", label="Kind") == PAIRS
    decomposed = written("photos/u.csv", "cafe\u0301,label\na.png,cat\nsub/b.png,dog\na.png,cat\n")
    assert pairs(decomposed, path="caf\u00e9") == PAIRS
    for given, option in (({"path": "where"}, "--path-column where"), ({"label": "no"}, "--label-column no")):
        with pytest.raises(CnntoolError, match=rf"{option}: the columns of photos/t.csv are path, label, Where, Kind"):
            pairs(path, **given)
    with pytest.raises(CnntoolError, match=r"--label-column: photos has no columns: expected a .csv or .parquet"):
        pairs("photos", label="Kind")


def test_without_labels_folders_are(photos: Path) -> None:
    assert pairs(written("photos/t.csv", "path\na.png\nsub/b.png\n")) == [("a.png", "photos"), ("sub/b.png", "sub")]
    path = written("photos/t.csv", "path,label\na.png,\nsub/b.png,dog\n")
    assert pairs(path) == [("a.png", None), ("sub/b.png", "dog")]
    with pytest.raises(CnntoolError, match=r"photos/a.png: no label: .* a table of paths with a column `label`"):
        open_source(path, labels=True)


def test_only_images_that_are_missing_fail(photos: Path) -> None:
    outside = save(photos.parent / "outside.png")
    path = written("photos/t.csv", f"path\nnone.png\n{outside}\n../outside.png\n")
    with open_source(path) as source:
        with pytest.raises(BadInput, match=r"photos/none.png: no such file"):
            source[0].read()
        assert [item.read().shape for item in source[1:]] == [(20, 24, 3)] * 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name_of,label\na.png,cat\n", r"t.csv: the columns are name_of, label: expected .*, or --path-column NAME"),
        ("", "the columns are none"),
        ("path\n", "no rows"),
        ("path,label\na.png,cat\n,dog\n", "t.csv, line 3: no path"),
        ('path\n"a.png\n', "cannot be read"),
        ("path\na\0.png\n", "no path|cannot be read"),
        ("path,label\na.png,caf\udce9\n", "line 2: the label is no UTF-8"),
    ],
)
def test_what_is_no_table_of_paths(photos: Path, text: str, told: str) -> None:
    Path("t.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(CnntoolError, match=told) as caught:
        pairs("t.csv")
    assert caught.value.exit_code == 2


def test_text_that_is_no_utf8(photos: Path) -> None:
    """UTF-16 is told; a name of other bytes is that file's name."""
    with pytest.raises(CnntoolError, match="UTF-16"):
        pairs(written("t.csv", "path\na.png\n", "utf-16"))
    Path("t.csv").write_bytes(b"path\n\xe9.png\n")
    assert pairs("t.csv") == [("\udce9.png", None)]


def test_a_table_is_no_pipe_and_not_output(photos: Path, tmp_path: Path) -> None:
    path = written("t.csv", "path\nphotos/a.png\n")
    with pytest.raises(CnntoolError, match=r"t.csv: INPUT and OUTPUT are one file"):
        open_source(path, outputs=["./t.csv"])


def test_memory_is_that_of_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other columns may be long; a file without line breaks ends as a mistake before it fills the memory."""
    path = tmp_path / "t.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "text"])
        writer.writerows([f"{number}.png", "x" * 20_000] for number in range(1000))
    tracemalloc.start()
    assert sum(1 for _ in lines_of(str(path), Columns())) == 1000
    assert tracemalloc.get_traced_memory()[1] < 2_000_000  # of 20 million bytes
    tracemalloc.stop()
    monkeypatch.setattr(columns, "LONGEST_LINE", 10_000)
    with pytest.raises(CnntoolError, match="a line of over 10000 characters"):
        list(lines_of(str(path), Columns()))
    monkeypatch.undo()
    monkeypatch.setattr(limits, "LIST_PATHS", 100)
    with pytest.raises(CnntoolError, match="over 100 rows"):
        list(lines_of(str(path), Columns()))
