"""Tables of paths and labels: a `.csv` or `.tsv` with a header, or a `.parquet`, read line by line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import IO, Any, NamedTuple

from cnntool.errors import CnntoolError
from cnntool.images import formats, limits
from cnntool.images.names import composed
from cnntool.images.remote import open_binary

SUFFIXES = (".csv", ".tsv", ".parquet")
# Titles that are found by themselves; `file_name` is that of Hugging Face's imagefolder.
PATHS, LABELS = ("path", "file", "file_name", "filename", "image", "name"), ("label", "class")
LONGEST_LINE = 2**24  # characters
DELIMITERS = ",;\t"


class Columns(NamedTuple):
    """The titles of the columns of paths and labels; None stands for the usual ones."""

    path: str | None = None
    label: str | None = None


USUAL = Columns()


class Line(NamedTuple):
    """A row: where it stands, its path, and its label; None where the table has no such column."""

    number: int
    path: str
    label: str | None


def is_table(name: str) -> bool:
    return formats.suffix_of(name) in SUFFIXES


def lines_of(path: str, columns: Columns, needs_labels: bool = False) -> Iterator[Line]:
    """The rows of a table, which may be behind a URL. Memory does not grow with their number.

    Raises CnntoolError for a file that is missing or no such table, for columns that it does not have, and for a row
    without a path, or `needs_labels` without a label.
    """
    expected = "expected a .csv with a header, or a .parquet, and columns `path` and `label`"
    if not needs_labels:
        expected = "expected a .csv with a header, or a .parquet, and a column `path`"
    kind = _parquet if formats.suffix_of(path) == ".parquet" else _csv
    count = 0
    try:
        with open_binary(path) as file:
            for line in kind(file, path, columns, needs_labels, expected):
                count += 1
                name, label = line.path.strip(), line.label if line.label is None else line.label.strip()
                if not name or "\0" in name or (needs_labels and not label):
                    missing = "label" if name and "\0" not in name else "path"
                    raise CnntoolError(f"{path}, line {line.number}: no {missing}: {expected}")
                if count > limits.LIST_PATHS:
                    raise CnntoolError(f"{path}: over {limits.LIST_PATHS:,} rows: {expected}")
                yield Line(line.number, name, label)
    except CnntoolError:
        raise
    except FileNotFoundError:
        raise CnntoolError(f"{path}: no such file; {expected}") from None
    except (OSError, UnicodeError, ValueError, csv.Error) as error:
        raise CnntoolError(f"{path}: cannot be read ({error}): {expected}") from None
    if not count:
        raise CnntoolError(f"{path}: no rows: {expected}")


def _csv(file: IO[bytes], path: str, columns: Columns, needs_labels: bool, expected: str) -> Iterator[Line]:
    # surrogateescape keeps file names that are no UTF-8 as they are
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
    lines = _bounded(text)
    head = next(lines, "")
    if "\0" in head:
        raise ValueError("zero bytes in its first line, as in UTF-16")
    delimiter = max(DELIMITERS, key=head.count)
    titles = next(csv.reader([head], delimiter=delimiter, strict=True), [])
    first, second = _places(path, titles, columns, needs_labels, expected)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    for row in reader:
        if not row:
            continue
        name, label = (row[place] if place is not None and place < len(row) else "" for place in (first, second))
        if any("\ud800" <= letter <= "\udfff" for letter in label):
            raise ValueError(f"line {reader.line_num + 1}: the label is no UTF-8")
        yield Line(reader.line_num + 1, name, None if second is None else label)


def _bounded(text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise ValueError(f"a line of over {LONGEST_LINE} characters")
        yield line


def _parquet(file: IO[bytes], path: str, columns: Columns, needs_labels: bool, expected: str) -> Iterator[Line]:
    from cnntool.images.parquet import pyarrow_of

    pa = pyarrow_of(path)
    try:
        with pa.parquet.ParquetFile(file) as table:
            titles = table.schema_arrow.names
            first, second = _places(path, titles, columns, needs_labels, expected)
            wanted = [titles[place] for place in (first, second) if place is not None]
            for title in wanted:
                kind = table.schema_arrow.field(title).type
                if pa.types.is_nested(kind):
                    raise CnntoolError(f"{path}: the column {title} holds {kind}: expected text")
            number = 0
            for batch in table.iter_batches(2**14, columns=wanted):
                names, *labels = (batch.column(title).to_pylist() for title in wanted)
                for row, name in enumerate(names):
                    number += 1
                    yield Line(number, _text(name), _text(labels[0][row]) if labels else None)
    except pa.ArrowException as error:
        raise CnntoolError(f"{path}: cannot be read ({' '.join(str(error).split())[:200]}): {expected}") from None


def _text(value: Any) -> str:
    return "" if value is None else value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def _places(
    path: str, titles: Sequence[str], columns: Columns, needs_labels: bool, expected: str
) -> tuple[int, int | None]:
    """The places of the two columns, by the given titles or the usual ones."""
    plain = [title.strip().lower() for title in titles]
    found: list[int | None] = []
    for given, usual, option in zip(columns, (PATHS, LABELS), ("--path-column", "--label-column"), strict=True):
        if given is not None:
            place = next((n for n, title in enumerate(titles) if composed(title.strip()) == composed(given)), None)
            if place is None:
                raise CnntoolError(f"{option} {given}: the columns of {path} are {_listed(titles)}")
        else:
            place = next((plain.index(title) for title in usual if title in plain), None)
        found.append(place)
    first, second = found
    if first is None or (second is None and needs_labels):
        option = "--path-column" if first is None else "--label-column"
        raise CnntoolError(f"{path}: the columns are {_listed(titles)}: {expected}, or {option} NAME")
    return first, second


def _listed(titles: Sequence[str]) -> str:
    more = f", and {len(titles) - 20} more" if len(titles) > 20 else ""
    return ", ".join(title.strip()[:50] for title in titles[:20]) + more or "none"
