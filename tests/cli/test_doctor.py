"""`cnntool doctor`: what it says of the machine."""

from __future__ import annotations

import re

import numpy as np
import pytest

from cnntool.cli import doctor
from tests.cli.conftest import Tool


def test_what_is_said(cnntool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "REPEATS", 1)
    monkeypatch.setattr(doctor, "CASES", [(28, 256, 256, 3, 1)])
    result = cnntool("doctor")
    assert (result.code, result.err) == (0, "")
    for title in ("cnntool", "libraries", "processor", "register tile", "threads", "kernel cache", "peak"):
        assert re.search(f"^{title} +[^ ]", result.text, re.MULTILINE), title
    assert f"numpy {np.__version__}" in result.text
    peak = float(re.search(r"^peak +(\d+) GFLOP/s", result.text, re.MULTILINE)[1])  # type: ignore[index]
    reached = re.search(r"^ +3x3/1 28x28x256 -> 256 +(\d+) \( *(\d+)%\)", result.text, re.MULTILINE)
    assert reached is not None
    speed, percent = float(reached[1]), float(reached[2])
    assert peak > 1
    # All three are rounded to whole numbers.
    assert 100 * (speed - 0.5) / (peak + 0.5) - 0.5 <= percent <= 100 * (speed + 0.5) / (peak - 0.5) + 0.5


def test_the_median_leaves_the_first_call_out(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 3.0, 10.0, 11.0, 20.0, 29.0])
    monkeypatch.setattr(doctor, "REPEATS", 3)
    monkeypatch.setattr(doctor.time, "perf_counter", lambda: next(clock))
    calls: list[int] = []
    assert doctor.median_seconds(lambda: calls.append(1)) == 3.0
    assert len(calls) == 4


def test_without_a_cache_folder(cnntool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    from cnntool.kernels import cache

    monkeypatch.setattr(cache, "FOLDER", None)
    monkeypatch.setattr(doctor, "REPEATS", 1)
    monkeypatch.setattr(doctor, "CASES", [])
    monkeypatch.setattr(doctor, "_measure_peak", lambda: 1.0)
    result = cnntool("doctor")
    assert result.code == 0
    assert "no cache folder can be written; kernels compile at each start" in result.text
