"""The tables of `extract`: one row an input, written row by row; memory does not grow with the rows."""

from __future__ import annotations

import abc
import array
import contextlib
import csv
import importlib
import io
import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from cnntool.errors import BadInput, CnntoolError
from cnntool.files import (
    PathLike,
    as_text,
    close_quietly,
    flush_and_close,
    make_own_folder,
    new_file,
    removed,
    writing,
)
from cnntool.images.origins import BESIDE, INDEX, About, Origin, Origins, digests, head_arrays, write_index
from cnntool.locks import Claim

BLOCK = 256  # texts that are written at a time
COPIED = 2**18  # bytes at a time, from one file to another


def plain_names(columns: int) -> list[str]:
    """The names of columns that have none."""
    return [f"f{column}" for column in range(columns)]


def other_length(name: str, length: int, first: str, expected: int) -> str:
    """The message for a row that is longer or shorter than the rows before."""
    return (
        f"{name} gives {length} values and {first} gave {expected}: "
        "expected rows of one length; resize the images to one size, or end with a global pool"
    )


class Table(abc.ABC):
    """A table that is being written. A context manager: commits at the end, aborts on any exception.

    Work lies in `OUTPUT.parts/` beside OUTPUT and OUTPUT itself appears, whole, at `commit`. One thread only, and one
    table of a name: `claim` is the right to write it, released at the end; without one, the caller has it. With `about`
    the table keeps what a later run needs to bring it up to date.
    """

    def __init__(self, path: PathLike, labels: bool, claim: Claim | None = None, about: About | None = None) -> None:
        self.path, self.labels, self.about = Path(path), labels, about
        self.origins = Origins()
        self._target = os.path.realpath(path)  # a link is written through
        self.parts = Path(f"{self._target}.parts")
        self.rows = 0
        self.columns: int | None = None
        self._first = ""
        self._claim, self._is_open = claim, True
        self._files: list[IO[Any]] = []
        make_own_folder(self.parts, path)
        self.remove_work(self.parts)  # of a run that was killed
        try:
            with writing(path):
                self._start()
        except BaseException:
            self.abort()
            raise

    @classmethod  # noqa: B027  # most kinds need nothing
    def check(cls, path: PathLike) -> None:
        """Raises CnntoolError where the package that the kind needs is missing, or what is there is not of the kind."""

    @classmethod
    def remove_work(cls, parts: Path) -> None:
        """Removes what a table that was not finished left in its `OUTPUT.parts/`."""
        for name in cls.work:
            removed(parts / name)

    def append(self, name: str, label: str | None, vector: np.ndarray, origin: Origin | None = None) -> None:
        """Adds a row of float32 numbers; `vector` of any shape is flattened in C order.

        `origin` is needed with `about`. Raises BadInput, and adds nothing, when the row's length is not that of the
        rows before.
        """
        vector = np.ascontiguousarray(vector, dtype=np.float32).reshape(-1)
        if self.columns is None:
            self.columns, self._first = len(vector), name
        elif len(vector) != self.columns:
            raise BadInput(other_length(name, len(vector), self._first, self.columns))
        with writing(self.path):
            self._append(name, (label or "") if self.labels else None, vector)
        if origin is not None:
            self.origins.append(origin)
        self.rows += 1

    def commit(self) -> None:
        """Makes the table appear under its name, in the place of an older one; `OUTPUT.parts/` is gone."""
        try:
            with writing(self.path):
                self._replace(self._finish())
        finally:
            self.abort()

    def _replace(self, finished: Path) -> None:
        """Renames what is finished; of kinds that cannot hold `about`, it lies beside them."""
        files = self.files(finished, Path(self._target))
        keeps_beside = self.about is not None and self.keeps_beside
        if keeps_beside:
            assert self.about is not None
            write_index(self.parts / INDEX, self.about, self.origins, digests(part for part, _ in files))
        for part, target in files:
            os.replace(part, target)
        if keeps_beside:
            os.replace(self.parts / INDEX, f"{self._target}{BESIDE}")

    def files(self, finished: Path, target: Path) -> list[tuple[Path, Path]]:
        """Each file that makes the table: where it lies when it is finished, and where it goes."""
        return [(finished, target)]

    def abort(self) -> None:
        """Removes what was written so far; an older table stays. The second time there is nothing to do."""
        if not self._is_open:
            return
        self._is_open = False
        for file in self._files:
            close_quietly(file)
        with contextlib.suppress(CnntoolError, OSError):
            self.remove_work(self.parts)
        # Parts of others, such as those of a run in shards, stay.
        with contextlib.suppress(OSError):
            self.parts.rmdir()
        if self._claim is not None:
            self._claim.release()
            self._claim = None

    close = abort

    def __enter__(self) -> Table:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.commit()
        else:
            self.abort()

    def _open(self, part: str) -> io.BufferedWriter:
        file = new_file(self.parts / part, self.path)
        self._files.append(file)
        return file

    work: tuple[str, ...]  # the names of files on the way to the table
    keeps_beside = False  # of formats in which `about` has no place

    def column_names(self, columns: int) -> list[str]:
        """`f0`, `f1`, ... where the pipeline's columns have no names."""
        known = self.about.columns if self.about is not None else []
        return known if len(known) == columns else plain_names(columns)

    @abc.abstractmethod
    def _start(self) -> None: ...
    @abc.abstractmethod
    def _append(self, name: str, label: str | None, vector: np.ndarray) -> None: ...
    @abc.abstractmethod
    def _finish(self) -> Path:
        """Completes the file that will become OUTPUT, and has it brought to disk."""


class CsvTable(Table):
    """`path`, `label` with labels, `f0`, `f1`, ...; the shortest decimals that give back the float32; nan and inf."""

    work = ("table.csv",)
    keeps_beside = True

    def _start(self) -> None:
        self._file = as_text(self._open("table.csv"))
        self._writer = csv.writer(self._file, lineterminator="\n")

    def _head(self, columns: int) -> None:
        self._writer.writerow(["path", *(["label"] if self.labels else []), *self.column_names(columns)])

    def _append(self, name: str, label: str | None, vector: np.ndarray) -> None:
        if not self.rows:
            self._head(len(vector))
        self._writer.writerow([name, *([label] if label is not None else []), *shortest(vector)])

    def _finish(self) -> Path:
        if not self.rows:
            self._head(0)
        flush_and_close(self._file, self.path)
        return self.parts / "table.csv"


class JsonLinesTable(Table):
    """One object a line: `path`, `label` with labels, `features`. JSON has no NaN or infinity: they are null."""

    work = ("table.jsonl",)
    keeps_beside = True

    def _start(self) -> None:
        self._file = as_text(self._open("table.jsonl"))

    def _append(self, name: str, label: str | None, vector: np.ndarray) -> None:
        texts = shortest(vector)
        if not np.isfinite(vector).all():
            texts = [text if finite else "null" for text, finite in zip(texts, np.isfinite(vector), strict=True)]
        head = {"path": name} if label is None else {"path": name, "label": label}
        self._file.write(f'{json.dumps(head)[:-1]}, "features": [{", ".join(texts)}]}}\n')

    def _finish(self) -> Path:
        flush_and_close(self._file, self.path)
        return self.parts / "table.jsonl"


class Texts:
    """Texts on their way into an array of `longest` characters each, in a file of their characters, 4 bytes each."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.longest = file, 1
        self._lengths = array.array("q")

    def append(self, text: str) -> None:
        self.file.write(text.encode("utf-32-le", "surrogatepass"))
        self.longest = max(self.longest, len(text))
        self._lengths.append(len(text))

    def blocks(self, file: IO[bytes]) -> Iterator[bytes]:
        """The bytes of the array, from the file that is read again."""
        for first in range(0, len(self._lengths), BLOCK):
            lengths = self._lengths[first : first + BLOCK]
            yield b"".join(file.read(4 * length).ljust(4 * self.longest, b"\0") for length in lengths)


class NpzTable(Table):
    """`features` float32 N x D, `paths` N, `labels` N with labels: text arrays that need no pickle."""

    work = ("features.f4", "paths.u4", "labels.u4", "table.npz")

    def _start(self) -> None:
        self._features = self._open("features.f4")
        self._texts = {name: Texts(self._open(f"{name}.u4")) for name in ("paths", "labels")[: 1 + self.labels]}

    def _append(self, name: str, label: str | None, vector: np.ndarray) -> None:
        self._features.write(vector.astype("<f4", copy=False).data.cast("B") if len(vector) else b"")
        for texts, text in zip(self._texts.values(), (name, label or ""), strict=False):
            texts.append(text)

    def _finish(self) -> Path:
        flush_and_close(self._features, self.path, synchronise=False)
        for texts in self._texts.values():
            flush_and_close(texts.file, self.path, synchronise=False)
        table = self._open("table.npz")
        with zipfile.ZipFile(table, "w", zipfile.ZIP_STORED) as archive:
            with (
                _array(archive, "features", "<f4", (self.rows, self.columns or 0)) as member,
                open(self.parts / "features.f4", "rb") as values,
            ):
                shutil.copyfileobj(values, member, COPIED)
                if values.tell() != 4 * self.rows * (self.columns or 0):
                    raise OSError(f"{self.parts / 'features.f4'} was changed by another program")
            for name, texts in self._texts.items():
                with (
                    _array(archive, name, f"<U{texts.longest}", (self.rows,)) as member,
                    open(self.parts / f"{name}.u4", "rb") as values,
                ):
                    for block in texts.blocks(values):
                        member.write(block)
            if self.about is not None:
                for name, found in head_arrays(self.about, self.origins, self.columns or 0).items():
                    with _array(archive, name, found.dtype.str, found.shape) as member:
                        member.write(found.data.cast("B") if found.size and found.ndim else found.tobytes())
        flush_and_close(table, self.path)
        return self.parts / "table.npz"


# Where each kind is: those that need a package, or few people, are imported when they are asked for.
KINDS = {
    ".npz": ("cnntool.images.tables", "NpzTable"),
    ".csv": ("cnntool.images.tables", "CsvTable"),
    ".jsonl": ("cnntool.images.tables", "JsonLinesTable"),
    ".parquet": ("cnntool.images.parquet", "ParquetTable"),
    ".npy": ("cnntool.images.tables_of_arrays", "NpyTable"),
    ".safetensors": ("cnntool.images.tables_of_arrays", "TensorsTable"),
}


# Those that may be a folder of parts: the name ends in a slash, or such a folder is there.
FOLDERS = {".parquet": ("cnntool.images.parquet_folder", "ParquetFolder")}


def kind_of(path: PathLike) -> type[Table]:
    """The kind of table that a name's suffix, and a slash at its end, mean; a CnntoolError for any other name, for what
    is there and of another kind, and for a missing package."""
    suffix = Path(path).suffix.lower()
    if suffix not in KINDS:
        given = f"suffix {suffix} is not known" if suffix else "no suffix"
        raise CnntoolError(f"{os.fspath(path)}: {given}: expected a table ending in {', '.join(KINDS)}")
    kinds = FOLDERS if os.fspath(path).endswith(("/", os.sep)) or Path(path).is_dir() else KINDS
    if suffix not in kinds:
        raise CnntoolError(f"{os.fspath(path)}: a folder, expected the name of a file")
    module, name = kinds[suffix]
    kind = getattr(importlib.import_module(module), name)
    kind.check(path)
    return kind


def open_table(path: PathLike, labels: bool = False, overwrite: bool = False) -> Table:
    """A table to append to, of the kind that the suffix names.

    Raises CnntoolError for another suffix, for a file that is there already without `overwrite`, and for a folder that
    is missing or cannot be written.
    """
    kind = kind_of(path)
    with writing(path):
        refuse_existing(path, overwrite)
        claim = Claim(path)
    try:
        refuse_existing(path, overwrite)  # once more, for what another process has just finished
        return kind(path, labels, claim)
    except BaseException:
        claim.release()
        raise


def refuse_existing(path: PathLike, overwrite: bool) -> None:
    if os.path.lexists(path) and not overwrite:
        raise CnntoolError(f"{os.fspath(path)}: is there already: give --overwrite to replace it")


def shortest(vector: np.ndarray) -> list[str]:
    """The shortest decimal of each float32 that reads back as the same number; `nan`, `inf`, `-inf`."""
    return list(map(str, vector))


@contextlib.contextmanager
def _array(archive: zipfile.ZipFile, name: str, dtype: str, shape: tuple[int, ...]) -> Iterator[IO[bytes]]:
    """A member of an .npz with its header written. A ZipInfo without a time makes equal tables equal files."""
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
        np.lib.format.write_array_header_1_0(member, {"descr": dtype, "fortran_order": False, "shape": shape})
        yield member
