"""Winograd's algorithm for few input channels, also with a stride: the first convolutions of networks."""

from __future__ import annotations

import numpy as np

from cnntool import kernels
from cnntool.algorithms.direct import lower_bound, nothing, reading_cost
from cnntool.kernels.arguments import Corner, Size
from cnntool.steps.step import Band, Call, Convolution, Windowed

MOST = kernels.vectors.HOST.few_channels  # of the input


def few_fits(convolution: Convolution) -> bool:
    (kh, kw), (sy, sx), dilation, _ = convolution.window
    if convolution.input_shape[2] > MOST or dilation != (1, 1) or convolution.groups != 1 or kh < sy or kw < sx:
        return False
    return few_patch(convolution) in kernels.winograd_few.POINTS


def few_patch(convolution: Convolution) -> int:
    """The side of a tile's input patch; a stride divides the taps of filters among its phases."""
    (kh, kw), (sy, sx), _, _ = convolution.window
    return kernels.winograd_few.TILE - 1 + max(-(-kh // sy), -(-kw // sx))


def few_cost(convolution: Convolution) -> float:
    """The products, and the transforms as measured."""
    (sy, sx), lanes, tile = convolution.window.stride, kernels.vectors.LANES, kernels.winograd_few.TILE
    height, width, out_channels = convolution.output_shape
    pieces, depth = kernels.winograd_few.pieces_of(convolution.input_shape[2])
    inputs, elements = sy * sx * pieces * depth, few_patch(convolution) ** 2
    lines, blocks = -(-height // tile), -(-out_channels // lanes)
    vectors = blocks * (elements * (inputs + 1) + 3 * tile**2) + 1.3 * elements * inputs
    reading = reading_cost(4 * elements * inputs * blocks * lanes, lines)
    return vectors * lines * whole_tiles(width) * lanes / kernels.vectors.HOST.few_share + reading


def whole_tiles(width: int) -> int:
    """How many tiles of a row are computed: a multiple of TILES_AT_ONCE."""
    together = kernels.winograd_few.TILES_AT_ONCE
    return -(-width // (kernels.winograd_few.TILE * together)) * together


def few_step(convolution: Convolution) -> Windowed:
    """Winograd convolution that keeps the products of a few tiles in registers and the L1 cache."""
    few, (sy, sx) = kernels.winograd_few, convolution.window.stride
    (_, width, out_channels), in_channels, tile = convolution.output_shape, convolution.input_shape[2], few.TILE
    patch, tiles = few_patch(convolution), whole_tiles(width)
    u = few.transform_few_filters(convolution.weight, (sy, sx), patch)
    limit = few.largest_input(u, patch)
    bias = kernels.convolution.pack_bias(convolution.bias, out_channels, 1)
    row, one = u.shape[3], patch * few.PIECE
    lanes, low = kernels.vectors.LANES, lower_bound(convolution, adds=True)
    weight = np.zeros((*convolution.weight.shape[:3], len(u) * lanes), np.float32)
    weight[..., :out_channels] = convolution.weight

    forward = few.conv_winograd_few_3_forward if patch == 6 else few.conv_winograd_few_4_forward

    def calls(source: Corner, target: Corner, band: Band) -> list[Call]:
        scratch = band.scratch
        edge = scratch.array((tile * (tiles - 1) + patch) * sx * in_channels + few.PIECE + 2 * lanes)
        lines = scratch.array(sy * patch, row, tiles * one)
        v = scratch.array(patch, sy * row, few.TILES_AT_ONCE * one)
        h = scratch.array(few.TILES_AT_ONCE, patch * tile, lanes)
        added = nothing(target) if band.second is None else band.second
        where = source, u, limit, bias, target, Size(band.rows, width), convolution.window
        return [(forward, (*where, weight, low, (edge, lines, v, h), added))]

    return Windowed(
        convolution.input_shape, convolution.output_shape, convolution.window, calls,
        crosses_border=True, row_multiple=tile,
    )  # fmt: skip
