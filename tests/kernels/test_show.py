"""What LLVM makes of kernels, for this processor and for others that this one need not be."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cnntool import kernels
from cnntool.kernels import cache, show

CONVOLUTION = ("convolution.conv_direct_forward", "C3f3iiF5f1f1iiiC3f3iiS2iiW4T2iiT2iiT2iiT4iiiifR2iiC3f3ii")
x86 = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the names are those of x86 processors")


def shown(*words: str, **environment: str) -> str:
    command = [sys.executable, "-m", "cnntool.kernels.show", *words]
    found = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return found.stdout


@x86
@pytest.mark.parametrize(
    ("name", "there", "missing"),
    [
        ("x86-64", ["xmm"], ["ymm", "zmm", r"\tvfmadd"]),
        ("nehalem", ["xmm"], ["ymm", "zmm", r"\tvfmadd"]),
        ("haswell", ["ymm", r"\tvfmadd"], ["zmm", "%k1"]),
        ("skylake-avx512", ["zmm", r"\tvfmadd", "%k1"], []),
    ],
)
def test_machine_code_has_the_instructions_of_the_named_processor_only(
    name: str, there: list[str], missing: list[str]
) -> None:
    assembly = shown(*CONVOLUTION, "--cpu", name)
    assert all(re.search(sign, assembly) for sign in there)
    assert [sign for sign in missing if re.search(sign, assembly)] == []
    by_variable = shown(*CONVOLUTION, "--asm", NUMBA_CPU_NAME=name)
    assert [sign for sign in missing if re.search(sign, by_variable)] == []


def test_llvm_s_code() -> None:
    code = show.code_of("activations.relu_forward", "f2iif2iiii", as_ir=True)
    assert re.search(r"define .*i64 @activations.relu_forward-f2iif2iiii\(", code)


def test_kinds_are_taken_from_the_cache(capsys: pytest.CaptureFixture[str]) -> None:
    x = np.float32([[-1, 2]])
    kernels.activations.relu_forward(x, 0, 0, x, 0, 0, 1, 2)
    assert "f2iif2iiii" in show.kinds_in_cache("activations.relu_forward")
    assert show.kinds_in_cache("activations.relu") == []
    show.main(["activations.relu_forward", "--ir"])
    assert "@activations.relu_forward-f2iif2iiii(" in capsys.readouterr().out


def test_kinds_of_an_older_source_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "FOLDER", tmp_path)
    for name in ("activations.relu_forward-f2", "activations.relu_backward-f3"):
        (tmp_path / cache.file_name(name)).touch()
    (tmp_path / "activations.relu_forward-f9-0123456789abcdef.code").touch()
    assert show.kinds_in_cache("activations.relu_forward") == ["f2"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["activations.relu_forward", "x"], "no kinds of arguments"),
        (["activations.rleu_forward", "f2"], "rleu_forward"),
        (["activation.relu_forward", "f2"], "activation"),
        (["activations.nothing"], "not in the cache: give the kinds"),
    ],
)
def test_wrong_words(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        show.main(words)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
