"""The parts of `winograd_few` as LLVM vector code: input transforms, products, output transforms.

Tiles are TILE x TILE outputs of `patch` x `patch` inputs; `patch` is a literal, 6 for filters with 3 taps, 7 for 4.
Opposite points are computed together, with even and odd powers apart.

Addresses are integers (bytes), distances are counted in float32.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from cnntool.kernels.sources.emitter import FLOAT, MASK, VECTOR, Emitter
from cnntool.kernels.sources.instructions import instruction
from cnntool.kernels.vectors import LANES
from cnntool.kernels.winograd_few import PIECE, POINTS, TILE, TILES_AT_ONCE, without

PAIRS = (1, 3)  # indices of the first of two opposite points


def _singles(patch: int) -> range:
    """Indices of the finite points after the pairs."""
    return range(PAIRS[-1] + 2, patch - 1)


def _scaled(b: ir.IRBuilder, factor: float, x: ir.Value, y: ir.Value) -> ir.Value:
    """factor * x + y"""
    if abs(factor) == 1:
        return b.fadd(y, x) if factor == 1 else b.fsub(y, x)
    kind = x.type
    function_type = ir.FunctionType(kind, [kind] * 3)
    fma = cgutils.get_or_insert_function(b.module, function_type, f"llvm.fma.v{kind.count}f32")
    return b.call(fma, [ir.Constant(kind, [float(factor)] * kind.count), x, y])


def _polynomial(b: ir.IRBuilder, coefficients: np.ndarray, d: list[ir.Value]) -> ir.Value:
    """The sum of coefficients * d, of which the last coefficient is 1."""
    value = d[len(coefficients) - 1]
    for factor, x in zip(coefficients[:-1], d, strict=False):
        if factor:
            value = _scaled(b, factor, x, value)
    return value


def _input_line(b: ir.IRBuilder, d: list[ir.Value]) -> list[ir.Value]:
    """B^T d"""
    patch, points = len(d), POINTS[len(d)]
    v = {patch - 1: _polynomial(b, without(patch), d)}
    for index in (0, *_singles(patch)):
        v[index] = _polynomial(b, without(patch, points[index]), d)
    for pair in PAIRS:
        point, rest = points[pair], without(patch, *points[pair : pair + 2])
        once, more = _polynomial(b, rest, d), _polynomial(b, rest, d[1:])
        v[pair], v[pair + 1] = _scaled(b, point, once, more), _scaled(b, -point, once, more)
    return [v[index] for index in range(patch)]


def _output_line(b: ir.IRBuilder, m: list[ir.Value]) -> list[ir.Value]:
    """A^T m"""
    points, y = POINTS[len(m)], []
    both = [(b.fadd(m[pair], m[pair + 1]), b.fsub(m[pair], m[pair + 1])) for pair in PAIRS]
    for power in range(TILE):
        terms = [(points[pair] ** power, values[power % 2]) for pair, values in zip(PAIRS, both, strict=True)]
        terms += [(points[index] ** power, m[index]) for index in _singles(len(m))]
        value = terms[0][1]
        for factor, term in terms[1:]:
            value = _scaled(b, factor, term, value)
        y.append(value)
    return [b.fadd(y[0], m[0]), *y[1:-1], b.fadd(y[-1], m[-1])]


@instruction(types.void, literals=2)
def few_input_tile(b, d, d_step, v, v_step, lanes, patch):
    """B^T of `patch` vectors of `lanes` float32 at `d`, `d_step` apart, to as many at `v`, `v_step` apart."""
    pointer = ir.VectorType(FLOAT, lanes).as_pointer()

    def vector_at(base: ir.Value, apart: ir.Value, number: int) -> ir.Value:
        step = b.mul(apart, ir.Constant(ir.IntType(64), number))
        return b.bitcast(b.gep(b.inttoptr(base, FLOAT.as_pointer()), [step]), pointer)

    inputs = [b.load(vector_at(d, d_step, number), align=4) for number in range(patch)]
    for number, value in enumerate(_input_line(b, inputs)):
        b.store(value, vector_at(v, v_step, number), align=4)


@instruction(types.void, literals=1)
def few_products_tile(b, v, u, h, pieces, depth, v_piece, patch):
    """h[t, 0, j] = A^T m[t, :], m[t, p] = sum over f < pieces, ic < depth of u[f, ic, p] v[f * v_piece + (t, p, ic)].

    v: TILES_AT_ONCE x patch x PIECE; u: vectors of output channels; h: vectors, of each tile patch * TILE.
    """
    t = Emitter(b, TILES_AT_ONCE, patch)
    t.start([ir.Constant(VECTOR, [0.0] * LANES)] * patch)
    filters = cgutils.alloca_once_value(b, t.address(u))
    with cgutils.for_range(b, pieces) as f:
        piece = t.at(t.address(v), b.mul(f.index, v_piece))
        with cgutils.for_range(b, depth) as ic:
            here, inputs = b.load(filters), t.at(piece, ic.index)
            b.store(t.at(here, t.integer(patch * LANES)), filters)
            for p in range(patch):
                w = t.load(t.at(here, t.integer(p * LANES)))
                for tile in range(TILES_AT_ONCE):
                    # constant distances take no register
                    x = t.load_broadcast(t.at(inputs, t.integer((tile * patch + p) * PIECE)))
                    t.multiply_add(tile, p, x, w)
    for tile in range(TILES_AT_ONCE):
        for j, value in enumerate(_output_line(b, [b.load(acc) for acc in t.acc[tile]])):
            t.store(value, t.at(t.address(h), t.integer((tile * patch * TILE + j) * LANES)))


@instruction(types.void, literals=1)
def few_output_tile(b, h, bias, y, other, y_row, y_pixel, other_row, rows, columns, channels, low, patch):
    """y[i, j] = max(low, bias + A^T h[:, j] + other[i, j]) of the first rows, columns and channels; `other` may be 0.

    `h`: vectors, patch x TILE; pixels of `y` and `other` lie `y_pixel` apart, rows `y_row` and `other_row`.
    """
    t = Emitter(b, 0, 1)
    bounds = t.broadcast(low, VECTOR)
    offset = t.load(t.address(bias))

    def clamped(value: ir.Value) -> ir.Value:
        return b.select(b.fcmp_ordered(">", bounds, value), bounds, value)

    def columns_of(j: int) -> list[ir.Value]:
        at = [t.at(t.address(h), t.integer((a * TILE + j) * LANES)) for a in range(patch)]
        m = [t.load(pointer) for pointer in at]
        m[1] = b.fadd(m[1], offset)  # the point 1, which contributes once to every output
        return _output_line(b, m)

    def pointer(base: ir.Value, apart: ir.Value, i: int, j: int) -> ir.Value:
        return t.at(t.address(base), b.mul(apart, t.integer(i)), b.mul(y_pixel, t.integer(j)))

    full = b.and_(
        b.and_(b.icmp_signed("==", rows, t.integer(TILE)), b.icmp_signed("==", columns, t.integer(TILE))),
        b.and_(b.icmp_signed("==", channels, t.integer(LANES)), b.icmp_signed("==", other, t.integer(0))),
    )
    with b.if_else(full) as (then, otherwise):
        with then:
            for j in range(TILE):
                for i, value in enumerate(columns_of(j)):
                    t.store(clamped(value), pointer(y, y_row, i, j))
        with otherwise:
            (lanes,) = t.masks(channels)
            zero = ir.Constant(MASK, [False] * LANES)
            adds = t.broadcast(b.icmp_signed("!=", other, t.integer(0)), MASK)
            for j in range(TILE):
                in_width = b.icmp_signed(">", columns, t.integer(j))
                for i, value in enumerate(columns_of(j)):
                    inside = b.and_(in_width, b.icmp_signed(">", rows, t.integer(i)))
                    mask = b.select(t.broadcast(inside, MASK), lanes, zero)
                    value = b.fadd(value, t.load(pointer(other, other_row, i, j), b.and_(mask, adds)))
                    t.store(clamped(value), pointer(y, y_row, i, j), mask)
