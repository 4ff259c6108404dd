"""Where machine code is kept between runs: in the user's cache folder, under a hash of all that it depends on.

Numba's own cache lies in the package's folder, which may be read-only, does not notice a helper that changed in another
file, and is of no use without Numba.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path

from cnntool.kernels.vectors import processor

FOLDERS_KEPT = 4  # with the present one: of earlier versions, and of other environments that share the cache
SUFFIX = ".code"
DIGEST = 16  # bytes in front of the code, so that a damaged file is found out


def user_cache_folder() -> Path:
    """Where the processor's machine code is kept between runs; `CNNTOOL_CACHE_DIR` overrides it."""
    if given := os.environ.get("CNNTOOL_CACHE_DIR"):
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local")) / "cnntool"
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/cnntool"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cnntool"


def source_hash() -> str:
    """A name for the present state of all kernels and of the compiler that makes code of them."""
    digest = hashlib.blake2b(digest_size=8)
    for name in ("numba", "llvmlite"):  # importlib.metadata would take 35 ms to tell their versions
        found = importlib.util.find_spec(name)
        if found is not None and found.origin is not None:
            digest.update(Path(found.origin).with_name("_version.py").read_bytes())
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _writable_folder() -> Path | None:
    """The folder of the present sources' machine code, made if need be; those of a few earlier sources are kept."""
    try:
        folder = user_cache_folder() / f"kernels-{source_hash()}"
        if not folder.is_dir():
            folder.mkdir(parents=True)
            others = sorted(folder.parent.glob("kernels-*"), key=lambda other: other.stat().st_mtime)
            for old in others[:-FOLDERS_KEPT]:
                shutil.rmtree(old, ignore_errors=True)
        # os.access says yes to root on a read-only file system; only writing tells.
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, RuntimeError):  # no home folder is a RuntimeError
        return None


FOLDER = _writable_folder()


def read(name: str) -> bytes | None:
    """The code that `write` has put there for this processor, if it is there and whole."""
    if FOLDER is None:
        return None
    try:
        content = (FOLDER / _file_name(name)).read_bytes()
    except OSError:
        return None
    code = content[DIGEST:]
    return code if content[:DIGEST] == _digest(name, code) else None


def write(name: str, code: bytes) -> None:
    """Keeps the code for the next time; if that fails, there is none."""
    if FOLDER is None:
        return
    unfinished = FOLDER / f"{name}.{os.getpid()}"
    try:
        unfinished.write_bytes(_digest(name, code) + code)
        unfinished.replace(FOLDER / _file_name(name))
    except OSError:
        with contextlib.suppress(OSError):
            unfinished.unlink()


def kept_kernels() -> int:
    """How many compiled kernels there are of the present sources."""
    return sum(1 for _ in FOLDER.glob(f"*{SUFFIX}")) if FOLDER is not None else 0


def _file_name(name: str) -> str:
    return f"{name}-{_processor_hash()}{SUFFIX}"


@functools.cache
def _processor_hash() -> str:
    return hashlib.blake2b(" ".join(processor()).encode(), digest_size=4).hexdigest()


def _digest(name: str, code: bytes) -> bytes:
    return hashlib.blake2b(name.encode() + code, digest_size=DIGEST).digest()
