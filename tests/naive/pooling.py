"""The slow, obvious poolings. All: x[H, W, C] -> y[OH, OW, C].

With `ceil` the last window may overhang the padded volume; what lies beyond it belongs to no window.
"""

from __future__ import annotations

import numpy as np

from tests.naive.geometry import Pair, Sides, covered, on_canvas, output_sizes, taps

NO_PADDING = (0, 0, 0, 0)


def maxpool(
    x: np.ndarray,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Sides = NO_PADDING,
    dilation: Pair = (1, 1),
    ceil: bool = False,
) -> np.ndarray:
    """y = the largest pixel of the window. Padding counts as minus infinity; a NaN in the window is a NaN out."""
    stride = stride or kernel_size
    outputs = output_sizes(x.shape[:2], kernel_size, stride, padding, dilation, ceil)
    canvas = on_canvas(x, padding, covered(outputs, kernel_size, stride, dilation), fill=-np.inf)
    y = np.full((*outputs, x.shape[2]), -np.inf)
    for _, _, samples in taps(canvas, outputs, kernel_size, stride, dilation):
        y = np.maximum(y, samples)
    return y


def avgpool(
    x: np.ndarray,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Sides = NO_PADDING,
    dilation: Pair = (1, 1),
    ceil: bool = False,
    count_padding: bool = False,
) -> np.ndarray:
    """y = sum of the window's pixels / number of them; `count_padding` counts those of the padding as well."""
    stride = stride or kernel_size
    total = window_sum(x, kernel_size, stride, padding, dilation, ceil)
    counted, offset = np.ones((*x.shape[:2], 1)), padding
    if count_padding:
        top, left, bottom, right = padding
        counted, offset = np.ones((top + x.shape[0] + bottom, left + x.shape[1] + right, 1)), NO_PADDING

    extent = covered(total.shape[:2], kernel_size, stride, dilation)
    count = np.zeros((*total.shape[:2], 1))
    for _, _, samples in taps(on_canvas(counted, offset, extent, 0.0), total.shape[:2], kernel_size, stride, dilation):
        count += samples
    return total / count


def l2pool(
    x: np.ndarray,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Sides = NO_PADDING,
    dilation: Pair = (1, 1),
    ceil: bool = False,
) -> np.ndarray:
    """y = sqrt(sum of the squares of the window's pixels); an overhanging window is summed as it is."""
    squares = np.asarray(x, dtype=np.float64) ** 2
    return np.sqrt(window_sum(squares, kernel_size, stride or kernel_size, padding, dilation, ceil))


def globalpool(x: np.ndarray, how: str) -> np.ndarray:
    """x[H, W, C] -> y[1, 1, C]: `max`, `avg`, or `l2`, the root of the sum of squares, over all pixels."""
    x = np.asarray(x, dtype=np.float64)
    reductions = {
        "max": lambda: x.max(axis=(0, 1)),
        "avg": lambda: x.mean(axis=(0, 1)),
        "l2": lambda: np.sqrt((x**2).sum(axis=(0, 1))),
    }
    return reductions[how]()[None, None, :]


def window_sum(
    x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Sides, dilation: Pair, ceil: bool
) -> np.ndarray:
    """x[H, W, C] -> the sum of each window, with zeros around x."""
    outputs = output_sizes(x.shape[:2], kernel_size, stride, padding, dilation, ceil)
    canvas = on_canvas(x, padding, covered(outputs, kernel_size, stride, dilation), fill=0.0)
    y = np.zeros((*outputs, x.shape[2]))
    for _, _, samples in taps(canvas, outputs, kernel_size, stride, dilation):
        y += samples
    return y
