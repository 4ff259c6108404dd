from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cnntool.errors import CnntoolError
from cnntool.layers.base import Layer
from cnntool.layers.table import LAYERS, load
from tests.layers.cases import CASES


@pytest.mark.parametrize("word", LAYERS)
def test_every_word_has_a_case(word):
    assert word in {case.word for case in CASES}, f"the layer {word} has no row in tests/layers/cases.py"


def test_every_case_holds_its_word():
    assert all(case.word in case.words.split() for case in CASES)


@pytest.mark.parametrize("word", LAYERS)
def test_a_word_is_that_of_its_class(word):
    layer = load(word)
    assert issubclass(layer, Layer)
    assert layer.word == word


def test_no_class_has_two_words():
    assert len(set(LAYERS.values())) == len(LAYERS)


@pytest.mark.parametrize(("word", "near"), [("rellu", "relu"), ("maxpol", "maxpool"), ("xyzzy", "cnntool layers")])
def test_a_word_that_is_unknown_gets_the_nearest(word, near):
    with pytest.raises(CnntoolError, match=near):
        load(word)


def test_only_the_layers_that_are_typed_are_imported():
    script = (
        "import sys; from cnntool.layers.table import load; load('relu');"
        "print([name for name in sys.modules if name.startswith(('cnntool.layers.', 'numpy', 'numba'))])"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    for name in ("convolution", "pooling", "dense", "bank"):
        assert f"cnntool.layers.{name}" not in found.stdout
    assert "numpy" not in found.stdout
    assert "numba" not in found.stdout
