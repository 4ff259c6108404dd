"""What Python needs to measure the peak: how much one step does."""

from __future__ import annotations

from cnntool.kernels import kernels_of
from cnntool.kernels.vectors import LANES, PIXELS, VECTORS

FLOATS = LANES * PIXELS * VECTORS  # multiply-adds of one step


__getattr__ = kernels_of(__name__)
