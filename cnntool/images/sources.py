"""Where inputs come from: one file, a folder, a glob pattern, a list, an archive, standard input."""

from __future__ import annotations

import glob
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, overload

from cnntool.errors import BadInput, CnntoolError
from cnntool.images import formats
from cnntool.images.preparation import AS_IT_IS, Preparation

if TYPE_CHECKING:
    import numpy as np

    from cnntool.images.resizing import Resizer

STDIN = "-"
EXPECTED = "expected an image, a .npy volume, a folder, a quoted glob, @list.txt, a .tar, .tar.gz or .zip, or -"


class Item:
    """One input: `name` in tables and output names, `label` (a folder's name or None), and how to read it.

    `path` is the file, or None for an archive's member and for standard input. `where` names the input in messages.
    """

    __slots__ = ("_content", "label", "name", "path", "where")

    def __init__(
        self,
        name: str,
        path: str | None = None,
        content: Callable[[], bytes] | None = None,
        label: str | None = None,
        where: str | None = None,
    ) -> None:
        self.name, self.path, self.label = name, path, label
        self.where = where or path or name
        self._content = content

    def __repr__(self) -> str:
        return f"Item({self.name!r}, label={self.label!r})"

    def read(
        self,
        preparation: Preparation = AS_IT_IS,
        notice: Callable[[str], None] | None = None,
        resizer: Resizer | None = None,
    ) -> np.ndarray:
        """float32 H x W x C as `read_volume` gives it; may be called by several threads. Raises BadInput."""
        from cnntool.images.read import read_volume

        return read_volume(self._source(), preparation, notice, name=self.where, resizer=resizer)

    def shape(self, preparation: Preparation = AS_IT_IS) -> tuple[int, int, int]:
        """(height, width, channels) that `read` would give, from the header. Raises BadInput."""
        from cnntool.images.read import image_shape

        return image_shape(self._source(), preparation, name=self.where)

    def _source(self) -> str | bytes:
        if self._content is not None:
            return self._content()
        assert self.path is not None
        if not os.path.isfile(self.path):
            # A list may name what is not there: that input fails, and the others do not.
            there = os.path.exists(self.path)
            raise BadInput(
                f"{self.where}: {'not a file' if there else 'no such file'}: expected an image or a .npy volume"
            )
        return self.path


class Source(Sequence[Item]):
    """The inputs in their order. `single` tells one image by form: a file or standard input, never a folder of one.

    A context manager; leaving it closes an archive.
    """

    def __init__(
        self, items: list[Item], text: str, *, single: bool = False, close: Callable[[], None] | None = None
    ) -> None:
        self.items, self.text, self.single = items, text, single
        self._close = close

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        return self.items[index]

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._close is not None:
            self._close()

    @property
    def labels(self) -> list[str]:
        """The different labels, sorted."""
        return sorted({item.label for item in self.items if item.label is not None})


def open_source(
    text: str, *, files_from: str | None = None, stdin: IO[bytes] | None = None, labels: bool = False
) -> Source:
    """The inputs that INPUT names.

    An image or `.npy` file; a folder (recursive, sorted by path, hidden files skipped, only suffixes that can be read);
    a glob pattern (`**` is any folders; the same suffixes); `@list.txt` (one path a line, relative to the list; blank
    lines and lines beginning with # are skipped); a `.tar`, `.tar.gz`, `.tgz` or `.zip`; `-`, one file on `stdin`. With
    `files_from`, INPUT must be `-` and the paths, relative to the present folder, come from `stdin` when that is `-`,
    else from that list.

    Names are relative to the folder, to the part of a glob before its first wildcard, or as the list has them. The
    label is the first folder below a folder or archive (without folders that wrap the whole archive); in a glob or a
    list it is the folder that holds the file. With `labels`, an input without one is an error.

    Raises CnntoolError for what is not there and for sources without an image, BadInput for a broken archive.
    """
    if files_from is not None:
        if text != STDIN:
            raise CnntoolError(f"{text}: expected - for INPUT when the files come from a list")
        source = _stdin_list(stdin) if files_from == STDIN else _list_file(files_from, os.curdir)
    else:
        source = _source_of(text, stdin)
    if not len(source):
        source.close()
        raise CnntoolError(f"{text}: no images in it: expected files ending in .png, .jpg, .tif, .npy or the like")
    if labels:
        bare = next((item for item in source if item.label is None), None)
        if bare is not None:
            source.close()
            raise CnntoolError(
                f"{bare.where}: no label: expected one sub-folder a class, such as cats/{Path(bare.name).name}"
            )
    return source


def _source_of(text: str, stdin: IO[bytes] | None) -> Source:
    if text == STDIN:
        stream = stdin or sys.stdin.buffer
        return Source([Item("stdin", content=_Once(stream.read, "stdin"))], text, single=True)
    if not text or "\0" in text:
        raise CnntoolError(f"{text!r}: {EXPECTED}")
    if os.path.isdir(text):
        return Source(list(_in_folder(text)), text)
    if text.startswith("@") and not os.path.exists(text):
        return _list_file(text[1:], os.path.dirname(text[1:]))
    if os.path.exists(text):
        if formats.is_archive(text):
            from cnntool.images.archives import open_archive

            return open_archive(text)
        if os.path.isfile(text):
            return Source([Item(os.path.basename(text), text)], text, single=True)
        # A pipe, such as the shell's <(...), can be read once.
        return Source([Item(os.path.basename(text), content=_Once(Path(text).read_bytes, text))], text, single=True)
    if glob.has_magic(text):
        return Source(list(_matching(text)), text)
    raise CnntoolError(f"{text}: no such file or folder: {EXPECTED}")


class _Once:
    """The bytes of a stream, read when they are first asked for, and kept."""

    def __init__(self, read: Callable[[], bytes], name: str) -> None:
        self._read, self._name, self._lock = read, name, threading.Lock()
        self._bytes: bytes | None = None

    def __call__(self) -> bytes:
        with self._lock:
            if self._bytes is None:
                self._bytes = self._read()
        if not self._bytes:
            raise BadInput(f"{self._name}: empty: expected an image or a .npy volume")
        return self._bytes


def _in_folder(folder: str) -> Iterator[Item]:
    for name in sorted(_files_below(folder, "", ())):
        parts = PurePosixPath(name).parts
        yield Item(name, os.path.join(folder, *parts), label=parts[0] if len(parts) > 1 else None)


def _files_below(folder: str, prefix: str, above: tuple[tuple[int, int], ...]) -> Iterator[str]:
    """Names relative to the root. Links to folders are followed, except into a folder that is being walked."""
    try:
        status = os.stat(folder)
        entries = list(os.scandir(folder))
    except OSError as error:
        raise CnntoolError(f"{folder}: cannot be listed: {error.strerror}") from None
    here = status.st_dev, status.st_ino
    if here in above:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _files_below(entry.path, f"{prefix}{entry.name}/", (*above, here))
        elif formats.is_input(entry.name):
            yield prefix + entry.name


def _matching(pattern: str) -> Iterator[Item]:
    before = pattern[: min(pattern.find(mark) for mark in "*?[" if mark in pattern)]
    root = os.path.dirname(before)
    for path in sorted(glob.glob(pattern, recursive=True)):
        if formats.is_input(path) and os.path.isfile(path):
            name = os.path.relpath(path, root or os.curdir).replace(os.sep, "/")
            yield Item(name, path, label=_holder(path))


def _list_file(path: str, folder: str) -> Source:
    try:
        content = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error}"
        raise CnntoolError(f"{path}: {reason}: expected a list, one path a line") from None
    return _listed(content, folder, f"@{path}")


def _stdin_list(stdin: IO[bytes] | None) -> Source:
    return _listed((stdin or sys.stdin.buffer).read(), os.curdir, STDIN)


def _listed(content: bytes, folder: str, text: str) -> Source:
    # surrogateescape keeps file names that are no UTF-8 as they are.
    lines = (
        line.strip() for line in content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape").split("\n")
    )
    names: Iterable[str] = (line for line in lines if line and not line.startswith("#"))
    items = []
    for number, name in enumerate(names, 1):
        if "\0" in name:
            raise CnntoolError(f"{text}: path {number} holds a zero byte: expected one path a line")
        path = name if folder in ("", os.curdir) else os.path.join(folder, name)
        items.append(Item(name, path, label=_holder(path)))
    return Source(items, text)


def _holder(path: str) -> str | None:
    """The name of the folder that a file lies in."""
    return PurePosixPath(path.replace(os.sep, "/")).parent.name or None
