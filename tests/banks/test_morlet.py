from __future__ import annotations

import cmath
import math

import numpy as np
import pytest

from cnntool.banks.morlet import Morlet


def wavelet_pixel_by_pixel(side, j, angle, orientations):
    """kymatio's formula, not periodised, row by row."""
    sigma, xi, slant, half = 0.8 * 2**j, 3 * math.pi / 4 / 2**j, 4 / orientations, side // 2
    wave, envelope = np.zeros((side, side), complex), np.zeros((side, side))
    for row in range(side):
        for column in range(side):
            right, down = column - half, row - half
            u = right * math.cos(angle) + down * math.sin(angle)
            v = down * math.cos(angle) - right * math.sin(angle)
            envelope[row, column] = math.exp(-(u * u + slant**2 * v * v) / (2 * sigma**2))
            envelope[row, column] *= slant / (2 * math.pi * sigma**2)
            wave[row, column] = envelope[row, column] * cmath.exp(1j * xi * u)
    return wave - wave.sum() / envelope.sum() * envelope


@pytest.mark.parametrize("orientations", [3, 8])
def test_wavelets_are_the_published_formula(orientations):
    filters = Morlet(scales=2, orientations=orientations, size=(21, 21)).filters()
    wavelets = filters[..., :-1:2] + 1j * filters[..., 1::2]
    expected = [
        wavelet_pixel_by_pixel(21, j, math.pi * o / orientations, orientations)
        for j in range(2)
        for o in range(orientations)
    ]
    np.testing.assert_allclose(wavelets, np.stack(expected, axis=-1), atol=1e-7)


def test_wavelets_sum_to_zero_and_the_low_pass_to_one():
    for bank in (Morlet(), Morlet(scales=2, orientations=6, size=(20, 31))):
        sums = bank.filters().astype(np.float64).sum(axis=(0, 1))
        np.testing.assert_allclose(sums[:-1], 0, atol=1e-7)
        assert sums[-1] == pytest.approx(1, abs=0.01)


def test_the_low_pass_has_the_width_of_the_largest_wavelet():
    low_pass = Morlet(scales=3).filters()[..., -1].astype(np.float64)
    x = np.arange(41) - 20
    assert math.sqrt((low_pass.sum(axis=0) * x**2).sum()) == pytest.approx(0.8 * 4, rel=0.01)


def test_scales_are_an_octave_apart():
    bank = Morlet(scales=4, orientations=1, size=(101, 101))
    lines = bank.filters().sum(axis=0)
    peaks = np.abs(np.fft.fft(lines[:, :-1:2] + 1j * lines[:, 1::2], 1024, axis=0)).argmax(axis=0)
    np.testing.assert_allclose(peaks[:-1] / peaks[1:], 2, rtol=0.05)


def test_all_scales_pass_their_band_about_equally():
    filters = Morlet(scales=3, orientations=4).filters()
    wavelets = filters[..., :-1:2] + 1j * filters[..., 1::2]
    gains = np.abs(np.fft.fft2(wavelets, (256, 256), axes=(0, 1))).max(axis=(0, 1))
    np.testing.assert_allclose(gains, 1, atol=0.15)


def test_modulus_joins_the_parts_and_leaves_the_low_pass():
    reduction = Morlet(scales=1, orientations=2, modulus=True).reduce
    assert reduction is not None
    assert reduction.groups == ((0, 1), (2, 3), (4,))
    assert reduction.how == ("modulus", "modulus", "max")
    assert Morlet(scales=1, orientations=2).names() == [
        "morlet s0 o0 re",
        "morlet s0 o0 im",
        "morlet s0 o1 re",
        "morlet s0 o1 im",
        "morlet low-pass",
    ]
