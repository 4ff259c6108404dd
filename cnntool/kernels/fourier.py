"""What Python needs of convolution by Fourier transforms: spectra of filters and images, and the table of turns."""

from __future__ import annotations

import numpy as np

from cnntool.kernels import kernels_of
from cnntool.kernels.convolution import on_cache_lines
from cnntool.kernels.vectors import LANES


def transform_filters(weight: np.ndarray, size: int) -> np.ndarray:
    """Filters (kh, kw, in, out) as spectra: blocks of LANES filters, in, size // 2 + 1 (x), size (y), 2, LANES."""
    _, _, channels, filters = weight.shape
    half = size // 2 + 1
    # the conjugate makes it a correlation, not a convolution
    spectra = np.conj(np.fft.rfft2(weight.astype(np.float64), (size, size), axes=(0, 1)))
    blocks = -(-filters // LANES)
    packed = np.zeros((blocks, channels, half, size, 2, LANES), np.float32)
    for block in range(blocks):
        part = spectra[..., block * LANES : (block + 1) * LANES].transpose(2, 1, 0, 3) / (size * size)
        packed[block, :, :, :, 0, : part.shape[3]] = part.real
        packed[block, :, :, :, 1, : part.shape[3]] = part.imag
    return on_cache_lines(packed)


def twiddles(size: int) -> np.ndarray:
    """exp(2 pi i k / size) for k < size, as size, 2."""
    angle = 2 * np.pi * np.arange(size) / size
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


def transform_image(tile: np.ndarray, size: int) -> np.ndarray:
    """A tile (at most size, size, C), zeros below it, as its spectrum C, size // 2 + 1 (x), size (y), 2."""
    spectrum = np.fft.fft(np.fft.rfft(tile.transpose(2, 1, 0), axis=1), size, axis=2)  # C, x, y
    return np.ascontiguousarray(spectrum, np.complex64).view(np.float32).reshape(*spectrum.shape, 2)


__getattr__ = kernels_of(__name__)
