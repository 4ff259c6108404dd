"""Labels of images from a table, where folders do not give them."""

from __future__ import annotations

import csv
import os

from cnntool.errors import CnntoolError
from cnntool.images.items import Inputs, Item
from cnntool.images.names import composed

PATHS, LABELS = ("path", "file", "filename", "image", "name"), ("label", "class")  # titles of the two columns
EXPECTED = "expected a .csv with a header, and with columns `path` and `label`"


def take_labels(source: Inputs, path: str) -> None:
    """Gives the inputs the labels of a .csv, in place of those of their folders; those without a row are left out.

    Its paths are names of inputs, relative to INPUT, or paths relative to the .csv. Raises CnntoolError for a row
    without an input, for two rows of one input that differ, and for a file that is no such table.
    """
    rows = rows_of(path)
    folder = os.path.dirname(path)
    kept: list[Item] = []
    used: set[str] = set()
    for item in source:
        names = [item.name] if item.path is None else [item.name, composed(os.path.relpath(item.path, folder or "."))]
        name = next((name for name in names if name in rows), None)
        if name is None:
            source.left_out.other(f"not read, no row in {path}", item.name)
            continue
        used.add(name)
        item.label = rows[name]
        kept.append(item)
    missing = [name for name in rows if name not in used]
    if missing:
        more = f" (nor for {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise CnntoolError(
            f"{path}: no image in {source.text} for the row {missing[0]!r}{more}: expected paths relative to "
            f"{source.text}, or to {folder or 'the present folder'}"
        )
    source.items, source.empty = kept, []


def rows_of(path: str) -> dict[str, str]:
    """The label of each path."""
    found: dict[str, str] = {}
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            titles = {(title or "").strip().lower(): title for title in reader.fieldnames or ()}
            columns = [next((titles[t] for t in known if t in titles), None) for known in (PATHS, LABELS)]
            if None in columns:
                raise CnntoolError(f"{path}: the columns are {', '.join(titles) or 'none'}: {EXPECTED}")
            for row in reader:
                name, label = ((row[column] or "").strip() for column in columns)
                if not name or not label:
                    raise CnntoolError(f"{path}, line {reader.line_num}: no {'label' if name else 'path'}: {EXPECTED}")
                name, label = composed(os.path.normpath(name).replace(os.sep, "/")), composed(label)
                if found.setdefault(name, label) != label:
                    raise CnntoolError(
                        f"{path}, line {reader.line_num}: {name} is {label}, and was {found[name]} before: "
                        "expected one label an image"
                    )
    except FileNotFoundError:
        raise CnntoolError(f"{path}: no such file; {EXPECTED}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CnntoolError(f"{path}: cannot be read ({error}): {EXPECTED}") from None
    if not found:
        raise CnntoolError(f"{path}: no rows: {EXPECTED}")
    return found
