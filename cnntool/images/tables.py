"""The tables of `extract`: one row an input, written row by row; memory does not grow with the rows."""

from __future__ import annotations

import abc
import contextlib
import csv
import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from cnntool.errors import BadInput, CnntoolError
from cnntool.files import writing

PathLike = str | os.PathLike[str]


class Table(abc.ABC):
    """A table that is being written. A context manager: commits at the end, aborts on any exception.

    Work lies in `OUTPUT.parts/` beside OUTPUT and OUTPUT itself appears, whole, at `commit`. One thread only.
    """

    def __init__(self, path: PathLike, labels: bool) -> None:
        self.path, self.labels = Path(path), labels
        self.parts = Path(f"{os.fspath(path)}.parts")
        self.rows = 0
        self.columns: int | None = None
        self._first = ""
        self._files: dict[str, IO[Any]] = {}
        with writing(path):
            if not self.path.absolute().parent.is_dir():
                raise FileNotFoundError
            self.parts.mkdir(exist_ok=True)
        try:
            with writing(path):
                self._start()
        except BaseException:
            self.abort()
            raise

    def append(self, name: str, label: str | None, vector: np.ndarray) -> None:
        """Adds a row of float32 numbers; `vector` of any shape is flattened in C order.

        Raises BadInput, and adds nothing, when its length is not that of the rows before.
        """
        vector = np.ascontiguousarray(vector, dtype=np.float32).reshape(-1)
        if self.columns is None:
            self.columns, self._first = len(vector), name
        elif len(vector) != self.columns:
            raise BadInput(
                f"{name} gives {len(vector)} values and {self._first} gave {self.columns}: "
                "expected rows of one length; resize the images to one size, or end with a global pool"
            )
        with writing(self.path):
            self._append(name, (label or "") if self.labels else None, vector)
        self.rows += 1

    def commit(self) -> None:
        """Makes the table appear under its name, in the place of an older one; `OUTPUT.parts/` is gone."""
        try:
            with writing(self.path):
                finished = self._finish()
                self._close()
                os.replace(finished, self.path)
        finally:
            self.abort()

    def abort(self) -> None:
        """Removes what was written so far; an older table stays."""
        self._close()
        for part in self._part_names():
            with contextlib.suppress(OSError):
                (self.parts / part).unlink()
        # Parts of others, such as those of a run in shards, stay.
        with contextlib.suppress(OSError):
            self.parts.rmdir()

    def __enter__(self) -> Table:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.commit()
        else:
            self.abort()

    def _open(self, part: str, mode: str, **options: Any) -> IO[Any]:
        self._files[part] = open(self.parts / part, mode, **options)  # noqa: SIM115 `_close` closes it
        return self._files[part]

    def _close(self) -> None:
        for file in self._files.values():
            with contextlib.suppress(OSError):
                file.close()

    @abc.abstractmethod
    def _part_names(self) -> tuple[str, ...]: ...
    @abc.abstractmethod
    def _start(self) -> None: ...
    @abc.abstractmethod
    def _append(self, name: str, label: str | None, vector: np.ndarray) -> None: ...
    @abc.abstractmethod
    def _finish(self) -> Path:
        """Completes the file that will become OUTPUT, and flushes it."""


class CsvTable(Table):
    """`path`, `label` with labels, `f0`, `f1`, ...; the shortest decimals that give back the float32; nan and inf."""

    def _part_names(self) -> tuple[str, ...]:
        return ("table.csv",)

    def _start(self) -> None:
        # surrogateescape writes file names that are no UTF-8 as the bytes they are.
        self._file = self._open("table.csv", "w", encoding="utf-8", errors="surrogateescape", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")

    def _head(self, columns: int) -> None:
        self._writer.writerow(["path", *(["label"] if self.labels else []), *(f"f{c}" for c in range(columns))])

    def _append(self, name: str, label: str | None, vector: np.ndarray) -> None:
        if not self.rows:
            self._head(len(vector))
        self._writer.writerow([name, *([label] if label is not None else []), *shortest(vector)])

    def _finish(self) -> Path:
        if not self.rows:
            self._head(0)
        self._file.close()
        return self.parts / "table.csv"


class JsonLinesTable(Table):
    """One object a line: `path`, `label` with labels, `features`. JSON has no NaN or infinity: they are null."""

    def _part_names(self) -> tuple[str, ...]:
        return ("table.jsonl",)

    def _start(self) -> None:
        self._file = self._open("table.jsonl", "w", encoding="utf-8", newline="\n")

    def _append(self, name: str, label: str | None, vector: np.ndarray) -> None:
        texts = shortest(vector)
        if not np.isfinite(vector).all():
            texts = [text if finite else "null" for text, finite in zip(texts, np.isfinite(vector), strict=True)]
        head = {"path": name} if label is None else {"path": name, "label": label}
        self._file.write(f'{json.dumps(head)[:-1]}, "features": [{", ".join(texts)}]}}\n')

    def _finish(self) -> Path:
        self._file.close()
        return self.parts / "table.jsonl"


class NpzTable(Table):
    """`features` float32 N x D, `paths` N, `labels` N with labels: text arrays that need no pickle."""

    def _part_names(self) -> tuple[str, ...]:
        return ("features.f4", "paths.jsonl", "labels.jsonl", "table.npz")

    def _start(self) -> None:
        self._features = self._open("features.f4", "wb")
        self._texts = {"paths": self._open("paths.jsonl", "w", encoding="ascii")}
        if self.labels:
            self._texts["labels"] = self._open("labels.jsonl", "w", encoding="ascii")
        self._longest = dict.fromkeys(self._texts, 1)

    def _append(self, name: str, label: str | None, vector: np.ndarray) -> None:
        self._features.write(vector.astype("<f4", copy=False).data.cast("B") if len(vector) else b"")
        for array, text in zip(self._texts, (name, label), strict=False):
            assert text is not None
            self._longest[array] = max(self._longest[array], len(text))
            self._texts[array].write(json.dumps(text) + "\n")

    def _finish(self) -> Path:
        self._close()
        target = self.parts / "table.npz"
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            features = _array(archive, "features", "<f4", (self.rows, self.columns or 0))
            with features as member, open(self.parts / "features.f4", "rb") as file:
                shutil.copyfileobj(file, member, 2**20)
            for array, longest in self._longest.items():
                texts = _array(archive, array, f"<U{longest}", (self.rows,))
                with texts as member, open(self.parts / f"{array}.jsonl", encoding="ascii") as lines:
                    for line in lines:
                        text = json.loads(line).encode("utf-32-le", "surrogatepass")
                        member.write(text.ljust(4 * longest, b"\0"))
        return target


KINDS: dict[str, type[Table]] = {".npz": NpzTable, ".csv": CsvTable, ".jsonl": JsonLinesTable}


def open_table(path: PathLike, labels: bool = False, overwrite: bool = False) -> Table:
    """A table to append to, of the kind that the suffix names.

    Raises CnntoolError for another suffix, for a file that is there already without `overwrite`, and for a folder that
    is missing or cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in KINDS:
        given = f"suffix {suffix} is not known" if suffix else "no suffix"
        raise CnntoolError(f"{os.fspath(path)}: {given}: expected a table ending in {', '.join(KINDS)}")
    if Path(path).is_dir():
        raise CnntoolError(f"{os.fspath(path)}: a folder, expected the name of a file")
    if Path(path).exists() and not overwrite:
        raise CnntoolError(f"{os.fspath(path)}: is there already: give --overwrite to replace it")
    return KINDS[suffix](path, labels)


class ErrorsFile:
    """`OUTPUT.errors.jsonl`: one {"path", "error"} a line, made at the first failure; `count` of them.

    Each line is on disk as soon as it is added, for whoever stops a long run.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(f"{os.fspath(path)}.errors.jsonl")
        self.count = 0
        with writing(self.path):
            self.path.unlink(missing_ok=True)

    def add(self, name: str, error: BaseException | str) -> None:
        line = json.dumps({"path": name, "error": " ".join(str(error).split())})
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "a", encoding="utf-8", newline="\n") as file:
                file.write(line + "\n")
        self.count += 1


def errors_file(path: PathLike) -> ErrorsFile:
    """The failures' file of OUTPUT `path`; one of a former run is removed."""
    return ErrorsFile(path)


def shortest(vector: np.ndarray) -> list[str]:
    """The shortest decimal of each float32 that reads back as the same number; `nan`, `inf`, `-inf`."""
    return list(map(str, vector))


def _array(archive: zipfile.ZipFile, name: str, dtype: str, shape: tuple[int, ...]) -> IO[bytes]:
    """A member of an .npz with its header written. A ZipInfo without a time makes equal tables equal files."""
    member = archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True)
    np.lib.format.write_array_header_1_0(member, {"descr": dtype, "fortran_order": False, "shape": shape})
    return member
