"""Winograd's algorithm for few input channels, also with a stride: the convolutions at the beginning of networks."""

from __future__ import annotations

from cnntool import kernels
from cnntool.layers.memory import aligned
from cnntool.layers.step import Convolution
from cnntool.network.algorithms.direct import least, reading_cost

MOST = 15  # input channels


def few_fits(step: Convolution) -> bool:
    (kh, kw), (sy, sx), dilation, _ = step.window
    if step.input_shape[2] > MOST or dilation != (1, 1) or step.groups != 1 or kh < sy or kw < sx:
        return False
    return few_tile(step) in (kernels.winograd_few.TILE, kernels.winograd_few.STRIDED_TILE)


def few_tile(step: Convolution) -> int:
    """The side of the tiles of outputs that leaves places for the filters, which a stride shares out."""
    (kh, kw), (sy, sx), _, _ = step.window
    return kernels.winograd_few_tile.PLACES + 1 - max(-(-kh // sy), -(-kw // sx))


def few_cost(step: Convolution) -> float:
    """The products, and what was measured of the transforms."""
    (sy, sx), lanes, tile = step.window.stride, kernels.vectors.LANES, few_tile(step)
    height, _, out_channels = step.output_shape
    pieces, depth = kernels.winograd_few_filters.pieces_of(step.input_shape[2])
    inputs, places = sy * sx * pieces * depth, kernels.winograd_few_tile.PLACES**2
    lines, blocks = -(-height // tile), -(-out_channels // lanes)
    vectors = blocks * (places * inputs + places + 3 * tile**2) + 48 * inputs
    share = 0.9 if lanes == 16 else 0.5  # without AVX-512 each product reads an input by an instruction of its own
    reading = reading_cost(4 * places * inputs * blocks * lanes, lines)
    return vectors * lines * few_tiles(step) * lanes / share + reading


def few_tiles(step: Convolution) -> int:
    """How many tiles of a row are computed, for they come several at once."""
    together = kernels.winograd_few_tile.TILES_AT_ONCE
    return -(-step.output_shape[1] // (few_tile(step) * together)) * together


def prepare_few(step: Convolution) -> None:
    """Transforms the filters, and gives the step the kernel that keeps the products of a few tiles at hand."""
    few, filters, (kh, kw), (sy, sx) = kernels.winograd_few, kernels.winograd_few_filters, *step.window[:2]
    (_, width, out_channels), in_channels, tile = step.output_shape, step.input_shape[2], few_tile(step)
    places, piece = kernels.winograd_few_tile.PLACES, kernels.winograd_few_tile.PIECE
    turned = filters.transform_few_filters(step.weight, (sy, sx), tile)
    u = aligned(*turned.shape)
    u[:] = turned
    limit = filters.largest_input(turned)
    bias = kernels.convolution.pack_bias(step.bias, out_channels, 1)
    packed = kernels.convolution.pack_filters(step.weight, 1)
    tiles, row = few_tiles(step), u.shape[3]
    lanes, low = kernels.vectors.LANES, least(step, adds=True)
    border = sy * (tile - 1) + kh, sx * (max(width, kernels.vectors.PIXELS) - 1) + kw, in_channels

    def calls(x, x_row, x_column, out, out_row, out_column, first, rows, scratch, other=None):
        edge = scratch.array((tile * (tiles - 1) + places) * sx * in_channels + piece + 2 * lanes)
        lines = scratch.array(sy * places, row, tiles * places * piece)
        v = scratch.array(places, sy * row, few.TILES_AT_ONCE * places * piece)
        h = scratch.array(few.TILES_AT_ONCE, places * tile, lanes)
        canvas = scratch.array(*border)
        added, added_row = (out, kernels.convolution.NONE) if other is None else other
        where = x, x_row, x_column, u, limit, bias, out, out_row, out_column, rows, width
        return [
            (
                few.conv_winograd_few_forward,
                (*where, kh, kw, sx, tile, packed, low, edge, lines, v, h, canvas, added, added_row),
            )
        ]

    step.calls = calls
    step.crosses_border = True
    step.row_multiple = tile
