from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from cnntool.banks.base import LARGEST_BANK, FilterBank, Reduction
from cnntool.banks.dct import Cosine
from cnntool.banks.derivatives import GaussianDerivatives, Laplacian, Sobel
from cnntool.banks.file import FileBank
from cnntool.banks.gabor import Gabor
from cnntool.banks.laws import Laws
from cnntool.banks.morlet import Morlet
from cnntool.banks.random import Random
from cnntool.banks.texture import LeungMalik, Schmid
from cnntool.errors import CnntoolError


@dataclass(frozen=True)
class Steps(FilterBank):
    """Three filters of 2x1, the k-th (k, -k)."""

    kernel_size = (2, 1)
    count = 3

    def names(self):
        return ["a", "b", "c"]

    def planes(self):
        for k in range(3):
            yield np.array([[k], [-k]], np.float64)


class ReducedSteps(Steps):
    reduce = Reduction(((0, 1), (2,)), ("max", "absmax"))


def test_filters_are_stacked_with_the_filter_index_last():
    filters = Steps().filters()
    assert filters.dtype == np.float32
    assert filters.flags.c_contiguous
    assert filters.tolist() == [[[0, 1, 2]], [[0, -1, -2]]]


def test_outputs_are_the_reductions_groups():
    assert Steps().outputs == 3
    assert ReducedSteps().outputs == 2


REFUSED = [
    (Gabor, {"scales": 0}, "--scales: 0 is out of range"),
    (Gabor, {"scales": 2.5}, "--scales: '2.5' is not a whole number"),
    (Gabor, {"scales": "5"}, "--scales: '5' cannot be used: expected N; without --scales it is 5"),
    (Gabor, {"scales": None}, "--scales"),
    (Gabor, {"orientations": True}, "--orientations"),
    (Gabor, {"size": 31}, "--size: 31 cannot be used: expected SIZE"),
    (Gabor, {"size": (31,)}, "--size"),
    (Gabor, {"size": (31, 31, 31)}, "--size"),
    (Gabor, {"size": (1, 31)}, "--size"),
    (Gabor, {"size": (1024, 31)}, "--size: 1024x31: expected sizes of 3 to 1023"),
    (Gabor, {"size": np.array([31, 33])}, "--size"),
    (Gabor, {"wavelength": 2.0}, "--wavelength: 2.0: expected a number above 2"),
    (Gabor, {"wavelength": float("nan")}, "--wavelength: nan is not a finite number"),
    (Gabor, {"wavelength": 3 + 0j}, "--wavelength"),
    (Gabor, {"quadrature": "yes"}, "--quadrature: 'yes' cannot be used: expected True or False"),
    (Gabor, {"scales": 64, "orientations": 1024}, f"65536 filters of 39x39.*at most {LARGEST_BANK}"),
    (LeungMalik, {"size": (2, 2)}, "--size"),
    (Schmid, {"size": (0, 9)}, "--size"),
    (GaussianDerivatives, {"sigma": 0.0}, "--sigma: 0.0.*without --sigma it is 2.0"),
    (GaussianDerivatives, {"sigma": 200.0}, "1601x1601 pixels: expected sides of at most 1023"),
    (GaussianDerivatives, {"size": (2000, 2000)}, "--size.*without --size it is worked out"),
    (GaussianDerivatives, {"order": 9}, "--order"),
    (Sobel, {"magnitude": "false"}, "--magnitude"),
    (Laplacian, {"neighbours": 4}, "--neighbours"),
    (Laws, {"size": "7"}, "--size: '7' is none of 5, 3"),
    (Laws, {"level": None}, "--no-level"),
    (Cosine, {"size": (91, 91)}, "8281 filters of 91x91"),
    (Morlet, {"scales": 10}, "pixels: expected sides of at most 1023"),
    (Morlet, {"orientations": 0}, "--orientations"),
    (Random, {"number": 0}, "--count: 0 is out of range"),
    (Random, {"seed": -1}, "--seed: -1 is out of range"),
    (Random, {"size": (1, 1)}, "--size"),
    (FileBank, {"path": "filters.txt"}, "PATH: 'filters.txt': expected a file name ending in .npy"),
    (FileBank, {"path": 3}, "PATH"),
]


@pytest.mark.parametrize(("bank", "values", "message"), REFUSED)
def test_values_that_cannot_work_are_refused_when_the_bank_is_made(bank, values, message):
    with pytest.raises(CnntoolError, match=message):
        bank(**values)


def test_numpy_numbers_are_numbers():
    bank = Gabor(scales=np.int64(2), wavelength=np.float64(4.0), size=(np.int32(9), np.int32(11)))
    assert bank.filters().shape == (9, 11, 16)
