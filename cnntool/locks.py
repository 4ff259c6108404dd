"""Locks: temporary files that belong to a running process, and exclusive claims on outputs.

Work in progress has hidden names beside the output, `.cnntool-HOST-PID-RANDOM.tmp`; a claim on an output is a file
`.cnntool-DIGEST.lock`. Each is locked while its process runs, so what a killed process leaves is recognised: it blocks
nobody, and the next run into the same folder removes it.
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
# O_BINARY for Windows. Links planted by others are never followed, existing files never opened.
NEW_FILE = (
    os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
)  # fmt: skip
OLD_FILE = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
# Errors of file systems without locks or fsync.
NOT_SUPPORTED = {
    getattr(errno, name, None) for name in ("ENOSYS", "ENOLCK", "EOPNOTSUPP", "ENOTSUP", "EINVAL", "EBADF", "ENOTTY")
}
ATTEMPTS = 100  # to create a file while other processes remove it as abandoned
# Some network file systems hide locks from other hosts, whose files are left alone until they are old.
SECONDS_OF_OTHER_HOSTS = 86_400
LOCK_OFFSET = 2**30  # Windows locks a byte range, which nobody else can read; nothing is ever written here
HOST = re.sub(r"[^A-Za-z0-9.]", "_", os.uname().nodename if hasattr(os, "uname") else os.getenv("COMPUTERNAME", ""))[
    :60
]


class Claim:
    """The exclusive right to write an output until `release` or the end of the process.

    Raises CnntoolError, naming the process, while another one holds it. Where the file system has no locks, the process
    id in the file decides, if it runs on this host.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._lock: int | None = None
        target = Path(os.path.realpath(path))
        if is_device(target):
            return
        remove_abandoned(target.parent)
        self._path = lock_path(target)
        self._lock = self._acquired(os.fspath(path))

    def _acquired(self, name: str) -> int:
        for _ in range(ATTEMPTS):
            try:
                descriptor = os.open(self._path, NEW_FILE, 0o644)
            except FileExistsError:
                if (holder := self._holder()) is not None:
                    raise CnntoolError(held_by(name, holder)) from None
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
        """The process that holds it; None after removing the lock of a dead one."""
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
                # A lock released meanwhile has no name any more; a file of this name now belongs to another process.
                if os.fstat(descriptor).st_nlink:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(self._path)
                return None
        finally:
            os.close(descriptor)
        return named(pid, host)

    def release(self) -> None:
        """Lets others write the output. A lock file that cannot be removed is unlocked and blocks nobody."""
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


def lock_path(target: Path) -> Path:
    """The file by which an output is claimed."""
    import hashlib  # slow, and commands that write nothing import this module too

    digest = hashlib.blake2b(os.fsencode(os.path.normcase(target.name)), digest_size=8).hexdigest()
    return target.parent / f"{PREFIX}{digest}{LOCK}"


def held_by(name: str, holder: str) -> str:
    return f"{name} is being written by another process ({holder}): wait for its end, or give another name"


def named(pid: str, host: str) -> str:
    return f"pid {pid or 'unknown'}{f' on {host}' if host not in ('', HOST) else ''}"


def refuse_claimed(path: str | os.PathLike[str]) -> None:
    """Raises CnntoolError while another process has the claim on an output; takes none itself."""
    holder = _holder_of(lock_path(Path(os.path.realpath(path))))
    if holder is not None:
        raise CnntoolError(held_by(os.fspath(path), holder))


def holder_in(folder: Path) -> str | None:
    """A process that has a claim on an output in this folder, or None."""
    found = (_holder_of(path) for path in sorted(folder.glob(f"{PREFIX}*{LOCK}")))
    return next((holder for holder in found if holder is not None), None)


def _holder_of(path: Path) -> str | None:
    """The process that holds a claim; None for that of a dead one. Several may ask at once."""
    try:
        descriptor = os.open(path, OLD_FILE)
    except OSError:
        return None
    try:
        pid, host = _writer_of(os.fspath(path), descriptor)
        free = lock(descriptor, shared=True)
        if free is None:
            free = host == HOST and not is_running(pid)
    finally:
        os.close(descriptor)
    return None if free else named(pid, host)


def new_locked_file(folder: Path) -> tuple[Path, int]:
    """A new hidden file that belongs to this process while the descriptor is open."""
    for _ in range(ATTEMPTS):
        path = folder / f"{PREFIX}{HOST}-{os.getpid()}-{os.urandom(8).hex()}{UNFINISHED}"
        descriptor = os.open(path, NEW_FILE, 0o666)
        try:
            # Before it was locked, another process may have removed it as abandoned.
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


_scanned: set[Path] = set()


def remove_abandoned(folder: Path) -> None:
    """Removes what dead processes left in a folder; scans each folder once, since it may hold many files."""
    if folder in _scanned:
        return
    _scanned.add(folder)
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
    """The id and host of the process that made a file: from a lock's text, or a temporary file's name."""
    if path.endswith(LOCK):
        pid, _, host = os.read(descriptor, 200).decode("utf-8", "replace").strip().partition(" ")
    else:
        host, _, rest = os.path.basename(path).removeprefix(PREFIX).partition("-")
        pid = rest.partition("-")[0]
    return pid, host


def is_running(pid: str) -> bool:
    """Whether a process with this id runs on this host; True if that is unknown."""
    if os.name == "nt" or not pid.isdecimal():
        return True
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def lock(descriptor: int, shared: bool = False) -> bool | None:
    """Locks an open file until it is closed; False if another process holds the lock, None without locks.

    Any number of processes may have a `shared` lock at once.
    """
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

            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NOT_SUPPORTED:
            raise
        return None
    return True


def is_device(path: Path) -> bool:
    """Whether the path is neither file nor folder, and so cannot be replaced."""
    return path.exists() and not path.is_file() and not path.is_dir()
