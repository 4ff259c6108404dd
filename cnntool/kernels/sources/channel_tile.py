"""Register tiles with independent channels: pooling and depthwise convolution. See `tile`."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable

from llvmlite import ir
from numba import types
from numba.core import cgutils

from cnntool.kernels.pooling import MAXIMUM, MULTIPLY, ROOT_OF_SQUARES, SCALED_SUM, SMALLEST_SQUARES
from cnntool.kernels.sources.emitter import LANE_NUMBERS, MASK, VECTOR, Emitter
from cnntool.kernels.sources.instructions import instruction
from cnntool.kernels.vectors import LANES

# float32 ahead that a sum of squares prefetches, which hides the bits it joins: `l2pool 2` of 224x224x64 takes 0.588
# instead of 0.617 ms; 2048 takes as long, 4096 0.66. A maximum or a sum gains nothing.
SQUARES_AHEAD = 1024
_START = {MAXIMUM: float("-inf"), SCALED_SUM: 0.0, ROOT_OF_SQUARES: 0.0}


@instruction(types.void, literals=3)
def channel_tile(
    b, x, w, bias, y, kernel_height, kernel_width, x_row, x_column, x_pixel, w_step, y_pixel,
    count, channels, operation, pixels, vectors,
):  # fmt: skip
    """y[p, c] = the `operation` over ky, kx of x[ky * x_row + kx * x_column + p * x_pixel + c], each channel alone.

    MULTIPLY starts from `bias[c]` and adds w[(ky * kernel_width + kx) * w_step + c] * x. SCALED_SUM is the sum times
    `bias[p]`, for as many p as the tile has pixels. MAXIMUM and ROOT_OF_SQUARES, the root of the sum of squares, do not
    read `bias`. Channels from `channels` on are neither read nor stored.

    For sums, `w` holds a vector that stays zero as long as float32 holds all of them, and all squares that matter.
    """
    t = Emitter(b, pixels, vectors)
    full = b.icmp_signed("==", channels, t.integer(LANES * t.vectors))
    seen = [[cgutils.alloca_once(b, VECTOR) for _ in line] for line in t.acc] if operation == ROOT_OF_SQUARES else []

    def walk(lanes: list[ir.Value | None]) -> None:
        if operation == MULTIPLY:
            bias_at = t.address(bias)
            t.start([t.load(t.at(bias_at, t.integer(LANES * v)), lanes[v]) for v in range(t.vectors)])
        else:
            t.start([ir.Constant(VECTOR, [_START[operation]] * LANES)] * t.vectors)
        for place in itertools.chain(*seen):
            b.store(ir.Constant(VECTOR, [0.0] * LANES), place)
        filters = cgutils.alloca_once_value(b, t.address(w))
        b.store(t.address(w), filters)
        with cgutils.for_range(b, kernel_height) as ky:
            line = t.at(t.address(x), b.mul(ky.index, x_row))
            with cgutils.for_range(b, kernel_width) as kx:
                window = t.at(line, b.mul(kx.index, x_column))
                here = b.load(filters)
                b.store(t.at(here, w_step), filters)
                for v in range(t.vectors):
                    w_value = t.load(t.at(here, t.integer(LANES * v)), lanes[v]) if operation == MULTIPLY else None
                    for p in range(t.pixels):
                        place = t.at(window, b.mul(x_pixel, t.integer(p)), t.integer(LANES * v))
                        value = t.load(place, lanes[v])
                        _combine(t, operation, p, v, value, w_value)
                        if seen:
                            _join_bits(b, seen[p][v], value)
                            t.fetch_line(t.at(place, t.integer(SQUARES_AHEAD)))

    with b.if_else(full) as (then, otherwise):
        with then:
            walk([None] * t.vectors)
        with otherwise:
            walk(list(t.masks(channels)))
    if operation in (SCALED_SUM, ROOT_OF_SQUARES):
        _look_for_trouble(t, t.address(w), seen)
    _conclude(t, operation, t.address(bias))
    t.store_sums(t.address(y), y_pixel, count, channels)


@instruction(types.void, literals=4)
def depthwise_tile(
    b, x, w, bias, y, x_row, y_row, pixel, top, left, bottom, right, height, width, channels,
    low, size, stride, rows, columns,
):  # fmt: skip
    """y[r, p, c] = bias[c] + sum over ky, kx of w[ky, kx, c] * x[stride * r + ky, stride * p + kx, c], each c alone.

    `low` is the lower bound of results.

    Pixels of `x`, `w` and `y` lie `pixel` apart, rows `x_row` and `y_row`. Of `x` only the rows from `top` to `bottom`
    and the columns from `left` to `right` are read; the others count as zero. Stores the first `height` rows,
    `width` columns and `channels`. The window of `size` x `size` and the tile of `rows` x `columns` are literals.
    """
    outputs = [*itertools.product(range(rows), range(columns))]
    t = Emitter(b, len(outputs), 1)
    x_height, x_width = stride * (rows - 1) + size, stride * (columns - 1) + size
    x_at, w_at, y_at = (t.address(base) for base in (x, w, y))

    def within(number: int, first: ir.Value, last: ir.Value) -> ir.Value:
        index = t.integer(number)
        return t.broadcast(b.and_(b.icmp_signed("<=", first, index), b.icmp_signed("<", index, last)), MASK)

    def nearest(number: int, first: ir.Value, last: ir.Value) -> ir.Value:
        nearer = b.select(b.icmp_signed("<", t.integer(number), first), first, t.integer(number))
        return b.select(b.icmp_signed("<", nearer, last), nearer, b.sub(last, t.integer(1)))

    def pointer_to(base: ir.Value, line: ir.Value, i: ir.Value, j: ir.Value) -> ir.Value:
        return t.at(base, b.mul(line, i), b.mul(pixel, j))

    def walk(lanes: ir.Value | None) -> None:
        t.start([t.load(t.address(bias), lanes)])
        filters = [t.load(t.at(w_at, b.mul(pixel, t.integer(tap))), lanes) for tap in range(size * size)]
        for i, j in itertools.product(range(x_height), range(x_width)):
            if lanes is None:
                value = t.load(pointer_to(x_at, x_row, t.integer(i), t.integer(j)))
            else:  # masked loads from unmapped memory take hundreds of cycles
                mask = b.and_(b.and_(lanes, within(i, top, bottom)), within(j, left, right))
                value = t.load(pointer_to(x_at, x_row, nearest(i, top, bottom), nearest(j, left, right)), mask)
            for number, (r, p) in enumerate(outputs):
                ky, kx = i - stride * r, j - stride * p
                if 0 <= ky < size and 0 <= kx < size:
                    t.multiply_add(number, 0, value, filters[ky * size + kx])
        t.clamp(low)

    def store(lanes: ir.Value | None) -> None:
        for (r, p), (acc,) in zip(outputs, t.acc, strict=True):
            wanted = lanes
            if lanes is not None:
                zero = t.integer(0)
                wanted = b.and_(lanes, b.and_(within(r, zero, height), within(p, zero, width)))
            t.store(b.load(acc), pointer_to(y_at, y_row, t.integer(r), t.integer(p)), wanted)

    def all_of(*conditions: tuple[str, ir.Value, int]) -> ir.Value:
        found = [b.icmp_signed(how, value, t.integer(limit)) for how, value, limit in conditions]
        return functools.reduce(b.and_, found)

    full = all_of(("==", height, rows), ("==", width, columns), ("==", channels, LANES))
    inside = all_of(("<=", top, 0), ("<=", left, 0), (">=", bottom, x_height), (">=", right, x_width))
    with b.if_else(b.and_(full, inside)) as (then, otherwise):
        with then:
            walk(None)
            store(None)
        with otherwise:
            lanes = t.masks(channels)[0]
            walk(lanes)
            with b.if_else(full) as (as_whole, in_part):  # masked stores are slow without AVX-512
                with as_whole:
                    store(None)
                with in_part:
                    store(lanes)


def _combine(t: Emitter, how: int, p: int, v: int, x: ir.Value, w: ir.Value | None) -> None:
    b, acc = t.b, t.acc[p][v]
    if how == MULTIPLY:
        t.multiply_add(p, v, x, w)
    elif how == ROOT_OF_SQUARES:
        t.multiply_add(p, v, x, x)
    elif how == SCALED_SUM:
        b.store(b.fadd(b.load(acc), x), acc)
    else:  # propagates NaN
        maximum = cgutils.get_or_insert_function(
            b.module, ir.FunctionType(VECTOR, [VECTOR, VECTOR]), f"llvm.maximum.v{LANES}f32"
        )
        b.store(b.call(maximum, [x, b.load(acc)], fastmath=("nsz",)), acc)


def _join_bits(b: ir.IRBuilder, place: ir.Value, value: ir.Value) -> None:
    """Not zero in the lanes where any of the values was not, their signs aside."""
    both = b.or_(b.bitcast(b.load(place), LANE_NUMBERS), b.bitcast(value, LANE_NUMBERS))
    b.store(b.bitcast(both, VECTOR), place)


def _look_for_trouble(t: Emitter, trouble: ir.Value, seen: list[list[ir.Value]]) -> None:
    """Adds to a vector what is not zero where a sum is not finite, or so small that squares have been lost."""
    b = t.b
    sums = [b.load(acc) for line in t.acc for acc in line]
    found = b.call(t.fma, [_joined(b.fadd, sums), ir.Constant(VECTOR, [0.0] * LANES), t.load(trouble)])
    if seen:
        lost = []
        for total, place in zip(sums, itertools.chain(*seen), strict=True):
            size = b.and_(b.bitcast(b.load(place), LANE_NUMBERS), ir.Constant(LANE_NUMBERS, [0x7FFFFFFF] * LANES))
            small = b.fcmp_ordered("<", total, ir.Constant(VECTOR, [SMALLEST_SQUARES] * LANES))
            lost.append(b.and_(small, b.icmp_unsigned("!=", size, ir.Constant(LANE_NUMBERS, [0] * LANES))))
        found = b.select(_joined(b.or_, lost), ir.Constant(VECTOR, [1.0] * LANES), found)
    t.store(found, trouble)


def _joined(join: Callable[[ir.Value, ir.Value], ir.Value], values: list[ir.Value]) -> ir.Value:
    """Two by two, so that none waits for all before it."""
    while len(values) > 1:
        values = [*(join(*pair) for pair in zip(values[::2], values[1::2], strict=False)), *values[len(values) & ~1 :]]
    return values[0]


def _conclude(t: Emitter, how: int, factors: ir.Value) -> None:
    """Finishes the accumulators after the last element of the window."""
    b = t.b
    for p, line in enumerate(t.acc):
        factor = t.load_broadcast(t.at(factors, t.integer(p))) if how == SCALED_SUM else None
        for acc in line:
            if how == SCALED_SUM:
                b.store(b.fmul(b.load(acc), factor), acc)
            elif how == ROOT_OF_SQUARES:
                root = cgutils.get_or_insert_function(
                    b.module, ir.FunctionType(VECTOR, [VECTOR]), f"llvm.sqrt.v{LANES}f32"
                )
                b.store(b.call(root, [b.load(acc)]), acc)
