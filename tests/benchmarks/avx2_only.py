"""The benchmarks as on a processor with AVX2, on one with AVX-512: `--avx2`.

Numba and oneDNN can be told; onnxruntime and ncnn ask the processor, so that CPUID is answered for it. Clock rate,
caches and memory stay those of the machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")
MARK = "CNNTOOL_BENCHMARKS_AVX2"


def is_active() -> bool:
    return MARK in os.environ


def run_again() -> None:
    """Runs this command in a process that sees no AVX-512, and exits as it does."""
    if sys.platform != "linux":
        raise SystemExit("--avx2 intercepts CPUID, which is written for Linux on x86-64 only")
    with tempfile.TemporaryDirectory() as folder:
        library = f"{folder}/avx2_only.so"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, str(SOURCE)], check=True)
        environment = os.environ | {
            MARK: "1", "LD_PRELOAD": library, "NUMBA_CPU_NAME": "haswell", "ONEDNN_MAX_CPU_ISA": "AVX2",
        }  # fmt: skip
        command = [sys.executable, "-m", "tests.benchmarks", *sys.argv[1:]]
        raise SystemExit(subprocess.run(command, env=environment, check=False).returncode)
