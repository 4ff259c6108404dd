"""Winograd's algorithm for 3x3 and 5x5 convolutions, 3x3 also with stride 2."""

from __future__ import annotations

import math

from cnntool import kernels
from cnntool.engine.algorithms.direct import blocks_of, finish, least, reading_cost
from cnntool.engine.algorithms.winograd_few import few_cost, few_fits, prepare_few
from cnntool.steps.step import WHOLE, Convolution

SMALLEST = 16  # channels on either side; with fewer the transforms cost more than they save


def winograd_fits(step: Convolution) -> bool:
    return few_fits(step) or _plain_fits(step)


def _plain_fits(step: Convolution) -> bool:
    kernel_size, stride, dilation, _ = step.window
    known = {(3, 3): [(1, 1), (2, 2)], (5, 5): [(1, 1)]}
    return stride in known.get(kernel_size, []) and (dilation, step.groups) == ((1, 1), 1)


def winograd_cost(step: Convolution) -> float:
    return few_cost(step) if few_fits(step) else winograd_cost_of(step, winograd_tile(step))


def winograd_tile(step: Convolution) -> int:
    """The side of the tiles of outputs: the one that takes less time."""
    tiles = kernels.winograd
    plain = step.window.kernel_size == (3, 3) and step.window.stride == (1, 1)
    sides = (tiles.TILE, tiles.SMALL_TILE) if plain else (tiles.SMALL_TILE,)
    return min(sides, key=lambda tile: winograd_cost_of(step, tile))


def winograd_cost_of(step: Convolution, tile: int) -> float:
    """The products, the transforms, which are bound by the second cache, and reading filters that do not fit in it."""
    height, width, out_channels = step.output_shape
    in_channels, vectors = step.input_shape[2], kernels.vectors
    if min(in_channels, out_channels) < SMALLEST:
        return math.inf
    places = patch_of(step, tile) ** 2
    columns = -(-width // tile)
    tiles = -(-height // tile) * columns
    together = min(tiles, tiles_together(columns))
    products = places * tiles / together * whole_tiles(together) * in_channels * -(-out_channels // vectors.LANES)
    reading = reading_cost(4 * places * in_channels * out_channels, tiles / together)
    return products * vectors.LANES / 0.9 + 14 * places * tiles * (in_channels + out_channels) + reading


def patch_of(step: Convolution, tile: int) -> int:
    """The side of the inputs that a tile sees."""
    return step.window.stride[0] * (tile - 1) + step.window.kernel_size[0]


def tiles_together(columns: int) -> int:
    """Whole rows of tiles that are computed together."""
    return columns * max(1, -(-kernels.winograd.TILES_AT_ONCE // columns))


def whole_tiles(pixels: int) -> int:
    """Pixels, and those that the last register tiles compute for nothing."""
    wide, short = kernels.vectors.PIXELS, kernels.winograd.SHORT
    done = 0
    while done < pixels:
        rest = pixels - done
        done += short if rest <= short or wide < rest <= 2 * short else wide
    return done


def prepare_winograd(step: Convolution) -> None:
    """Transforms the filters, and gives the step the kernel that works on tiles of outputs."""
    if few_fits(step):
        prepare_few(step)
        return
    winograd, tile = kernels.winograd, winograd_tile(step)
    _, width, out_channels = step.output_shape
    in_channels, patch = step.input_shape[2], patch_of(step, tile)
    places = patch**2
    filters = winograd.transform_filters(step.weight, tile, patch)
    bias = kernels.convolution.pack_bias(step.bias, out_channels, 1)
    packed = kernels.convolution.pack_filters(step.weight, 1)
    tiles = -(-width // tile)
    together = tiles_together(tiles)
    # the places of a patch, where they lie a multiple of a way of the first cache apart, push each other out of it:
    # transforms of 28x28x128 took 0.09 ms, and 0.06 with one more tile between them
    apart = together | 1
    forward, low = winograd.conv_winograd_forward, least(step)
    lanes = kernels.vectors.LANES

    def calls(x, x_row, x_column, out, out_row, out_column, first, rows, scratch, part=WHOLE, other=None):
        start, stop = (min(out_channels, block * kernels.convolution.BLOCK) for block in blocks_of(step, part))
        v = scratch.array(places, apart, in_channels, spare=kernels.vectors.PIXELS * in_channels)
        m = scratch.array(places, apart, kernels.convolution.BLOCK)
        half, edge = scratch.array(winograd.PLACES, lanes), scratch.array(places * in_channels + lanes)
        where = x, x_row, x_column, filters, bias, out, out_row, out_column, rows, width
        rest = finish(step, out, out_row, out_column, rows, other, clamps=True)
        return [(forward, (*where, v, m, half, edge, low, packed, start, stop, tile, patch)), *rest]

    step.calls = calls
    step.crosses_border = True
    step.row_multiple = tile
    # all filters are read for as many tiles as are computed together: 14x14x512 -> 512 took 10.6 ms in bands of 8
    # tiles, 4.5 in one of 16
    step.fair_rows = tile * together // tiles
    step.filter_bytes = 0 if step.adds else filters.nbytes  # what is added is added to all channels at once
