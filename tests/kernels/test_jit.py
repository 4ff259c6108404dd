"""Where compiled kernels are kept, what a cold start compiles and says, and other processors than this one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cnntool
from cnntool import kernels
from cnntool.kernels import jit

PACKAGE = Path(cnntool.__file__).parent
COMPILING = "cnntool: compiling kernels for this processor; they are kept for the next time\n"
IN_MEMORY = (
    "cnntool: compiling kernels in memory, since no cache folder can be written (CNNTOOL_CACHE_DIR names another)\n"
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small volume to run things on."""
    monkeypatch.chdir(tmp_path)
    np.save("v.npy", np.random.default_rng(0).standard_normal((9, 8, 3)).astype(np.float32))
    return tmp_path


def run(output: str, chain: str, **environment: str) -> str:
    """Runs the chain on the volume in a new process; what it said on stderr."""
    command = [sys.executable, "-m", "cnntool", "run", "v.npy", output, *chain.split()]
    result = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    return result.stderr


def cached(folder: Path) -> set[str]:
    """The kernels in a cache folder, as `module.function`."""
    return {path.name.partition("-")[0] for path in folder.rglob("*.nbi")}


def test_a_cold_run_compiles_what_it_needs_and_the_next_nothing(here: Path) -> None:
    cache = here / "cache"
    assert run("cold.npy", "relu", CNNTOOL_CACHE_DIR=str(cache)) == COMPILING
    assert cached(cache) == {"activations.relu_forward"}
    assert run("warm.npy", "relu", CNNTOOL_CACHE_DIR=str(cache)) == ""
    assert run("more.npy", "relu maxpool 2", CNNTOOL_CACHE_DIR=str(cache)) == COMPILING
    assert len(cached(cache)) == 2
    assert "activations.relu_forward" in cached(cache)
    assert Path("cold.npy").read_bytes() == Path("warm.npy").read_bytes()
    assert np.array_equal(np.load("cold.npy"), np.maximum(np.load("v.npy"), 0))


def test_quiet_is_quiet_while_compiling(here: Path) -> None:
    assert run("o.npy", "--quiet relu", CNNTOOL_CACHE_DIR=str(here / "cache")) == ""


@pytest.mark.parametrize("place", ["file", "proc"])
def test_without_any_cache_folder_it_still_computes_and_says_so(here: Path, place: str) -> None:
    Path("file").touch()
    folder = {"file": "file", "proc": "/proc/cnntool"}[place]
    assert run("o.npy", "relu", CNNTOOL_CACHE_DIR=folder) == IN_MEMORY
    assert np.array_equal(np.load("o.npy"), np.maximum(np.load("v.npy"), 0))


def test_the_package_folder_may_be_read_only(here: Path) -> None:
    """Nothing is written beside the sources: a copy without any right to write is used, and stays as it was."""
    shutil.copytree(PACKAGE, here / "site/cnntool", ignore=shutil.ignore_patterns("__pycache__"))
    before = sorted((here / "site").rglob("*"))
    for path in [*before, here / "site"]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        environment = {
            "PYTHONPATH": str(here / "site"), "PYTHONDONTWRITEBYTECODE": "1", "CNNTOOL_CACHE_DIR": str(here / "cache"),
        }  # fmt: skip
        assert run("cold.npy", "relu", **environment) == COMPILING
        assert run("warm.npy", "relu", **environment) == ""
        assert sorted((here / "site").rglob("*")) == before
    finally:
        for path in [here / "site", *before]:
            path.chmod(0o755)
    assert cached(here / "cache") == {"activations.relu_forward"}
    assert Path("cold.npy").read_bytes() == Path("warm.npy").read_bytes()


def test_another_processor_gets_another_tile_and_the_same_numbers(here: Path) -> None:
    """AVX2: six pixels by two vectors of eight channels."""
    code = """
import sys, numpy as np
from cnntool import Pipeline
from cnntool.kernels import vectors
print(vectors.PIXELS, vectors.VECTORS, vectors.LANES)
volume = np.random.default_rng(0).standard_normal((23, 21, 5)).astype(np.float32)
np.save(sys.argv[1], Pipeline.parse("conv 33 3 --padding 1 relu conv 17 1 maxpool 2 bank sobel softmax").run(volume))
"""
    tiles = {}
    for name in ("host", "haswell"):
        environment = {key: value for key, value in os.environ.items() if key != "NUMBA_CPU_NAME"}
        if name != "host":
            environment["NUMBA_CPU_NAME"] = name
        command = [sys.executable, "-c", code, f"{name}.npy"]
        tiles[name] = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert tiles["haswell"] == "6 2 8\n"
    here_and_there = np.load("host.npy"), np.load("haswell.npy")
    np.testing.assert_allclose(*here_and_there, rtol=0, atol=1e-6 * np.abs(here_and_there[0]).max())


def test_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("CNNTOOL_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: Path("/home/user"))
    for platform, folder in (
        ("linux", "/home/user/.cache/cnntool"),
        ("darwin", "/home/user/Library/Caches/cnntool"),
        ("win32", "/home/user/AppData/Local/cnntool"),
    ):
        monkeypatch.setattr(sys, "platform", platform)
        assert jit.user_cache_folder() == Path(folder)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache")
    assert jit.user_cache_folder() == Path("/var/cache/cnntool")
    monkeypatch.setenv("CNNTOOL_CACHE_DIR", "/elsewhere")
    assert jit.user_cache_folder() == Path("/elsewhere")


def test_a_changed_source_gets_a_new_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Numba itself does not see that a helper changed in another file."""
    for name in ("jit.py", "helper.py"):
        (tmp_path / name).write_text("x = 1")
    monkeypatch.setattr(jit, "__file__", str(tmp_path / "jit.py"))
    first = jit.source_hash()
    assert first == jit.source_hash()
    (tmp_path / "helper.py").write_text("x = 2")
    assert jit.source_hash() != first


def test_a_home_that_is_not_there_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("could not determine home directory")

    for name in ("CNNTOOL_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert jit._writable_cache_folder() is None


def test_compiling_is_told_by_name(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jit, "CACHE_FOLDER", here)  # where no former run of this test left anything

    def doubled(x):
        return x + x

    function = jit.kernel(doubled)
    told: list[str] = []
    with kernels.on_compile(told.append):
        assert function(2.0) == 4.0
        assert function(3.0) == 6.0
    assert told == ["doubled"]
    assert function(2) == 4  # other types: compiled once more, and nobody listens
    assert told == ["doubled"]


def test_nan_and_infinity_are_not_optimised_away() -> None:
    assert not {"nnan", "ninf", "fast"} & jit.FASTMATH

    @jit.kernel
    def total(x, y):
        return x - y

    assert np.isnan(total(np.inf, np.inf))
    assert np.isnan(total(np.nan, 1.0))


@pytest.mark.parametrize("suffix", ["nbc", "nbi"])
def test_a_damaged_cache_file_counts_as_missing(here: Path, suffix: str) -> None:
    cache = here / "cache"
    run("whole.npy", "relu", CNNTOOL_CACHE_DIR=str(cache))
    for file in cache.rglob(f"*.{suffix}"):
        file.write_bytes(file.read_bytes()[:50])
    assert run("damaged.npy", "relu", CNNTOOL_CACHE_DIR=str(cache)) == COMPILING
    assert run("mended.npy", "relu", CNNTOOL_CACHE_DIR=str(cache)) == ""
    assert Path("whole.npy").read_bytes() == Path("mended.npy").read_bytes()


def test_the_caches_of_old_sources_are_removed(here: Path) -> None:
    cache = here / "cache"
    for number in range(9):
        (cache / f"kernels-{number}").mkdir(parents=True)
        os.utime(cache / f"kernels-{number}", (number, number))
    run("o.npy", "relu", CNNTOOL_CACHE_DIR=str(cache))
    left = {path.name for path in cache.iterdir()}
    assert len(left) == jit.FOLDERS_KEPT
    assert {"kernels-6", "kernels-7", "kernels-8"} < left
