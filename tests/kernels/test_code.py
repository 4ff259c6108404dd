"""Machine code: where it is kept, what a cold start compiles and says, and other processors than this one."""

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
from cnntool.kernels import cache, code, convention
from cnntool.kernels.arguments import Corner, Window
from cnntool.kernels.sources import jit

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
    return {path.name.partition("-")[0] for path in folder.rglob(f"*{cache.SUFFIX}")}


def test_a_cold_run_compiles_what_it_needs_and_the_next_nothing(here: Path) -> None:
    folder = here / "cache"
    assert run("cold.npy", "relu", CNNTOOL_CACHE_DIR=str(folder)) == COMPILING
    assert cached(folder) == {"activations.relu_forward"}
    assert run("warm.npy", "relu", CNNTOOL_CACHE_DIR=str(folder)) == ""
    assert run("more.npy", "relu maxpool 2", CNNTOOL_CACHE_DIR=str(folder)) == COMPILING
    assert len(cached(folder)) == 2
    assert "activations.relu_forward" in cached(folder)
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
        assert cache.user_cache_folder() == Path(folder)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache")
    assert cache.user_cache_folder() == Path("/var/cache/cnntool")
    monkeypatch.setenv("CNNTOOL_CACHE_DIR", "/elsewhere")
    assert cache.user_cache_folder() == Path("/elsewhere")


def test_a_home_that_is_not_there_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("could not determine home directory")

    for name in ("CNNTOOL_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert cache._writable_folder() is None


def test_compiling_is_told_by_name(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "FOLDER", here)  # where no former run of this test left anything
    kernel = code.Kernel("activations", "relu_forward")
    told: list[str] = []
    x = np.float32([[-1, 2]])
    with kernels.on_compile(told.append):
        kernel(x, 0, 0, x, 0, 0, 1, 2)
        kernel(x, 0, 0, x, 0, 0, 1, 2)
        code.Kernel("activations", "relu_forward")(x, 0, 0, x, 0, 0, 1, 2)  # finds what the first has kept
    assert told == ["relu_forward"]
    assert x.tolist() == [[0, 2]]
    kernel(x, 0, 0, np.zeros((2, 3), np.float32).T, 0, 0, 1, 2)  # other kinds: compiled once more, and nobody listens
    assert told == ["relu_forward"]
    assert len(cached(here)) == 1
    assert len(list(here.iterdir())) == 3  # with the volume


def test_a_name_that_no_source_defines_is_an_error() -> None:
    with pytest.raises(AttributeError, match=r"sources\.activations' has no attribute 'rleu_forward'"):
        kernels.activations.rleu_forward(1)
    with pytest.raises(AttributeError, match="'pack_filter'"):
        kernels.convolution.pack_filter(1)
    with pytest.raises(AttributeError, match="'_filters'"):
        kernels.convolution._filters  # noqa: B018
    with pytest.raises(AttributeError, match="'activation'"):
        kernels.activation  # noqa: B018


WARM = """
import sys
from pathlib import Path
from cnntool.cli.main import main
try:
    main(["run", "v.npy", sys.argv[1], "--overwrite", *sys.argv[2].split()])
except SystemExit as stop:
    assert not stop.code
print("numba" in sys.modules)
"""
CHAINS = [
    "whiten zca conv 17 3 --padding 1 batchnorm relu maxpool 2",
    "conv 17 7 --stride 2 --padding 3 lrn tanh globalpool avg",
    "bank gabor --size 5 absolute avgpool 2 l2pool 2",
    "conv 6 3 --groups 3 sigmoid flatten fc 7 softmax",
    "bank random --size 31 --padding same",
    "gram",
    "gridpool 2",
    "standardize conv 16 5 --padding 2 conv 16 3 --padding 1 --stride 2",
]


@pytest.mark.parametrize("chain", CHAINS)
def test_what_is_in_the_cache_runs_without_numba(here: Path, chain: str) -> None:
    for _ in range(2):
        command = [sys.executable, "-c", WARM, "o.npy", chain]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
    assert result.stdout == "False\n"


def test_kernels_that_call_kernels_run_without_numba(here: Path) -> None:
    script = """
import sys
import numpy as np
from cnntool import kernels
x, out = np.ones((1, 6, 6, 1), np.float32), np.zeros((1, 4, 4, 1), np.float32)
filters = kernels.winograd_backward.transform_filters_together(np.ones((3, 3, 1, 1), np.float32))
bias = kernels.convolution.pack_bias(None, 1, 1)
kernels.winograd_backward.conv_winograd_images_forward(x, 0, 1, filters, bias, out, 0, 0, np.zeros(1, np.int64))
np.testing.assert_allclose(out, 9, rtol=1e-5)
print("numba" in sys.modules)
"""
    for _ in range(2):
        result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
    assert result.stdout == "False\n"


def test_a_kernel_over_ranges() -> None:
    x, sums = np.arange(12, dtype=np.float32).reshape(3, 2, 2), np.zeros(2)
    total = kernels.convolution_backward.conv_bias_backward.over(x.reshape(3, 1, 2, 2), kernels.RANGE, sums)
    total(0, 1)
    total(1, 3)
    assert sums.tolist() == x.reshape(-1, 2).sum(axis=0).tolist()


def test_kinds_of_arguments(here: Path) -> None:
    array = np.zeros((2, 3), np.float32)
    kinds, numbers = code.taken_apart([array, array.T, 7, np.int32(8), True, np.float32(1), 1.0])
    assert kinds == (("f", 2, True), ("f", 2, False), "i", "i", "i", "f", "d")
    assert numbers[:9] == [0, 0, 6, 4, array.ctypes.data, 2, 3, 12, 4]
    assert numbers[14:18] == [3, 2, 4, 12]
    assert numbers[18:] == [7, 8, 1, 0x3F800000, 0x3FF0000000000000]
    corner, window = Corner(array, 5, 6), Window((1, 2), (3, 4), (5, 6), (7, 8, 9, 10))
    loose, whole = code.taken_apart([array, 5, 6, *range(1, 11)]), code.taken_apart([corner, window])
    assert whole[1] == loose[1]
    assert convention.kinds_as_text(whole[0]) == "C3f2iiW4T2iiT2iiT2iiT4iiii"
    assert [leaf is array or leaf for leaf in convention.leaves([corner, (7, 8)])] == [True, 5, 6, 7, 8]
    mapped = np.memmap(here / "v.npy", np.float32, "r", 128, (9, 24))
    assert code.taken_apart([mapped])[1][4] == mapped.ctypes.data


def test_kinds_as_text_and_back() -> None:
    kinds = (("f", 2, True), ("C", (("f", 3, False), "i", "i")), ("T", (("T", ()), "f")), "d", ("d", 1, True))
    assert convention.kinds_as_text(kinds) == "f2C3f3siiT2T0fdd1"
    assert convention.kinds_of_text("f2C3f3siiT2T0fdd1") == kinds
    for wrong in ("x", "2f", "f2-", "is", "T2i", "Tii"):
        with pytest.raises(ValueError, match="no kinds of arguments"):
            convention.kinds_of_text(wrong)


def test_nan_and_infinity_are_not_optimised_away() -> None:
    assert not {"nnan", "ninf", "fast"} & jit.FASTMATH

    @jit.kernel
    def total(x, y):
        return x - y

    assert np.isnan(total(np.inf, np.inf))
    assert np.isnan(total(np.nan, 1.0))


@pytest.mark.parametrize("kept", [0, 10, 50])
def test_a_damaged_cache_file_counts_as_missing(here: Path, kept: int) -> None:
    folder = here / "cache"
    run("whole.npy", "relu", CNNTOOL_CACHE_DIR=str(folder))
    for file in folder.rglob(f"*{cache.SUFFIX}"):
        file.write_bytes(file.read_bytes()[:kept])
    assert run("damaged.npy", "relu", CNNTOOL_CACHE_DIR=str(folder)) == COMPILING
    assert run("mended.npy", "relu", CNNTOOL_CACHE_DIR=str(folder)) == ""
    assert Path("whole.npy").read_bytes() == Path("mended.npy").read_bytes()


def test_a_folder_that_others_may_write_to_is_told_and_not_used(here: Path) -> None:
    folder = here / "cache"
    assert run("kept.npy", "relu", CNNTOOL_CACHE_DIR=str(folder)) == COMPILING
    (folder / cache.NAME).chmod(0o777)
    said = run("o.npy", "relu", CNNTOOL_CACHE_DIR=str(folder))
    assert said == IN_MEMORY.replace("no cache folder can be written", f"others may write to {folder / cache.NAME}")
    assert Path("o.npy").read_bytes() == Path("kept.npy").read_bytes()


def test_numba_s_switches(here: Path) -> None:
    """Code of other options is other code; a switch that would turn compiling off is of no concern to kernels."""
    folder = str(here / "cache")
    assert run("o.npy", "relu", CNNTOOL_CACHE_DIR=folder, NUMBA_OPT="0") == COMPILING
    assert run("a.npy", "relu", CNNTOOL_CACHE_DIR=folder, NUMBA_DISABLE_JIT="1") == COMPILING
    assert run("b.npy", "relu", CNNTOOL_CACHE_DIR=folder) == ""
    slow, fast = sorted((here / "cache").rglob("*.code"), key=lambda path: path.stat().st_mtime)
    assert slow.name.split("-")[:2] == fast.name.split("-")[:2]
    assert slow.read_bytes()[cache.DIGEST :] != fast.read_bytes()[cache.DIGEST :]


FORK = """
import os, sys, threading, time
import numpy as np
from cnntool import kernels
from cnntool.kernels import code
x = np.float32([[-1, 2]])
compiling = threading.Event()
def told(name):
    compiling.set()
    time.sleep(0.2)
with kernels.on_compile(told):
    arguments = (x.copy(), 0, 0, x.copy(), 0, 0, 1, 2)
    other = threading.Thread(target=code.Kernel("activations", "tanh_forward"), args=arguments)
    other.start()
    compiling.wait()
    child = os.fork()
    if child == 0:
        code.Kernel("activations", "relu_forward")(x, 0, 0, x, 0, 0, 1, 2)
        os._exit(0 if x.tolist() == [[0, 2]] else 1)
    status = os.waitpid(child, 0)[1]
    other.join()
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_while_another_thread_compiles(here: Path) -> None:
    environment = os.environ | {"CNNTOOL_CACHE_DIR": str(here / "cache")}
    subprocess.run([sys.executable, "-c", FORK], env=environment, timeout=60, check=True, start_new_session=True)
