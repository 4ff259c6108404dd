"""The pieces of `winograd_few` as LLVM vector code: transforms of inputs, products, transforms of outputs.

Patches have PLACES places along each axis, the points 0, 1, -1, 2, -2 and infinity, and so many outputs as filters
leave: a tile of `outputs` x `outputs` and filters of PLACES + 1 - `outputs` along each axis. Points come in pairs of
either sign, so the even and the odd powers are summed apart.

Addresses are integers (bytes), distances are counted in float32.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from cnntool.kernels.emitter import FLOAT, MASK, VECTOR, Emitter
from cnntool.kernels.vectors import LANES

PLACES = 6
PIECE = 4  # channels that lie side by side
TILES_AT_ONCE = 4 if LANES == 16 else 2  # by PLACES accumulators


def _fma(b: ir.IRBuilder, factor: float, x: ir.Value, y: ir.Value) -> ir.Value:
    """factor * x + y"""
    kind = x.type
    name = f"llvm.fma.v{kind.count}f32"
    fma = cgutils.get_or_insert_function(b.module, ir.FunctionType(kind, [kind] * 3), name)
    return b.call(fma, [ir.Constant(kind, [factor] * kind.count), x, y])


def _input_line(b: ir.IRBuilder, d: list[ir.Value]) -> list[ir.Value]:
    """B^T d"""
    even, odd = _fma(b, -4, d[2], d[4]), _fma(b, -4, d[1], d[3])
    near, far = b.fsub(d[4], d[2]), b.fsub(d[3], d[1])
    return [
        _fma(b, 4, d[0], _fma(b, -5, d[2], d[4])),
        b.fadd(even, odd),
        b.fsub(even, odd),
        _fma(b, 2, far, near),
        _fma(b, -2, far, near),
        _fma(b, 4, d[1], _fma(b, -5, d[3], d[5])),
    ]


def _output_line(b: ir.IRBuilder, m: list[ir.Value], outputs: int) -> list[ir.Value]:
    """A^T m"""
    pairs = [(b.fadd(m[1], m[2]), b.fadd(m[3], m[4])), (b.fsub(m[1], m[2]), b.fsub(m[3], m[4]))]
    y = [b.fadd(m[0], b.fadd(*pairs[0]))]
    for power in range(1, outputs):
        one, two = pairs[power % 2]
        y.append(_fma(b, 2**power, two, one))
    y[-1] = b.fadd(y[-1], m[5])
    return y


@intrinsic(prefer_literal=True)
def few_input_tile(typingctx, d, d_step, v, v_step, lanes):
    """B^T of six vectors of `lanes` float32 at `d`, `d_step` apart, to six at `v`, `v_step` apart."""

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        d_from, d_apart, v_from, v_apart, _ = values
        pointer = ir.VectorType(FLOAT, lanes.literal_value).as_pointer()

        def place(base: ir.Value, apart: ir.Value, number: int) -> ir.Value:
            step = b.mul(apart, ir.Constant(ir.IntType(64), number))
            return b.bitcast(b.gep(b.inttoptr(base, FLOAT.as_pointer()), [step]), pointer)

        inputs = [b.load(place(d_from, d_apart, number), align=4) for number in range(PLACES)]
        for number, value in enumerate(_input_line(b, inputs)):
            b.store(value, place(v_from, v_apart, number), align=4)
        return context.get_dummy_value()

    return types.void(d, d_step, v, v_step, lanes), codegen


@intrinsic(prefer_literal=True)
def few_products_tile(typingctx, v, u, h, pieces, depth, v_piece, outputs):
    """h[t, 0, j] = A^T m[t, :], m[t, p] = sum over f < pieces, ic < depth of u[f, ic, p] v[f * v_piece + (t, p, ic)].

    v: TILES_AT_ONCE x PLACES x PIECE; u: vectors of output channels; h: vectors, of each tile PLACES * outputs.
    """

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        v_from, u_from, h_from, count, channels, apart, _ = values
        n = outputs.literal_value
        t = Emitter(b, TILES_AT_ONCE, PLACES)
        t.start([ir.Constant(VECTOR, [0.0] * LANES)] * PLACES)
        filters = cgutils.alloca_once_value(b, t.address(u_from))
        with cgutils.for_range(b, count) as f:
            piece = t.at(t.address(v_from), b.mul(f.index, apart))
            with cgutils.for_range(b, channels) as ic:
                here, inputs = b.load(filters), t.at(piece, ic.index)
                b.store(t.at(here, t.integer(PLACES * LANES)), filters)
                for p in range(PLACES):
                    w = t.load(t.at(here, t.integer(p * LANES)))
                    for tile in range(TILES_AT_ONCE):
                        # distances that are known take no register
                        x = t.load_broadcast(t.at(inputs, t.integer((tile * PLACES + p) * PIECE)))
                        t.multiply_add(tile, p, x, w)
        for tile in range(TILES_AT_ONCE):
            for j, value in enumerate(_output_line(b, [b.load(acc) for acc in t.acc[tile]], n)):
                t.store(value, t.at(t.address(h_from), t.integer((tile * PLACES * n + j) * LANES)))
        return context.get_dummy_value()

    return types.void(v, u, h, pieces, depth, v_piece, outputs), codegen


@intrinsic(prefer_literal=True)
def few_output_tile(typingctx, h, bias, y, other, y_row, y_pixel, other_row, rows, columns, channels, low, outputs):
    """y[i, j] = max(low, bias + A^T h[:, j] + other[i, j]) of the first rows, columns and channels; `other` may be 0.

    `h`: vectors, PLACES x outputs; pixels of `y` and `other` lie `y_pixel` apart, rows `y_row` and `other_row`.
    """

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        h_from, bias_from, y_from, more, line, pixel, other_line, tall, wide, oc, least, _ = values
        n = outputs.literal_value
        t = Emitter(b, 0, 1)
        at_least = t.broadcast(least, VECTOR)
        offset = t.load(t.address(bias_from))

        def clamped(value: ir.Value) -> ir.Value:
            return b.select(b.fcmp_ordered(">", at_least, value), at_least, value)

        def columns_of(j: int) -> list[ir.Value]:
            m = [t.load(t.at(t.address(h_from), t.integer((a * n + j) * LANES))) for a in range(PLACES)]
            m[1] = b.fadd(m[1], offset)  # the point 1, which all outputs take once
            return _output_line(b, m, n)

        def place(base: ir.Value, apart: ir.Value, i: int, j: int) -> ir.Value:
            return t.at(t.address(base), b.mul(apart, t.integer(i)), b.mul(pixel, t.integer(j)))

        full = b.and_(
            b.and_(b.icmp_signed("==", tall, t.integer(n)), b.icmp_signed("==", wide, t.integer(n))),
            b.and_(b.icmp_signed("==", oc, t.integer(LANES)), b.icmp_signed("==", more, t.integer(0))),
        )
        with b.if_else(full) as (then, otherwise):
            with then:
                for j in range(n):
                    for i, value in enumerate(columns_of(j)):
                        t.store(clamped(value), place(y_from, line, i, j))
            with otherwise:
                (lanes,) = t.masks(oc)
                zero = ir.Constant(MASK, [False] * LANES)
                adds = t.broadcast(b.icmp_signed("!=", more, t.integer(0)), MASK)
                for j in range(n):
                    in_width = b.icmp_signed(">", wide, t.integer(j))
                    for i, value in enumerate(columns_of(j)):
                        inside = b.and_(in_width, b.icmp_signed(">", tall, t.integer(i)))
                        mask = b.select(t.broadcast(inside, MASK), lanes, zero)
                        value = b.fadd(value, t.load(place(more, other_line, i, j), b.and_(mask, adds)))
                        t.store(clamped(value), place(y_from, line, i, j), mask)
        return context.get_dummy_value()

    arguments = h, bias, y, other, y_row, y_pixel, other_row, rows, columns, channels, low, outputs
    return types.void(*arguments), codegen
