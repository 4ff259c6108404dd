"""The cache of machine code: a file in the user's cache folder for each kernel and kinds of arguments.

A file's name ends in the fingerprint of everything its code depends on. Since cached code is executed, folders and
files that other users could have written are ignored. Numba's own cache is in the package's folder, which may be
read-only, misses changes of helpers in other files, and needs Numba to be read.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import sys
import time
from pathlib import Path

from cnntool.kernels.common import SOURCES
from cnntool.kernels.dependencies import fingerprint

NAME = "kernels-machine-code"  # of the folder
SUFFIX, UNFINISHED = ".code", ".unfinished"
OURS = re.compile(r"\w+\.\w+-\w*-[0-9a-f]{16}(\.code|-\w+\.unfinished)")
TAG = "CACHEDIR.TAG"  # marks the folder as a cache of this program; see https://bford.info/cachedir/
TAG_TEXT = b"Signature: 8a477f597d28d172789f06886806bc55\n# Machine code of cnntool's kernels. It may be deleted.\n"
BYTES_KEPT = 2**28
HOUR, DAY = 3600, 86400  # seconds
DIGEST = 16  # bytes before the code, to detect damaged files


def user_cache_folder() -> Path:
    """The user's cache folder; `CNNTOOL_CACHE_DIR` overrides it."""
    if given := os.environ.get("CNNTOOL_CACHE_DIR"):
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local")) / "cnntool"
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/cnntool"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cnntool"


def _writable_folder() -> Path | None:
    """The folder of machine code, created if needed; None if it is not writable, or writable by others."""
    try:
        folder = user_cache_folder() / NAME
        for path in reversed((folder, *folder.parents)):
            if not path.is_dir():
                path.mkdir(mode=0o700, exist_ok=True)
        folder = folder.resolve(strict=True)  # without links that could be changed later
        return folder if os.access(folder, os.W_OK) and not open_to_others(folder) else None
    except (OSError, RuntimeError):  # no home folder is a RuntimeError
        return None


def problem() -> str:
    """Why compiled code is not cached; "" if it is."""
    if FOLDER is not None:
        return ""
    with contextlib.suppress(OSError, RuntimeError):
        if strangers := open_to_others((user_cache_folder() / NAME).resolve(strict=True)):
            return strangers
    return "no cache folder can be written"


def open_to_others(folder: Path) -> str:
    """Why other users could put files into a folder, or replace it; "" if only this user and root can.

    Parents may be writable with the sticky bit, as /tmp, or for a group with this user as its only member.
    """
    if not hasattr(os, "geteuid"):
        return ""
    for path in (folder, *folder.parents):
        found = path.lstat()
        if found.st_uid != os.geteuid() and (path == folder or found.st_uid != 0):
            return f"{path} belongs to another user"
        others = found.st_mode & stat.S_IWOTH
        group = found.st_mode & stat.S_IWGRP and (path == folder or not _is_private(found.st_gid))
        if (others or group) and (path == folder or not found.st_mode & stat.S_ISVTX):
            return f"others may write to {path}"
    return ""


def _is_private(group: int) -> bool:
    """Whether a group is the private group of this user, which many systems create."""
    import grp
    import pwd

    try:
        user, found = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(group)
    except KeyError:
        return False
    return found.gr_name == user and set(found.gr_mem) <= {user}


FOLDER = _writable_folder()
_pruned = False


def read(name: str) -> bytes | None:
    """The cached code of a kernel for the current fingerprint, if there is an intact file.

    `name` is `module.kernel-kinds`.
    """
    if FOLDER is None:
        return None
    file = file_name(name)
    try:
        content = _own_content(FOLDER / file)
    except OSError:
        return None
    return checked(file, content)


def checked(file: str, content: bytes) -> bytes | None:
    """The code in the content of a file; None if it is damaged."""
    code = content[DIGEST:]
    return code if code and content[:DIGEST] == digest(file, code) else None


def _own_content(path: Path) -> bytes:
    """The content of a file; an OSError for links, other users' files and files writable by others."""
    flags = [getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY", "O_CLOEXEC")]
    with open(os.open(path, os.O_RDONLY | sum(flags)), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(f"{path} is no file")
        if hasattr(os, "geteuid") and (found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
            raise OSError(f"others may write to {path}")
        if time.time() - found.st_mtime > DAY:  # the least recently used are deleted first
            with contextlib.suppress(OSError):
                os.utime(path)
        return file.read()


def write(name: str, code: bytes) -> None:
    """Caches code; errors are ignored."""
    global _pruned
    if FOLDER is None:
        return
    import tempfile

    file, unfinished = file_name(name), ""
    try:
        number, unfinished = tempfile.mkstemp(UNFINISHED, file.removesuffix(SUFFIX) + "-", FOLDER)
        with open(number, "wb") as out:
            out.write(digest(file, code) + code)
        os.replace(unfinished, FOLDER / file)
    except OSError:
        if unfinished:
            with contextlib.suppress(OSError):
                os.unlink(unfinished)
    if not _pruned:
        _pruned = True
        with contextlib.suppress(OSError):
            prune(FOLDER)


def prune(folder: Path) -> None:
    """Deletes unfinished files of killed processes, and the least recently used files beyond BYTES_KEPT.

    Only in a folder that has been tagged as this program's when it held nothing else.
    """
    entries = list(os.scandir(folder))
    files = [entry for entry in entries if OURS.fullmatch(entry.name)]
    tag = folder / TAG
    if len(files) == len(entries):
        tag.write_bytes(TAG_TEXT)
    if not tag.exists() or tag.read_bytes() != TAG_TEXT:
        return
    kept, by_use = 0, []
    for entry in files:
        with contextlib.suppress(OSError):  # another process may have deleted it
            found = entry.stat(follow_symlinks=False)
            by_use.append((found.st_mtime, found.st_size, entry.path))
    for used, size, path in sorted(by_use, reverse=True):
        kept += size
        if kept > BYTES_KEPT or (path.endswith(UNFINISHED) and used < time.time() - HOUR):
            with contextlib.suppress(OSError):
                os.unlink(path)


def is_empty() -> bool:
    """Whether no code is cached, not even of other sources."""
    return FOLDER is None or next(FOLDER.glob(f"*{SUFFIX}"), None) is None


def kept_kernels() -> list[str]:
    """The cached kernels that match the current sources, compiler and processor, each as `module.kernel-kinds`."""
    files = [path.name for path in FOLDER.glob(f"*{SUFFIX}")] if FOLDER is not None else []
    sources = {path.stem for path in SOURCES.glob("[!_]*.py")}
    ours = [file for file in files if OURS.fullmatch(file) and file.partition(".")[0] in sources]
    return sorted(name for file in ours if file == file_name(name := file.rpartition("-")[0]))


def file_name(name: str) -> str:
    """The file of a kernel for the current fingerprint."""
    return f"{name}-{fingerprint(name.partition('.')[0])}{SUFFIX}"


def digest(file: str, code: bytes) -> bytes:
    """What precedes code in its file."""
    return hashlib.blake2b(file.encode() + code, digest_size=DIGEST).digest()
