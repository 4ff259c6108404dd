"""The shape of the vector registers of this processor, and the shape of the register tiles that follows from it."""

from __future__ import annotations

import os

import llvmlite.binding as llvm

# lanes of a register: (pixels, vectors of channels, pixels of the narrow tile). AVX-512 has 32 registers: 14 x 2
# accumulators, 2 filters, 1 input. AVX2 has 16: 6 x 2 + 2 + 1. NEON has 32 short ones.
TILES = {16: (14, 2, 7), 8: (6, 2, 3), 4: (6, 4, 3)}


def processor() -> tuple[str, str]:
    """Name and features of the processor that kernels are compiled for, as Numba finds them: this one, or a given."""
    name = os.environ.get("NUMBA_CPU_NAME")
    features = os.environ.get("NUMBA_CPU_FEATURES")
    if features is None:
        features = "" if name else llvm.get_host_cpu_features().flatten()
    return name or llvm.get_host_cpu_name(), features


def host_features() -> set[str]:
    """What LLVM calls the features of the processor that kernels are compiled for; of a named one it tells none."""
    return {feature[1:] for feature in processor()[1].split(",") if feature.startswith("+")}


def host_lanes() -> int:
    """How many float32 one vector register holds: 16 with AVX-512, 8 with AVX, 4 elsewhere."""
    name, given = processor()
    if not given:
        return _lanes_of_processor(name)
    features = host_features()
    return 16 if "avx512f" in features else 8 if {"avx", "fma"} <= features else 4


def _lanes_of_processor(name: str) -> int:
    """LLVM tells no features of a processor that is only named, so this looks at the code that it makes for it."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple()
    ir = """
        declare <16 x float> @llvm.fma.v16f32(<16 x float>, <16 x float>, <16 x float>)
        define void @f(ptr %p) "prefer-vector-width"="512" {
            %a = load <16 x float>, ptr %p
            %b = call <16 x float> @llvm.fma.v16f32(<16 x float> %a, <16 x float> %a, <16 x float> %a)
            store <16 x float> %b, ptr %p
            ret void
        }
    """
    assembly = target.create_target_machine(cpu=name, opt=2).emit_assembly(llvm.parse_assembly(ir))
    fused = [line for line in assembly.splitlines() if "vfmadd" in line]
    return 16 if any("zmm" in line for line in fused) else 8 if any("ymm" in line for line in fused) else 4


LANES = host_lanes()
PIXELS, VECTORS, NARROW_PIXELS = TILES[LANES]
