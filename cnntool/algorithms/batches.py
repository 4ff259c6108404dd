"""Convolution of batches in training, and its gradients. Each image is first copied to a zero-padded canvas.

All three use the cheapest of the algorithms that have kernels for batches.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cnntool import kernels
from cnntool.algorithms import costs_of
from cnntool.algorithms.direct import float_bias
from cnntool.algorithms.winograd_few import few_fits
from cnntool.kernels import RANGE
from cnntool.kernels.arguments import Canvas, Filters, Window
from cnntool.steps.step import Convolution
from cnntool.steps.training import Training

WITH_BATCHES = ("direct", "depthwise", "winograd")


def by_tiles(convolution: Convolution) -> bool:
    """Whether Winograd is the cheapest; its kernels for batches support only 3x3 filters with many channels."""
    costs = costs_of(convolution, WITH_BATCHES)
    plain = (convolution.window.kernel_size, convolution.window.stride) == ((3, 3), (1, 1))
    return plain and not few_fits(convolution) and min(costs, key=costs.__getitem__) == "winograd"


def convolved(batch: np.ndarray, convolution: Convolution, training: Training, name: str = "output") -> np.ndarray:
    """The convolution of a batch N x H x W x C."""
    out = training.array(name, (len(batch), *convolution.output_shape))
    forward = on_tiles if by_tiles(convolution) else on_canvas
    forward(batch, bordered(convolution), convolution, out, training)
    return out


def bordered(convolution: Convolution) -> Canvas:
    """The canvas of the input with its padding."""
    top, left, bottom, right = convolution.window.padding
    height, width, _ = convolution.input_shape
    return Canvas((height + top + bottom, width + left + right), (top, left))


def input_gradient(d_output: np.ndarray, convolution: Convolution, training: Training) -> np.ndarray:
    """Convolves d_output, spread by the stride on a canvas, with the rotated filters."""
    (kh, kw), stride, (dy, dx), (top, left, _, _) = convolution.window
    height, width, _ = convolution.input_shape
    d_input = training.array("d_input", (len(d_output), *convolution.input_shape))
    reach = (dy * (kh - 1), dx * (kw - 1))
    canvas = Canvas((height + reach[0], width + reach[1]), (reach[0] - top, reach[1] - left), stride)
    turned = Convolution(
        (*canvas.size, convolution.output_shape[2]), Window((kh, kw), dilation=(dy, dx)),
        kernels.convolution_backward.turned(convolution.weight, convolution.groups), None, convolution.groups,
    )  # fmt: skip
    backward = on_tiles if by_tiles(convolution) else on_canvas
    backward(d_output, canvas, turned, d_input, training)
    return d_input


def on_tiles(batch: np.ndarray, canvas: Canvas, convolution: Convolution, out: np.ndarray, training: Training) -> None:
    """`out`: the 3x3 convolution of the canvases, by Winograd's algorithm.

    Images with outliers, which it would lose beside them, are computed directly.
    """
    winograd = kernels.winograd_backward
    filters = winograd.transform_filters_together(convolution.weight)
    bias, spoiled = float_bias(convolution), np.zeros(len(batch), np.int64)
    forward = winograd.conv_winograd_images_forward.over(batch, RANGE, filters, bias, out, *canvas.corner, spoiled)
    training.over_images(len(batch), forward)
    canvas = canvas._replace(size=(out.shape[1] + 2, out.shape[2] + 2))
    for n in np.flatnonzero(spoiled):
        on_canvas(batch[n : n + 1], canvas, convolution, out[n : n + 1], training)


def on_canvas(batch: np.ndarray, canvas: Canvas, convolution: Convolution, out: np.ndarray, training: Training) -> None:
    """`out`: the convolution of the canvases, directly."""
    weight, groups, channels = convolution.weight, convolution.groups, out.shape[3]
    if groups == batch.shape[3] == channels:
        filters = Filters(np.array(weight, np.float32).reshape(-1), float_bias(convolution), groups, 1, channels)
        forward = kernels.convolution_backward.conv_depthwise_images_forward
    else:
        filters = kernels.convolution.packed(weight, convolution.bias, groups)
        forward = kernels.convolution_backward.conv_images_forward
    training.over_images(len(batch), forward.over(batch, RANGE, filters, out, canvas, convolution.window))


def weight_gradient(
    batch: np.ndarray, d_output: np.ndarray, convolution: Convolution, training: Training
) -> np.ndarray:
    """Each block of images has a sum of its own; the sums are added in order."""
    canvas, window = bordered(convolution), convolution.window
    shape, groups = convolution.weight.shape, convolution.groups
    backward = kernels.convolution_backward

    def block(first: int, last: int, total: np.ndarray) -> None:
        if groups == batch.shape[3] == shape[3]:
            backward.conv_depthwise_weight_backward(batch, d_output, first, last, total, canvas, window)
        else:
            backward.conv_weight_backward(batch, d_output, first, last, total, canvas, window, groups)

    if by_tiles(convolution):
        return tiles_gradient(batch, d_output, canvas, shape, training, block)
    return training.summed(len(batch), shape, block)


def tiles_gradient(
    batch: np.ndarray, d_output: np.ndarray, canvas: Canvas, shape: tuple[int, ...], training: Training,
    directly: Callable[[int, int, np.ndarray], None],
) -> np.ndarray:  # fmt: skip
    """The gradient of 3x3 filters by Winograd's algorithm: sums over all tiles, transformed once at the end.

    Blocks of images with outliers, which it would lose beside them, are left to `directly`.
    """
    winograd, left_out = kernels.winograd_backward, []

    def block(first: int, last: int, total: np.ndarray) -> None:
        spoiled = np.zeros(1, np.int64)
        winograd.conv_winograd_weight_backward(batch, d_output, first, last, *canvas.corner, total, spoiled)
        if spoiled[0]:
            total[:] = 0
            left_out.append((first, last))

    result = winograd.gradient_of_filters(training.summed(len(batch), (winograd.ELEMENTS, *shape[2:]), block))
    for first, last in sorted(left_out):
        part = np.zeros(shape, np.float32)
        directly(first, last, part)
        result += part
    return result


def bias_gradient(d_output: np.ndarray, training: Training) -> np.ndarray:
    """The sum of `d_output` (N, H, W, C) over all positions of the batch: C numbers."""
    backward = kernels.convolution_backward.conv_bias_backward

    def block(first: int, last: int, total: np.ndarray) -> None:
        backward(d_output, first, last, total)

    return training.summed(len(d_output), d_output.shape[3:], block, "float64")
