"""Who writes what: files that are known as a living process's, and the right to write an output.

Work in progress lies under hidden names beside the output, `.cnntool-HOST-PID-RANDOM.tmp`, and the right to write an
output is a file `.cnntool-DIGEST.lock`. Each is locked as long as its process lives, so that what a killed one left is
known: it blocks nobody, and is removed by the next run into the same folder.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import time
from pathlib import Path

from cnntool.errors import CnntoolError

PREFIX, UNFINISHED, LOCK = ".cnntool-", ".tmp", ".lock"
# Binary for Windows. A link that somebody else planted is never followed, nor an existing file opened.
NEW_FILE = (
    os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
)  # fmt: skip
OLD_FILE = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
# What a file system answers that has no locks, or no fsync.
NOT_SUPPORTED = {
    getattr(errno, name, None) for name in ("ENOSYS", "ENOLCK", "EOPNOTSUPP", "ENOTSUP", "EINVAL", "EBADF", "ENOTTY")
}
ATTEMPTS = 100  # to create a file that others remove as abandoned at the same time
# Locks of some network file systems are not seen by other hosts: their files are left alone until they are old.
SECONDS_OF_OTHER_HOSTS = 86_400
LOCK_OFFSET = 2**30  # Windows locks a range, which then nobody else can read; here nothing is ever written
HOST = re.sub(r"[^A-Za-z0-9.]", "_", os.uname().nodename if hasattr(os, "uname") else os.getenv("COMPUTERNAME", ""))[
    :60
]


class Claim:
    """The right to write an output, from the beginning of the work to `release`; it ends with the process.

    Raises CnntoolError, which names the process, while another one has it. Where the file system has no locks, a
    process that runs on this host under the number in the file counts as the one that has it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._lock: int | None = None
        target = Path(os.path.realpath(path))
        if is_device(target):
            return
        remove_abandoned(target.parent)
        import hashlib  # takes its time, and commands that write nothing import this module too

        digest = hashlib.blake2b(os.fsencode(os.path.normcase(target.name)), digest_size=8).hexdigest()
        self._path = target.parent / f"{PREFIX}{digest}{LOCK}"
        self._lock = self._acquired(os.fspath(path))

    def _acquired(self, name: str) -> int:
        for _ in range(ATTEMPTS):
            try:
                descriptor = os.open(self._path, NEW_FILE, 0o644)
            except FileExistsError:
                if (holder := self._holder()) is not None:
                    raise CnntoolError(
                        f"{name} is being written by another process ({holder}): wait for its end, or give another name"
                    ) from None
                continue
            try:
                if lock(descriptor) is not False and os.fstat(descriptor).st_nlink:
                    os.write(descriptor, f"{os.getpid()} {HOST}\n".encode())
                    return descriptor
            except BaseException:
                self._lock = descriptor
                self.release()
                raise
            os.close(descriptor)
        raise OSError(errno.EAGAIN, "others take it again and again")

    def _holder(self) -> str | None:
        """Who has it; None after what a dead process left was removed."""
        try:
            descriptor = os.open(self._path, OLD_FILE)
        except FileNotFoundError:
            return None
        try:
            pid, host = _writer_of(os.fspath(self._path), descriptor)
            locked = lock(descriptor)
            if locked is None:
                locked = host == HOST and not is_running(pid)
            if locked:
                # One that was released meanwhile has no name any more: what has this name now is another's.
                if os.fstat(descriptor).st_nlink:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(self._path)
                return None
        finally:
            os.close(descriptor)
        return f"pid {pid or 'unknown'}{f' on {host}' if host not in ('', HOST) else ''}"

    def release(self) -> None:
        """Lets others write the output. What cannot be removed blocks nobody, since it is not locked."""
        if self._lock is None:
            return
        if os.name == "nt":
            os.close(self._lock)
        with contextlib.suppress(OSError):
            os.unlink(self._path)
        if os.name != "nt":
            with contextlib.suppress(OSError):
                os.close(self._lock)
        self._lock = None


def new_locked_file(folder: Path) -> tuple[Path, int]:
    """A new hidden file that is known as this process's as long as the descriptor is open."""
    for _ in range(ATTEMPTS):
        path = folder / f"{PREFIX}{HOST}-{os.getpid()}-{os.urandom(8).hex()}{UNFINISHED}"
        descriptor = os.open(path, NEW_FILE, 0o666)
        try:
            # In between another process may have taken it for one that is abandoned.
            if lock(descriptor) is not False and os.fstat(descriptor).st_nlink:
                return path, descriptor
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(path)
            with contextlib.suppress(OSError):
                os.close(descriptor)
            raise
        os.close(descriptor)
    raise OSError(errno.EAGAIN, "others remove what is being written")


_looked_through: set[Path] = set()


def remove_abandoned(folder: Path) -> None:
    """Removes what dead processes left in a folder. Looks once, since a folder may hold many files."""
    if folder in _looked_through:
        return
    _looked_through.add(folder)
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX) and entry.name.endswith((UNFINISHED, LOCK)):
                with contextlib.suppress(OSError):
                    _remove_if_abandoned(entry.path)


def _remove_if_abandoned(path: str) -> None:
    descriptor = os.open(path, OLD_FILE)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or (hasattr(os, "geteuid") and status.st_uid != os.geteuid()):
            return
        pid, host = _writer_of(path, descriptor)
        locked = lock(descriptor)
        if host != HOST:
            abandoned = bool(locked) and time.time() - status.st_mtime > SECONDS_OF_OTHER_HOSTS
        else:
            abandoned = not is_running(pid) if locked is None else locked
        if abandoned and os.name != "nt" and os.fstat(descriptor).st_nlink:
            os.unlink(path)
    finally:
        os.close(descriptor)
    if abandoned and os.name == "nt":
        os.unlink(path)


def _writer_of(path: str, descriptor: int) -> tuple[str, str]:
    """The number and the host of the process that made a file: in a lock's text, or in the other's name."""
    if path.endswith(LOCK):
        pid, _, host = os.read(descriptor, 200).decode("utf-8", "replace").strip().partition(" ")
    else:
        host, _, rest = os.path.basename(path).removeprefix(PREFIX).partition("-")
        pid = rest.partition("-")[0]
    return pid, host


def is_running(pid: str) -> bool:
    """Whether a process of this number runs on this host; also where that cannot be told."""
    if os.name == "nt" or not pid.isdecimal():
        return True
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def lock(descriptor: int) -> bool | None:
    """Locks an open file until it is closed; False if another has it locked, None where there are no locks."""
    try:
        if os.name == "nt":
            import msvcrt

            os.lseek(descriptor, LOCK_OFFSET, os.SEEK_SET)
            try:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
            except PermissionError:
                return False
            finally:
                os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NOT_SUPPORTED:
            raise
        return None
    return True


def is_device(path: Path) -> bool:
    """Whether something is there that is neither file nor folder, and so cannot be replaced."""
    return path.exists() and not path.is_file() and not path.is_dir()
