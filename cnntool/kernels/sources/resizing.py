"""Resizing of colour images in Pillow's integer arithmetic, rounded after each of the two passes.

The horizontal pass resizes two rows at once into a ring of rows that stay in the cache; the vertical pass reads these.
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir
from numba import types

from cnntool.kernels.sources.instructions import instruction
from cnntool.kernels.sources.jit import kernel
from cnntool.kernels.sources.tile import address_of

BITS = 22  # fraction bits of a weight: weights times 255 stay below 2**31
ROWS = 2  # of the image in the horizontal pass, which share loads of weights
PIXELS = 4  # of 4 bytes, in 16 lanes; LLVM splits them over shorter registers

INT8, INT32, INT64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
BYTES, WORDS = ir.VectorType(INT8, 4 * PIXELS), ir.VectorType(INT32, 4 * PIXELS)


def _constant(number: int) -> ir.Constant:
    return ir.Constant(INT64, number)


def _splat(number: int) -> ir.Constant:
    return ir.Constant(WORDS, [number] * 4 * PIXELS)


def _shuffle(b: ir.IRBuilder, one: ir.Value, other: ir.Value, lanes: list[int]) -> ir.Value:
    return b.shuffle_vector(one, other, ir.Constant(ir.VectorType(INT32, len(lanes)), lanes))


def _load(b: ir.IRBuilder, address: ir.Value, kind: ir.Type) -> ir.Value:
    value = b.load(b.inttoptr(address, kind.as_pointer()))
    value.align = 1
    return value


def _store(b: ir.IRBuilder, address: ir.Value, value: ir.Value) -> None:
    b.store(value, b.inttoptr(address, value.type.as_pointer())).align = 1


def _pixels(b: ir.IRBuilder, address: ir.Value) -> ir.Value:
    """PIXELS neighbouring pixels as integers."""
    return b.zext(_load(b, address, BYTES), WORDS)


def _sums(b: ir.IRBuilder, count: ir.Value, number: int, step: Callable[[ir.Value], list[ir.Value]]) -> list[ir.Value]:
    """`number` sums of `step(i)` over 0 <= i < count, where count is at least one."""
    before, loop, after = b.block, b.append_basic_block("taps"), b.append_basic_block("summed")
    b.branch(loop)
    b.position_at_end(loop)
    index, totals = b.phi(INT64), [b.phi(WORDS) for _ in range(number)]
    sums = [b.add(total, more) for total, more in zip(totals, step(index), strict=True)]
    following = b.add(index, _constant(1))
    index.add_incoming(_constant(0), before)
    index.add_incoming(following, loop)
    for total, found in zip(totals, sums, strict=True):
        total.add_incoming(_splat(0), before)
        total.add_incoming(found, loop)
    b.cbranch(b.icmp_signed("<", following, count), loop, after)
    b.position_at_end(after)
    return sums


def _rounded(b: ir.IRBuilder, sums: ir.Value) -> ir.Value:
    return b.lshr(b.add(sums, _splat(1 << (BITS - 1))), _splat(BITS))


@instruction(types.void, *[types.int64] * 7)
def _columns_tile(b, source, stride, left, weights, taps, target, target_stride):
    """PIXELS pixels in each of ROWS rows: target[r, x] = sum over t < taps of source[r, left[x] + t] * weights[x, t].

    Addresses, and distances in bytes; `left` int64, `weights` int32; `taps` is a multiple of PIXELS.
    """
    sources, lines = [], []
    for x in range(PIXELS):
        first = _load(b, b.add(left, _constant(8 * x)), INT64)
        sources.append(b.add(source, b.mul(first, _constant(4))))
        lines.append(b.add(weights, b.mul(taps, _constant(4 * x))))
    spread = [lane // 4 for lane in range(4 * PIXELS)]

    def products(index: ir.Value) -> list[ir.Value]:
        further = b.mul(index, _constant(4 * PIXELS))  # bytes of as many pixels, and of as many weights
        found = []
        for x in range(PIXELS):
            four = _load(b, b.add(lines[x], further), ir.VectorType(INT32, PIXELS))
            weight = _shuffle(b, four, four, spread)
            for r in range(ROWS):
                at = b.add(b.add(sources[x], further), b.mul(stride, _constant(r)))
                found.append(b.mul(_pixels(b, at), weight))
        return found

    sums = _sums(b, b.sdiv(taps, _constant(PIXELS)), PIXELS * ROWS, products)
    for r in range(ROWS):
        of_row = sums[r::ROWS]
        while len(of_row) > 1:  # pairwise reduction, until each pixel holds its sum
            of_row = [_halved(b, one, other) for one, other in zip(of_row[::2], of_row[1::2], strict=True)]
        _store(b, b.add(target, b.mul(target_stride, _constant(r))), b.trunc(_rounded(b, of_row[0]), BYTES))


def _halved(b: ir.IRBuilder, one: ir.Value, other: ir.Value) -> ir.Value:
    """Neighbouring pixels of `one`, then of `other`, added; a pixel is 4 lanes."""
    even = [8 * (lane // 4) + lane % 4 for lane in range(4 * PIXELS)]
    return b.add(_shuffle(b, one, other, even), _shuffle(b, one, other, [lane + 4 for lane in even]))


@instruction(types.void, *[types.int64] * 7)
def _rows_tile(b, source, stride, first, mask, weights, taps, target):
    """PIXELS pixels of 3 float32 in [0, 1]: the sum over t < taps of source[(first + t) & mask] * weights[t]."""

    def products(index: ir.Value) -> list[ir.Value]:
        row = b.and_(b.add(first, index), mask)
        weight = _load(b, b.add(weights, b.mul(index, _constant(4))), INT32)
        one = b.insert_element(ir.Constant(WORDS, ir.Undefined), weight, ir.Constant(INT32, 0))
        return [b.mul(_pixels(b, b.add(source, b.mul(row, stride))), _shuffle(b, one, one, [0] * 4 * PIXELS))]

    (sums,) = _sums(b, taps, 1, products)
    floats = ir.VectorType(ir.FloatType(), 4 * PIXELS)
    # an exact division: its own flags keep it from becoming a product with the reciprocal
    value = b.fdiv(b.uitofp(_rounded(b, sums), floats), ir.Constant(floats, [255.0] * 4 * PIXELS), flags=["nsz"])
    colours = [lane for lane in range(4 * PIXELS) if lane % 4 < 3]
    _store(b, target, _shuffle(b, value, value, colours))


@kernel
def resize_forward(pixels, left, weights_x, top, weights_y, middle, out):
    """pixels: uint8 H x 4 W, the fourth byte of each pixel is ignored; out: float32 OH x 3 OW, in [0, 1].

    middle[y, x] = sum over t of pixels[y, left[x] + t] weights_x[x, t]
    out[y, x]    = sum over t of middle[top[y] + t, x] weights_y[y, t]        int32, in 1 / 2**BITS, rounded

    Limits: H >= ROWS; OW >= PIXELS; columns of weights_x a multiple of PIXELS; `top` is non-decreasing; rows of middle
    (uint8, 4 OW columns) a power of two, at least ROWS more than weights_y has columns.
    """
    height, width = pixels.shape
    columns, taps_x, taps_y = len(left), weights_x.shape[1], weights_y.shape[1]
    ring, line = middle.shape
    groups = (columns + PIXELS - 1) // PIXELS
    source, target, middle_at = address_of(pixels), address_of(out), address_of(middle)
    left_at, weights_at = address_of(left), address_of(weights_x)
    done = 0  # rows of the picture
    for y in range(len(top)):
        while done < top[y] + taps_y:
            row = min(done, height - ROWS)
            here, after = row % ring, (row + 1) % ring
            for group in range(groups):
                x = min(PIXELS * group, columns - PIXELS)
                _columns_tile(
                    source + row * width, width, left_at + 8 * x, weights_at + 4 * taps_x * x, taps_x,
                    middle_at + here * line + 4 * x, (after - here) * line,
                )  # fmt: skip
            done = row + ROWS
        for group in range(groups):
            x = min(PIXELS * group, columns - PIXELS)
            _rows_tile(
                middle_at + 4 * x, line, top[y], ring - 1, address_of(weights_y) + 4 * taps_y * y, taps_y,
                target + 4 * 3 * (y * columns + x),
            )  # fmt: skip
