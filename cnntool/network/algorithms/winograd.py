"""Winograd's algorithm for 3x3 convolutions with stride 1."""

from __future__ import annotations

import math

from cnntool import kernels
from cnntool.layers.step import Convolution
from cnntool.network.algorithms.direct import least, spare_pixels

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
    bias = kernels.convolution.pack_bias(step.bias, out_channels, 1)
    packed = kernels.convolution.pack_filters(step.weight, 1)
    tiles = -(-width // winograd.TILE)
    together = tiles * max(1, -(-winograd.TILES_AT_ONCE // tiles))
    forward, low = winograd.conv_winograd_forward, least(step)
    top, left, bottom, right = step.window.padding

    def calls(x, x_row, x_column, out, out_row, out_column, first, rows, scratch):
        places = x, x_row, filters, bias, out, out_row, out_column, rows, width
        v = scratch.array(winograd.PLACES, together, in_channels, spare=kernels.vectors.PIXELS * in_channels)
        m = scratch.array(winograd.PLACES, together, out_channels)
        half = scratch.array(winograd.PLACES, kernels.vectors.LANES)
        return [(forward, (*places, v, m, half, low, packed))]

    step.calls = calls
    step.row_multiple = winograd.TILE
    step.window = step.window._replace(padding=(top, left, bottom, right + tiles * winograd.TILE - width))
    step.overread = spare_pixels(step)
