"""Direct convolution by the register tile, and helpers of all algorithms."""

from __future__ import annotations

import numpy as np

from cnntool import kernels
from cnntool.algorithms import Algorithm
from cnntool.kernels.arguments import POINT, Corner, Size, Span
from cnntool.steps.step import Added, Band, Call, Convolution, Part, Rectifier, Windowed

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
        self.filters = kernels.convolution.packed(np.asarray(matrix, np.float32)[None, None], bias)

    def call(self, x: np.ndarray, target: Corner, rows: int, columns: int) -> Call:
        """`x`: (rows, columns, in); the tile may read `vectors.PIXELS` pixels beyond its end."""
        tile = kernels.convolution
        return tile.conv_direct_forward, (
            Corner(x, 0, 0), self.filters, target, Size(rows, columns), POINT, tile.NO_LIMIT, tile.EVERY_BLOCK,
            nothing(target),
        )  # fmt: skip


def nothing(target: Corner) -> Corner:
    """What is added to a result if nothing is."""
    return Corner(target.array, kernels.convolution.NONE, 0)


def direct_step(convolution: Convolution) -> Windowed:
    """By the register tile, with filters packed for it."""
    kernel_size, stride, _, padding = convolution.window
    columns, tile = convolution.output_shape[1], kernels.convolution
    filters = tile.packed(convolution.weight, convolution.bias, convolution.groups)
    forward, low = tile.conv_direct_forward, lower_bound(convolution, adds=True)
    point = kernel_size == (1, 1) and not any(padding)
    # Pixels a multiple of a cache way apart conflict in the L1 cache: 14x14x1024 -> 256 took 1.22 ms, and 0.93 after
    # gathering them with one more cache line between them.
    gathers = point and convolution.groups == 1 and (stride != (1, 1) or 4 * filters.inputs % WAY == 0)

    def calls(source: Corner, target: Corner, band: Band) -> list[Call]:
        _, rows, scratch, part, second = band
        window, size, before = convolution.window, Size(rows, columns), []
        if gathers:
            apart = filters.inputs + kernels.vectors.LANES
            pixels = scratch.array(rows, columns, apart, spare=kernels.vectors.PIXELS * apart)
            before = [(kernels.pointwise.gather_forward, (pixels, source, size, window))]
            source, window = Corner(pixels, 0, 0), window._replace(stride=(1, 1))
        if point and window.stride == (1, 1) and source.array.shape[1] == target.array.shape[1] == columns:
            # Rows without padding are one long row, with one partial tile instead of one a row.
            source, target, second = one_row(source, size), one_row(target, size), second and one_row(second, size)
            size = Size(1, rows * columns)
        where = source, filters, target, size, window, low, blocks_of(convolution, part)
        return [*before, (forward, (*where, nothing(target) if second is None else second))]

    # Every band reads filters that exceed the L2 cache from the L3 cache.
    fair_rows = -(-FAIR_PIXELS // columns) if filters.weight.nbytes > CACHE else 1
    return Windowed(
        convolution.input_shape, convolution.output_shape, convolution.window, calls,
        overread=spare_pixels(convolution), filter_bytes=filters.weight.nbytes, fair_rows=fair_rows,
    )  # fmt: skip


def one_row(corner: Corner, size: Size) -> Corner:
    """Whole rows as a single one."""
    array, row, _ = corner
    return Corner(array[row : row + size.rows].reshape(1, size.rows * size.columns, -1), 0, 0)


def blocks_of(convolution: Convolution, part: Part) -> Span:
    """The range of blocks of output channels in a part of the filters."""
    blocks = convolution.groups * -(-convolution.output_shape[2] // convolution.groups // kernels.convolution.BLOCK)
    return Span(blocks * part.number // part.of, blocks * (part.number + 1) // part.of)


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


ALGORITHM = Algorithm(lambda convolution: True, direct_cost, direct_step)
