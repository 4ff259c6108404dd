from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cnntool.kernels import vectors
from cnntool.kernels.processors import target_features

PACKAGE = Path(vectors.__file__).parents[1]


@pytest.mark.parametrize("name", vectors.KINDS)
def test_tiles_fit_into_the_registers(name):
    """Accumulators, the filters of a step, one input."""
    kind = vectors.KINDS[name]
    pixels, filters, narrow = kind.tile
    for height in (pixels, narrow, kind.short_tile, kind.outer_rows):
        assert height * filters + filters + 1 <= kind.registers
    assert narrow < pixels
    rows, vectors_of_pixels = kind.line_tile
    assert (rows + 1) * vectors_of_pixels <= kind.registers
    assert 7 * kind.few_tiles + kind.few_tiles <= kind.registers


def test_every_kind_can_be_taken():
    """None stands behind one that takes all its processors."""
    kinds = list(vectors.KINDS.values())
    for place, kind in enumerate(kinds):
        assert not any(other.features <= kind.features for other in kinds[:place])
    assert kinds[-1].features == frozenset()


def test_the_numbers_are_those_of_the_processor():
    assert vectors.KINDS[vectors.host_kind()] == vectors.HOST
    assert vectors.HOST.features <= target_features()
    assert vectors.HOST.tile == (vectors.PIXELS, vectors.VECTORS, vectors.NARROW_PIXELS)


def test_nothing_but_the_table_asks_for_a_kind_of_processor():
    """Numbers that depend on it are one entry of the table; a comparison with the width of registers hides one."""
    for path in PACKAGE.rglob("*.py"):
        if path.name != "vectors.py":
            assert not re.search(
                r"\b(LANES|PIXELS|lanes) [=!]= \d|\[LANES\]|target_features\(\)[^:]*avx", path.read_text()
            ), path


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the names are those of x86 processors")
@pytest.mark.parametrize(
    ("name", "features", "kind"),
    [("x86-64", None, "plain"), ("sandybridge", None, "plain"), ("haswell", None, "AVX2"), ("znver2", None, "AVX2"),
     ("znver4", None, "AVX-512"), ("haswell", "+avx512f", "AVX-512"), ("skylake-avx512", "-avx512f", "AVX2"),
     ("haswell", "-fma", "plain"), ("x86-64", "+sse2", "plain")],
)  # fmt: skip
def test_the_kind_follows_the_processor_that_kernels_are_compiled_for(monkeypatch, name, features, kind):
    monkeypatch.setenv("NUMBA_CPU_NAME", name)
    monkeypatch.delenv("NUMBA_CPU_FEATURES", raising=False)
    if features:
        monkeypatch.setenv("NUMBA_CPU_FEATURES", features)
    assert vectors.host_kind() == kind


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
