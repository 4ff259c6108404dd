"""The peak float32 performance of a core: independent multiply-adds in registers, without memory traffic."""

from __future__ import annotations

import numpy as np

from cnntool.kernels.peak import FLOATS
from cnntool.kernels.sources.jit import kernel
from cnntool.kernels.sources.tile import address_of, dense_tile, keep_alive
from cnntool.kernels.vectors import LANES, PIXELS, VECTORS


@kernel
def multiply_add_peak(steps):
    """`steps` steps of a full tile over one pixel and one filter in the L1 cache."""
    x = np.zeros(PIXELS, np.float32)
    w = np.zeros(64 * LANES * VECTORS, np.float32)
    y = np.zeros(FLOATS, np.float32)
    for _ in range(steps // 64):
        dense_tile(
            address_of(x), address_of(w), address_of(w), address_of(y), 1, 1, 64, 0, 0, 0, LANES * VECTORS,
            PIXELS, LANES * VECTORS, 0, np.float32(-np.inf), PIXELS, VECTORS,
        )  # fmt: skip
    keep_alive(x)
    keep_alive(w)
    keep_alive(y)
