"""A convolution that each algorithm can compute. A new algorithm is one more row."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tests.kernels.volumes import noise

Kernel = tuple[int, int, int, int]  # height, width, input channels of a filter, filters


class Case(NamedTuple):
    """The filters' shape, the options of `conv`, and the error allowed."""

    kernel: Kernel
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    tolerance: float = 1e-5
    weight_of: Callable[[Kernel], np.ndarray] = lambda kernel: noise(*kernel)

    @property
    def options(self) -> str:
        """Of `conv`, beside the padding."""
        (sy, sx), (dy, dx) = self.stride, self.dilation
        return f"--stride {sy}x{sx} --dilation {dy}x{dx} --groups {self.groups}"

    @property
    def conv(self) -> str:
        """The layer without padding."""
        height, width, _, filters = self.kernel
        return f"conv {filters} {height}x{width} {self.options}"

    @property
    def channels(self) -> int:
        """Of the input."""
        return self.kernel[2] * self.groups

    def weight(self) -> np.ndarray:
        """Filters of noise."""
        return self.weight_of(self.kernel)


def of_rank_one(kernel: Kernel) -> np.ndarray:
    """Filters that are products of a column and a row."""
    height, width, channels, filters = kernel
    return noise(height, 1, channels, filters) * noise(1, width, channels, filters)


CASES = {
    "direct": Case((3, 4, 3, 5), stride=(2, 2), dilation=(2, 1)),
    "depthwise": Case((3, 3, 1, 16), groups=16),
    "fft": Case((25, 25, 1, 4)),
    "separable": Case((9, 9, 1, 6), weight_of=of_rank_one),
    "winograd": Case((3, 3, 32, 32), tolerance=5e-5),
}
