"""Winograd convolution: tile sizes, and transformed, packed filters."""

from __future__ import annotations

import numpy as np

from cnntool.kernels import kernels_of
from cnntool.kernels.convolution import pack_filters
from cnntool.kernels.vectors import HOST

TILE, SMALL_TILE = 4, 2  # outputs of a tile along one axis
PATCH, SMALL_PATCH, STRIDED_PATCH = TILE + 2, SMALL_TILE + 2, 2 * SMALL_TILE + 1  # inputs that it sees
G = np.array(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ]
)

SMALL_G = np.array([[1, 0, 0], [1 / 2, 1 / 2, 1 / 2], [1 / 2, -1 / 2, 1 / 2], [0, 0, 1]])

STRIDED_G = np.array([[1, 0, 0], [1, 0, 1], [0, 0, 1], [0, 1, 0], [0, 1, 0]])

FIVE_G = np.array(
    [
        [1 / 4, 0, 0, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6, 1 / 3, 2 / 3],
        [1 / 24, -1 / 12, 1 / 6, -1 / 3, 2 / 3],
        [0, 0, 0, 0, 1],
    ]
)

ELEMENTS = PATCH * PATCH
TILES_AT_ONCE, SHORT = HOST.winograd_together, HOST.short_tile
DIRECT = -1  # a state of a tile that is computed directly; others are bits of outputs whose windows see only zeros


def transform_filters(weight: np.ndarray, tile: int, patch: int) -> np.ndarray:
    """Filters (k, k, in, out) as `products` reads them: a matrix (in, out) for each element of a patch."""
    matrix = {(4, 6): G, (2, 4): SMALL_G, (2, 5): STRIDED_G, (2, 6): FIVE_G}[tile, patch]
    turned = np.einsum("ay,bx,yxio->abio", matrix, matrix, weight.astype(np.float64), optimize=True)
    return pack_filters(turned.reshape(1, patch * patch, *weight.shape[2:]).astype(np.float32), 1)


__getattr__ = kernels_of(__name__)
