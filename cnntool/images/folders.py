"""The files of a folder and those that a glob pattern matches, each once, with a count of what is left out."""

from __future__ import annotations

import fnmatch
import functools
import glob
import os
from collections.abc import Callable, Iterator, Sequence

from cnntool.errors import CnntoolError
from cnntool.images import formats
from cnntool.images.leftout import FOLDER, LINKED_FOLDER, NO_FILE, OUTPUT, LeftOut, is_side_file


class Walk:
    """Walks folders; one that several links lead to is entered once, under its own name if possible."""

    def __init__(
        self, left_out: LeftOut, outputs: Sequence[str] = (), is_input: Callable[[str], bool] = formats.is_input
    ) -> None:
        """`outputs`: paths of files and folders that are ignored; `is_input` tells inputs by their names."""
        self.left_out, self._is_input = left_out, is_input
        self._outputs = {os.path.realpath(path) for path in outputs}
        self._entered: set[tuple[int, int]] = set()

    def names(self, folder: str, wanted: Callable[[str], bool] = lambda name: True) -> Iterator[str]:
        """The visible inputs below a folder, in no order, as relative names with forward slashes.

        A file that is not `wanted` is not counted as left out.
        """
        linked: list[tuple[str, str]] = []
        yield from self._below(folder, os.path.realpath(folder), "", linked, wanted)
        while linked:
            linked.sort()
            path, prefix = linked.pop(0)
            yield from self._unless_entered(path, os.path.realpath(path), prefix, linked, wanted)

    def folders(self, folder: str) -> list[str]:
        """The names of the visible folders directly in a folder."""
        return [entry.name for entry in self._entries(folder) if entry.is_dir() and not is_side_file(entry.name)]

    def is_output(self, real: str) -> bool:
        """Whether a real path is an output or lies in one."""
        return real in self._outputs or any(real.startswith(output + os.sep) for output in self._outputs)

    def _unless_entered(
        self, folder: str, real: str, prefix: str, linked: list[tuple[str, str]], wanted: Callable[[str], bool]
    ) -> Iterator[str]:
        """A link, and a folder inside one that is linked, may both lead to where the walk has been."""
        if self._identity(folder) in self._entered:
            self.left_out.other(LINKED_FOLDER, prefix.rstrip("/"))
        else:
            yield from self._below(folder, real, prefix, linked, wanted)

    def _below(
        self, folder: str, real: str, prefix: str, linked: list[tuple[str, str]], wanted: Callable[[str], bool]
    ) -> Iterator[str]:
        self._entered.add(self._identity(folder))
        for entry in self._entries(folder):
            name, path = prefix + entry.name, os.path.join(real, entry.name)
            if is_side_file(entry.name):
                continue
            if path in self._outputs:
                if os.path.isdir(path):
                    self.left_out.other(OUTPUT, name)
            elif os.path.isdir(path) if entry.is_symlink() else entry.is_dir():
                if entry.is_symlink():
                    linked.append((entry.path, name + "/"))
                else:
                    yield from self._unless_entered(entry.path, path, name + "/", linked, wanted)
            elif not wanted(name):
                continue
            elif not self._is_input(name):
                self.left_out.file(name)
            elif entry.is_symlink() or entry.is_file():  # a dangling link fails when it is read
                yield name
            else:
                self.left_out.other(NO_FILE, name)

    @staticmethod
    def _entries(folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                return list(entries)
        except OSError as error:
            raise CnntoolError(f"{folder}: cannot be listed: {error.strerror}") from None

    @staticmethod
    def _identity(folder: str) -> tuple[int, int]:
        try:
            status = os.stat(folder)
        except OSError as error:
            raise CnntoolError(f"{folder}: cannot be listed: {error.strerror}") from None
        return status.st_dev, status.st_ino


def matching(pattern: str, walk: Walk) -> Iterator[tuple[str, str]]:
    """(name, path) of the inputs that a pattern matches; names are relative to the part before its first wildcard.

    `**` matches any folders. A part that exists literally, such as a folder called `set [2020]`, is not a pattern.
    """
    root, parts = _split(pattern)
    deep = parts.index("**") if "**" in parts else len(parts)
    for start in glob.glob(os.path.join(glob.escape(root), *parts[:deep])):
        if deep == len(parts):
            found: Iterator[str] = iter([start] if _is_taken(start, walk) else [])
        elif os.path.isdir(start):
            wanted = functools.partial(_fits_name, parts[deep:])
            found = map(functools.partial(os.path.join, start), walk.names(start, wanted))
        else:
            continue
        for path in found:
            yield os.path.relpath(path, root or os.curdir).replace(os.sep, "/"), path


def lies_in(path: str, folder: str) -> bool:
    """Whether a path is a folder or lies in it, whatever links lead there."""
    real, around = os.path.realpath(path), os.path.realpath(folder)
    return real == around or real.startswith(around.rstrip(os.sep) + os.sep)


def root_of(pattern: str) -> str:
    """The folder that a pattern begins with."""
    return _split(pattern)[0] or os.curdir


def _split(pattern: str) -> tuple[str, list[str]]:
    """The folder that a pattern begins with, and the parts after it."""
    drive, rest = os.path.splitdrive(pattern)
    parts = rest.replace(os.altsep or os.sep, os.sep).split(os.sep)
    root = drive + (os.sep if rest.startswith(os.sep) else "")
    parts = [part for part in parts if part]
    while len(parts) > 1:
        following = os.path.join(root, parts[0])
        if glob.has_magic(parts[0]) and not os.path.lexists(following):
            break
        root, parts = following, parts[1:]
    return root, parts


def _is_taken(path: str, walk: Walk) -> bool:
    """Whether a match of a pattern is an input; others are counted as left out."""
    if is_side_file(os.path.basename(path)) or walk.is_output(os.path.realpath(path)):
        return False
    if os.path.isdir(path):
        walk.left_out.other(FOLDER, path)
    elif not formats.is_input(path):
        walk.left_out.file(path)
    elif os.path.isfile(path) or os.path.islink(path):
        return True
    else:
        walk.left_out.other(NO_FILE, path)
    return False


def _fits_name(pattern: Sequence[str], name: str) -> bool:
    return _fits(pattern, name.split("/"))


def _fits(pattern: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether the parts of a path match those of a pattern, where `**` is any number of folders."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_fits(pattern[1:], parts[skipped:]) for skipped in range(len(parts) + 1))
    return bool(parts) and fnmatch.fnmatch(parts[0], pattern[0]) and _fits(pattern[1:], parts[1:])
