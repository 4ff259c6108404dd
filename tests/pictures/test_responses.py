"""Frequency responses: NumPy's FFT, and what known filters let through."""

from __future__ import annotations

import numpy as np

from cnntool.banks.derivatives import Sobel
from cnntool.banks.gabor import Gabor
from cnntool.pictures.responses import radial, responses


def test_responses_are_the_discrete_fourier_transform() -> None:
    filters = np.random.default_rng(0).normal(size=(5, 7, 3)).astype(np.float32)
    expected = np.abs(np.fft.fftshift(np.fft.fft2(filters.astype(np.float64), s=(33, 33), axes=(0, 1)), axes=(0, 1)))
    np.testing.assert_allclose(responses(filters, 33), expected, atol=1e-9)


def test_sobels_frequencies() -> None:
    """d/dx of a wave of f cycles a pixel is sin(2 pi f), and smoothing across leaves cos(pi f)^2."""
    spectrum = responses(Sobel().filters(), 65)
    f = (np.arange(65) - 32) / 65
    np.testing.assert_allclose(spectrum[32, :, 0], np.abs(np.sin(2 * np.pi * f)), atol=1e-6)
    np.testing.assert_allclose(spectrum[:, 32, 1], np.abs(np.sin(2 * np.pi * f)), atol=1e-6)
    np.testing.assert_allclose(
        spectrum[:, 48, 0], np.abs(np.sin(2 * np.pi * f[48])) * np.cos(np.pi * f) ** 2, atol=1e-6
    )


def test_a_gabor_filter_answers_to_its_wavelength() -> None:
    spectrum = responses(Gabor(scales=1, orientations=2, wavelength=8.0).filters())
    frequencies, values = radial(spectrum[..., 0] ** 2)
    assert abs(frequencies[values.argmax()] - 1 / 8) < 0.03
    y, x = np.unravel_index(spectrum[..., 0].argmax(), spectrum.shape[:2])
    assert y == 64, "the first direction is to the right"
    assert abs(abs(x - 64) / 129 - 1 / 8) < 0.02
