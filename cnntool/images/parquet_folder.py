"""Tables as a folder of `.parquet` files, which other programs read as one dataset, several files at a time."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import numpy as np

from cnntool.errors import CnntoolError
from cnntool.files import PathLike, exchanged
from cnntool.images.leftout import is_side_file
from cnntool.images.parquet import ParquetTable, pyarrow_of

PART_BYTES, PART_ROWS = 2**28, 2**20  # of a file
PART = re.compile(r"part-\d{5,}\.parquet")


class ParquetFolder(ParquetTable):
    """`NAME.parquet/` with `part-00000.parquet` and so on, each as ParquetTable writes it; rows go on in order."""

    work = ("table", "former")  # folders

    @classmethod
    def check(cls, path: PathLike) -> None:
        pyarrow_of(path)
        if os.path.lexists(Path(path)):  # without a slash
            parts_of(path)

    @classmethod
    def remove_work(cls, parts: Path) -> None:
        for name in cls.work:
            try:
                shutil.rmtree(parts / name)
            except FileNotFoundError:
                pass
            except OSError as error:
                raise CnntoolError(f"{parts / name}: cannot be removed: {error.strerror}") from None

    def _start(self) -> None:
        self._pyarrow = pyarrow_of(self.path)
        self._written = self._begun = 0  # rows
        self._count = 0  # files
        (self.parts / self.work[0]).mkdir()
        self._begin_file()

    def _begin_file(self) -> None:
        self._file = self._open(f"{self.work[0]}/part-{self._count:05}.parquet")
        self._count, self._begun = self._count + 1, self.rows
        self._clear()

    def _append(self, name: str, label: str | None, vector: np.ndarray) -> None:
        if self.rows - self._begun >= max(1, min(PART_ROWS, PART_BYTES // max(1, vector.nbytes))):
            self._end_file()
            self._begin_file()
        super()._append(name, label, vector)

    def _replace(self, finished: Path) -> None:
        target, former = Path(self._target), self.parts / self.work[1]
        if not target.exists():
            os.rename(finished, target)
        elif not exchanged(finished, target):
            os.rename(target, former)
            os.rename(finished, target)


def parts_of(path: PathLike) -> list[Path]:
    """The files of such a folder, in order; a CnntoolError for what is no such folder."""
    name = os.fspath(path)
    if not os.path.isdir(path):
        raise CnntoolError(f"{name}: a file is there: expected a folder of parts: leave the slash out, or rename one")
    names = sorted((name for name in os.listdir(path) if not is_side_file(name)), key=lambda name: (len(name), name))
    other = next((name for name in names if not PART.fullmatch(name)), None)
    if other is not None:
        raise CnntoolError(f"{name}: holds {other}: expected a folder that `cnntool extract` wrote, or a free name")
    return [Path(path, name) for name in names]
