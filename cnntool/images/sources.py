"""Where inputs come from: one file, a folder, a glob pattern, a list, an archive, standard input."""

from __future__ import annotations

import glob
import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO

from cnntool.errors import CnntoolError
from cnntool.images import formats
from cnntool.images.folders import Walk, matching
from cnntool.images.items import Inputs, Item
from cnntool.images.leftout import LeftOut
from cnntool.images.listing import listed, listed_file
from cnntool.images.names import composed, on_disk
from cnntool.images.streams import pipe_once, refuse_device, stream_once

STDIN = "-"
EXPECTED = "expected an image, a .npy volume, a folder, a quoted glob, @list.txt, a .zip or .tar, or -"


def open_source(
    text: str,
    *,
    files_from: str | None = None,
    stdin: IO[bytes] | None = None,
    labels: bool = False,
    labels_file: str | None = None,
    outputs: Sequence[str] = (),
) -> Inputs:
    """The inputs that INPUT names.

    An image or `.npy` file; a folder (recursive, sorted by path, hidden files skipped, only suffixes that can be read);
    a glob pattern (`**` matches any folders; the same suffixes); `@list.txt` (one path a line, relative to the list;
    blank lines and lines beginning with # are skipped); a `.zip` or `.tar`, also compressed; `-`, one file on `stdin`.
    With `files_from`, INPUT must be `-` and the paths, relative to the present folder, come from `stdin` when that is
    `-`, else from that list. `outputs` are the command's OUTPUT and what lies beside it: never an input.

    Names are relative to the folder, to the part of a glob before its first wildcard, or as the list has them, in
    Unicode's form NFC. The label is the first folder below a folder or archive (without folders that wrap the whole
    archive); in a glob or a list it is the folder that holds the file. `labels_file` is a
    .csv that gives labels instead. With `labels`, an input without one is an error.

    Raises CnntoolError for what is not there and for sources without an image, BadInput for a broken archive.
    """
    if files_from is not None:
        if text != STDIN:
            raise CnntoolError(f"{text}: expected - for INPUT when the files come from a list")
        names = listed((stdin or sys.stdin.buffer).read, STDIN) if files_from == STDIN else listed_file(files_from)
        source = _of_list(names, os.curdir, STDIN if files_from == STDIN else f"@{files_from}")
    else:
        source = _source_of(text, stdin, outputs)
    if not len(source):
        source.close()
        notes = "".join(f"; {line}" for line in source.notes())
        hint = " ([ is a wildcard; a [ itself is written [[])" if "[" in text and not os.path.exists(text) else ""
        raise CnntoolError(
            f"{text}: no images in it{hint}{notes}: expected files ending in .png, .jpg, .tif, .npy or the like"
        )
    if labels_file is not None:
        from cnntool.images.labels import take_labels

        try:
            take_labels(source, labels_file)
        except CnntoolError:
            source.close()
            raise
    if labels:
        bare = next((item for item in source if item.label is None), None)
        if bare is not None:
            source.close()
            raise CnntoolError(
                f"{bare.where}: no label: expected one sub-folder a class, such as cats/{Path(bare.name).name}, "
                "or --labels FILE.csv"
            )
    return source


def _source_of(text: str, stdin: IO[bytes] | None, outputs: Sequence[str]) -> Inputs:
    if text == STDIN:
        once = stream_once(stdin or sys.stdin.buffer, "stdin")
        return Inputs([Item("stdin", content=once)], text, single=True)
    if not text or "\0" in text:
        raise CnntoolError(f"{text!r}: {EXPECTED}")
    path = on_disk(text)
    if os.path.isdir(path):
        return _of_folder(path, text, outputs)
    if text.startswith("@") and not os.path.exists(path):
        return _of_list(listed_file(text[1:]), os.path.dirname(text[1:]), text)
    if os.path.exists(path):
        refuse_device(path, EXPECTED)
        name = composed(os.path.basename(path))
        if not os.path.isfile(path):
            if formats.is_archive(text):
                raise CnntoolError(f"{text}: a pipe: an archive is read from a plain file")
            return Inputs([Item(name, content=pipe_once(path), where=text)], text, single=True)
        if formats.is_archive(text):
            from cnntool.images.archives import open_archive

            return open_archive(path)
        return Inputs([Item(name, path)], text, single=True)
    if glob.has_magic(text):
        return _of_pattern(text, outputs)
    raise CnntoolError(f"{text}: no such file or folder: {EXPECTED}")


def _of_folder(folder: str, text: str, outputs: Sequence[str]) -> Inputs:
    walk = Walk(LeftOut(), outputs)
    items = []
    for name, raw in _distinct((raw, raw) for raw in walk.names(folder)):
        label = name.split("/")[0] if "/" in name else None
        items.append(Item(name, os.path.join(folder, *raw.split("/")), label=label))
    return Inputs(items, text, left_out=walk.left_out, folders=walk.folders(folder))


def _of_pattern(pattern: str, outputs: Sequence[str]) -> Inputs:
    for form in dict.fromkeys((pattern, *(unicodedata.normalize(form, pattern) for form in ("NFC", "NFD")))):
        walk = Walk(LeftOut(), outputs)
        items = [Item(name, path, label=_holder(path)) for name, path in _distinct(matching(form, walk))]
        if items:
            break
    return Inputs(items, pattern, left_out=walk.left_out)


def _distinct(found: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """(name, path) sorted by composed name; files whose names differ only in Unicode normalisation keep their own."""
    taken: set[str] = set()
    triples = ((composed(name), name, path) for name, path in found)
    for name, raw, path in sorted(triples, key=lambda triple: (triple[0], triple[1] != triple[0], triple[2])):
        yield (raw if name in taken else name), path
        taken.add(name)


def _of_list(names: list[str], folder: str, text: str) -> Inputs:
    items = []
    for name in names:
        path = on_disk(name if folder in ("", os.curdir) else os.path.join(folder, name))
        items.append(Item(composed(name), path, label=_holder(path)))
    return Inputs(items, text)


def _holder(path: str) -> str | None:
    """The name of the folder that holds a file."""
    return composed(PurePosixPath(path.replace(os.sep, "/")).parent.name) or None
