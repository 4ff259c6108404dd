"""Inputs that are no plain files: standard input, pipes, and what is refused."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from typing import IO

from cnntool.errors import BadInput, CnntoolError
from cnntool.images.limits import read_bounded


def refuse_device(path: str, expected: str) -> None:
    """Refuses what never ends or cannot be opened; a pipe, such as the shell's <(...), may be read."""
    mode = os.stat(path).st_mode
    kinds = {"a device": stat.S_ISCHR(mode) or stat.S_ISBLK(mode), "a socket": stat.S_ISSOCK(mode)}
    for kind, is_it in kinds.items():
        if is_it:
            raise CnntoolError(f"{path}: {kind}: {expected}")


class Once:
    """The bytes of a stream, read when they are first asked for, and kept."""

    def __init__(self, read: Callable[[], bytes], name: str) -> None:
        self._read, self._name, self._lock = read, name, threading.Lock()
        self._bytes: bytes | None = None
        self._error: BadInput | None = None

    def __call__(self) -> bytes:
        with self._lock:
            if self._bytes is None and self._error is None:
                try:
                    self._bytes = self._read()
                except BadInput as error:  # the rest of the stream is no image either
                    self._error = BadInput(f"{self._name}: {error}")
        if self._error is not None:
            raise self._error
        if not self._bytes:
            raise BadInput(f"{self._name}: empty: expected an image or a .npy volume")
        return self._bytes


def stream_once(stream: IO[bytes], name: str) -> Once:
    """What a stream such as standard input holds."""
    return Once(lambda: read_bounded(stream.read), name)


def pipe_once(path: str) -> Once:
    """What comes through a named pipe, which is opened when it is read."""

    def read() -> bytes:
        with open(path, "rb") as pipe:
            return read_bounded(pipe.read)

    return Once(read, path)
