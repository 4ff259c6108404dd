"""One case with one number of threads: everybody's time, our error, and how the targets were met."""

from __future__ import annotations

import functools
import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cnntool import kernels
from cnntool.engine.threads import parallel
from tests.benchmarks import peers
from tests.benchmarks.cases import Case, Target
from tests.benchmarks.graph import Network
from tests.benchmarks.measure import QUIET, Measure, interleaved

PEAK_STEPS = 500_000
PEERS_DIFFER = 1e-3  # of the largest output; a peer that is farther off computes something else
BOUND_BY_MEMORY = ("memory",)


@dataclass
class Result:
    """Milliseconds of all contenders; what does not apply is None."""

    case: str
    group: str
    threads: int
    ours: float
    peers: dict[str, float]
    error: float | None = None
    differences: dict[str, float] = field(default_factory=dict)
    gflops: float | None = None
    share: float | None = None
    held_back: str = ""
    targets: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)  # peers that cannot run it, and why

    @property
    def best(self) -> str | None:
        return min(self.peers, key=self.peers.__getitem__, default=None)

    @property
    def passed(self) -> bool:
        return all(target["reached"] for target in self.targets) and not self.notes

    def aim(self, what: str, figure: float, least: float) -> None:
        self.targets.append({"what": what, "figure": figure, "least": least, "reached": figure >= least})

    def judge(self, targets: tuple[Target, ...]) -> None:
        """The ratios: the best peer's time over ours."""
        for target in targets:
            times = [ms for name, ms in self.peers.items() if not target.peers or name in target.peers]
            if times:
                self.aim("/".join(target.peers) or "best", min(times) / self.ours, target.ratio)


def peak_call(threads: int) -> Callable[[], object]:
    """Multiply-adds in the registers of that many threads."""
    return lambda: parallel(threads, kernels.peak.multiply_add_peak, [PEAK_STEPS] * threads)


@functools.lru_cache(maxsize=1)
def prepared(case: Case) -> tuple[Network, np.ndarray | None]:
    """The case and its reference, kept for the next number of threads."""
    network = Network(case)
    return network, peers.reference(network)


def race(case: Case, threads: int, rounds: int, measure: Measure = QUIET) -> Result:
    """Measures a case. Contenders see the same input and the same weights."""
    network, expected = prepared(case)
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(threads)
    contenders, left_out = {"ours": peers.ours(network, threads)}, {}
    absent = peers.missing()
    for name in case.peers:
        if name not in absent:
            try:
                contenders[name] = peers.PEERS[name][1](network, threads)
            except peers.CannotRun as error:
                left_out[name] = str(error)
    volumes = {name: contender.volume(contender.call()) for name, contender in contenders.items()}
    own = volumes.pop("ours")
    scale = float(np.abs(own).max())
    off = {name: float(np.abs(volume - own).max()) / scale for name, volume in volumes.items()}
    differences = {name: math.inf if math.isnan(value) else value for name, value in off.items()}
    error = None if expected is None else float(np.abs(own - expected).max() / np.abs(expected).max())
    del volumes, own

    calls = {name: contender.call for name, contender in contenders.items()}
    computes = case.group not in BOUND_BY_MEMORY
    if computes:
        calls["peak"] = peak_call(threads)
    seconds = interleaved(calls, rounds, measure)
    ms = {name: 1e3 * value for name, value in seconds.items() if name != "peak"}
    result = Result(case.name, case.group, threads, ms.pop("ours"), ms, error, differences, held_back=case.held_back)
    result.left_out = left_out
    if computes:
        peak = 2 * PEAK_STEPS * kernels.peak.FLOATS * threads / seconds["peak"]
        result.gflops = 2e-9 * network.macs / seconds["ours"]
        result.share = 1e9 * result.gflops / peak
    result.judge(case.targets)
    if case.share is not None and result.share is not None:
        result.aim("of the peak", result.share, case.share)
    if error is not None and not error <= case.error:
        result.notes.append(f"error {error:.1e} > {case.error:.0e}")
    result.notes += [f"{name} differs" for name, off in differences.items() if not off <= PEERS_DIFFER]
    return result
