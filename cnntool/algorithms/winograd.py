"""Winograd's algorithm for 3x3 and 5x5 convolutions, 3x3 also with stride 2."""

from __future__ import annotations

import math
from collections.abc import Callable

from cnntool import kernels
from cnntool.algorithms import Algorithm
from cnntool.algorithms.direct import blocks_of, epilogue, lower_bound, reading_cost
from cnntool.algorithms.winograd_few import few_cost, few_fits, few_step
from cnntool.kernels.arguments import Corner, Size, Span
from cnntool.steps.step import Band, Call, Convolution, Windowed

SMALLEST = kernels.vectors.HOST.winograd_channels  # of input and output


def winograd_fits(convolution: Convolution) -> bool:
    return few_fits(convolution) or _plain_fits(convolution)


def _plain_fits(convolution: Convolution) -> bool:
    kernel_size, stride, dilation, _ = convolution.window
    known = {(3, 3): [(1, 1), (2, 2)], (5, 5): [(1, 1)]}
    return stride in known.get(kernel_size, []) and (dilation, convolution.groups) == ((1, 1), 1)


def winograd_cost(convolution: Convolution) -> float:
    return few_cost(convolution) if few_fits(convolution) else winograd_cost_of(convolution, winograd_tile(convolution))


def winograd_tile(convolution: Convolution) -> int:
    """The side of the output tiles with the lower cost."""
    tiles = kernels.winograd
    plain = convolution.window.kernel_size == (3, 3) and convolution.window.stride == (1, 1)
    sides = (tiles.TILE, tiles.SMALL_TILE) if plain else (tiles.SMALL_TILE,)
    return min(sides, key=lambda tile: winograd_cost_of(convolution, tile))


def winograd_cost_of(convolution: Convolution, tile: int) -> float:
    """The products, the transforms (bound by the L2 cache), and reading filters that exceed it."""
    height, width, out_channels = convolution.output_shape
    in_channels, vectors = convolution.input_shape[2], kernels.vectors
    if min(in_channels, out_channels) < SMALLEST:
        return math.inf
    elements = patch_of(convolution, tile) ** 2
    columns = -(-width // tile)
    tiles = -(-height // tile) * columns
    together = min(tiles, tiles_together(columns))
    products = elements * tiles / together * whole_tiles(together) * in_channels * -(-out_channels // vectors.LANES)
    reading = reading_cost(4 * elements * in_channels * out_channels, tiles / together)
    return products * vectors.LANES / 0.9 + 14 * elements * tiles * (in_channels + out_channels) + reading


def patch_of(convolution: Convolution, tile: int) -> int:
    """The side of a tile's input patch."""
    return convolution.window.stride[0] * (tile - 1) + convolution.window.kernel_size[0]


def kernel_of(tile: int, patch: int) -> Callable[..., int]:
    """The kernel for tiles of this side that see such patches."""
    of = kernels.winograd
    if tile == of.TILE:
        return of.conv_winograd_forward
    strided = of.conv_winograd_strided_forward
    return {of.PATCH: of.conv_winograd_5x5_forward, of.STRIDED_PATCH: strided}.get(
        patch, of.conv_winograd_small_forward
    )  # fmt: skip


def tiles_together(columns: int) -> int:
    """How many tiles are computed together: whole rows of them."""
    return columns * max(1, -(-kernels.winograd.TILES_AT_ONCE // columns))


def whole_tiles(pixels: int) -> int:
    """The pixels that full register tiles compute, with those computed in vain."""
    wide, short = kernels.vectors.PIXELS, kernels.winograd.SHORT
    done = 0
    while done < pixels:
        rest = pixels - done
        done += short if rest <= short or wide < rest <= 2 * short else wide
    return done


def winograd_step(convolution: Convolution) -> Windowed:
    """Winograd convolution with transformed filters."""
    if few_fits(convolution):
        return few_step(convolution)
    winograd, tile = kernels.winograd, winograd_tile(convolution)
    _, width, out_channels = convolution.output_shape
    in_channels, patch = convolution.input_shape[2], patch_of(convolution, tile)
    elements = patch**2
    filters = winograd.transform_filters(convolution.weight, tile, patch)
    whole = kernels.convolution.packed(convolution.weight, convolution.bias)
    tiles = -(-width // tile)
    together = tiles_together(tiles)
    # Elements of a patch a multiple of a cache way apart conflict in the L1 cache: the transforms of 28x28x128 took
    # 0.09 ms, and 0.06 with an odd number of tiles between them.
    apart = together | 1
    forward, low = kernel_of(tile, patch), lower_bound(convolution)
    lanes = kernels.vectors.LANES

    def calls(source: Corner, target: Corner, band: Band) -> list[Call]:
        block, scratch = kernels.convolution.BLOCK, band.scratch
        span = Span(*(min(out_channels, number * block) for number in blocks_of(convolution, band.part)))
        v = scratch.array(elements, apart, in_channels, spare=kernels.vectors.PIXELS * in_channels)
        m = scratch.array(elements, apart, block)
        half, edge = scratch.array(winograd.ELEMENTS, lanes), scratch.array(elements * in_channels + lanes)
        call = forward, (source, filters, whole, target, Size(band.rows, width), (v, m, half, edge), low, span)
        return [call, *epilogue(convolution, target, band, clamps=True)]

    return Windowed(
        convolution.input_shape, convolution.output_shape, convolution.window, calls,
        crosses_border=True, row_multiple=tile,
        # all filters are read once for the tiles computed together: 14x14x512 -> 512 took 10.6 ms in bands of 8 tiles,
        # 4.5 in one of 16
        fair_rows=tile * together // tiles,
        filter_bytes=0 if convolution.adds else filters.nbytes,  # the residual is added to all channels at once
    )  # fmt: skip


ALGORITHM = Algorithm(winograd_fits, winograd_cost, winograd_step)
