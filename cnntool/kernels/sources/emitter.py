"""Emits LLVM IR of register tiles: accumulators, vector loads and stores, masks."""

from __future__ import annotations

from collections.abc import Iterator

from llvmlite import ir
from numba.core import cgutils

from cnntool.kernels.vectors import LANES

FLOAT, BIT, INT32, INT64 = ir.FloatType(), ir.IntType(1), ir.IntType(32), ir.IntType(64)
VECTOR, MASK, LANE_NUMBERS = ir.VectorType(FLOAT, LANES), ir.VectorType(BIT, LANES), ir.VectorType(INT32, LANES)
LINE = 16  # float32 in a cache line


class Emitter:
    """Emits the parts shared by all tiles: vector loads and stores, masks, loops over accumulators."""

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

    def load(self, pointer: ir.Value, mask: ir.Value | None = None) -> ir.Value:
        vector = self.b.bitcast(pointer, VECTOR.as_pointer())
        if mask is not None:
            zero = ir.Constant(VECTOR, [0.0] * LANES)
            return self.b.call(self.masked_load, [vector, ir.Constant(INT32, 4), mask, zero])
        value = self.b.load(vector)
        value.align = 4
        return value

    def store(self, value: ir.Value, pointer: ir.Value, mask: ir.Value | None = None) -> None:
        vector = self.b.bitcast(pointer, VECTOR.as_pointer())
        if mask is None:
            self.b.store(value, vector).align = 4
        else:
            self.b.call(self.masked_store, [value, vector, ir.Constant(INT32, 4), mask])

    def broadcast(self, scalar: ir.Value, vector_type: ir.VectorType) -> ir.Value:
        undefined = ir.Constant(vector_type, ir.Undefined)
        first = self.b.insert_element(undefined, scalar, ir.Constant(INT32, 0))
        return self.b.shuffle_vector(first, undefined, ir.Constant(LANE_NUMBERS, [0] * LANES))

    def load_broadcast(self, pointer: ir.Value) -> ir.Value:
        value = self.b.load(pointer)
        value.align = 4
        return self.broadcast(value, VECTOR)

    def masks(self, channels: ir.Value) -> list[ir.Value]:
        """For each vector, the mask of lanes that hold one of the first `channels` channels."""
        count = self.broadcast(self.b.trunc(channels, INT32), LANE_NUMBERS)
        numbers = [ir.Constant(LANE_NUMBERS, list(range(LANES * v, LANES * (v + 1)))) for v in range(self.vectors)]
        return [self.b.icmp_signed("<", number, count) for number in numbers]

    def multiply_add(self, p: int, v: int, x: ir.Value, w: ir.Value) -> None:
        self.b.store(self.b.call(self.fma, [x, w, self.b.load(self.acc[p][v])]), self.acc[p][v])

    def start(self, values: list[ir.Value]) -> None:
        for p in range(self.pixels):
            for v in range(self.vectors):
                self.b.store(values[v], self.acc[p][v])

    def fetch_to_write(self, y: ir.Value, y_pixel: ir.Value) -> None:
        """Prefetches the cache lines that `store_sums` will write, while the tile is computed."""
        for p in range(self.pixels):
            self._fetch(self.at(y, self.b.mul(y_pixel, self.integer(p))), to_write=1, caches=3)

    def fetch_to_add(self, other: ir.Value, y_pixel: ir.Value) -> None:
        """Prefetches what `add` will read into L2, since pixels may conflict in L1."""
        for p in range(self.pixels):
            self._fetch(self.at(other, self.b.mul(y_pixel, self.integer(p))), to_write=0, caches=2)

    def fetch_filters(self, w: ir.Value) -> None:
        """Prefetches the filters of one step into L2."""
        self._fetch(w, to_write=0, caches=2)

    def _fetch(self, pointer: ir.Value, to_write: int, caches: int) -> None:
        """Prefetches the cache lines of a pixel's channels."""
        for lane in range(0, self.vectors * LANES, LINE):
            self.fetch_line(self.at(pointer, self.integer(lane)), to_write, caches)

    def fetch_line(self, pointer: ir.Value, to_write: int = 0, caches: int = 3) -> None:
        """Prefetches one cache line: into L1 (3) or L2 (2)."""
        kind = ir.FunctionType(ir.VoidType(), (FLOAT.as_pointer(), INT32, INT32, INT32))
        function = cgutils.get_or_insert_function(self.b.module, kind, "llvm.prefetch.p0")
        self.b.call(function, [pointer, *(ir.Constant(INT32, number) for number in (to_write, caches, 1))])

    def clamp(self, low: ir.Value) -> None:
        """Clamps all accumulators to at least `low`; NaN stays."""
        bound = self.broadcast(low, VECTOR)
        for line in self.acc:
            for acc in line:
                value = self.b.load(acc)
                self.b.store(self.b.select(self.b.fcmp_ordered(">", bound, value), bound, value), acc)

    def stored(
        self, y: ir.Value, y_pixel: ir.Value, count: ir.Value, channels: ir.Value
    ) -> Iterator[tuple[ir.Value, ir.Value, ir.Value | None]]:
        """The accumulators of the first `count` pixels and `channels` channels, pointers to them from y on, and masks.

        Yields them twice: in a branch for full tiles, without masks, and in one for partial tiles.
        """
        b = self.b
        full = b.and_(
            b.icmp_signed("==", count, self.integer(self.pixels)),
            b.icmp_signed("==", channels, self.integer(self.vectors * LANES)),
        )
        rows = [
            [self.at(y, b.mul(y_pixel, self.integer(p)), self.integer(LANES * v)) for v in range(self.vectors)]
            for p in range(self.pixels)
        ]
        with b.if_else(full) as (then, otherwise):
            with then:
                for p, line in enumerate(rows):
                    for v, pointer in enumerate(line):
                        yield self.acc[p][v], pointer, None
            with otherwise:
                lanes = self.masks(channels)
                for p, line in enumerate(rows):
                    wanted = self.broadcast(b.icmp_signed(">", count, self.integer(p)), MASK)
                    for v, pointer in enumerate(line):
                        yield self.acc[p][v], pointer, b.and_(lanes[v], wanted)

    def store_sums(self, y: ir.Value, y_pixel: ir.Value, count: ir.Value, channels: ir.Value) -> None:
        """Stores the accumulators of the first `count` pixels and `channels` channels."""
        for acc, pointer, mask in self.stored(y, y_pixel, count, channels):
            self.store(self.b.load(acc), pointer, mask)

    def add(self, other: ir.Value, y_pixel: ir.Value, count: ir.Value, channels: ir.Value) -> None:
        """Adds the values at `other` to the accumulators that `store_sums` will store."""
        for acc, pointer, mask in self.stored(other, y_pixel, count, channels):
            self.b.store(self.b.fadd(self.b.load(acc), self.load(pointer, mask)), acc)
