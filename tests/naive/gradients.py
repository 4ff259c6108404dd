"""The slow, obvious gradients: for each twin `f` an `f_backward(d_y, x, ...)`, in float64, one image at a time.

Each gives d_x, and a mapping with the gradient of every trainable array. `batchnorm_backward` takes a whole batch.
Those of the activations stand beside their twins.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.naive import activations, twins
from tests.naive.geometry import Pair, Sides, covered, on_canvas, taps

NO_PADDING = (0, 0, 0, 0)
Gradients = tuple[np.ndarray, dict[str, np.ndarray]]


def __getattr__(name: str) -> Any:
    return getattr(activations, name)


def off_canvas(canvas: np.ndarray, padding: Sides, shape: tuple[int, ...]) -> np.ndarray:
    """The image's part of a canvas behind its top and left padding; zeros where the canvas ends before the image."""
    x = np.zeros(shape)
    part = canvas[padding[0] : padding[0] + shape[0], padding[1] : padding[1] + shape[1]]
    x[: part.shape[0], : part.shape[1]] = part
    return x


def conv_backward(
    d_y, x, weight, bias=None, stride: Pair = (1, 1), padding: Sides = NO_PADDING, dilation: Pair = (1, 1), groups=1
) -> Gradients:
    window = d_y.shape[:2], weight.shape[:2], stride, dilation
    canvas = on_canvas(x, padding, covered(*window), 0.0)
    d_canvas, d_weight = np.zeros_like(canvas), np.zeros(weight.shape)
    inputs, outputs = x.shape[2] // groups, weight.shape[3] // groups
    for group in range(groups):
        ic, oc = slice(group * inputs, (group + 1) * inputs), slice(group * outputs, (group + 1) * outputs)
        for ky, kx, samples in taps(canvas[:, :, ic], *window):
            d_weight[ky, kx, :, oc] = np.einsum("hwi,hwo->io", samples, d_y[:, :, oc])
        for ky, kx, d_samples in taps(d_canvas[:, :, ic], *window):
            d_samples += d_y[:, :, oc] @ weight[ky, kx, :, oc].T
    return off_canvas(d_canvas, padding, x.shape), {"weight": d_weight, "bias": d_y.sum(axis=(0, 1))}


def fc_backward(d_y, x, weight, bias=None) -> Gradients:
    d = d_y.reshape(-1)
    return (weight @ d).reshape(x.shape), {"weight": np.outer(x.reshape(-1), d), "bias": d}


def flatten_backward(d_y, x) -> Gradients:
    return d_y.reshape(x.shape), {}


def softmax_backward(d_y, x) -> Gradients:
    y = twins.softmax(x)
    return y * (d_y - (d_y * y).sum(axis=2, keepdims=True)), {}


def maxpool_backward(
    d_y, x, kernel_size: Pair, stride: Pair | None = None, padding=NO_PADDING, dilation=(1, 1), ceil=False
) -> Gradients:
    """The first of the largest pixels takes all."""
    window = d_y.shape[:2], kernel_size, stride or kernel_size, dilation
    canvas = on_canvas(x, padding, covered(*window), -np.inf)
    best, d_canvas = np.full(d_y.shape, -np.inf), np.zeros_like(canvas)
    for _, _, samples in taps(canvas, *window):
        best = np.maximum(best, samples)
    free = np.ones(d_y.shape, bool)
    pairs = zip(taps(canvas, *window), taps(d_canvas, *window), strict=True)
    for (_, _, samples), (_, _, d_samples) in pairs:
        mine = free & (samples == best)
        d_samples += np.where(mine, d_y, 0.0)
        free &= ~mine
    return off_canvas(d_canvas, padding, x.shape), {}


def avgpool_backward(
    d_y, x, kernel_size, stride=None, padding=NO_PADDING, dilation=(1, 1), ceil=False, count_padding=False
) -> Gradients:
    """Shares out d_y / count. A volume of ones pools to 1 where only pixels count, to pixels / count otherwise."""
    stride = stride or kernel_size
    options = {"stride": stride, "padding": padding, "dilation": dilation, "ceil": ceil}
    pixels = twins.l2pool(np.ones((*x.shape[:2], 1)), kernel_size, **options) ** 2
    mean = twins.avgpool(np.ones((*x.shape[:2], 1)), kernel_size, **options, count_padding=count_padding)
    window = d_y.shape[:2], kernel_size, stride, dilation
    d_canvas = np.zeros((*covered(*window), x.shape[2]))
    for _, _, d_samples in taps(d_canvas, *window):
        d_samples += d_y * mean / pixels
    return off_canvas(d_canvas, padding, x.shape), {}


def l2pool_backward(d_y, x, kernel_size, stride=None, padding=NO_PADDING, dilation=(1, 1), ceil=False) -> Gradients:
    stride = stride or kernel_size
    y = twins.l2pool(x, kernel_size, stride, padding, dilation, ceil)
    window = d_y.shape[:2], kernel_size, stride, dilation
    d_canvas = np.zeros((*covered(*window), x.shape[2]))
    for _, _, d_samples in taps(d_canvas, *window):
        d_samples += d_y / y
    return x * off_canvas(d_canvas, padding, x.shape), {}


def globalpool_backward(d_y, x, how: str) -> Gradients:
    pools = {"max": maxpool_backward, "avg": avgpool_backward, "l2": l2pool_backward}
    return pools[how](d_y, x, x.shape[:2])


def batchnorm_backward(d_y, x, gamma, beta, eps: float = 1e-5) -> Gradients:
    """x: N, H, W, C, the statistics those of the batch itself."""
    rest = (0, 1, 2)
    deviation = np.sqrt(x.var(axis=rest) + eps)
    x_hat = (x - x.mean(axis=rest)) / deviation
    d_x_hat = d_y * gamma
    d_x = (d_x_hat - d_x_hat.mean(axis=rest) - x_hat * (d_x_hat * x_hat).mean(axis=rest)) / deviation
    return d_x, {"gamma": (d_y * x_hat).sum(axis=rest), "beta": d_y.sum(axis=rest)}


def lrn_backward(d_y, x, size=5, alpha=1e-4, beta=0.75, k=1.0) -> Gradients:
    d_x = np.zeros_like(x)
    channels = x.shape[2]
    for c in range(channels):
        near = slice(max(0, c - size // 2), min(channels, c + (size - 1) // 2 + 1))
        base = k + alpha / size * (x[:, :, near] ** 2).sum(axis=2)
        d_x[:, :, c] += d_y[:, :, c] * base**-beta
        d_base = d_y[:, :, c] * x[:, :, c] * -beta * base ** (-beta - 1)
        d_x[:, :, near] += d_base[..., None] * 2 * alpha / size * x[:, :, near]
    return d_x, {}
