"""How kernels are compiled, and where their machine code is kept: the only place with Numba's options.

Numba's own cache lies in the package's folder, which may be read-only, and does not notice a helper that changed in
another file. So the cache lies in the user's cache folder, under a hash of all the kernels' sources.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import caching, event

from cnntool.kernels import compile_listeners

# NaN and infinity must go through as IEEE says, so neither `nnan` nor `ninf` is among these.
FASTMATH = {"nsz", "arcp", "contract", "afn", "reassoc"}

FOLDERS_KEPT = 4  # with the present one: of earlier versions, and of other environments that share the cache


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
    digest = hashlib.blake2b(numba.__version__.encode(), digest_size=8)
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _writable_cache_folder() -> Path | None:
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


class _Cache(caching.FunctionCache):
    """Numba's cache on disk, but a damaged file counts as missing and is written anew."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # unpickling a damaged file can raise anything
            self.flush()
            return None


CACHE_FOLDER = _writable_cache_folder()
_KERNELS: set[Callable] = set()


def kernel(function: Callable) -> Any:
    """Compiles `function` at its first call with each combination of types, from the cache where it can."""
    _KERNELS.add(function)
    dispatcher = numba.njit(nogil=True, fastmath=FASTMATH, error_model="numpy", boundscheck=False)(function)
    if CACHE_FOLDER is not None:
        configured, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(CACHE_FOLDER)
        try:
            dispatcher._cache = _Cache(function)
        finally:
            numba.config.CACHE_DIR = configured
    return dispatcher


def inlined(function: Callable) -> Any:
    """A helper that Numba writes into its callers before it types them, so that literals reach the tiles."""
    return numba.njit(inline="always")(function)


class _CompileListener(event.Listener):
    """Tells those that listen in `kernels.on_compile`."""

    def on_start(self, ev: Any) -> None:
        function = ev.data["dispatcher"].py_func
        if function in _KERNELS:  # and not one of the helpers that become part of them
            for tell in compile_listeners:
                tell(function.__name__)

    def on_end(self, ev: Any) -> None:
        pass


event.register("numba:compile", _CompileListener())


def compiled_kernels() -> int:
    """How many compiled kernels the cache holds for the present sources."""
    return sum(1 for _ in CACHE_FOLDER.rglob("*.nbc")) if CACHE_FOLDER is not None else 0
