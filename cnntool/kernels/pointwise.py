"""What Python needs of kernels that treat each position by itself: how channels are reduced."""

from __future__ import annotations

from cnntool.kernels import kernels_of

MAX, ABSOLUTE_MAX, MODULUS = range(3)


__getattr__ = kernels_of(__name__)
