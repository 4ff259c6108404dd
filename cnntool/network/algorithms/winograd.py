"""Winograd's algorithm for 3x3 convolutions with stride 1."""

from __future__ import annotations

import math

import numpy as np

from cnntool import kernels
from cnntool.layers.step import Convolution
from cnntool.network.algorithms.direct import float_bias, least, prepare_direct

SMALLEST = 16  # channels on either side; with fewer the transforms cost more than they save


def winograd_fits(step: Convolution) -> bool:
    kernel_size, stride, dilation, _ = step.window
    return (kernel_size, stride, dilation, step.groups) == ((3, 3), (1, 1), (1, 1), 1)


def winograd_cost(step: Convolution) -> float:
    """36 products a tile of 16 outputs, and the transforms, which are bound by the second cache."""
    height, width, out_channels = step.output_shape
    in_channels = step.input_shape[2]
    if min(in_channels, out_channels) < SMALLEST:
        return math.inf
    tiles = -(-height // 4) * -(-width // 4)
    lanes = kernels.vectors.LANES
    products = 36 * tiles * in_channels * -(-out_channels // lanes) * lanes
    return products / 0.9 + 500 * tiles * (in_channels + out_channels)


def prepare_winograd(step: Convolution) -> None:
    """Transforms the filters, and gives the step the kernel that works on tiles of outputs."""
    winograd = kernels.winograd
    _, width, out_channels = step.output_shape
    in_channels = step.input_shape[2]
    filters = winograd.transform_filters(step.weight)
    bias = float_bias(step)
    tiles = -(-width // winograd.TILE)
    together = tiles * max(1, -(-winograd.TILES_AT_ONCE // tiles))
    forward, low = winograd.conv_winograd_forward, least(step)
    top, left, bottom, right = step.window.padding
    spare: list[tuple[np.ndarray, ...]] = []  # scratch of threads that are done with it
    direct = Convolution(step.input_shape, step.window, step.weight, step.bias)
    direct.rectified = step.rectified
    prepare_direct(direct)

    def scratch() -> tuple[np.ndarray, ...]:
        room = winograd.PLACES * together * in_channels
        v = np.empty(room + kernels.vectors.PIXELS * in_channels, np.float32)[:room]
        return (
            v.reshape(winograd.PLACES, together, in_channels),
            np.empty((winograd.PLACES, together, out_channels), np.float32),
            np.empty((winograd.PLACES, kernels.vectors.LANES), np.float32),
        )

    def kernel(x, x_row, x_column, out, out_row, out_column, first, rows, columns):
        v, m, half = arrays = spare.pop() if spare else scratch()
        lines = -(-rows // winograd.TILE)
        flags = np.zeros(lines, np.uint8)
        forward(x, x_row, filters, bias, out, out_row, out_column, rows, columns, v, m, half, flags, low)
        spare.append(arrays)
        if flags.any():  # a value that is not finite would spread over its tile
            for line in np.flatnonzero(flags):
                row = int(line) * winograd.TILE
                count = min(winograd.TILE, rows - row)
                direct.kernel(x, x_row + row, 0, out, out_row + row, out_column, first + row, count, columns)

    step.kernel = kernel
    step.row_multiple = winograd.TILE
    step.window = step.window._replace(padding=(top, left, bottom, right + tiles * winograd.TILE - width))
    step.overread = direct.overread
