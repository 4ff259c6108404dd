"""Tables that were written before: their rows, and what they were made from."""

from __future__ import annotations

import csv
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cnntool.arrays import npy_array, open_arrays, telling
from cnntool.errors import CnntoolError
from cnntool.images.origins import BESIDE, DIGEST, INDEX, digests
from cnntool.images.tables import KINDS, plain_names
from cnntool.images.tables_of_arrays import LISTS, from_line

ROWS = 1024  # that are read at a time
EXPECTED = "expected a table that `cnntool extract` wrote"
csv.field_size_limit(2**31 - 1)


@dataclass
class Stored:
    """A table: N `paths`, N `labels` if it has any, N x D numbers, which `blocks` reads a few rows at a time.

    `pipeline` is the text of its pipeline's identity, "" where it is not known; then there are no `contents` (N x 16)
    and `shapes` (N x 3) either. `columns` are the names of the D columns, if they have any but their numbers.
    """

    paths: list[str]
    labels: list[str] | None
    length: int
    blocks: Callable[[], Iterator[np.ndarray]]
    pipeline: str = ""
    contents: np.ndarray = field(default_factory=lambda: np.empty((0, DIGEST), np.uint8))
    shapes: np.ndarray = field(default_factory=lambda: np.empty((0, 3), np.int64))
    columns: list[str] = field(default_factory=list)

    def features(self) -> np.ndarray:
        """All rows, float32 N x D."""
        found = np.empty((len(self.paths), self.length), np.float32)
        first = 0
        for block in self.blocks():
            found[first : first + len(block)] = block
            first += len(block)
        if first != len(found):
            raise ValueError(f"{first} rows for {len(found)} paths")
        return found

    def set_head(self, found: dict[str, Any]) -> None:
        """Takes what a table keeps about itself, if all of it is there and fits."""
        count = len(self.paths)
        contents, shapes = found.get("contents"), found.get("shapes")
        if contents is None or shapes is None or contents.shape != (count, DIGEST) or shapes.shape != (count, 3):
            return
        if contents.dtype != np.uint8 or shapes.dtype.kind != "i":
            return
        self.pipeline, self.contents, self.shapes = str(found.get("pipeline", "")), contents, shapes
        columns = [str(name) for name in found.get("columns", [])]
        self.columns = [] if columns == plain_names(len(columns)) else columns


def read_stored(path: str | os.PathLike[str]) -> Stored:
    """A table of any kind; a CnntoolError for what is none, or damaged."""
    name, suffix = os.fspath(path), Path(path).suffix.lower()
    if suffix not in READERS:
        raise CnntoolError(f"{name}: expected a table ending in {', '.join(KINDS)}")
    with telling(name, EXPECTED):
        return READERS[suffix](Path(path))


def index_beside(path: Path, count: int) -> dict[str, Any]:
    """What a text table keeps beside it; nothing if the table was changed since."""
    now = digests(files_of(path))
    for index in (Path(f"{path}{BESIDE}"), Path(f"{os.path.realpath(path)}.parts", INDEX)):
        if not index.is_file():
            continue
        with open_arrays(index) as file:
            found = {name: file.read(name) for name in file.names()}
        if found["files"].tolist() == now[: len(found["files"])] and len(found["contents"]) == count:
            return found
    return {}


def files_of(path: Path) -> list[Path]:
    """The files that make a table."""
    return [path, *(path.with_suffix(name) for name in LISTS)] if path.suffix.lower() == ".npy" else [path]


def _npz(path: Path) -> Stored:
    with open_arrays(path) as file:
        names = file.names()
        header = file.header("features")
        count, length = header.shape
        if header.descr != "<f4" or header.fortran:
            raise ValueError(f"`features` holds {header.type_name}")
        texts = {name: file.read(name).tolist() for name in ("paths", "labels") if name in names}
        head: dict[str, Any] = {
            name: file.read(name) for name in ("pipeline", "contents", "shapes", "columns") if name in names
        }
    if len(texts["paths"]) != count:
        raise ValueError(f"{count} rows for {len(texts['paths'])} paths")

    def blocks() -> Iterator[np.ndarray]:
        with zipfile.ZipFile(path) as archive, archive.open("features.npy") as member:
            member.read(header.offset)
            for first in range(0, count, ROWS):
                rows = min(ROWS, count - first)
                yield np.frombuffer(member.read(4 * rows * length), "<f4").reshape(rows, length)

    stored = Stored(texts["paths"], texts.get("labels"), length, blocks)
    stored.set_head(head)
    return stored


def _tensors(path: Path) -> Stored:
    with open_arrays(path) as file:
        header, metadata = file.header("features"), file.metadata
        head: dict[str, Any] = {name: file.read(name) for name in ("contents", "shapes") if name in file.names()}
    head |= {"pipeline": metadata.get("pipeline", ""), "columns": json.loads(metadata.get("columns", "[]"))}
    labels = json.loads(metadata["labels"]) if "labels" in metadata else None
    features = npy_array(path, header)
    stored = Stored(json.loads(metadata["paths"]), labels, header.shape[1], lambda: _pieces(features))
    stored.set_head(head)
    return stored


def _npy(path: Path) -> Stored:
    with open_arrays(path) as file:
        header = file.header("weight")
    texts = [_lines(path.with_suffix(name)) for name in LISTS]
    features = npy_array(path, header)
    stored = Stored(texts[0] or [], texts[1], header.shape[1], lambda: _pieces(features))
    if len(stored.paths) != header.shape[0]:
        raise ValueError(f"{header.shape[0]} rows, and {len(stored.paths)} lines in {path.with_suffix(LISTS[0])}")
    stored.set_head(index_beside(path, header.shape[0]))
    return stored


def _lines(path: Path) -> list[str] | None:
    if not path.is_file():
        return None
    with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        return [from_line(line.removesuffix("\n")) for line in file]


def _pieces(features: np.ndarray) -> Iterator[np.ndarray]:
    for first in range(0, len(features), ROWS):
        yield features[first : first + ROWS]


def _csv(path: Path) -> Stored:
    def rows() -> Iterator[list[str]]:
        with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
            yield from csv.reader(file)

    reading = rows()
    head = next(reading)
    texts = 1 + (head[1:2] == ["label"])
    if head[:1] != ["path"]:
        raise ValueError("its first column is not `path`")
    paths, labels = [], []
    for row in reading:
        paths.append(row[0])
        labels.append(row[texts - 1])

    def blocks() -> Iterator[np.ndarray]:
        waiting = []
        reading = rows()
        next(reading)
        for row in reading:
            waiting.append(np.array(list(map(float, row[texts:])), np.float32))
            if len(waiting) == ROWS:
                yield np.stack(waiting)
                waiting = []
        if waiting:
            yield np.stack(waiting)

    stored = Stored(paths, labels if texts == 2 else None, len(head) - texts, blocks)
    stored.set_head(index_beside(path, len(paths)))
    return stored


def _jsonl(path: Path) -> Stored:
    def rows() -> Iterator[dict[str, Any]]:
        with open(path, encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)

    paths, labels, length = [], [], 0
    for row in rows():
        paths.append(row["path"])
        length = len(row["features"])
        if "label" in row:
            labels.append(row["label"])

    def blocks() -> Iterator[np.ndarray]:
        for row in rows():
            yield np.array([[np.nan if value is None else value for value in row["features"]]], np.float32)

    stored = Stored(paths, labels if labels else None, length, blocks)
    stored.set_head(index_beside(path, len(paths)))
    return stored


def _parquet(path: Path) -> Stored:
    from cnntool.images.parquet import pyarrow_of
    from cnntool.images.parquet_folder import parts_of

    pa = pyarrow_of(path)
    files = parts_of(path) if path.is_dir() else [path]
    if not files:
        raise ValueError("an empty folder")
    tables = []
    for part in files:
        with pa.parquet.ParquetFile(part) as file:
            schema = file.schema_arrow
            texts = [name for name in ("path", "label", "content", "shape") if name in schema.names]
            tables.append(file.read(texts))
    columns = pa.concat_tables(tables)
    metadata = schema.metadata or {}
    length = schema.field("features").type.list_size
    head: dict[str, Any] = {"pipeline": metadata.get(b"cnntool.pipeline", b"").decode()}
    head["columns"] = json.loads(metadata.get(b"cnntool.columns", b"[]"))
    if "content" in texts:
        contents = b"".join(columns["content"].to_pylist())
        head["contents"] = np.frombuffer(contents, np.uint8).reshape(-1, DIGEST)
        head["shapes"] = np.array(columns["shape"].to_pylist(), np.int64).reshape(-1, 3)

    def blocks() -> Iterator[np.ndarray]:
        for part in files:
            with pa.parquet.ParquetFile(part) as file:
                for batch in file.iter_batches(ROWS, columns=["features"]):
                    yield batch.column(0).flatten().to_numpy(zero_copy_only=False).reshape(-1, length)

    labels = columns["label"].to_pylist() if "label" in texts else None
    stored = Stored(columns["path"].to_pylist(), labels, length, blocks)
    stored.set_head(head)
    return stored


READERS: dict[str, Callable[[Path], Stored]] = {
    ".npz": _npz,
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
    ".npy": _npy,
    ".safetensors": _tensors,
}
