"""SciPy behind the signatures of the naive twins: dense correlations and filters at stride 1, then subsampled."""

from __future__ import annotations

import numpy as np
from scipy import linalg, ndimage, signal, special, stats

Pair = tuple[int, int]
Sides = tuple[int, int, int, int]


def conv(x, weight, bias=None, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1):
    """The kernel is spread by zeros, correlated with all of the padded volume, and every stride-th value kept."""
    weight = np.asarray(weight, dtype=np.float64)
    kh, kw, per_group, out_channels = weight.shape
    spread = np.zeros(((kh - 1) * dilation[0] + 1, (kw - 1) * dilation[1] + 1, per_group, out_channels))
    spread[:: dilation[0], :: dilation[1]] = weight
    x = surrounded(x, padding, 0.0)
    maps = []
    for oc in range(out_channels):
        first = oc * groups // out_channels * per_group
        channels = x[:, :, first : first + per_group]
        dense = signal.correlate(channels, spread[:, :, :, oc], mode="valid", method="direct")
        maps.append(dense[:: stride[0], :: stride[1], 0])
    y = np.stack(maps, axis=2)
    return y if bias is None else y + np.asarray(bias, dtype=np.float64)


def maxpool(x, kernel_size, stride=None, padding=(0, 0, 0, 0), dilation=(1, 1), ceil=False):
    footprint = window(kernel_size, dilation)
    starts = window_starts(x.shape, footprint.shape, stride or kernel_size, padding, ceil)
    x = grown(surrounded(x, padding, -np.inf), starts, footprint.shape, -np.inf)
    y = ndimage.maximum_filter(x, footprint=footprint[:, :, None] > 0, mode="constant", cval=-np.inf)
    return at_starts(y, starts, footprint.shape)


def avgpool(x, kernel_size, stride=None, padding=(0, 0, 0, 0), dilation=(1, 1), ceil=False, count_padding=False):
    total = window_sum(x, kernel_size, stride, padding, dilation, ceil)
    return total / window_sum(np.ones(x.shape), kernel_size, stride, padding, dilation, ceil, float(count_padding))


def l2pool(x, kernel_size, stride=None, padding=(0, 0, 0, 0), dilation=(1, 1), ceil=False):
    squares = np.asarray(x, dtype=np.float64) ** 2
    return np.sqrt(window_sum(squares, kernel_size, stride, padding, dilation, ceil))


def window_sum(x, kernel_size, stride, padding, dilation, ceil, border=0.0):
    """Sums of windows with `border` in the padding and zeros beyond it."""
    taps = window(kernel_size, dilation)
    starts = window_starts(x.shape, taps.shape, stride or kernel_size, padding, ceil)
    x = grown(surrounded(x, padding, border), starts, taps.shape, 0.0)
    return at_starts(ndimage.correlate(x, taps[:, :, None], mode="constant"), starts, taps.shape)


def window(kernel_size: Pair, dilation: Pair) -> np.ndarray:
    """Ones at the taps, zeros in the holes."""
    taps = np.zeros([(size - 1) * step + 1 for size, step in zip(kernel_size, dilation, strict=True)])
    taps[:: dilation[0], :: dilation[1]] = 1.0
    return taps


def window_starts(shape, spans: Pair, stride: Pair, padding: Sides, ceil: bool) -> list[list[int]]:
    """The rows and the columns of the padded volume where windows start."""
    top, left, bottom, right = padding
    starts = []
    for axis, (before, after) in enumerate(((top, bottom), (left, right))):
        size = before + shape[axis] + after
        begins = list(range(0, size - spans[axis] + 1, stride[axis]))
        following = begins[-1] + stride[axis] if begins else 0
        # rounding up: one more that overhangs by less than a stride and does not start in the padding after the pixels
        if ceil and following + spans[axis] - size < stride[axis] and following < before + shape[axis]:
            begins.append(following)
        starts.append(begins)
    return starts


def surrounded(x: np.ndarray, padding: Sides, value: float) -> np.ndarray:
    top, left, bottom, right = padding
    return np.pad(np.asarray(x, np.float64), ((top, bottom), (left, right), (0, 0)), constant_values=value)


def grown(x: np.ndarray, starts: list[list[int]], spans: Pair, value: float) -> np.ndarray:
    """x with as much `value` below and to the right as the last windows overhang it."""
    down, across = (
        max(0, begins[-1] + span - size) for begins, span, size in zip(starts, spans, x.shape[:2], strict=True)
    )
    return surrounded(x, (0, 0, down, across), value)


def at_starts(filtered: np.ndarray, starts: list[list[int]], spans: Pair) -> np.ndarray:
    """ndimage's value at a pixel belongs to the window whose middle, `span // 2`, lies there."""
    rows, columns = (np.array(begins) + span // 2 for begins, span in zip(starts, spans, strict=True))
    return filtered[np.ix_(rows, columns)]


def sigmoid(x):
    return special.expit(x)


def gelu(x):
    return x * special.ndtr(x)


def softplus(x):
    return -special.log_expit(-x)


def lrn(x, size=5, alpha=1e-4, beta=0.75, k=1.0):
    x = np.asarray(x, dtype=np.float64)
    squares = ndimage.correlate1d(x**2, np.ones(size), axis=2, mode="constant")
    return x / (k + alpha / size * squares) ** beta


def softmax(x):
    return special.softmax(x, axis=2)


def center(x):
    pixels = np.asarray(x, dtype=np.float64).reshape(-1, x.shape[2])
    return signal.detrend(pixels, axis=0, type="constant").reshape(x.shape)


def standardize(x):
    """`zscore` divides a constant channel by zero."""
    if x.shape[:2] == (1, 1):
        return np.zeros(x.shape)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num(stats.zscore(np.asarray(x, dtype=np.float64), axis=(0, 1)))


def whiten(x, how="zca"):
    """From the singular values of the centred pixels, with no covariance matrix."""
    if how == "std":
        return standardize(x)
    scores, values, axes = decomposed(x)
    kept = values > 1e-4 * values[0]
    unit = scores[:, kept] * np.sqrt(len(scores))
    if how == "zca":
        return (unit @ axes[kept]).reshape(x.shape)
    y = np.zeros((len(scores), x.shape[2]))
    y[:, : unit.shape[1]] = unit * signs(axes[kept])
    return y.reshape(x.shape)


def decorrelate(x):
    if x.shape[2] == 2:
        return np.asarray(x, dtype=np.float64) @ np.array([[0.5, 1.0], [0.5, -1.0]])
    scores, values, axes = decomposed(x)
    y = np.zeros((len(scores), x.shape[2]))
    y[:, : len(values)] = scores * values * signs(axes)
    return y.reshape(x.shape)


def decomposed(x):
    """The singular value decomposition of the centred pixels: scores, values, and one axis a row."""
    return linalg.svd(center(x).reshape(-1, x.shape[2]), full_matrices=False)


def signs(axes: np.ndarray) -> np.ndarray:
    """What makes the largest component of each row positive."""
    return np.sign([row[np.abs(row).argmax()] for row in axes])
