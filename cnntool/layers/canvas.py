"""Convolution of whole batches in training, and its gradients: each image is laid on a canvas with its border."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnntool import kernels
from cnntool.kernels import RANGE
from cnntool.steps.geometry import Window, output_size

if TYPE_CHECKING:
    import numpy as np

    from cnntool.layers.training import Training

FEWEST = 16  # channels on either side, from which on Winograd's algorithm is faster


def convolved(
    x: np.ndarray, window: Window, weight: np.ndarray, bias: np.ndarray | None, groups: int, training: Training,
    name: str = "output",
) -> np.ndarray:  # fmt: skip
    """The convolution of a batch N x H x W x C with filters (kh, kw, in // groups, out)."""
    (kh, kw), (sy, sx), (dy, dx), (top, left, bottom, right) = window
    images, height, width, _ = x.shape
    out = training.array(name, (images, *output_size(window, (height, width)), weight.shape[3]))
    if winograd_fits(window, weight.shape, groups):
        on_tiles(x, (top, left), weight, bias, out, training)
        return out
    canvas = (height + top + bottom, width + left + right)
    on_canvas(x, canvas, (top, left), (1, 1), weight, bias, (kh, kw, sy, sx, dy, dx), groups, out, training)
    return out


def input_gradient(
    d_output: np.ndarray, window: Window, weight: np.ndarray, groups: int, shape: tuple[int, ...], training: Training
) -> np.ndarray:
    """d_output, its pixels a stride apart on a canvas, convolved with the turned filters."""
    (kh, kw), stride, (dy, dx), (top, left, _, _) = window
    d_input = training.array("d_input", shape)
    reach = (dy * (kh - 1), dx * (kw - 1))
    canvas, corner = (shape[1] + reach[0], shape[2] + reach[1]), (reach[0] - top, reach[1] - left)
    turned = kernels.convolution_backward.turned(weight, groups)
    if winograd_fits(window, weight.shape, groups):
        on_tiles(d_output, corner, turned, None, d_input, training)
        return d_input
    on_canvas(d_output, canvas, corner, stride, turned, None, (kh, kw, 1, 1, dy, dx), groups, d_input, training)
    return d_input


def winograd_fits(window: Window, shape: tuple[int, ...], groups: int) -> bool:
    """Whether Winograd's algorithm can do it and is faster: with few channels its transforms cost more."""
    plain = (window.kernel_size, window.stride, window.dilation, groups) == ((3, 3), (1, 1), (1, 1), 1)
    return plain and min(shape[2:]) >= FEWEST


def on_tiles(
    x: np.ndarray, corner: tuple[int, int], weight: np.ndarray, bias: np.ndarray | None, out: np.ndarray,
    training: Training,
) -> None:  # fmt: skip
    """`out`: the 3x3 convolution of canvases on which `x` lies from `corner` on, by Winograd's algorithm."""
    import numpy as np

    winograd = kernels.winograd_backward
    filters = winograd.transform_filters_together(weight)
    offset = np.zeros(weight.shape[3], np.float32) if bias is None else np.asarray(bias, np.float32)
    forward = winograd.conv_winograd_images_forward.over(x, RANGE, filters, offset, out, *corner)
    training.over_images(len(x), forward)


def on_canvas(
    x: np.ndarray, canvas: tuple[int, int], corner: tuple[int, int], spread: tuple[int, int], weight: np.ndarray,
    bias: np.ndarray | None, steps: tuple[int, ...], groups: int, out: np.ndarray, training: Training,
) -> None:  # fmt: skip
    """`out`: the convolution of canvases on which the pixels of `x` lie `spread` apart, from `corner` on."""
    import numpy as np

    channels, out_channels = x.shape[3], out.shape[3]
    depthwise = groups == channels == out_channels
    if depthwise:
        packed = np.array(weight, np.float32).reshape(-1)
        offset = np.zeros(out_channels, np.float32) if bias is None else np.asarray(bias, np.float32)
    else:
        packed = kernels.convolution.pack_filters(weight, groups)
        offset = kernels.convolution.pack_bias(bias, out_channels, groups)
    forward = kernels.convolution_backward.conv_images_forward.over(
        x, RANGE, packed, offset, out, *canvas, *corner, *spread, *steps, groups, depthwise
    )
    training.over_images(len(x), forward)


def weight_gradient(
    x: np.ndarray, d_output: np.ndarray, window: Window, shape: tuple[int, ...], groups: int, training: Training
) -> np.ndarray:
    """Each thread sums over blocks of images of its own; the sums are added in order."""
    (top, left, bottom, right), steps = window.padding, (*window.stride, *window.dilation)
    canvas = (x.shape[1] + top + bottom, x.shape[2] + left + right)
    backward = kernels.convolution_backward
    if winograd_fits(window, shape, groups):
        return tiles_gradient(x, d_output, (top, left), shape, training)

    def block(first: int, last: int, total: np.ndarray) -> None:
        if groups == x.shape[3] == shape[3]:
            backward.conv_depthwise_weight_backward(x, d_output, first, last, total, *canvas, top, left, *steps)
        else:
            backward.conv_weight_backward(x, d_output, first, last, total, *canvas, top, left, *steps, groups)

    return training.summed(len(x), shape, block)


def tiles_gradient(
    x: np.ndarray, d_output: np.ndarray, corner: tuple[int, int], shape: tuple[int, ...], training: Training
) -> np.ndarray:
    """The gradient of 3x3 filters by Winograd's algorithm: sums over all tiles, transformed once at the end."""
    winograd = kernels.winograd_backward

    def block(first: int, last: int, total: np.ndarray) -> None:
        winograd.conv_winograd_weight_backward(x, d_output, first, last, *corner, total)

    return winograd.gradient_of_filters(training.summed(len(x), (winograd.PLACES, *shape[2:]), block))


def bias_gradient(d_output: np.ndarray, training: Training) -> np.ndarray:
    """The sum of `d_output` (N, H, W, C) over all positions of the batch: C numbers."""
    backward = kernels.convolution_backward.conv_bias_backward

    def block(first: int, last: int, total: np.ndarray) -> None:
        backward(d_output, first, last, total)

    return training.summed(len(d_output), d_output.shape[3:], block, "float64")
