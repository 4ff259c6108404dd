"""Labels of images from a table, where folders do not give them."""

from __future__ import annotations

import os

from cnntool.errors import CnntoolError
from cnntool.images.columns import USUAL, Columns, lines_of
from cnntool.images.items import Inputs, Item
from cnntool.images.names import composed


def take_labels(source: Inputs, path: str, columns: Columns = USUAL) -> None:
    """Gives the inputs the labels of a table, in place of those of their folders; those without a row are left out.

    Its paths are names of inputs, relative to INPUT, or paths relative to the table. Raises CnntoolError for a row
    without an input, for two rows of one input that differ, and for a file that is no such table.
    """
    rows = rows_of(path, columns)
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


def rows_of(path: str, columns: Columns) -> dict[str, str]:
    """The label of each path."""
    found: dict[str, str] = {}
    for number, name, label in lines_of(path, columns, needs_labels=True):
        assert label is not None
        name, label = composed(os.path.normpath(name).replace(os.sep, "/")), composed(label)
        if found.setdefault(name, label) != label:
            raise CnntoolError(
                f"{path}, line {number}: {name} is {label}, and was {found[name]} before: expected one label an image"
            )
    return found
