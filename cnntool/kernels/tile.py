"""Register tiles: the inner loops of convolution and pooling, as LLVM vector code.

A tile is a block of neighbouring output pixels and channels whose accumulators stay in registers while the window and
the input channels are walked through. LLVM does not find this form from scalar loops, so four Numba intrinsics
build it: `dense_tile` multiplies every input channel into every output channel, `outer_tile` sums the products of every
input channel with every output channel over the pixels, `channel_tile` treats each channel alone, and so does
`depthwise_tile`, which has one size of window, and reads each input once for all the windows that share it.

Addresses are integers (bytes), all distances are counted in float32. `pixels`, `vectors` and `operation` must be
literals: the tile is unrolled for them. (Made by a factory closure for each shape instead, the cache on disk never
hits.) A tile may read past the pixels it stores, up to `pixels`; the caller leaves room for it.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from cnntool.kernels.vectors import LANES

FLOAT, BIT, INT32, INT64 = ir.FloatType(), ir.IntType(1), ir.IntType(32), ir.IntType(64)
VECTOR, MASK, LANE_NUMBERS = ir.VectorType(FLOAT, LANES), ir.VectorType(BIT, LANES), ir.VectorType(INT32, LANES)

LINE = 16  # float32 in a line of the cache
MULTIPLY, MAXIMUM, SCALED_SUM, ROOT_OF_SQUARES = range(4)
_START = {MAXIMUM: float("-inf"), SCALED_SUM: 0.0, ROOT_OF_SQUARES: 0.0}


class _Emitter:
    """Builds the pieces that both tiles share: vector loads and stores, masks, counted loops over accumulators."""

    def __init__(self, builder: ir.IRBuilder, pixels: int, vectors: int) -> None:
        self.b, self.pixels, self.vectors = builder, pixels, vectors
        self.acc = [[cgutils.alloca_once(builder, VECTOR) for _ in range(vectors)] for _ in range(pixels)]
        module = builder.module
        pointer = VECTOR.as_pointer()

        def declare(name: str, result: ir.Type, *arguments: ir.Type) -> ir.Function:
            return cgutils.get_or_insert_function(module, ir.FunctionType(result, arguments), name)

        self.fma = declare(f"llvm.fma.v{LANES}f32", VECTOR, VECTOR, VECTOR, VECTOR)
        self.masked_load = declare(f"llvm.masked.load.v{LANES}f32.p0", VECTOR, pointer, INT32, MASK, VECTOR)
        self.masked_store = declare(f"llvm.masked.store.v{LANES}f32.p0", ir.VoidType(), VECTOR, pointer, INT32, MASK)

    def integer(self, value: int) -> ir.Constant:
        return ir.Constant(INT64, value)

    def address(self, base: ir.Value) -> ir.Value:
        return self.b.inttoptr(base, FLOAT.as_pointer())

    def at(self, base: ir.Value, *offsets: ir.Value) -> ir.Value:
        for offset in offsets:
            base = self.b.gep(base, [offset])
        return base

    def load(self, place: ir.Value, mask: ir.Value | None = None) -> ir.Value:
        vector = self.b.bitcast(place, VECTOR.as_pointer())
        if mask is not None:
            zero = ir.Constant(VECTOR, [0.0] * LANES)
            return self.b.call(self.masked_load, [vector, ir.Constant(INT32, 4), mask, zero])
        value = self.b.load(vector)
        value.align = 4
        return value

    def store(self, value: ir.Value, place: ir.Value, mask: ir.Value | None = None) -> None:
        vector = self.b.bitcast(place, VECTOR.as_pointer())
        if mask is None:
            self.b.store(value, vector).align = 4
        else:
            self.b.call(self.masked_store, [value, vector, ir.Constant(INT32, 4), mask])

    def broadcast(self, scalar: ir.Value, vector_type: ir.VectorType) -> ir.Value:
        undefined = ir.Constant(vector_type, ir.Undefined)
        first = self.b.insert_element(undefined, scalar, ir.Constant(INT32, 0))
        return self.b.shuffle_vector(first, undefined, ir.Constant(LANE_NUMBERS, [0] * LANES))

    def load_broadcast(self, place: ir.Value) -> ir.Value:
        value = self.b.load(place)
        value.align = 4
        return self.broadcast(value, VECTOR)

    def masks(self, channels: ir.Value) -> list[ir.Value]:
        """For each vector, which of its lanes hold one of the `channels` first channels."""
        count = self.broadcast(self.b.trunc(channels, INT32), LANE_NUMBERS)
        numbers = [ir.Constant(LANE_NUMBERS, list(range(LANES * v, LANES * (v + 1)))) for v in range(self.vectors)]
        return [self.b.icmp_signed("<", number, count) for number in numbers]

    def multiply_add(self, p: int, v: int, x: ir.Value, w: ir.Value) -> None:
        self.b.store(self.b.call(self.fma, [x, w, self.b.load(self.acc[p][v])]), self.acc[p][v])

    def start(self, values: list[ir.Value]) -> None:
        for p in range(self.pixels):
            for v in range(self.vectors):
                self.b.store(values[v], self.acc[p][v])

    def prefetch(self, y: ir.Value, y_pixel: ir.Value) -> None:
        """Asks for the lines of the cache that `finish` will store to; they come while the tile is computed."""
        b = self.b
        argument_types = (FLOAT.as_pointer(), INT32, INT32, INT32)
        function_type = ir.FunctionType(ir.VoidType(), argument_types)
        fetch = cgutils.get_or_insert_function(b.module, function_type, "llvm.prefetch.p0")
        to_write, all_levels, data = (ir.Constant(INT32, number) for number in (1, 3, 1))
        for p in range(self.pixels):
            for lane in range(0, self.vectors * LANES, LINE):
                place = self.at(y, b.mul(y_pixel, self.integer(p)), self.integer(lane))
                b.call(fetch, [place, to_write, all_levels, data])

    def clamp(self, low: ir.Value) -> None:
        """Raises all accumulators to at least `low`; a NaN stays."""
        least = self.broadcast(low, VECTOR)
        for line in self.acc:
            for acc in line:
                value = self.b.load(acc)
                self.b.store(self.b.select(self.b.fcmp_ordered(">", least, value), least, value), acc)

    def stored(
        self, y: ir.Value, y_pixel: ir.Value, count: ir.Value, channels: ir.Value
    ) -> Iterator[tuple[ir.Value, ir.Value, ir.Value | None]]:
        """The accumulators of the first `count` pixels and `channels` channels, their places from y on, and masks.

        Twice, as the two branches of code for a full tile, without masks, and for any other.
        """
        b = self.b
        full = b.and_(
            b.icmp_signed("==", count, self.integer(self.pixels)),
            b.icmp_signed("==", channels, self.integer(self.vectors * LANES)),
        )
        places = [
            [self.at(y, b.mul(y_pixel, self.integer(p)), self.integer(LANES * v)) for v in range(self.vectors)]
            for p in range(self.pixels)
        ]
        with b.if_else(full) as (then, otherwise):
            with then:
                for p, line in enumerate(places):
                    for v, place in enumerate(line):
                        yield self.acc[p][v], place, None
            with otherwise:
                lanes = self.masks(channels)
                for p, line in enumerate(places):
                    wanted = self.broadcast(b.icmp_signed(">", count, self.integer(p)), MASK)
                    for v, place in enumerate(line):
                        yield self.acc[p][v], place, b.and_(lanes[v], wanted)

    def finish(self, y: ir.Value, y_pixel: ir.Value, count: ir.Value, channels: ir.Value) -> None:
        """Stores the accumulators of the first `count` pixels and `channels` channels."""
        for acc, place, mask in self.stored(y, y_pixel, count, channels):
            self.store(self.b.load(acc), place, mask)

    def add(self, other: ir.Value, y_pixel: ir.Value, count: ir.Value, channels: ir.Value) -> None:
        """Adds what lies at `other` to the accumulators that `finish` will store."""
        for acc, place, mask in self.stored(other, y_pixel, count, channels):
            self.b.store(self.b.fadd(self.b.load(acc), self.load(place, mask)), acc)


@intrinsic
def address_of(typingctx, array):
    """The address of an array's first element, as a signed integer that other integers can be added to."""

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        fields = context.make_array(signature.args[0])(context, b, values[0])
        return b.ptrtoint(fields.data, INT64)

    return types.int64(array), codegen


@intrinsic(prefer_literal=True)
def dense_tile(
    typingctx, x, w, bias, y, kernel_height, kernel_width, in_channels, x_row, x_column, x_pixel, y_pixel,
    count, channels, other, low, pixels, vectors,
):  # fmt: skip
    """y[p, oc] = bias[oc] + sum of w[ky, kx, ic, oc] x[ky * x_row + kx * x_column + p * x_pixel + ic] over ky, kx, ic.

    `w` is packed: `vectors` registers of output channels for each ky, kx, ic, in order; `bias` holds as many.
    What lies at `other`, if that is not 0, is added pixel by pixel: it is laid out as y.
    Nothing less than `low` (minus infinity, or 0 for a rectifier) is stored.
    Stores the first `count` pixels, `y_pixel` apart, and the first `channels` output channels.
    """
    arguments = (
        x, w, bias, y, kernel_height, kernel_width, in_channels, x_row, x_column, x_pixel, y_pixel,
        count, channels, other, low, pixels, vectors,
    )  # fmt: skip

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        x0, w0, bias0, y0, height, width, depth, row, column, pixel, out_pixel, n, oc, more, least, *_ = values
        t = _Emitter(b, pixels.literal_value, vectors.literal_value)
        bias_at = t.address(bias0)
        t.start([t.load(t.at(bias_at, t.integer(LANES * v))) for v in range(t.vectors)])
        t.prefetch(t.address(y0), out_pixel)  # 3x3 convolution of 224x224x3 -> 64: 1.90 ms without, 1.76 with
        filters = cgutils.alloca_once_value(b, t.address(w0))
        with cgutils.for_range(b, height) as ky:
            line = t.at(t.address(x0), b.mul(ky.index, row))
            with cgutils.for_range(b, width) as kx:
                window = t.at(line, b.mul(kx.index, column))
                with cgutils.for_range(b, depth) as ic:
                    here = b.load(filters)
                    ws = [t.load(t.at(here, t.integer(LANES * v))) for v in range(t.vectors)]
                    b.store(t.at(here, t.integer(LANES * t.vectors)), filters)
                    column_of_pixels = t.at(window, ic.index)
                    for p in range(t.pixels):
                        value = t.load_broadcast(t.at(column_of_pixels, b.mul(pixel, t.integer(p))))
                        for v in range(t.vectors):
                            t.multiply_add(p, v, value, ws[v])
        with b.if_then(b.icmp_signed("!=", more, t.integer(0))):
            t.add(t.address(more), out_pixel, n, oc)
        t.clamp(least)
        t.finish(t.address(y0), out_pixel, n, oc)
        return context.get_dummy_value()

    return types.void(*arguments), codegen


@intrinsic(prefer_literal=True)
def outer_tile(
    typingctx, x, w, y, rows, columns, x_row, x_column, w_row, w_column, y_pixel, count, channels, pixels, vectors
):
    """y[p, c] += sum of x[i * x_row + j * x_column + p] * w[i * w_row + j * w_column + c] over i < rows, j < columns.

    The outer products that the gradient of weights is made of. Stores the first `count` p, `y_pixel` apart, and the
    first `channels` c; of `w` and `y` nothing else is read.
    """
    arguments = (
        x, w, y, rows, columns, x_row, x_column, w_row, w_column, y_pixel, count, channels, pixels, vectors
    )  # fmt: skip

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        x0, w0, y0, height, width, x_line, x_step, w_line, w_step, out_pixel, n, c, *_ = values
        t = _Emitter(b, pixels.literal_value, vectors.literal_value)
        full = b.icmp_signed("==", c, t.integer(LANES * t.vectors))

        def walk(lanes: list[ir.Value | None]) -> None:
            t.start([ir.Constant(VECTOR, [0.0] * LANES)] * t.vectors)
            with cgutils.for_range(b, height) as i:
                x_from = t.at(t.address(x0), b.mul(i.index, x_line))
                w_from = t.at(t.address(w0), b.mul(i.index, w_line))
                with cgutils.for_range(b, width) as j:
                    x_at = t.at(x_from, b.mul(j.index, x_step))
                    w_at = t.at(w_from, b.mul(j.index, w_step))
                    ws = [t.load(t.at(w_at, t.integer(LANES * v)), lanes[v]) for v in range(t.vectors)]
                    for p in range(t.pixels):
                        value = t.load_broadcast(t.at(x_at, t.integer(p)))
                        for v in range(t.vectors):
                            t.multiply_add(p, v, value, ws[v])
            for p in range(t.pixels):
                wanted = t.broadcast(b.icmp_signed(">", n, t.integer(p)), MASK)
                for v in range(t.vectors):
                    place = t.at(t.address(y0), b.mul(out_pixel, t.integer(p)), t.integer(LANES * v))
                    mask = wanted if lanes[v] is None else b.and_(lanes[v], wanted)
                    b.store(b.fadd(b.load(t.acc[p][v]), t.load(place, mask)), t.acc[p][v])

        with b.if_else(full) as (then, otherwise):
            with then:
                walk([None] * t.vectors)
            with otherwise:
                walk(list(t.masks(c)))
        t.finish(t.address(y0), out_pixel, n, c)
        return context.get_dummy_value()

    return types.void(*arguments), codegen


@intrinsic(prefer_literal=True)
def channel_tile(
    typingctx, x, w, bias, y, kernel_height, kernel_width, x_row, x_column, x_pixel, w_step, y_pixel,
    count, channels, operation, pixels, vectors,
):  # fmt: skip
    """y[p, c] = the `operation` over ky, kx of x[ky * x_row + kx * x_column + p * x_pixel + c], each channel alone.

    MULTIPLY starts from `bias[c]` and adds w[(ky * kernel_width + kx) * w_step + c] * x. SCALED_SUM is the sum times
    `bias[p]`, for as many p as the tile has pixels. MAXIMUM and ROOT_OF_SQUARES, the root of the sum of squares, read
    neither `w` nor `bias`. Channels from `channels` on are neither read nor stored.
    """
    arguments = (
        x, w, bias, y, kernel_height, kernel_width, x_row, x_column, x_pixel, w_step, y_pixel,
        count, channels, operation, pixels, vectors,
    )  # fmt: skip

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        x0, w0, bias0, y0, height, width, row, column, pixel, step, out_pixel, n, c, *_ = values
        how = operation.literal_value
        t = _Emitter(b, pixels.literal_value, vectors.literal_value)
        full = b.icmp_signed("==", c, t.integer(LANES * t.vectors))

        def walk(lanes: list[ir.Value | None]) -> None:
            if how == MULTIPLY:
                bias_at = t.address(bias0)
                t.start([t.load(t.at(bias_at, t.integer(LANES * v)), lanes[v]) for v in range(t.vectors)])
            else:
                t.start([ir.Constant(VECTOR, [_START[how]] * LANES)] * t.vectors)
            filters = cgutils.alloca_once_value(b, t.address(w0))
            b.store(t.address(w0), filters)
            with cgutils.for_range(b, height) as ky:
                line = t.at(t.address(x0), b.mul(ky.index, row))
                with cgutils.for_range(b, width) as kx:
                    window = t.at(line, b.mul(kx.index, column))
                    here = b.load(filters)
                    b.store(t.at(here, step), filters)
                    for v in range(t.vectors):
                        w_value = t.load(t.at(here, t.integer(LANES * v)), lanes[v]) if how == MULTIPLY else None
                        for p in range(t.pixels):
                            place = t.at(window, b.mul(pixel, t.integer(p)), t.integer(LANES * v))
                            _combine(t, how, p, v, t.load(place, lanes[v]), w_value)

        with b.if_else(full) as (then, otherwise):
            with then:
                walk([None] * t.vectors)
            with otherwise:
                walk(list(t.masks(c)))
        _conclude(t, how, t.address(bias0))
        t.finish(t.address(y0), out_pixel, n, c)
        return context.get_dummy_value()

    return types.void(*arguments), codegen


@intrinsic(prefer_literal=True)
def depthwise_tile(
    typingctx, x, w, bias, y, x_row, y_row, pixel, top, left, bottom, right, height, width, channels,
    size, stride, rows, columns,
):  # fmt: skip
    """y[r, p, c] = bias[c] + sum over ky, kx of w[ky, kx, c] * x[stride * r + ky, stride * p + kx, c], each c alone.

    Pixels of `x`, `w` and `y` lie `pixel` apart, rows `x_row` and `y_row`. Of `x` only the rows from `top` to `bottom`
    and the columns from `left` to `right` are read, what is outside counts as zero. Stores the first `height` rows,
    `width` columns and `channels`. The window of `size` x `size` and the tile of `rows` x `columns` are literals.
    """
    arguments = (
        x, w, bias, y, x_row, y_row, pixel, top, left, bottom, right, height, width, channels,
        size, stride, rows, columns,
    )  # fmt: skip

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        x0, w0, bias0, y0, x_line, y_line, step, top_, left_, bottom_, right_, h, n, c, *_ = values
        k, s, tall, wide = (literal.literal_value for literal in (size, stride, rows, columns))
        outputs = [*itertools.product(range(tall), range(wide))]
        t = _Emitter(b, len(outputs), 1)
        x_height, x_width = s * (tall - 1) + k, s * (wide - 1) + k
        x_at, w_at, y_at = (t.address(base) for base in (x0, w0, y0))

        def within(number: int, first: ir.Value, last: ir.Value) -> ir.Value:
            place = t.integer(number)
            return t.broadcast(b.and_(b.icmp_signed("<=", first, place), b.icmp_signed("<", place, last)), MASK)

        def nearest(number: int, first: ir.Value, last: ir.Value) -> ir.Value:
            least = b.select(b.icmp_signed("<", t.integer(number), first), first, t.integer(number))
            return b.select(b.icmp_signed("<", least, last), least, b.sub(last, t.integer(1)))

        def place(base: ir.Value, line: ir.Value, i: ir.Value, j: ir.Value) -> ir.Value:
            return t.at(base, b.mul(line, i), b.mul(step, j))

        def walk(lanes: ir.Value | None) -> None:
            t.start([t.load(t.address(bias0), lanes)])
            filters = [t.load(t.at(w_at, b.mul(step, t.integer(n))), lanes) for n in range(k * k)]
            for i, j in itertools.product(range(x_height), range(x_width)):
                if lanes is None:
                    value = t.load(place(x_at, x_line, t.integer(i), t.integer(j)))
                else:  # masked loads outside of the process's memory take hundreds of cycles
                    mask = b.and_(b.and_(lanes, within(i, top_, bottom_)), within(j, left_, right_))
                    value = t.load(place(x_at, x_line, nearest(i, top_, bottom_), nearest(j, left_, right_)), mask)
                for number, (r, p) in enumerate(outputs):
                    ky, kx = i - s * r, j - s * p
                    if 0 <= ky < k and 0 <= kx < k:
                        t.multiply_add(number, 0, value, filters[ky * k + kx])

        def store(lanes: ir.Value | None) -> None:
            for (r, p), (acc,) in zip(outputs, t.acc, strict=True):
                wanted = lanes
                if lanes is not None:
                    zero = t.integer(0)
                    wanted = b.and_(lanes, b.and_(within(r, zero, h), within(p, zero, n)))
                t.store(b.load(acc), place(y_at, y_line, t.integer(r), t.integer(p)), wanted)

        def all_of(*conditions: tuple[str, ir.Value, int]) -> ir.Value:
            found = [b.icmp_signed(how, value, t.integer(limit)) for how, value, limit in conditions]
            return functools.reduce(b.and_, found)

        full = all_of(("==", h, tall), ("==", n, wide), ("==", c, LANES))
        inside = all_of(("<=", top_, 0), ("<=", left_, 0), (">=", bottom_, x_height), (">=", right_, x_width))
        with b.if_else(b.and_(full, inside)) as (then, otherwise):
            with then:
                walk(None)
                store(None)
            with otherwise:
                lanes = t.masks(c)[0]
                walk(lanes)
                with b.if_else(full) as (as_whole, in_part):  # masked stores are slow without AVX-512
                    with as_whole:
                        store(None)
                    with in_part:
                        store(lanes)
        return context.get_dummy_value()

    return types.void(*arguments), codegen


def _combine(t: _Emitter, how: int, p: int, v: int, x: ir.Value, w: ir.Value | None) -> None:
    b, acc = t.b, t.acc[p][v]
    if how == MULTIPLY:
        t.multiply_add(p, v, x, w)
    elif how == ROOT_OF_SQUARES:
        t.multiply_add(p, v, x, x)
    elif how == SCALED_SUM:
        b.store(b.fadd(b.load(acc), x), acc)
    else:  # a NaN comes through
        maximum = cgutils.get_or_insert_function(
            b.module, ir.FunctionType(VECTOR, [VECTOR, VECTOR]), f"llvm.maximum.v{LANES}f32"
        )
        b.store(b.call(maximum, [x, b.load(acc)], fastmath=("nsz",)), acc)


def _conclude(t: _Emitter, how: int, factors: ir.Value) -> None:
    """What is left to do to the accumulators once the window is walked through."""
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
