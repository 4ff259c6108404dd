"""What holds for every bank there is, and for many of their options."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from cnntool.banks.table import BANKS, load
from cnntool.declare import fields_of, help_of, words_of
from cnntool.errors import CnntoolError
from tests.banks.cases import CASES, MADE_BY_DEFAULT, Case

every_case = pytest.mark.parametrize("case", CASES, ids=str)


@every_case
def test_a_bank_keeps_its_promises(case: Case):
    bank = case.bank()
    assert (bank.kernel_size, bank.count, bank.outputs) == (case.kernel_size, case.count, case.outputs)
    names, filters = bank.names(), bank.filters()
    assert len(names) == len(set(names)) == case.count
    assert filters.shape == (*case.kernel_size, case.count)
    assert filters.dtype == np.float32
    assert filters.flags.c_contiguous
    assert np.isfinite(filters).all()
    assert (np.abs(filters).max(axis=(0, 1)) > 1e-4).all(), "an empty filter"
    assert filters.tobytes() == case.bank().filters().tobytes()


@every_case
def test_a_reduction_uses_every_response_once(case: Case):
    reduction = case.bank().reduce
    if reduction is None:
        assert case.outputs == case.count
    else:
        assert len(reduction.groups) == len(reduction.how) == case.outputs
        assert sorted(index for group in reduction.groups for index in group) == list(range(case.count))
        assert set(reduction.how) <= {"max", "absmax", "modulus"}


@pytest.mark.parametrize("word", MADE_BY_DEFAULT)
def test_every_bank_has_a_case(word):
    assert word in {case.word for case in CASES}, f"the bank {word} has no row in tests/banks/cases.py"


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
    for field in fields_of(bank):
        assert field.metadata["help"].endswith(".")


@every_case
def test_options_survive_as_words(case: Case):
    words = words_of(case.bank())
    assert len([item for item in words if item.startswith("--")]) == len(case.options)


def test_a_misspelt_bank_gets_the_nearest_names():
    with pytest.raises(CnntoolError, match=r"'gabbor'; did you mean gabor\?; the banks are gabor, lm, .*\.npy"):
        load("gabbor")


NO_NUMPY = """
import sys
from cnntool.banks.table import load
bank = load({word!r})()
bank.kernel_size, bank.count, bank.outputs, bank.reduce, bank.names(), repr(bank)
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
