"""Direct convolution by the register tile, and helpers of all algorithms."""

from __future__ import annotations

import numpy as np

from cnntool import kernels
from cnntool.steps.step import Added, Band, Call, Convolution, Corner, Part, Rectifier, Windowed

CACHE = kernels.vectors.HOST.l2_cache  # bytes of filters that stay in the L2 cache
FAIR_PIXELS = 200  # of a band, if the filters exceed it
WAY = kernels.vectors.HOST.l1_way  # bytes of one way of the L1 cache


def macs(convolution: Convolution) -> float:
    height, width, _ = convolution.output_shape
    return float(height * width * convolution.weight.size)


def direct_cost(convolution: Convolution) -> float:
    """Multiply-adds of the register tile, with channels rounded up to whole vectors."""
    vectors, per_group = kernels.vectors, convolution.output_shape[2] // convolution.groups
    lanes = -(-per_group // vectors.LANES) * vectors.LANES
    return macs(convolution) * lanes / per_group / 0.9 + reading_cost(4 * convolution.weight.size)


def reading_cost(filter_bytes: float, times: float = 1) -> float:
    """The cost of reading filters that exceed the L2 cache: the first time from memory, then from the L3 cache."""
    return (3 + 0.5 * (times - 1)) * filter_bytes if filter_bytes > CACHE else 0


def lower_bound(convolution: Convolution, *, adds: bool = False) -> np.float32:
    """The lower bound of a kernel's results: 0 for a fused ReLU; `adds`: the kernel also adds the residual."""
    return np.float32(0 if convolution.rectified and (adds or not convolution.adds) else -np.inf)


def epilogue(convolution: Convolution, target: Corner, band: Band, *, clamps: bool = False) -> list[Call]:
    """The residual and ReLU after a kernel that does not add; `clamps`: it applies `lower_bound` itself."""
    calls: list[Call] = []
    if band.second is not None:
        added = Added(convolution.output_shape, convolution.output_shape, kernels.pointwise.add_forward)
        calls += added.calls(target, target, band)
    if convolution.rectified and not (clamps and band.second is None):
        rectifier = Rectifier(convolution.output_shape, kernels.activations.relu_forward)
        calls += rectifier.calls(target, target, band)
    return calls


class Product:
    """Pixels times a matrix (in, out), plus a bias: a 1x1 convolution by the register tile."""

    def __init__(self, matrix: np.ndarray, bias: np.ndarray | None) -> None:
        self.inputs, self.outputs = matrix.shape
        self.weight = kernels.convolution.pack_filters(np.asarray(matrix, np.float32)[None, None], 1)
        self.bias = kernels.convolution.pack_bias(bias, self.outputs, 1)

    def call(self, x: np.ndarray, target: Corner, rows: int, columns: int) -> Call:
        """`x`: (rows, columns, in); the tile may read `vectors.PIXELS` pixels beyond its end."""
        convolution = kernels.convolution
        return convolution.conv_direct_forward, (
            x, 0, self.weight, self.bias, *target, rows, columns,
            1, 1, 1, 1, 1, 1, 1, self.inputs, self.outputs, convolution.NO_LIMIT, 0, convolution.ALL,
            target.array, convolution.NONE,
        )  # fmt: skip


def direct_step(convolution: Convolution) -> Windowed:
    """By the register tile, with filters packed for it."""
    (kh, kw), (sy, sx), (dy, dx), padding = convolution.window
    groups, in_channels, columns = convolution.groups, convolution.weight.shape[2], convolution.output_shape[1]
    out_channels = convolution.output_shape[2]
    tile = kernels.convolution
    packed = tile.pack_filters(convolution.weight, groups)
    offset = tile.pack_bias(convolution.bias, out_channels, groups)
    forward, low = tile.conv_direct_forward, lower_bound(convolution, adds=True)
    point = (kh, kw) == (1, 1) and not any(padding)
    # Pixels a multiple of a cache way apart conflict in the L1 cache: 14x14x1024 -> 256 took 1.22 ms, and 0.93 after
    # gathering them with one more cache line between them.
    gathers = point and groups == 1 and ((sy, sx) != (1, 1) or 4 * in_channels % WAY == 0)

    def calls(source: Corner, target: Corner, band: Band) -> list[Call]:
        (x, x_row, _), (out, out_row, out_column), (_, rows, scratch, part, second) = source, target, band
        strides, before = (sy, sx), []
        added, added_row = (out, tile.NONE) if second is None else (second.array, second.row)
        if gathers:
            apart = in_channels + kernels.vectors.LANES
            pixels = scratch.array(rows, columns, apart, spare=kernels.vectors.PIXELS * apart)
            before = [(kernels.pointwise.gather_forward, (pixels, x, x_row, rows, columns, sy, sx))]
            x, x_row, strides = pixels, 0, (1, 1)
        width = columns
        if point and strides == (1, 1) and x.shape[1] == out.shape[1] == columns:
            # Rows without padding are one long row, with one partial tile instead of one a row.
            x, out = (v[row : row + rows].reshape(1, rows * columns, -1) for v, row in ((x, x_row), (out, out_row)))
            x_row = out_row = 0
            if second is None:
                added = out
            else:
                added, added_row = added[added_row : added_row + rows].reshape(1, rows * columns, -1), 0
            rows, width = 1, rows * columns
        where = x, x_row, packed, offset, out, out_row, out_column, rows, width
        channels = groups, in_channels, out_channels
        last = low, *blocks_of(convolution, part), added, added_row
        return [*before, (forward, (*where, kh, kw, *strides, dy, dx, *channels, *last))]

    # Every band reads filters that exceed the L2 cache from the L3 cache.
    fair_rows = -(-FAIR_PIXELS // columns) if packed.nbytes > CACHE else 1
    return Windowed(
        convolution.input_shape, convolution.output_shape, convolution.window, calls,
        overread=spare_pixels(convolution), filter_bytes=packed.nbytes, fair_rows=fair_rows,
    )  # fmt: skip


def blocks_of(convolution: Convolution, part: Part) -> tuple[int, int]:
    """The range of blocks of output channels in a part of the filters."""
    blocks = convolution.groups * -(-convolution.output_shape[2] // convolution.groups // kernels.convolution.BLOCK)
    return blocks * part.number // part.of, blocks * (part.number + 1) // part.of


def spare_pixels(convolution: Convolution) -> int:
    """How many float32 the register tile may read beyond the last window."""
    return (
        max(0, kernels.vectors.PIXELS - convolution.output_shape[1])
        * convolution.window.stride[1]
        * convolution.input_shape[2]
    )


def float_bias(convolution: Convolution) -> np.ndarray:
    bias = np.zeros(convolution.output_shape[2]) if convolution.bias is None else convolution.bias
    return np.ascontiguousarray(bias, np.float32)
