"""Writes files atomically, with one writer of an output at a time; every failure is reported."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Literal, overload

from cnntool.errors import CnntoolError, NoRoom
from cnntool.locks import NEW_FILE, NOT_SUPPORTED, Claim, is_device, new_locked_file, remove_abandoned

PathLike = str | os.PathLike[str]
EXCHANGE = 2  # RENAME_EXCHANGE
NO_ROOM = (errno.ENOSPC, errno.EROFS, errno.EIO, getattr(errno, "EDQUOT", errno.ENOSPC))  # of a disk, not of a file


class Output(io.RawIOBase):
    """A file being written. Each OSError becomes a CnntoolError that names the output."""

    def __init__(self, descriptor: int, path: PathLike) -> None:
        self._descriptor, self._path = descriptor, path

    def fileno(self) -> int:
        return self._descriptor

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        try:
            self.seek(0, os.SEEK_CUR)
        except OSError:
            return False
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return os.lseek(self._descriptor, offset, whence)

    def write(self, data: Any, /) -> int:
        with writing(self._path):
            return os.write(self._descriptor, data)

    def close(self) -> None:
        if not self.closed:
            super().close()
            with writing(self._path):
                os.close(self._descriptor)


def new_file(path: Path, output: PathLike) -> io.BufferedWriter:
    """Creates a temporary file on the way to `output`."""
    with writing(output):
        return io.BufferedWriter(Output(os.open(path, NEW_FILE, 0o666), output))


def as_text(file: IO[bytes]) -> io.TextIOWrapper:
    """A text stream: UTF-8, lines ending in a line feed, undecodable file names as their bytes."""
    return io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="")


def flush_and_close(file: IO[Any], output: PathLike, synchronise: bool = True) -> None:
    """Flushes and closes a file on the way to `output`, after fsync if `synchronise`."""
    file.flush()
    if synchronise:
        with writing(output):
            try:
                os.fsync(file.fileno())
            except OSError as error:  # without it, the file is as safe as its file system is
                if error.errno not in NOT_SUPPORTED:
                    raise
    file.close()


class Replacement:
    """A new file, written through `file`, that replaces `path` on `commit` and disappears on `abandon`.

    Permissions follow the umask. Links are written through; devices and pipes, which cannot be replaced, are written
    directly. `commit` calls fsync if it replaces an older file, or with `synchronise`: a new volume lost in a power
    failure can be computed again. Raises CnntoolError for a folder that is missing (unless `make_folders`) or cannot be
    written, and for a `path` that is a folder.
    """

    def __init__(
        self, path: PathLike, *, make_folders: bool = False, synchronise: bool = False, output: PathLike | None = None
    ) -> None:
        """`output` is what errors name, where `path` is a file on the way to it."""
        self._path, self._temporary, self._lock = output or path, None, None
        with writing(self._path):
            self._target = Path(os.path.realpath(path))
            if self._target.is_dir() or os.fspath(path).endswith(("/", os.sep)):
                raise CnntoolError(f"{os.fspath(path)}: a folder, expected the name of a file")
            if is_device(self._target):
                self._synchronise = False
                self.file = io.BufferedWriter(Output(os.open(self._target, os.O_WRONLY), self._path))
                return
            if make_folders:
                self._target.parent.mkdir(parents=True, exist_ok=True)
            self._synchronise = synchronise or self._target.exists()
            remove_abandoned(self._target.parent)
            self._temporary, self._lock = new_locked_file(self._target.parent)
            try:
                # Closing this descriptor reports errors while the other still holds the lock.
                self.file = io.BufferedWriter(Output(os.dup(self._lock), self._path))
            except BaseException:
                self.abandon()
                raise

    def commit(self) -> None:
        """Renames the file to `path`, or leaves the old one and raises CnntoolError."""
        try:
            flush_and_close(self.file, self._path, self._synchronise)
            if self._temporary is not None:
                if os.name == "nt":  # cannot rename open files
                    self._unlock()
                with writing(self._path):
                    os.replace(self._temporary, self._target)
                self._temporary = None
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Removes the file unless it was committed. Errors are ignored, since they would hide the first one."""
        if hasattr(self, "file"):
            close_quietly(self.file)
        if os.name == "nt":
            self._unlock()
        if self._temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._temporary)
            self._temporary = None
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            with contextlib.suppress(OSError):
                os.close(self._lock)
            self._lock = None


@overload
def atomic(
    path: PathLike, *, make_folders: bool = False, synchronise: bool = False, text: Literal[False] = False
) -> contextlib.AbstractContextManager[io.BufferedWriter]: ...
@overload
def atomic(
    path: PathLike, *, make_folders: bool = False, synchronise: bool = False, text: Literal[True]
) -> contextlib.AbstractContextManager[io.TextIOWrapper]: ...
@contextlib.contextmanager
def atomic(
    path: PathLike, *, make_folders: bool = False, synchronise: bool = False, text: bool = False
) -> Iterator[Any]:  # fmt: skip
    """A file to write that becomes `path` when the block ends without an exception.

    On any exception, also KeyboardInterrupt, `path` stays as it was. See Replacement for the rest.
    """
    replacement = Replacement(path, make_folders=make_folders, synchronise=synchronise)
    try:
        file = as_text(replacement.file) if text else replacement.file
        yield file
        file.flush()
    except BaseException:
        replacement.abandon()
        raise
    replacement.commit()


@contextlib.contextmanager
def writing(path: PathLike) -> Iterator[None]:
    """Turns an OSError of the block into a CnntoolError that names `path`."""
    try:
        yield
    except (BrokenPipeError, CnntoolError):
        raise
    except (OSError, ValueError) as error:
        folder = os.path.dirname(os.fspath(path)) or os.curdir
        if isinstance(error, FileNotFoundError) and not os.path.isdir(folder):
            raise CnntoolError(f"{os.fspath(path)}: there is no folder {folder}: make it first") from None
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        kind = NoRoom if isinstance(error, OSError) and error.errno in NO_ROOM else CnntoolError
        raise kind(f"{os.fspath(path)}: cannot be written: {reason}") from None


def exchanged(first: PathLike, second: PathLike) -> bool:
    """Exchanges the names of two files or folders, in one step; False where the system cannot, and nothing is done."""
    import ctypes

    try:
        exchange = ctypes.CDLL(None, use_errno=True).renameat2  # Linux
    except (AttributeError, OSError, TypeError):
        return False
    names = (os.fsencode(os.path.abspath(path)) for path in (first, second))
    return exchange(-1, next(names), -1, next(names), EXCHANGE) == 0


def removed(path: PathLike) -> None:
    """Removes an output of an earlier run, if it exists. Raises CnntoolError."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise CnntoolError(f"{os.fspath(path)}: cannot be removed: {error.strerror}") from None


def make_own_folder(folder: Path, output: PathLike) -> None:
    """A folder for work in progress on `output`, which no other user can read or write.

    Raises CnntoolError when the name is somebody else's, is a link or is no folder.
    """
    with writing(output):
        try:
            folder.mkdir(0o700)
        except FileExistsError:
            status = folder.lstat()
            if not stat.S_ISDIR(status.st_mode) or (hasattr(os, "geteuid") and status.st_uid != os.geteuid()):
                raise CnntoolError(
                    f"{folder}: expected a folder of your own, for work in progress: remove it first"
                ) from None


def close_quietly(file: IO[Any]) -> None:
    """Closes an abandoned file, ignoring errors."""
    with contextlib.suppress(OSError, ValueError):
        file.close()


@contextlib.contextmanager
def outputs(*paths: PathLike | None, overwrite: bool) -> Iterator[None]:
    """Claims these files for the block, with all checks before any work.

    None stands for an output that was not requested. Raises CnntoolError for one that exists without `overwrite`, is a
    folder, has no parent folder, is named twice, or is being written by another process.
    """
    given = [path for path in paths if path is not None]
    for path in given:
        check_free(path, overwrite)
    real = [os.path.realpath(path) for path in given]
    for index, path in enumerate(given):
        if real[index] in real[:index]:
            raise CnntoolError(f"{os.fspath(path)}: two outputs would be written to it: give them two names")
    with contextlib.ExitStack() as stack:
        for path in given:
            with writing(path):
                stack.callback(Claim(path).release)
        for path in given:  # again, since another process may just have finished
            check_free(path, overwrite)
        yield


def check_free(path: PathLike, overwrite: bool, with_folder: bool = True) -> None:
    """Refuses an output that exists, even as a dangling link, or, `with_folder`, has no parent folder."""
    target = Path(path)
    with writing(path):
        if target.is_dir():
            raise CnntoolError(f"{target} is a folder: expected a file name")
        if os.path.lexists(target) and not overwrite:
            raise CnntoolError(f"{target} is there already: give --overwrite to replace it")
        if with_folder and not target.absolute().parent.is_dir():
            raise CnntoolError(f"{target.parent}: no such folder to write {target.name} into")
