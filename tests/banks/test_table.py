"""What holds for every bank there is, and for many of their options."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from cnntool.banks.table import BANKS
from cnntool.declare import Nested, fields_of, help_of, words_of

load = Nested("BANK", BANKS, "file").load

MADE_BY_DEFAULT = [word for word in BANKS if word != "file"]

# word, options, kernel size, number of filters, number of maps
CASES = [
    ("gabor", {}, (39, 39), 40, 40),
    ("gabor", {"scales": 2, "orientations": 3, "size": (8, 11)}, (8, 11), 6, 6),
    ("gabor", {"scales": 2, "orientations": 3, "quadrature": True}, (39, 39), 12, 12),
    ("gabor", {"scales": 2, "orientations": 3, "energy": True}, (39, 39), 12, 6),
    ("gabor", {"scales": 2, "quadrature": True, "energy": True, "keep_mean": True}, (39, 39), 32, 16),
    ("lm", {}, (49, 49), 48, 48),
    ("lm", {"size": (20, 31)}, (20, 31), 48, 48),
    ("rfs", {}, (49, 49), 38, 38),
    ("rfs", {"size": (11, 8)}, (11, 8), 38, 38),
    ("mr8", {}, (49, 49), 38, 8),
    ("mr8", {"size": (25, 25)}, (25, 25), 38, 8),
    ("schmid", {}, (49, 49), 13, 13),
    ("schmid", {"size": (30, 3)}, (30, 3), 13, 13),
    ("gaussian-derivatives", {}, (17, 17), 4, 4),
    ("gaussian-derivatives", {"sigma": 1.2, "order": 3, "orientations": 5}, (11, 11), 5, 5),
    ("gaussian-derivatives", {"size": (12, 15), "order": 2}, (12, 15), 4, 4),
    ("sobel", {}, (3, 3), 2, 2),
    ("sobel", {"magnitude": True}, (3, 3), 2, 1),
    ("prewitt", {}, (3, 3), 2, 2),
    ("prewitt", {"magnitude": True}, (3, 3), 2, 1),
    ("scharr", {}, (3, 3), 2, 2),
    ("scharr", {"magnitude": True}, (3, 3), 2, 1),
    ("laplacian", {}, (3, 3), 1, 1),
    ("laplacian", {"neighbours": "8"}, (3, 3), 1, 1),
    ("laws", {}, (5, 5), 25, 25),
    ("laws", {"size": "3"}, (3, 3), 9, 9),
    ("laws", {"level": False}, (5, 5), 24, 24),
    ("laws", {"pairs": True}, (5, 5), 25, 15),
    ("laws", {"pairs": True, "level": False, "integers": True}, (5, 5), 24, 14),
    ("laws", {"size": "3", "pairs": True}, (3, 3), 9, 6),
    ("dct", {}, (8, 8), 64, 64),
    ("dct", {"size": (3, 5)}, (3, 5), 15, 15),
    ("dct", {"size": (4, 4), "constant": False}, (4, 4), 15, 15),
    ("morlet", {}, (41, 41), 49, 49),
    ("morlet", {"scales": 2, "orientations": 2}, (11, 11), 9, 9),
    ("morlet", {"scales": 2, "orientations": 4, "size": (16, 21), "modulus": True}, (16, 21), 17, 9),
    ("random", {}, (7, 7), 32, 32),
    ("random", {"number": 5, "size": (2, 6), "seed": 3, "keep_mean": True}, (2, 6), 5, 5),
]


@pytest.mark.parametrize(("word", "options", "kernel_size", "count", "outputs"), CASES)
def test_a_bank_keeps_its_promises(word, options, kernel_size, count, outputs):
    bank = load(word)(**options)
    assert (bank.kernel_size, bank.count, bank.outputs) == (kernel_size, count, outputs)
    filters = bank.filters()
    assert filters.shape == (*kernel_size, count)
    assert filters.dtype == np.float32
    assert filters.flags.c_contiguous
    assert np.isfinite(filters).all()
    assert (np.abs(filters).max(axis=(0, 1)) > 1e-4).all(), "an empty filter"
    assert filters.tobytes() == load(word)(**options).filters().tobytes()


@pytest.mark.parametrize(("word", "options", "kernel_size", "count", "outputs"), CASES)
def test_a_reduction_uses_every_response_once(word, options, kernel_size, count, outputs):
    reduction = load(word)(**options).reduce
    if reduction is None:
        assert outputs == count
    else:
        assert len(reduction.groups) == len(reduction.how) == outputs
        assert sorted(index for group in reduction.groups for index in group) == list(range(count))
        assert set(reduction.how) <= {"max", "absmax", "modulus"}


def test_every_bank_has_a_case():
    assert {case[0] for case in CASES} == set(MADE_BY_DEFAULT)


def test_every_option_has_a_case_off_its_default():
    used = {(word, name) for word, options, *_ in CASES for name in options}
    declared = {(word, field.name) for word in MADE_BY_DEFAULT for field in fields_of(load(word))}
    # What these do to the values is tested with their bank.
    values_only = {("gabor", name) for name in ("wavelength", "ratio", "bandwidth", "gamma", "phase")}
    assert declared - used == values_only


@pytest.mark.parametrize("word", BANKS)
def test_a_bank_is_explained(word):
    bank = load(word)
    assert bank.__doc__ is not None
    assert not bank.__doc__.startswith(bank.__name__ + "("), "the docstring that dataclass makes up"
    assert 20 < len(help_of(bank)) < 150
    fields = list(fields_of(bank))
    assert fields
    for field in fields:
        assert field.metadata["help"].endswith(".")


@pytest.mark.parametrize(("word", "options", "kernel_size", "count", "outputs"), CASES)
def test_options_survive_as_words(word, options, kernel_size, count, outputs):
    words = words_of(load(word)(**options))
    assert len([item for item in words if item.startswith("--")]) == len(options)


NO_NUMPY = """
import sys
from cnntool.banks.table import BANKS
from cnntool.declare import Nested
bank = Nested("BANK", BANKS, "file").load({word!r})()
bank.kernel_size, bank.count, bank.outputs, bank.reduce, repr(bank)
loaded = sorted(name for name in sys.modules if name.startswith("cnntool.banks."))
print("numpy" in sys.modules, *loaded)
"""


@pytest.mark.parametrize("word", MADE_BY_DEFAULT)
def test_shapes_need_no_numpy_and_no_other_bank(word):
    code = NO_NUMPY.format(word=word)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    numpy_loaded, *modules = ran.stdout.split()
    assert numpy_loaded == "False"
    assert set(modules) - {"cnntool.banks.base", "cnntool.banks.plane", "cnntool.banks.table"} == {BANKS[word][0]}
