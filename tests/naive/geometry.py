"""Where windows lie: output sizes, padding, and the samples below each tap of a window. Integers only.

A volume is height x width x channels. A padding is `(top, left, bottom, right)`, all else is `(vertical, horizontal)`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

Pair = tuple[int, int]
Sides = tuple[int, int, int, int]


def output_size(size: int, kernel: int, stride: int, dilation: int, before: int, after: int, ceil: bool = False) -> int:
    """The number of windows along one axis; 0 or less when none fits.

    Rounding up admits one window that overhangs the end, unless it would start in the padding there (PyTorch's rule).
    """
    room = size + before + after - dilation * (kernel - 1) - 1
    if ceil:
        room += stride - 1
    windows = room // stride + 1
    if ceil and (windows - 1) * stride >= size + before:
        windows -= 1
    return windows


def same_padding(size: int, kernel: int, stride: int, dilation: int) -> Pair:
    """`(before, after)` that give `ceil(size / stride)` windows; the odd pixel comes after."""
    windows = -(-size // stride)
    total = max(0, (windows - 1) * stride + dilation * (kernel - 1) + 1 - size)
    return total // 2, total - total // 2


def output_sizes(
    size: Pair, kernel_size: Pair, stride: Pair, padding: Sides, dilation: Pair, ceil: bool = False
) -> Pair:
    """`output_size` of both axes."""
    top, left, bottom, right = padding
    return (
        output_size(size[0], kernel_size[0], stride[0], dilation[0], top, bottom, ceil),
        output_size(size[1], kernel_size[1], stride[1], dilation[1], left, right, ceil),
    )


def on_canvas(x: np.ndarray, padding: Sides, extent: Pair, fill: float) -> np.ndarray:
    """`x` behind its top and left padding on an `extent` of `fill`; what lies outside the extent is cut off."""
    canvas = np.full((*extent, x.shape[2]), fill, dtype=np.float64)
    target = canvas[padding[0] : padding[0] + x.shape[0], padding[1] : padding[1] + x.shape[1]]
    target[:] = x[: target.shape[0], : target.shape[1]]
    return canvas


def covered(outputs: Pair, kernel_size: Pair, stride: Pair, dilation: Pair) -> Pair:
    """The extent from the start of the first window to the end of the last."""
    rows, columns = (
        (outputs[axis] - 1) * stride[axis] + dilation[axis] * (kernel_size[axis] - 1) + 1 for axis in (0, 1)
    )
    return rows, columns


def taps(
    canvas: np.ndarray, outputs: Pair, kernel_size: Pair, stride: Pair, dilation: Pair
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Each tap: ky, kx, and samples[OH, OW, C] = canvas[oy * stride + ky * dilation, ox * stride + kx * dilation]."""
    for ky in range(kernel_size[0]):
        for kx in range(kernel_size[1]):
            from_here = canvas[ky * dilation[0] :, kx * dilation[1] :]
            yield ky, kx, from_here[:: stride[0], :: stride[1]][: outputs[0], : outputs[1]]
