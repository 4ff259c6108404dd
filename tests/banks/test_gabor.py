from __future__ import annotations

import math

import numpy as np
import pytest

from cnntool.banks.gabor import Gabor
from cnntool.errors import CnntoolError

ONE = {"scales": 1, "orientations": 1}


def unit(filters):
    return filters / np.abs(filters).sum(axis=(0, 1))


@pytest.mark.parametrize("bandwidth", [1.0, 1.7])
@pytest.mark.parametrize("gamma", [1.0, 0.5])
def test_with_its_mean_it_is_scikit_images(bandwidth, gamma):
    skimage = pytest.importorskip("skimage.filters")
    bank = Gabor(2, 6, (31, 31), 4.0, 1.5, bandwidth, gamma, phase=20.0, quadrature=True, keep_mean=True)
    expected = []
    for s in range(2):
        frequency = 1 / (4.0 * 1.5**s)
        sigma = math.sqrt(math.log(2) / 2) / math.pi * (2**bandwidth + 1) / (2**bandwidth - 1) / frequency
        for o in range(6):
            kernel = skimage.gabor_kernel(
                frequency,
                theta=math.pi * o / 6,
                sigma_x=sigma,
                sigma_y=sigma / gamma,
                n_stds=20,
                offset=math.radians(20),
            )
            top, left = (side // 2 - 15 for side in kernel.shape)
            kernel = kernel[top : top + 31, left : left + 31]
            expected += [kernel.real, kernel.imag]
    np.testing.assert_allclose(bank.filters(), unit(np.stack(expected, axis=-1)), atol=1e-8)


def test_the_default_sigma_is_scikit_images():
    skimage = pytest.importorskip("skimage.filters")
    kernel = skimage.gabor_kernel(0.2, bandwidth=1.3, n_stds=8).real
    bank = Gabor(**ONE, size=kernel.shape, wavelength=5.0, bandwidth=1.3, gamma=1.0, keep_mean=True)
    np.testing.assert_allclose(bank.filters()[..., 0], unit(kernel), atol=1e-8)


@pytest.mark.parametrize("size", [(39, 39), (30, 24), (7, 7)])
@pytest.mark.parametrize("phase", [0.0, 33.0, -90.0])
def test_sum_zero_and_absolute_sum_one(size, phase):
    filters = Gabor(size=size, phase=phase, quadrature=True).filters().astype(np.float64)
    np.testing.assert_allclose(filters.sum(axis=(0, 1)), 0, atol=1e-7)
    np.testing.assert_allclose(np.abs(filters).sum(axis=(0, 1)), 1, rtol=1e-6)


def test_keep_mean_leaves_the_even_filters_sum():
    sums = Gabor(size=(9, 9), keep_mean=True).filters().sum(axis=(0, 1))
    assert np.abs(sums).max() > 0.01


def test_even_and_odd_under_half_a_turn():
    filters = Gabor(size=(16, 21), quadrature=True).filters()
    turned = filters[::-1, ::-1]
    np.testing.assert_allclose(turned[..., 0::2], filters[..., 0::2], atol=1e-8)
    np.testing.assert_allclose(turned[..., 1::2], -filters[..., 1::2], atol=1e-8)


def test_a_quarter_turn_of_the_bank_is_a_quarter_turn_of_the_picture():
    filters = Gabor(scales=1, orientations=8).filters()
    for o in range(4):
        np.testing.assert_allclose(np.rot90(filters[..., o], -1), filters[..., o + 4], atol=1e-8)


def test_phase_turns_even_into_odd():
    pair = Gabor(**ONE, quadrature=True).filters()
    np.testing.assert_allclose(Gabor(**ONE, phase=-90.0).filters()[..., 0], pair[..., 1], atol=1e-8)


def test_each_scale_answers_most_to_its_own_wavelength():
    bank = Gabor(orientations=1, size=(63, 63), wavelength=4.0, ratio=1.5)
    spectrum = np.abs(np.fft.rfft(bank.filters().sum(axis=0), 1024, axis=0))
    found = 1024 / spectrum.argmax(axis=0)
    np.testing.assert_allclose(found, 4.0 * 1.5 ** np.arange(5), rtol=0.05)


def test_energy_joins_each_even_filter_with_its_odd_one():
    bank = Gabor(scales=1, orientations=2, energy=True)
    assert bank.names() == ["gabor 0 0deg even", "gabor 0 0deg odd", "gabor 0 90deg even", "gabor 0 90deg odd"]
    assert bank.reduce is not None
    assert bank.reduce.groups == ((0, 1), (2, 3))
    assert bank.reduce.how == ("modulus", "modulus")
    assert bank.filters().tobytes() == Gabor(scales=1, orientations=2, quadrature=True).filters().tobytes()


@pytest.mark.parametrize("values", [{"scales": 32, "ratio": 8.0}, {"wavelength": math.nextafter(2, 3), "phase": -90.0}])
def test_waves_that_the_filter_cannot_show_are_refused(values):
    with pytest.raises(CnntoolError, match="vanishes on its 3x3 pixels"):
        Gabor(size=(3, 3), **values).filters()


@pytest.mark.parametrize(
    "values",
    [
        {"bandwidth": 0.1},
        {"bandwidth": 8.0},
        {"gamma": 0.01},
        {"wavelength": math.nextafter(2, 3), "size": (3, 3)},
        {"gamma": 10.0, "size": (4, 4)},
    ],
)
def test_the_ends_of_the_ranges_give_finite_filters(values):
    assert np.isfinite(Gabor(scales=1, **values).filters()).all()
