"""Tables as one array that other programs map into memory: `.npy` with lists beside it, and `.safetensors`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from cnntool.files import as_text, flush_and_close
from cnntool.images.origins import head_arrays
from cnntool.images.tables import COPIED, Table

LISTS = (".paths.txt", ".labels.txt")  # in place of .npy
TENSORS = {"|u1": "U8", "<i8": "I64", "<f4": "F32"}


def as_line(text: str) -> str:
    """The text as a line of a list: one that holds a line break, or begins with a quote, is written as JSON has it."""
    return json.dumps(text) if text.startswith('"') or "\n" in text or "\r" in text else text


def from_line(line: str) -> str:
    """The text that `as_line` wrote."""
    return json.loads(line) if line.startswith('"') else line


class NpyTable(Table):
    """`NAME.npy` float32 N x D; `NAME.paths.txt`, and `NAME.labels.txt` with labels, one a line in the same order."""

    work = ("table.npy", "features.f4", *(f"table{suffix}" for suffix in LISTS))
    keeps_beside = True

    def _start(self) -> None:
        self._features = self._open("features.f4")
        self._lists = [as_text(self._open(f"table{suffix}")) for suffix in LISTS[: 1 + self.labels]]

    def _append(self, name: str, label: str | None, vector: np.ndarray) -> None:
        self._features.write(vector.astype("<f4", copy=False).data.cast("B") if len(vector) else b"")
        for lines, text in zip(self._lists, (name, label or ""), strict=False):
            lines.write(f"{as_line(text)}\n")

    def _finish(self) -> Path:
        for lines in self._lists:
            flush_and_close(lines, self.path)
        flush_and_close(self._features, self.path, synchronise=False)
        table = self._open("table.npy")
        header = {"descr": "<f4", "fortran_order": False, "shape": (self.rows, self.columns or 0)}
        np.lib.format.write_array_header_1_0(table, header)
        with open(self.parts / "features.f4", "rb") as values:
            shutil.copyfileobj(values, table, COPIED)
        flush_and_close(table, self.path)
        return self.parts / "table.npy"

    def files(self, finished: Path, target: Path) -> list[tuple[Path, Path]]:
        lists = LISTS[: 1 + self.labels]
        return [(finished, target), *((finished.with_suffix(name), target.with_suffix(name)) for name in lists)]


class TensorsTable(Table):
    """`.safetensors`: `features` float32 N x D; `paths`, and `labels` with labels, as JSON lists in its metadata."""

    work = ("table.safetensors", "features.f4")

    def _start(self) -> None:
        self._features = self._open("features.f4")
        self._texts: dict[str, list[str]] = {name: [] for name in ("paths", "labels")[: 1 + self.labels]}

    def _append(self, name: str, label: str | None, vector: np.ndarray) -> None:
        self._features.write(vector.astype("<f4", copy=False).data.cast("B") if len(vector) else b"")
        for texts, text in zip(self._texts.values(), (name, label or ""), strict=False):
            texts.append(text)

    def _finish(self) -> Path:
        flush_and_close(self._features, self.path, synchronise=False)
        metadata = {name: json.dumps(texts) for name, texts in self._texts.items()}
        arrays: dict[str, np.ndarray] = {}
        if self.about is not None:
            arrays = head_arrays(self.about, self.origins, self.columns or 0)
            metadata["pipeline"] = self.about.pipeline
            metadata["columns"] = json.dumps(self.column_names(self.columns or 0))
        arrays = {name: values for name, values in arrays.items() if values.dtype.kind != "U"}
        table = self._open("table.safetensors")
        table.write(self._header(metadata, arrays))
        with open(self.parts / "features.f4", "rb") as values:
            shutil.copyfileobj(values, table, COPIED)
        for array in arrays.values():
            table.write(array.tobytes())
        flush_and_close(table, self.path)
        return self.parts / "table.safetensors"

    def _header(self, metadata: dict[str, str], arrays: dict[str, np.ndarray]) -> bytes:
        """The length of the JSON header and the header, filled up to a multiple of 8."""
        shape = [self.rows, self.columns or 0]
        end = 4 * shape[0] * shape[1]
        index: dict[str, object] = {"__metadata__": metadata}
        index["features"] = {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}
        for name, array in arrays.items():
            offsets = [end, end + array.nbytes]
            index[name] = {"dtype": TENSORS[array.dtype.str], "shape": list(array.shape), "data_offsets": offsets}
            end += array.nbytes
        text = json.dumps(index).encode()
        text += b" " * (-len(text) % 8)
        return len(text).to_bytes(8, "little") + text
