"""Machine code that a wheel may carry: the common kernels, for a few levels of processors.

The files are those of `cache`, in a folder of the package for each level, and named after the sources alone: code that
is there needs no compiler. Whoever could change them could change the package's own code. A file that is missing,
damaged, or made from other sources is ignored, and the kernel compiled.
"""

from __future__ import annotations

import functools
import platform
from pathlib import Path
from typing import NamedTuple

from cnntool.kernels import cache
from cnntool.kernels.dependencies import fingerprint_of_sources, switches
from cnntool.kernels.processors import is_given, target_features
from cnntool.kernels.vectors import host_kind, kind_with

FOLDER = Path(__file__).parent / "machine_code"


class Level(NamedTuple):
    """A set of features that many processors share."""

    machines: frozenset[str]  # by their names in `platform.machine`
    target: str  # LLVM's name of a processor with these features
    features: frozenset[str]  # in LLVM's words


X86, ARM = frozenset({"x86_64", "AMD64"}), frozenset({"aarch64", "arm64", "ARM64"})
_V2 = frozenset({"sse3", "ssse3", "sse4.1", "sse4.2", "popcnt", "cx16"})
_V3 = _V2 | {"avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe"}
_V4 = _V3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
LEVELS = {  # the best first
    "x86-64-v4": Level(X86, "x86-64-v4", _V4),
    "x86-64-v3": Level(X86, "x86-64-v3", _V3),
    "aarch64": Level(ARM, "generic", frozenset({"neon"})),
}


def levels_here() -> list[str]:
    """The levels of which this processor has all features, the best first."""
    machine, features = platform.machine(), target_features()
    return [name for name, level in LEVELS.items() if machine in level.machines and level.features <= features]


@functools.cache
def folder() -> Path | None:
    """Of the code for this processor, which is of the same kind as that compiled for it; not if the user has asked for
    another processor, or for other code."""
    if not FOLDER.is_dir() or is_given() or switches():
        return None
    fitting = (name for name in levels_here() if kind_with(LEVELS[name].features) == host_kind())
    found = next(fitting, None)
    return FOLDER / found if found else None


def file_name(name: str, level: str) -> str:
    """The file of a kernel, `module.kernel-kinds`."""
    return f"{name}-{fingerprint_of_sources(name.partition('.')[0], level)}{cache.SUFFIX}"


def read(name: str) -> bytes | None:
    """The code of a kernel, if the package has it for this processor."""
    fitting = folder()
    if fitting is None:
        return None
    file = file_name(name, fitting.name)
    try:
        return cache.checked(file, (fitting / file).read_bytes())
    except OSError:
        return None


def write(name: str, level: str, code: bytes, into: Path = FOLDER) -> None:
    """Adds code to a package that is being built."""
    folder, file = into / level, file_name(name, level)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(cache.digest(file, code) + code)
