from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from cnntool.kernels import vectors

REGISTERS = {16: 32, 8: 16, 4: 32}


def test_tiles_fit_into_the_registers():
    """Accumulators, the filters of a step, one input. With 4 lanes, x86 has 16 registers and NEON 32."""
    for lanes, (pixels, filters, narrow) in vectors.TILES.items():
        assert pixels * filters + filters + 1 <= REGISTERS[lanes]
        assert narrow < pixels


def test_the_tile_is_that_of_the_processor_s_lanes():
    assert vectors.host_lanes() == vectors.LANES
    assert vectors.TILES[vectors.LANES] == (vectors.PIXELS, vectors.VECTORS, vectors.NARROW_PIXELS)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the names are those of x86 processors")
@pytest.mark.parametrize(
    ("name", "features", "lanes"),
    [("x86-64", None, 4), ("sandybridge", None, 4), ("haswell", None, 8), ("znver2", None, 8), ("znver4", None, 16),
     ("haswell", "+avx512f", 16), ("skylake-avx512", "-avx512f", 8), ("haswell", "-fma", 4), ("x86-64", "+sse2", 4)],
)  # fmt: skip
def test_lanes_follow_the_processor_that_kernels_are_compiled_for(monkeypatch, name, features, lanes):
    monkeypatch.setenv("NUMBA_CPU_NAME", name)
    monkeypatch.delenv("NUMBA_CPU_FEATURES", raising=False)
    if features:
        monkeypatch.setenv("NUMBA_CPU_FEATURES", features)
    assert vectors.host_lanes() == lanes


SCRIPT = """
import numpy as np
from cnntool import Pipeline
from cnntool.kernels.vectors import LANES
from tests.cases.configurations import Configuration
one = Configuration("conv 19 3 --padding 1 relu maxpool 2 conv 19 3 --groups 19 avgpool 2", (13, 17, 3))
pipeline = Pipeline.parse(one.words)
pipeline.set_weights(one.weights())
expected = one.reference(one.volume(), one.weights())
np.testing.assert_allclose(pipeline.run(one.volume()), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
print(LANES)
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the names are those of x86 processors")
@pytest.mark.parametrize(("processor", "lanes"), [("haswell", 8), ("nehalem", 4)])
def test_older_processors_have_shorter_vectors_and_the_same_results(processor, lanes):
    environment = os.environ | {"NUMBA_CPU_NAME": processor, "PYTHONPATH": "."}
    root = Path(__file__).parents[2]
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    assert int(found.stdout) == lanes
