"""What Python needs of the gradients of convolution: filters turned for the gradient of the input."""

from __future__ import annotations

import numpy as np

from cnntool.kernels import kernels_of


def turned(weight: np.ndarray, groups: int) -> np.ndarray:
    """The filters (kh, kw, in // groups, out) as the gradient of the input needs them: (kh, kw, out // groups, in)."""
    kh, kw, depth, out_channels = weight.shape
    apart = weight[::-1, ::-1].reshape(kh, kw, depth, groups, out_channels // groups)
    return np.ascontiguousarray(apart.transpose(0, 1, 4, 3, 2)).reshape(kh, kw, out_channels // groups, groups * depth)


__getattr__ = kernels_of(__name__)
