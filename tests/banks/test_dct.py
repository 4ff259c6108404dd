from __future__ import annotations

import numpy as np
import pytest

from cnntool.banks.dct import Cosine
from cnntool.errors import CnntoolError

SIZES = [(8, 8), (3, 5), (4, 1), (1, 1)]


@pytest.mark.parametrize("size", SIZES)
def test_responses_are_scipys_transform(size):
    fft = pytest.importorskip("scipy.fft")
    block = np.random.RandomState(0).rand(*size)
    responses = np.einsum("yx,yxk->k", block, Cosine(size).filters())
    np.testing.assert_allclose(responses, fft.dctn(block, type=2, norm="ortho").ravel(), atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_the_functions_are_orthonormal(size):
    functions = Cosine(size).filters().reshape(-1, size[0] * size[1]).astype(np.float64)
    np.testing.assert_allclose(functions.T @ functions, np.eye(size[0] * size[1]), atol=1e-6)


def test_only_the_first_answers_to_brightness():
    sums = Cosine().filters().sum(axis=(0, 1))
    assert sums[0] == pytest.approx(8)
    np.testing.assert_allclose(sums[1:], 0, atol=1e-6)


def test_without_the_constant():
    bank = Cosine((2, 3), constant=False)
    assert bank.names() == ["dct 0,1", "dct 0,2", "dct 1,0", "dct 1,1", "dct 1,2"]
    np.testing.assert_array_equal(bank.filters(), Cosine((2, 3)).filters()[..., 1:])


def test_a_bank_without_filters_is_refused():
    with pytest.raises(CnntoolError, match=r"--size 1 --no-dc: no filter is left.*at least 2"):
        Cosine((1, 1), constant=False)
