"""What Python needs of kernels that treat each position by itself: how channels are reduced, and borders."""

from __future__ import annotations

from cnntool.kernels import kernels_of

MAX, ABSOLUTE_MAX, MODULUS = range(3)
REFLECT, MIRROR, REPLICATE, WRAP = range(1, 5)  # borders; 0 is of zeros


__getattr__ = kernels_of(__name__)
