"""Winograd's algorithm for few input channels, also with a stride: the convolutions at the beginning of networks."""

from __future__ import annotations

import numpy as np

from cnntool import kernels
from cnntool.engine.algorithms.direct import least, reading_cost
from cnntool.steps.memory import aligned
from cnntool.steps.step import Convolution

MOST = 15  # input channels


def few_fits(step: Convolution) -> bool:
    (kh, kw), (sy, sx), dilation, _ = step.window
    if step.input_shape[2] > MOST or dilation != (1, 1) or step.groups != 1 or kh < sy or kw < sx:
        return False
    return few_places(step) in kernels.winograd_few.POINTS


def few_places(step: Convolution) -> int:
    """The side of the patch of a tile; a stride shares out the taps of filters."""
    (kh, kw), (sy, sx), _, _ = step.window
    return kernels.winograd_few.TILE - 1 + max(-(-kh // sy), -(-kw // sx))


def few_cost(step: Convolution) -> float:
    """The products, and what was measured of the transforms."""
    (sy, sx), lanes, tile = step.window.stride, kernels.vectors.LANES, kernels.winograd_few.TILE
    height, width, out_channels = step.output_shape
    pieces, depth = kernels.winograd_few.pieces_of(step.input_shape[2])
    inputs, places = sy * sx * pieces * depth, few_places(step) ** 2
    lines, blocks = -(-height // tile), -(-out_channels // lanes)
    vectors = blocks * (places * (inputs + 1) + 3 * tile**2) + 1.3 * places * inputs
    share = 0.9 if lanes == 16 else 0.5  # without AVX-512 each product reads an input by an instruction of its own
    reading = reading_cost(4 * places * inputs * blocks * lanes, lines)
    return vectors * lines * whole_tiles(width) * lanes / share + reading


def whole_tiles(width: int) -> int:
    """How many tiles of a row are computed, for they come several at once."""
    together = kernels.winograd_few.TILES_AT_ONCE
    return -(-width // (kernels.winograd_few.TILE * together)) * together


def prepare_few(step: Convolution) -> None:
    """Transforms the filters, and gives the step the kernel that keeps the products of a few tiles at hand."""
    few, (sy, sx) = kernels.winograd_few, step.window.stride
    (_, width, out_channels), in_channels, tile = step.output_shape, step.input_shape[2], few.TILE
    places, tiles = few_places(step), whole_tiles(width)
    turned = few.transform_few_filters(step.weight, (sy, sx), places)
    u = aligned(*turned.shape)
    u[:] = turned
    limit = few.largest_input(turned, places)
    bias = kernels.convolution.pack_bias(step.bias, out_channels, 1)
    row, one = u.shape[3], places * few.PIECE
    lanes, low = kernels.vectors.LANES, least(step, adds=True)
    weight = np.zeros((*step.weight.shape[:3], len(turned) * lanes), np.float32)
    weight[..., :out_channels] = step.weight

    def calls(x, x_row, x_column, out, out_row, out_column, first, rows, scratch, other=None):
        edge = scratch.array((tile * (tiles - 1) + places) * sx * in_channels + few.PIECE + 2 * lanes)
        lines = scratch.array(sy * places, row, tiles * one)
        v = scratch.array(places, sy * row, few.TILES_AT_ONCE * one)
        h = scratch.array(few.TILES_AT_ONCE, places * tile, lanes)
        added, added_row = (out, kernels.convolution.NONE) if other is None else other
        where = x, x_row, x_column, u, limit, bias, out, out_row, out_column, rows, width
        last = sx, weight, low, edge, lines, v, h, added, added_row
        return [(few.conv_winograd_few_forward, (*where, *last))]

    step.calls = calls
    step.crosses_border = True
    step.row_multiple = tile
