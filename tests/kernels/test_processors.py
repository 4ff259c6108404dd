"""The processor that kernels are compiled for: its features, and whether this one can run its code."""

from __future__ import annotations

import platform

import llvmlite.binding as llvm
import pytest

from cnntool.errors import CnntoolError
from cnntool.kernels import processors

pytestmark = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="the names are those of x86 processors"
)


def test_probes_find_what_llvm_knows_of_this_processor() -> None:
    known = {name for name, there in llvm.get_host_cpu_features().items() if there}
    found = processors.probed(llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())
    assert found <= known
    assert known & {"sse4.1", "avx", "fma", "avx2", "bmi2", "avx512f", "avx512bw", "avx512vl"} <= found


@pytest.mark.parametrize(
    ("name", "there", "missing"),
    [
        ("x86-64", set(), {"sse4.1", "avx", "popcnt"}),
        ("nehalem", {"sse4.1", "popcnt"}, {"avx", "fma"}),
        ("bdver1", {"avx", "fma4"}, {"avx2", "fma"}),
        ("haswell", {"avx", "avx2", "fma", "bmi2"}, {"avx512f", "avxvnni"}),
        ("alderlake", {"avx2", "avxvnni"}, {"avx512f", "avx512vnni"}),
        ("skylake-avx512", {"avx512f", "avx512vl", "avx512bw"}, {"avx512vbmi", "avx512vnni"}),
        ("cascadelake", {"avx512f", "avx512vnni"}, {"avx512vbmi", "avxvnni"}),
    ],
)
def test_a_named_processor_has_the_features_of_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str, there: set[str], missing: set[str]
) -> None:
    monkeypatch.setenv("NUMBA_CPU_NAME", name)
    monkeypatch.delenv("NUMBA_CPU_FEATURES", raising=False)
    assert processors.target() == (name, "")
    found = processors.target_features()
    assert there <= found
    assert not missing & found


def test_code_that_this_processor_cannot_run_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llvm, "get_host_cpu_features", lambda: {"avx": True, "avx2": False, "sse4.1": True})
    monkeypatch.setenv("NUMBA_CPU_NAME", "x86-64")
    processors.check_that_it_runs_here()
    monkeypatch.setenv("NUMBA_CPU_NAME", "haswell")
    with pytest.raises(
        CnntoolError, match=r"NUMBA_CPU_NAME=haswell: this processor \(.*\) cannot run .* no avx2, bmi, "
    ):
        processors.check_that_it_runs_here()
    monkeypatch.setenv("NUMBA_CPU_NAME", "x86-64")
    monkeypatch.setenv("NUMBA_CPU_FEATURES", "+fma")
    with pytest.raises(CnntoolError, match=r"NUMBA_CPU_NAME=x86-64 NUMBA_CPU_FEATURES=.fma: .* no fma"):
        processors.check_that_it_runs_here()
