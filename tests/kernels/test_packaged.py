"""Machine code in the package: it is used without Numba, and whatever is wrong with it is compiled instead."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cnntool.kernels import packaged, processors, vectors

HERE = [] if processors.is_given() else packaged.levels_here()
needs_level = pytest.mark.skipif(not HERE, reason="no level of processors, or another is named, to make code for")
NAME = "activations.relu_forward-f2iif2iiii"

MAKE = f"""
import sys
from pathlib import Path
from cnntool.kernels import packaged
from cnntool.kernels.compiler import machine_code
from cnntool.kernels.convention import kinds_of_text
from cnntool.kernels.sources import activations
code = machine_code(activations.relu_forward, kinds_of_text("f2iif2iiii"), {NAME!r})
packaged.write({NAME!r}, sys.argv[2], code, Path(sys.argv[1]))
"""
RUN = """
import sys
from pathlib import Path
import numpy as np
from cnntool import kernels
from cnntool.kernels import packaged
packaged.FOLDER = Path(sys.argv[1])
x = np.float32([[-1, 2]])
kernels.activations.relu_forward(x, 0, 0, x, 0, 0, 1, 2)
print(x.tolist(), "numba" in sys.modules)
"""


def python(script: str, *words: object, **environment: str) -> str:
    given = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")} | environment
    command = [sys.executable, "-c", script, *map(str, words)]
    found = subprocess.run(command, env=given, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the code of one kernel for the best level of this processor."""
    folder = tmp_path_factory.mktemp("package")
    python(MAKE, folder, HERE[0], NUMBA_CPU_NAME=packaged.LEVELS[HERE[0]].target)
    return folder


@needs_level
def test_code_of_the_package_runs_without_numba(package: Path, tmp_path: Path) -> None:
    assert python(RUN, package, CNNTOOL_CACHE_DIR=str(tmp_path)) == "[[0.0, 2.0]] False"
    assert not list(tmp_path.rglob("*.code"))


def damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def missing(path: Path) -> None:
    path.unlink()


def of_other_sources(path: Path) -> None:
    path.rename(path.with_name(f"{NAME}-0123456789abcdef.code"))


def of_another_kernel(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"relu", b"rely"))


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@needs_level
@pytest.mark.parametrize("harm", [damaged, cut_short, empty, missing, of_other_sources, of_another_kernel, a_folder])
def test_wrong_code_is_compiled_instead(package: Path, tmp_path: Path, harm: Callable[[Path], None]) -> None:
    (path,) = (package / HERE[0]).iterdir()
    copy = tmp_path / "package" / HERE[0] / path.name
    copy.parent.mkdir(parents=True)
    copy.write_bytes(path.read_bytes())
    harm(copy)
    assert python(RUN, tmp_path / "package", CNNTOOL_CACHE_DIR=str(tmp_path / "cache")) == "[[0.0, 2.0]] True"


@needs_level
@pytest.mark.parametrize("variable", ["NUMBA_CPU_NAME", "NUMBA_OPT"])
def test_whoever_asks_for_other_code_gets_it(package: Path, tmp_path: Path, variable: str) -> None:
    value = {"NUMBA_CPU_NAME": packaged.LEVELS[HERE[0]].target, "NUMBA_OPT": "2"}[variable]
    found = python(RUN, package, CNNTOOL_CACHE_DIR=str(tmp_path), **{variable: value})
    assert found == "[[0.0, 2.0]] True"


def test_a_processor_gets_code_of_its_own_kind_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One with AVX-512, but not all of its level, would run that of AVX2 with other arrangements of filters."""
    v3, v4 = (packaged.LEVELS[f"x86-64-v{number}"].features for number in (3, 4))
    for name in packaged.LEVELS:
        (tmp_path / name).mkdir()
    monkeypatch.setattr(packaged, "FOLDER", tmp_path)
    monkeypatch.setattr(packaged, "is_given", lambda: False)
    monkeypatch.setattr(packaged, "switches", list)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    for features, found in ((v4, "x86-64-v4"), (v3, "x86-64-v3"), (v3 | {"avx512f"}, None), (v3 - {"fma"}, None)):
        monkeypatch.setattr(packaged, "target_features", lambda features=features: set(features))
        monkeypatch.setattr(packaged, "host_kind", lambda features=features: vectors.kind_with(features))
        folder = packaged.folder.__wrapped__()
        assert (folder and folder.name) == found


def test_levels_have_the_features_that_llvm_knows_of_them() -> None:
    for name in ("x86-64-v3", "x86-64-v4"):
        if not processors.llvm.get_process_triple().startswith("x86_64"):
            pytest.skip("names of x86 processors")
        level = packaged.LEVELS[name]
        assert processors.probed(level.target, "") == level.features & processors.PROBES.keys()
