"""What the name of machine code follows: what the kernel's source imports, the compiler, Numba's switches."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest

from cnntool.kernels import dependencies

PACKAGE = "cnntool.kernels"


def imported_by_ast(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    inside = {name.removeprefix(PACKAGE).lstrip(".") for name in names if name is not None
              and f"{name}.".startswith(f"{PACKAGE}.")}  # fmt: skip
    return inside & set(dependencies._modules())


@pytest.mark.parametrize("name", sorted(dependencies._modules()))
def test_no_import_is_overlooked(name: str) -> None:
    path = dependencies._modules()[name]
    assert imported_by_ast(path) <= set(dependencies.imported(path.read_bytes()))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (b"from cnntool.kernels.vectors import LANES", {"vectors"}),
        (b"    from cnntool.kernels import vectors as v, pooling", {"vectors", "pooling"}),
        (
            b"from cnntool.kernels.sources import (\n    tile,\n    simd,\n)\n",
            {"sources", "sources.tile", "sources.simd"},
        ),
        (b"import cnntool.kernels.sources.tile", {"sources.tile"}),
        (b"from cnntool.kernels.nothing import pooling\nimport numpy", set()),
    ],
)
def test_forms_of_imports(source: bytes, expected: set[str]) -> None:
    assert set(dependencies.imported(source)) == expected


def test_the_modules_behind_a_source() -> None:
    behind = dependencies.modules_behind("sources.winograd_few")
    assert {"sources.winograd_few", "sources.tile", "sources.emitter", "winograd_few", "vectors"} <= behind
    assert not {"sources.winograd", "sources.convolution", "sources.pooling", "cache"} & behind


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`fingerprint` as a new process would tell it, of a copy of the package."""
    shutil.copytree(dependencies.FOLDER, tmp_path / "kernels")
    monkeypatch.setattr(dependencies, "FOLDER", tmp_path / "kernels")

    def fingerprint(module: str) -> str:
        for cached in (dependencies.fingerprint, dependencies._common, dependencies._modules, dependencies._content):
            cached.cache_clear()
        return dependencies.fingerprint(module)

    yield fingerprint
    monkeypatch.undo()
    fingerprint("tile")


def test_a_changed_source_renames_the_code_of_those_that_import_it(tmp_path: Path, fresh) -> None:
    modules = ["convolution", "winograd", "pooling", "activations", "resizing"]
    for changed, renamed in (
        ("sources/convolution.py", {"convolution", "winograd"}),
        ("sources/activations.py", {"activations"}),
        ("fourier.py", set()),
        ("pooling.py", {"pooling", "convolution", "winograd"}),  # whose constants a tile of both takes
        ("cache.py", set()),
        ("compiler.py", set(modules)),
        ("convention.py", set(modules)),
    ):
        before = {module: fresh(module) for module in modules}
        path = tmp_path / "kernels" / changed
        path.write_bytes(path.read_bytes() + b"\nx = 1\n")
        assert {module for module in modules if fresh(module) != before[module]} == renamed, changed


@pytest.mark.parametrize(
    ("variable", "renames"),
    [("NUMBA_OPT", True), ("NUMBA_BOUNDSCHECK", True), ("NUMBA_DEBUGINFO", True), ("NUMBA_LOOP_VECTORIZE", True),
     ("NUMBA_CPU_NAME", True), ("NUMBA_CPU_FEATURES", True), ("NUMBA_OF_THE_FUTURE", True),
     ("NUMBA_DISABLE_JIT", False), ("NUMBA_NUM_THREADS", False), ("NUMBA_CACHE_DIR", False), ("OTHER", False)],
)  # fmt: skip
def test_switches_that_change_code_rename_it(fresh, monkeypatch, variable: str, renames: bool) -> None:
    before = fresh("tile")
    monkeypatch.setenv(variable, "1")
    assert (fresh("tile") != before) == renames


def test_numba_s_settings_file_renames_code(fresh, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    before = fresh("tile")
    Path(".numba_config.yaml").write_text("opt: 0\n")
    assert fresh("tile") != before
