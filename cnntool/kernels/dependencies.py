"""Fingerprints of all that a kernel's machine code depends on: sources, compiler, settings, processor."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import os
import re
from collections.abc import Iterator
from pathlib import Path

from cnntool.kernels.processors import target

FOLDER = Path(__file__).parent
COMPILER = ("compiler", "frontend", "libraries", "convention", "arguments")
# Parsing imports with `ast` would take 50 ms of each start. Mentions that are not imports do no harm.
IMPORT = re.compile(rb"cnntool\.kernels((?:\.\w+)*)(?:\s+import\s+(\([^)]*\)|[^\n]*))?")
# Numba's variables that do not change code. `processors.target` covers the processor.
HARMLESS = re.compile(
    r"NUMBA_(CPU_\w+|CACHE_\w+|CUDA_\w+|COLOR_SCHEME|DEVELOPER_MODE|DISABLE_JIT|DUMP_\w+|FULL_TRACEBACKS|NUM_THREADS"
    r"|SHOW_HELP|THREADING_LAYER\w*|WARNINGS)"
)
SETTINGS_FILE = ".numba_config.yaml"  # in the current folder, read by Numba


@functools.cache
def fingerprint(module: str) -> str:
    """Changes with everything that the code of a module of `sources` depends on, and with nothing else."""
    return _of_sources(_common(), module)


@functools.cache
def fingerprint_of_sources(module: str, level: str) -> str:
    """The same for code of a level of processors, whatever compiler made it."""
    return _of_sources(level.encode() + b"".join(map(_content, COMPILER)), module)


def _of_sources(start: bytes, module: str) -> str:
    digest = hashlib.blake2b(start, digest_size=8)
    for name in sorted(modules_behind(f"sources.{module}")):
        digest.update(name.encode() + b"\0" + _content(name))
    return digest.hexdigest()


def sources_size(kernel: str) -> int:
    """Bytes of all sources behind a kernel, `module.kernel-kinds`: about in proportion to the time to compile it."""
    return sum(len(_content(name)) for name in modules_behind(f"sources.{kernel.partition('.')[0]}"))


def modules_behind(name: str) -> set[str]:
    """A module of this package and all modules of the package that it imports, by their names in it.

    Without `__init__.py`, which contributes nothing to the code.
    """
    found, waiting = set(), [name]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += imported(_content(one))
    return found


def imported(source: bytes) -> Iterator[str]:
    """The modules of this package that a source imports."""
    known = _modules()
    for dotted, names in IMPORT.findall(source):
        module = dotted.decode().lstrip(".")
        candidates = [module, *(f"{module}.{name}".lstrip(".") for name in re.findall(r"\w+", names.decode()))]
        yield from (candidate for candidate in candidates if candidate in known)


@functools.cache
def _common() -> bytes:
    digest = hashlib.blake2b(" ".join(target()).encode())
    for name in ("numba", "llvmlite"):  # importlib.metadata would take 35 ms
        found = importlib.util.find_spec(name)
        if found is not None and found.origin is not None:
            digest.update(Path(found.origin).with_name("_version.py").read_bytes())
    for name in COMPILER:
        digest.update(_content(name))
    digest.update(repr(switches()).encode())
    return digest.digest()


def switches() -> list[tuple[str, str]]:
    """Numba's environment variables and settings file, as far as they may change code."""
    given = sorted(
        (name, value)
        for name, value in os.environ.items()
        if name.startswith("NUMBA_") and not HARMLESS.fullmatch(name)
    )
    with contextlib.suppress(OSError):
        given.append((SETTINGS_FILE, Path(SETTINGS_FILE).read_text(encoding="utf-8", errors="replace")))
    return given


@functools.cache
def _modules() -> dict[str, Path]:
    """The file of each module of this package by its name in it."""
    names = {}
    for path in (*FOLDER.glob("*.py"), *FOLDER.glob("*/*.py")):
        parts = path.relative_to(FOLDER).with_suffix("").parts
        names[".".join(part for part in parts if part != "__init__")] = path
    del names[""]
    return names


@functools.cache
def _content(name: str) -> bytes:
    return _modules()[name].read_bytes()
