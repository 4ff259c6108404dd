"""Where inputs come from: a file, a folder, a glob pattern, a list, a table, archives, a URL, standard input."""

from __future__ import annotations

import functools
import glob
import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO

from cnntool.errors import CnntoolError, Missing
from cnntool.images import formats, remote
from cnntool.images.columns import USUAL, Columns, is_table, lines_of
from cnntool.images.folders import Walk, lies_in, matching, root_of
from cnntool.images.items import Inputs, Item, OnDemand
from cnntool.images.leftout import LeftOut, is_side_file
from cnntool.images.listing import listed, listed_file
from cnntool.images.names import composed, on_disk
from cnntool.images.remote import is_url
from cnntool.images.streams import pipe_once, refuse_device, stream_once
from cnntool.images.webdataset import RANGE, expanded

STDIN = "-"
EXPECTED = (
    "expected an image, a .npy volume, a folder, a quoted glob, @list.txt, a .csv or .parquet of paths, a .zip or "
    ".tar, a URL, or -"
)


def open_source(
    text: str,
    *,
    files_from: str | None = None,
    stdin: IO[bytes] | None = None,
    labels: bool = False,
    labels_file: str | None = None,
    columns: Columns = USUAL,
    outputs: Sequence[str] = (),
) -> Inputs:
    """The inputs that INPUT names.

    An image or `.npy` file; a folder (recursive, sorted by path, hidden files skipped, only suffixes that can be read);
    a glob pattern (`**` matches any folders; the same suffixes); `@list.txt` (one path a line, relative to the list;
    blank lines and lines beginning with # are skipped); a `.csv`, `.tsv` or `.parquet` with a column of paths, relative
    to the table, and maybe one of labels; a `.zip` or `.tar`, also compressed; several tars as `{00..12}.tar`, by a
    glob or in a folder without images; a URL of any of these, by the package fsspec; `-`, one file on `stdin`. With
    `files_from`, INPUT must be `-` and the paths, relative to the present folder, come from `stdin` when that is `-`,
    else from that list. `outputs` are the command's OUTPUT and what lies beside it: never an input.

    Names are relative to the folder, to the part of a glob before its first wildcard, or as the list has them, in
    Unicode's form NFC. The label is the first folder below a folder or archive (without folders that wrap the whole
    archive); in a glob or a list it is the folder that holds the file; in a tar, what `key.cls`, `key.json` or
    `key.txt` beside `key.jpg` says. `labels_file` is a table that gives labels instead. With `labels`, an input
    without one is an error.

    Raises CnntoolError for what is not there and for sources without an image, BadInput for a broken archive.
    """
    if columns != USUAL and not (is_table(text) or labels_file is not None):
        option = "--path-column" if columns.path is not None else "--label-column"
        raise CnntoolError(f"{option}: {text} has no columns: expected a .csv or .parquet")
    if files_from is not None:
        if text != STDIN:
            raise CnntoolError(f"{text}: expected - for INPUT when the files come from a list")
        names = listed((stdin or sys.stdin.buffer).read, STDIN) if files_from == STDIN else listed_file(files_from)
        source = _of_list(names, os.curdir, STDIN if files_from == STDIN else f"@{files_from}")
    else:
        source = _source_of(text, stdin, outputs, columns, labels and labels_file is None)
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
            take_labels(source, labels_file, columns)
        except CnntoolError:
            source.close()
            raise
    if labels:
        bare = next((item for item in source if item.label is None), None)
        if bare is not None:
            source.close()
            raise CnntoolError(
                f"{bare.where}: no label: expected one sub-folder a class, such as cats/{Path(bare.name).name}, "
                "or --labels FILE.csv, or a table of paths with a column `label`"
            )
    return source


def _source_of(
    text: str, stdin: IO[bytes] | None, outputs: Sequence[str], columns: Columns, labels: bool
) -> Inputs:  # fmt: skip
    if text == STDIN:
        once = stream_once(stdin or sys.stdin.buffer, "stdin")
        return Inputs([Item("stdin", content=once)], text, single=True)
    if not text or "\0" in text:
        raise CnntoolError(f"{text!r}: {EXPECTED}")
    path = on_disk(text)
    if os.path.isdir(path):
        return _of_folder(path, text, outputs, labels)
    if text.startswith("@") and not os.path.exists(path):
        return _of_list(listed_file(text[1:]), os.path.dirname(text[1:]), text)
    if os.path.exists(path):
        return _of_file(path, text, outputs, columns, labels)
    if RANGE.search(text):
        return _of_range(text, labels)
    if is_url(text):
        return _of_url(text, columns, labels)
    if glob.has_magic(text):
        if formats.is_tar(text):
            return _of_tars(sorted(glob.glob(text, recursive=True)), text, labels)
        return _of_pattern(text, outputs)
    raise CnntoolError(f"{text}: no such file or folder: {EXPECTED}")


def _of_file(path: str, text: str, outputs: Sequence[str], columns: Columns, labels: bool) -> Inputs:
    refuse_device(path, EXPECTED)
    if os.path.realpath(path) in map(os.path.realpath, outputs):
        raise CnntoolError(f"{text}: INPUT and OUTPUT are one file: give OUTPUT another name")
    name = composed(os.path.basename(path))
    several = formats.is_archive(text) or is_table(text)
    if not os.path.isfile(path):
        if several:
            raise CnntoolError(f"{text}: a pipe: an archive or a table is read from a plain file")
        return Inputs([Item(name, content=pipe_once(path), where=text)], text, single=True)
    if formats.is_archive(text):
        return _of_tars([path], text, labels)
    if is_table(text):
        return _of_table(path, columns)
    return Inputs([Item(name, path)], text, single=True)


def _of_tars(paths: list[str], text: str, labels: bool) -> Inputs:
    from cnntool.images.archives import open_archives

    return open_archives(paths, text, labels)


def _of_range(text: str, labels: bool) -> Inputs:
    """Several tars, or several files."""
    paths = expanded(text)
    if formats.is_tar(text):
        return _of_tars(paths, text, labels)
    return _of_list(paths, os.curdir, text)


def _of_table(path: str, columns: Columns) -> Inputs:
    """The rows of a table; without a column of labels, the folders that hold the files are the labels."""
    folder = path.rpartition("/")[0] if is_url(path) else os.path.dirname(path)
    items = []
    for _, name, label in lines_of(path, columns):
        item = _item_of(name, folder)
        if label is not None:
            item.label = composed(label) or None
        items.append(item)
    return Inputs(items, path)


def _of_url(url: str, columns: Columns, labels: bool) -> Inputs:
    """What lies behind a URL: a file, a table, an archive, a folder, or the matches of a pattern with `*`."""
    name = remote.name_of(url)
    if "*" not in url:
        if formats.is_archive(name):
            return _of_tars([url], url, labels)
        if is_table(name):
            return _of_table(url, columns)
        if formats.is_input(name):
            remote.file_system(url)
            return Inputs([Item(name, content=functools.partial(remote.read, url), where=url)], url, single=True)
    try:
        found = remote.matching(url) if "*" in url else remote.files_below(url)
    except Missing:
        found = None
    if found is None:
        raise CnntoolError(f"{url}: no such file or folder: {EXPECTED}")
    pairs = [pair for pair in found if not any(is_side_file(part) for part in pair[0].split("/"))]
    inputs = [(name, path) for name, path in pairs if formats.is_input(name)]
    tars = [path for name, path in pairs if formats.is_tar(name)]
    if tars and not inputs:
        return _of_tars(tars, url, labels)
    left_out = LeftOut()
    for name, _ in pairs:
        if not formats.is_input(name):
            left_out.file(name)
    items = [Item(composed(name), content=functools.partial(remote.read, path), where=path) for name, path in inputs]
    for item, (name, path) in zip(items, inputs, strict=True):
        item.label = _holder(path) if "*" in url else composed(name.split("/")[0]) if "/" in name else None
    return Inputs(items, url, left_out=left_out)


def _of_folder(folder: str, text: str, outputs: Sequence[str], labels: bool) -> Inputs:
    walk = Walk(LeftOut(), outputs)
    names: list[str] = []
    others: dict[int, str] = {}  # on disk, where that is another form of Unicode
    for name, raw in _distinct((raw, raw) for raw in walk.names(folder)):
        if name != raw:
            others[len(names)] = raw
        names.append(raw if name == raw else name)
    if not names and any(formats.is_tar(f"x{suffix}") for suffix in walk.left_out.suffixes):
        tars = Walk(LeftOut(), outputs, formats.is_tar).names(folder)
        return _of_tars([os.path.join(folder, *name.split("/")) for name in sorted(tars)], text, labels)

    def label(name: str) -> str | None:
        first, below, _ = name.partition("/")
        return sys.intern(first) if below else None

    def item(number: int) -> Item:
        name = names[number]
        path = os.path.join(folder, *others.get(number, name).split("/"))
        return Item(name, path, label=label(name))

    items = OnDemand(len(names), item, lambda: map(label, names))
    return Inputs(items, text, left_out=walk.left_out, folders=walk.folders(folder))


def _of_pattern(pattern: str, outputs: Sequence[str]) -> Inputs:
    for form in dict.fromkeys((pattern, *(unicodedata.normalize(form, pattern) for form in ("NFC", "NFD")))):
        # Of an OUTPUT beside the inputs, such as `photos/%s-maps.png` for `photos/*.png`, the folder is not left out.
        walk = Walk(LeftOut(), [path for path in outputs if not lies_in(root_of(form), path)])
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
    return Inputs([_item_of(name, folder) for name in names], text)


def _item_of(name: str, folder: str) -> Item:
    """A file or URL as a list in `folder` has it."""
    if is_url(name) or is_url(folder):
        url = name if is_url(name) else f"{folder}/{name}"
        return Item(composed(name), content=functools.partial(remote.read, url), label=_holder(url), where=url)
    path = on_disk(name if folder in ("", os.curdir) else os.path.join(folder, name))
    return Item(composed(name), path, label=_holder(path))


def _holder(path: str) -> str | None:
    """The name of the folder that holds a file."""
    return composed(PurePosixPath(path.replace(os.sep, "/")).parent.name) or None
