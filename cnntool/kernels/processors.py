"""The processor that kernels are compiled for: this one, or the one that NUMBA_CPU_NAME and NUMBA_CPU_FEATURES name."""

from __future__ import annotations

import functools
import os
import platform
import re

import llvmlite.binding as llvm

from cnntool.errors import CnntoolError

NAME, FEATURES = "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"
# LLVM does not list the features of an x86 processor known only by name; the assembly of an operation shows whether it
# has one. For each feature: the type of %x, the operation, and a pattern in the assembly if the feature is present.
FUSED = "call <4 x float> @llvm.fma.v4f32(<4 x float> %x, <4 x float> %x, <4 x float> %x)"
DOT = """%b = bitcast <4 x i32> %x to <8 x i16>
    %m = call <4 x i32> @llvm.x86.sse2.pmadd.wd(<8 x i16> %b, <8 x i16> %b)
    %y = add <4 x i32> %m, %x"""
SHUFFLE = f"shufflevector <64 x i8> %x, <64 x i8> %x, <64 x i32> <{', '.join(f'i32 {37 * i % 64}' for i in range(64))}>"
PROBES = {
    "sse4.1": ("<4 x float>", "call <4 x float> @llvm.floor.v4f32(<4 x float> %x)", "roundps"),
    "popcnt": ("i64", "call i64 @llvm.ctpop.i64(i64 %x)", "popcnt"),
    "movbe": ("i64", "call i64 @llvm.bswap.i64(i64 %x)", "movbe"),
    "lzcnt": ("i64", "call i64 @llvm.ctlz.i64(i64 %x, i1 false)", "lzcnt"),
    "bmi": ("i64", "call i64 @llvm.cttz.i64(i64 %x, i1 false)", "tzcnt"),
    "bmi2": ("i64", "shl i64 7, %x", "shlx"),
    "avx": ("<8 x float>", "fadd <8 x float> %x, %x", "ymm"),
    "f16c": ("<4 x half>", "fadd <4 x half> %x, %x", "vcvtph2ps|vaddph"),
    "fma": ("<4 x float>", FUSED, r"vfmadd\d{3}ps"),
    "fma4": ("<4 x float>", FUSED, "vfmaddps"),
    "avx2": ("<8 x i32>", "add <8 x i32> %x, %x", "ymm"),
    "gfni": ("<16 x i8>", "call <16 x i8> @llvm.bitreverse.v16i8(<16 x i8> %x)", "gf2p8"),
    "avxvnni": ("<4 x i32>", DOT, r"\{vex\}\s+vpdpwssd"),
    "avx512vnni": ("<4 x i32>", DOT, r"(?<!\{vex\}\s)vpdpwssd"),
    "avx512f": ("<16 x float>", "fadd <16 x float> %x, %x", "zmm"),
    "avx512bw": ("<32 x i16>", "add <32 x i16> %x, %x", "zmm"),
    "avx512dq": ("<8 x i64>", "mul <8 x i64> %x, %x", "vpmullq"),
    "avx512vl": ("<4 x i64>", "call <4 x i64> @llvm.abs.v4i64(<4 x i64> %x, i1 false)", "vpabsq.*ymm"),
    "avx512cd": ("<8 x i64>", "call <8 x i64> @llvm.ctlz.v8i64(<8 x i64> %x, i1 false)", "vplzcntq"),
    "avx512vpopcntdq": ("<8 x i64>", "call <8 x i64> @llvm.ctpop.v8i64(<8 x i64> %x)", "vpopcntq"),
    "avx512bitalg": ("<64 x i8>", "call <64 x i8> @llvm.ctpop.v64i8(<64 x i8> %x)", "vpopcntb"),
    "avx512vbmi": ("<64 x i8>", SHUFFLE, "vpermb"),
    "avx512vbmi2": (
        "<32 x i16>", "call <32 x i16> @llvm.fshl.v32i16(<32 x i16> %x, <32 x i16> %x, <32 x i16> %x)", "vpshldvw",
    ),
    "avx512fp16": ("<8 x half>", "fadd <8 x half> %x, %x", "vaddph"),
}  # fmt: skip
FUNCTION = """
define void @{name}(ptr %p) "prefer-vector-width"="512" {{
    %x = load {type}, ptr %p
    {operation}
    store {type} %y, ptr %p
    ret void
}}
"""


def target() -> tuple[str, str]:
    """LLVM's name and features of the processor that kernels are compiled for.

    A processor given only by name has that model's features, not the host's.
    """
    name, features = os.environ.get(NAME), os.environ.get(FEATURES)
    if features is None:
        features = "" if name else llvm.get_host_cpu_features().flatten()
    return name or llvm.get_host_cpu_name(), features


def is_given() -> bool:
    """Whether the environment names the processor, or its features."""
    return NAME in os.environ or FEATURES in os.environ


def target_features() -> set[str]:
    """LLVM's features of the processor that kernels are compiled for; only those of PROBES if it is given."""
    if is_given() and llvm.get_process_triple().startswith("x86_64"):
        return probed(*target())
    return host_features()


def host_features() -> set[str]:
    """LLVM's features of this processor."""
    found = {name for name, there in llvm.get_host_cpu_features().items() if there}
    # all 64-bit ARM processors have these vectors; LLVM does not look for them on every system
    return found | {"neon"} if platform.machine() in ("aarch64", "arm64", "ARM64") else found


@functools.cache
def probed(name: str, features: str) -> set[str]:
    """The features of PROBES that LLVM uses for a processor."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    functions, declarations = "", set()
    for number, (kind, operation, _) in enumerate(PROBES.values()):
        for result, called, arguments in re.findall(r"call (.+?) @(\S+?)\((.+)\)", operation):
            declarations.add(f"declare {result} @{called}({re.sub(r' %[a-z]| false', '', arguments)})")
        instruction = operation if "%y" in operation else f"%y = {operation}"
        functions += FUNCTION.format(name=f"probe{number}", type=kind, operation=instruction)
    machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(name, features, opt=2)
    assembly = machine.emit_assembly(llvm.parse_assembly("\n".join(declarations) + functions))
    parts = re.split(r"^_?probe\d+:", assembly, flags=re.MULTILINE)[1:]
    probes = zip(PROBES.items(), parts, strict=True)
    return {feature for (feature, (_, _, sign)), part in probes if re.search(sign, part)}


def check_that_it_runs_here() -> None:
    """Raises CnntoolError if this processor lacks a feature of the given one."""
    missing = sorted(target_features() - host_features())
    if missing:
        given = " ".join(f"{name}={os.environ[name]}" for name in (NAME, FEATURES) if name in os.environ)
        raise CnntoolError(
            f"{given}: this processor ({llvm.get_host_cpu_name()}) cannot run such code, it has no "
            f"{', '.join(missing)}: name an older processor, or unset the variable"
        )
