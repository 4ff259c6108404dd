"""Register tiles: the inner loops of convolution and pooling, as LLVM vector code.

A tile is a block of neighbouring output pixels and channels whose accumulators stay in registers during the loops over
window and input channels. LLVM does not find this form in scalar loops, so four Numba intrinsics emit it: `dense_tile`
multiplies all input channels with all output channels, `outer_tile` sums these products over pixels, `channel_tile` and
`depthwise_tile` keep channels apart; the latter has a fixed window and reads each input once for all windows.

Addresses are integers (bytes), distances are in float32. `pixels`, `vectors` and `operation` must be literals, since
the tile is unrolled for them. (With a factory closure for each shape, Numba's disk cache never hits.) A tile may read
up to `pixels` pixels past those it stores, for which the caller provides memory.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from cnntool.kernels.sources.emitter import INT64, MASK, VECTOR, Emitter
from cnntool.kernels.sources.instructions import instruction
from cnntool.kernels.vectors import HOST, LANES

# float32 of the next block's filters that a tile prefetches into the L2 cache. ResNet-50, whose 100 MB of filters are
# read from memory for each image, took 58.9 ms without and 56.3 with, 30.3 and 29.3 with two threads.
AHEAD = HOST.prefetched


@intrinsic
def address_of(typingctx, array):
    """The address of an array's first element, as a signed integer.

    It does not keep the array alive: a kernel's own arrays are freed after their last mention; see `keep_alive`.
    """

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        fields = context.make_array(signature.args[0])(context, b, values[0])
        return b.ptrtoint(fields.data, INT64)

    return types.int64(array), codegen


@intrinsic
def keep_alive(typingctx, array):
    """Keeps an array alive up to here, after the last use of its address. It computes nothing.

    For LLVM it may access all memory, so no load or store is moved across it.
    """

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, values: tuple) -> ir.Value:
        fields = context.make_array(signature.args[0])(context, b, values[0])
        kind = ir.FunctionType(ir.VoidType(), [fields.data.type])
        b.asm(kind, "", "r,~{memory}", [fields.data], side_effect=True)
        return context.get_dummy_value()

    return types.void(array), codegen


@instruction(types.void, literals=2)
def dense_tile(
    b, x, w, bias, y, kernel_height, kernel_width, in_channels, x_row, x_column, x_pixel, y_pixel,
    count, channels, other, low, pixels, vectors,
):  # fmt: skip
    """y[p, oc] = bias[oc] + sum of w[ky, kx, ic, oc] x[ky * x_row + kx * x_column + p * x_pixel + ic] over ky, kx, ic.

    `w` is packed: `vectors` registers of output channels for each ky, kx, ic, in order; `bias` holds as many.
    `other`, if not 0, is the address of a residual with the layout of y.
    `low` is the lower bound of results: minus infinity, or 0 for a fused ReLU.
    Stores the first `count` pixels, `y_pixel` apart, and the first `channels` output channels.
    """
    t = Emitter(b, pixels, vectors)
    bias_at = t.address(bias)
    t.start([t.load(t.at(bias_at, t.integer(LANES * v))) for v in range(t.vectors)])
    t.fetch_to_write(t.address(y), y_pixel)  # 3x3 convolution of 224x224x3 -> 64: 1.90 ms without, 1.76 with
    adds = b.icmp_signed("!=", other, t.integer(0))
    with b.if_then(adds):  # saves 0.3 ms for the 16 residuals of ResNet-50
        t.fetch_to_add(t.address(other), y_pixel)
    filters = cgutils.alloca_once_value(b, t.address(w))
    size = b.mul(b.mul(kernel_height, kernel_width), b.mul(in_channels, t.integer(LANES * t.vectors)))
    ahead = b.select(b.icmp_signed("<", size, t.integer(AHEAD)), size, t.integer(AHEAD))
    with cgutils.for_range(b, kernel_height) as ky:
        line = t.at(t.address(x), b.mul(ky.index, x_row))
        with cgutils.for_range(b, kernel_width) as kx:
            window = t.at(line, b.mul(kx.index, x_column))
            with cgutils.for_range(b, in_channels) as ic:
                here = b.load(filters)
                ws = [t.load(t.at(here, t.integer(LANES * v))) for v in range(t.vectors)]
                t.fetch_filters(t.at(here, ahead))
                b.store(t.at(here, t.integer(LANES * t.vectors)), filters)
                column_of_pixels = t.at(window, ic.index)
                for p in range(t.pixels):
                    value = t.load_broadcast(t.at(column_of_pixels, b.mul(x_pixel, t.integer(p))))
                    for v in range(t.vectors):
                        t.multiply_add(p, v, value, ws[v])
    with b.if_then(adds):
        t.add(t.address(other), y_pixel, count, channels)
    t.clamp(low)
    t.store_sums(t.address(y), y_pixel, count, channels)


@instruction(types.void, literals=2)
def outer_tile(
    b,
    x,
    w,
    y,
    rows,
    columns,
    x_row,
    x_column,
    w_row,
    w_column,
    y_pixel,
    count,
    channels,
    pixels,
    vectors,
):
    """y[p, c] += sum of x[i * x_row + j * x_column + p] * w[i * w_row + j * w_column + c] over i < rows, j < columns.

    The outer products of the gradient of weights. Stores the first `count` p, `y_pixel` apart, and the first `channels`
    c; nothing else of `w` and `y` is read.
    """
    t = Emitter(b, pixels, vectors)
    full = b.icmp_signed("==", channels, t.integer(LANES * t.vectors))

    def walk(lanes: list[ir.Value | None]) -> None:
        t.start([ir.Constant(VECTOR, [0.0] * LANES)] * t.vectors)
        with cgutils.for_range(b, rows) as i:
            x_from = t.at(t.address(x), b.mul(i.index, x_row))
            w_from = t.at(t.address(w), b.mul(i.index, w_row))
            with cgutils.for_range(b, columns) as j:
                x_at = t.at(x_from, b.mul(j.index, x_column))
                w_at = t.at(w_from, b.mul(j.index, w_column))
                ws = [t.load(t.at(w_at, t.integer(LANES * v)), lanes[v]) for v in range(t.vectors)]
                for p in range(t.pixels):
                    value = t.load_broadcast(t.at(x_at, t.integer(p)))
                    for v in range(t.vectors):
                        t.multiply_add(p, v, value, ws[v])
        for p in range(t.pixels):
            wanted = t.broadcast(b.icmp_signed(">", count, t.integer(p)), MASK)
            for v in range(t.vectors):
                pointer = t.at(t.address(y), b.mul(y_pixel, t.integer(p)), t.integer(LANES * v))
                mask = wanted if lanes[v] is None else b.and_(lanes[v], wanted)
                b.store(b.fadd(b.load(t.acc[p][v]), t.load(pointer, mask)), t.acc[p][v])

    with b.if_else(full) as (then, otherwise):
        with then:
            walk([None] * t.vectors)
        with otherwise:
            walk(list(t.masks(channels)))
    t.store_sums(t.address(y), y_pixel, count, channels)
