"""Labels from a .csv: whose paths are found, and what is told of rows and images that do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnntool.errors import CnntoolError
from cnntool.images.sources import open_source


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png", "sub/c.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path / "photos"


def labels(photos: Path, text: str, encoding: str = "utf-8") -> dict[str, str | None]:
    path = photos.parent / "labels.csv"
    path.write_text(text, encoding=encoding)
    with open_source(str(photos), labels=True, labels_file=str(path)) as source:
        return {item.name: item.label for item in source}


ALL = {"a.png": "cat", "b.png": "dog", "sub/c.png": "cat"}


@pytest.mark.parametrize(
    "text",
    [
        "path,label\na.png,cat\nb.png,dog\nsub/c.png,cat\n",
        "path,label\nphotos/a.png,cat\n./photos/b.png,dog\nphotos/sub/c.png,cat\n",  # relative to the .csv
        "Filename, split, Class\nsub/c.png,x, cat\n\na.png,y,cat\nb.png,y,dog",
        '"path","label"\r\n"a.png","cat"\r\n"b.png","dog"\r\n"sub/c.png","cat"\r\n',
    ],
)
def test_paths_and_titles(photos: Path, text: str) -> None:
    assert labels(photos, text) == ALL
    assert labels(photos, text, "utf-8-sig") == ALL  # as Excel writes it


def test_images_without_a_row_are_left_out_and_counted(photos: Path) -> None:
    path = photos.parent / "labels.csv"
    path.write_text("path,label\na.png,cat\n")
    with open_source(str(photos), labels=True, labels_file=str(path)) as source:
        assert [item.name for item in source] == ["a.png"]
        assert source.notes(labels=True) == [f"not read, no row in {path}: 2 (b.png, sub/c.png)"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "path,label\na.png,cat\nz.png,dog\ny.png,dog\n",
            r"row 'z.png' \(nor for 1 more\): expected paths relative to",
        ),
        ("path,label\na.png,cat\na.png,dog\n", "line 3: a.png is dog, and was cat before"),
        ("path,label\na.png,\n", "line 2: no label"),
        ("path,label\n,cat\n", "line 2: no path"),
        ("path,label\na.png\n", "line 2: no label"),
        ("path,kind\na.png,cat\n", "the columns are path, kind: expected a .csv with a header"),
        ("", "the columns are none"),
        ("path,label\n", "no rows"),
        ('path,label\n"a.png,cat\n', "cannot be read"),
    ],
)
def test_what_is_no_table_of_labels(photos: Path, text: str, told: str) -> None:
    with pytest.raises(CnntoolError, match=told):
        labels(photos, text)


def test_a_table_that_is_missing_or_no_text(photos: Path) -> None:
    with pytest.raises(CnntoolError, match=r"none.csv: no such file; expected a .csv"):
        open_source(str(photos), labels=True, labels_file="none.csv")
    path = photos.parent / "labels.csv"
    path.write_bytes(b"path,label\na.png,\xff\n")
    with pytest.raises(CnntoolError, match=r"cannot be read .line 2: the label is no UTF-8"):
        open_source(str(photos), labels=True, labels_file=str(path))
