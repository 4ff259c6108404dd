"""`cnntool doctor`: what this machine is, where compiled kernels are kept, and how fast it convolves."""

from __future__ import annotations

import platform
import statistics
import sys
import time
from collections.abc import Callable

import click

from cnntool import __version__
from cnntool.late import np

REPEATS = 7
CASES = [(224, 3, 64, 7, 2), (224, 3, 64, 3, 1), (112, 64, 128, 3, 1), (28, 256, 256, 3, 1), (56, 256, 64, 1, 1)]


@click.command(name="doctor")
def command() -> None:
    """What this machine is: processor, threads, kernel cache, measured peak and what convolution reaches of it.

    Takes a few seconds. The peak is that of fused multiply-adds in registers; the convolutions are the direct kernel's,
    with one thread and with all.
    """
    from cnntool import kernels
    from cnntool.engine.threads import available_threads

    threads = available_threads()
    vectors, cache = kernels.vectors, kernels.cache
    kept = len(cache.kept_kernels())
    lines = [
        ("cnntool", f"{__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"),
        ("libraries", _versions()),
        ("processor", f"{_processor()}; {_features()}"),
        ("register tile", f"{vectors.PIXELS} pixels x {vectors.VECTORS} vectors of {vectors.LANES} channels"),
        ("threads", str(threads)),
        ("kernel cache", f"{cache.FOLDER}" if cache.FOLDER else f"{cache.problem()}; kernels compile at each start"),
        ("", f"{kept} kernels, {'warm' if kept else 'cold: the first runs compile'}" if cache.FOLDER else ""),
    ]
    for name, text in lines:
        if text:
            click.echo(f"{name:14} {text}")
    peak = _measure_peak()
    click.echo(f"{'peak':14} {peak:.0f} GFLOP/s float32, one thread")
    many = f", {threads} threads" if threads > 1 else ""
    click.echo(f"\n{'convolution':34} GFLOP/s one thread (of the peak){many}")
    for case in CASES:
        one = _measure_convolution(*case, 1)
        side, channels, out, kernel, stride = case
        name = f"{kernel}x{kernel}/{stride} {side}x{side}x{channels} -> {out}"
        rest = f"   {_measure_convolution(*case, threads):6.0f}" if threads > 1 else ""
        click.echo(f"  {name:32} {one:6.0f} ({one / peak:4.0%}){rest}")


def _versions() -> str:
    from importlib.metadata import version

    return ", ".join(f"{name} {version(name)}" for name in ("numba", "llvmlite", "numpy", "pillow"))


def _processor() -> str:
    if sys.platform == "linux":
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _features() -> str:
    from cnntool.kernels.processors import target_features

    interesting, there = ("avx2", "fma", "avx512f", "neon", "sve"), target_features()
    return " ".join(name for name in interesting if name in there) or "no wide vectors"


def median_seconds(function: Callable[[], object]) -> float:
    """The median time of several calls, after one that compiles and warms up."""
    function()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _measure_peak() -> float:
    from cnntool.kernels import peak

    steps = 2_000_000
    return 2e-9 * steps * peak.FLOATS / median_seconds(lambda: peak.multiply_add_peak(steps))


def _measure_convolution(side: int, channels: int, out: int, kernel: int, stride: int, threads: int) -> float:
    from cnntool.pipeline import Pipeline

    words = f"conv {out} {kernel} --stride {stride} --padding {kernel // 2}"
    pipeline = Pipeline.parse(words)
    pipeline.use_algorithm("direct")
    macs = pipeline.shape((side, side, channels))["totals"]["macs"]
    volume = np.random.default_rng(0).standard_normal((side, side, channels), np.float32)
    return 2e-9 * macs / median_seconds(lambda: pipeline.run(volume, threads))
