"""What is measured on, and with which versions."""

from __future__ import annotations

import importlib.metadata
import platform
import sys

PACKAGES = (
    "numba", "numpy", "torch", "onnxruntime", "openvino", "ncnn", "opencv-python-headless", "opencv-python", "scipy",
)  # fmt: skip


def describe() -> dict[str, str]:
    """Processor, vectors, threads, system and versions; what cannot be found is left out."""
    from cnntool import __version__, kernels
    from cnntool.engine.threads import available_threads
    from tests.benchmarks import avx2_only

    versions = [f"cnntool {__version__}", f"Python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    vectors = kernels.vectors
    return {
        "processor": processor(),
        "kernels for": vectors.host_kind() + (", as are the peers'" if avx2_only.is_active() else ""),
        "tile": f"{vectors.PIXELS} pixels x {vectors.VECTORS} vectors of {vectors.LANES}",
        "threads": str(available_threads()),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": ", ".join(versions),
    }


def processor() -> str:
    if sys.platform == "linux":
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
