"""Winograd convolution in training: transforms of filters and of their gradients."""

from __future__ import annotations

import numpy as np

from cnntool.kernels import kernels_of
from cnntool.kernels.convolution import BLOCK
from cnntool.kernels.vectors import LANES
from cnntool.kernels.winograd import ELEMENTS, G

_GG = np.kron(G, G)  # from the 9 weights of a filter to 36 elements


def transform_filters_together(weight: np.ndarray) -> np.ndarray:
    """As `transform_filters`, but fast, in one matrix product, since filters change in every step of training."""
    _, _, inputs, outputs = weight.shape
    matrices = (_GG @ weight.reshape(9, -1).astype(np.float64)).astype(np.float32).reshape(ELEMENTS, inputs, outputs)
    blocks = []
    for first in range(0, outputs, BLOCK):
        block = matrices[:, :, first : first + BLOCK]
        count = block.shape[2]
        wide = BLOCK if count > LANES else LANES
        blocks.append(np.pad(block, ((0, 0), (0, 0), (0, wide - count))).ravel())
    return np.concatenate(blocks)


def gradient_of_filters(total: np.ndarray) -> np.ndarray:
    """G^T total G: from sums (36, in, out) to (3, 3, in, out)."""
    _, inputs, outputs = total.shape
    return (_GG.T @ total.reshape(ELEMENTS, -1).astype(np.float64)).astype(np.float32).reshape(3, 3, inputs, outputs)


__getattr__ = kernels_of(__name__)
