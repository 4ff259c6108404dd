"""Tables as `.parquet`, by the package pyarrow, for pandas, polars, DuckDB and what else reads columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from cnntool.errors import CnntoolError
from cnntool.files import PathLike, flush_and_close
from cnntool.images.origins import DIGEST
from cnntool.images.tables import Table

GROUP_BYTES, GROUP_ROWS = 2**25, 2**14  # of a row group, which is held in memory
NEEDED = "needs the package pyarrow: pip install 'cnntool[parquet]'"


def pyarrow_of(path: PathLike) -> Any:
    """The package, or a CnntoolError that says how to get it."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise CnntoolError(f"{path}: .parquet {NEEDED}") from None
    return pyarrow


def plain(text: str) -> str:
    r"""The text as UTF-8 can hold it: a byte of a file's name that is no UTF-8 becomes `\udcff`."""
    return text.encode("utf-8", "backslashreplace").decode()


class ParquetTable(Table):
    """`path`, `label` with labels, `features` (a list of D float32), and what `about` keeps: `content`, `shape`.

    The schema's metadata hold `cnntool.pipeline` and `cnntool.columns`. No time and no name of a machine is written.
    """

    work: tuple[str, ...] = ("table.parquet",)
    _writer: Any = None

    @classmethod
    def check(cls, path: PathLike) -> None:
        pyarrow_of(path)

    def _start(self) -> None:
        self._pyarrow = pyarrow_of(self.path)
        self._written = 0  # rows
        self._file = self._open(self.work[0])
        self._clear()

    def _clear(self) -> None:
        self._texts: list[tuple[str, str]] = []
        self._vectors: list[np.ndarray] = []

    def _schema(self, columns: int) -> Any:
        pa = self._pyarrow
        fields = [("path", pa.string()), *([("label", pa.string())] if self.labels else [])]
        fields.append(("features", pa.list_(pa.float32(), columns)))
        metadata = {}
        if self.about is not None:
            fields += [("content", pa.binary(DIGEST)), ("shape", pa.list_(pa.int64(), 3))]
            metadata["cnntool.pipeline"] = self.about.pipeline
            metadata["cnntool.columns"] = json.dumps(self.column_names(columns))
        return pa.schema(fields, metadata=metadata)

    def _append(self, name: str, label: str | None, vector: np.ndarray) -> None:
        if self._writer is None:
            self._schema_used = self._schema(len(vector))
            self._writer = self._pyarrow.parquet.ParquetWriter(
                self._file, self._schema_used, compression="zstd", use_dictionary=["label"] if self.labels else False
            )
        full = len(self._vectors) >= GROUP_ROWS or 4 * len(vector) * len(self._vectors) >= GROUP_BYTES
        if full:
            self._write_group()
        self._texts.append((plain(name), plain(label or "")))
        self._vectors.append(vector.copy())

    def _write_group(self) -> None:
        """The rows so far; all their origins are known by now."""
        pa = self._pyarrow
        schema = self._schema_used
        values = pa.array(np.concatenate(self._vectors) if self._vectors else np.empty(0, np.float32))
        paths, labels = zip(*self._texts, strict=True)
        columns = [pa.array(paths, pa.string()), *([pa.array(labels, pa.string())] if self.labels else [])]
        columns.append(pa.FixedSizeListArray.from_arrays(values, type=schema.field("features").type))
        if self.about is not None:
            arrays = self.origins.arrays
            first, last = self._written, self._written + len(paths)
            contents = pa.py_buffer(arrays["contents"][first:last].tobytes())
            columns.append(pa.FixedSizeBinaryArray.from_buffers(pa.binary(DIGEST), len(paths), [None, contents]))
            shapes = pa.array(arrays["shapes"][first:last].reshape(-1).copy())
            columns.append(pa.FixedSizeListArray.from_arrays(shapes, type=schema.field("shape").type))
        self._writer.write_table(pa.Table.from_arrays(columns, schema=schema), row_group_size=GROUP_ROWS)
        self._written += len(paths)
        self._clear()

    def abort(self) -> None:
        if self._is_open and self._writer is not None:
            self._writer.is_open = False  # else it writes the end of the file when it is collected
        super().abort()

    def _finish(self) -> Path:
        self._end_file()
        return self.parts / self.work[0]

    def _end_file(self) -> None:
        if self._vectors:
            self._write_group()
        if self._writer is None:
            self._writer = self._pyarrow.parquet.ParquetWriter(self._file, self._schema(0))
        self._writer.close()
        self._writer = None
        flush_and_close(self._file, self.path)
