"""Tables that go to standard output row by row, as the same bytes that a file would hold."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO, Any

from cnntool.errors import CnntoolError
from cnntool.files import writing
from cnntool.images.tables import KINDS, CsvTable, JsonLinesTable, Table


class _Printed(Table):
    """In place of the files of a table: a stream, which stays open."""

    def __init__(self, stream: IO[bytes], labels: bool) -> None:
        self.path, self.labels = Path("standard output"), labels
        self.rows, self.columns, self._first, self.about = 0, None, "", None
        self._stream, self._prints = stream, True
        self._start()

    def _open(self, part: str) -> Any:
        return self._stream

    def commit(self) -> None:
        self.abort()

    def abort(self) -> None:
        """What was written stays."""
        if self._prints:
            self._prints = False
            text: io.TextIOWrapper = self._file  # type: ignore[attr-defined]
            with writing(self.path):
                text.flush()
            text.detach()

    close = abort


class PrintedCsv(_Printed, CsvTable):
    """`extract --format csv`."""


class PrintedLines(_Printed, JsonLinesTable):
    """`extract --format jsonl`."""


PRINTED: dict[str, type[_Printed]] = {"csv": PrintedCsv, "jsonl": PrintedLines}


def printed_table(form: str | None, stream: IO[bytes], labels: bool) -> Table:
    """A table on a stream, of the kind that --format names."""
    if form is None:
        forms, suffixes = " or ".join(PRINTED), ", ".join(KINDS)
        raise CnntoolError(f"OUTPUT -: no suffix: give --format {forms} for stdout, or a name ending in {suffixes}")
    return PRINTED[form](stream, labels)


class Failures:
    """Counts what an errors file would list; beside standard output there is none."""

    path = None

    def __init__(self) -> None:
        self.count = 0

    def add(self, name: str, error: CnntoolError) -> None:
        self.count += 1

    def commit(self) -> None:
        """Nothing to write."""

    def abandon(self) -> None:
        """Nothing to remove."""
