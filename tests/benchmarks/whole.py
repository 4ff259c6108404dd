"""Whole processes, from start to exit: commands of ours beside straightforward scripts that give the same numbers."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tests.benchmarks import desk, table
from tests.benchmarks.desk import ROOT
from tests.benchmarks.race import Result

SCRIPTS = Path(__file__).parent / "peer_scripts"
WRAPPER = Path(__file__).parent / "timed_process.py"
PEERS_DIFFER = {"opencv": 0.1}  # of the largest number: its pictures are made smaller by another filter
OTHERS_DIFFER = 1e-3
HEAD = ("whole process", "threads", "who", "seconds", "ratio", "peak memory, MB", "differs", "")


class Process(NamedTuple):
    """A command of ours, and scripts: words with {desk}, {out} and {threads}. The scripts' packages must be there."""

    name: str
    words: str
    scripts: dict[str, str]
    needs: dict[str, tuple[str, ...]]
    ratio: float
    result: Callable[[str], np.ndarray] | None = None  # of the file {out}
    make: Callable[[Path], None] | None = None  # puts what they read on the desk


def features(path: str) -> np.ndarray:
    with np.load(path) as file:
        return file["features"].reshape(len(file["features"]), -1)


IMPORTS = {"click and rich": "-c 'import click, rich.table'"}
TORCH, OPENCV = ("torch", "PIL"), ("cv2",)
EXTRACT = "extract {desk}/photos/ {out}.npz --overwrite --threads {threads} --resize 512x512 "

PROCESSES = (
    Process(
        "process: cnntool --help", "--help", IMPORTS, {"click and rich": ()}, 0.5
    ),
    Process(
        "process: cnntool shape", f"shape 224x224x3 -p {ROOT}/samples/pipelines/resnet50.cnn", IMPORTS,
        {"click and rich": ()}, 0.5,
    ),
    Process(
        "process: warm run on 512x512",
        f"run {ROOT}/samples/images/astronaut.jpg {{out}}.npy --overwrite --threads {{threads}} -m {{desk}}/edges.npz",
        {"torch": f"run_torch.py {ROOT}/samples/images/astronaut.jpg {{out}}.npy {{desk}}/edges.npz {{threads}}"},
        {"torch": TORCH}, 2, lambda out: np.load(f"{out}.npy"), desk.edges,
    ),
    Process(
        "process: extract of 64 photos, texture.cnn",
        f"{EXTRACT}-p {ROOT}/samples/pipelines/texture.cnn",
        {
            "torch + Pillow": "texture_torch.py {desk}/photos {out}.npz {desk}/gabor.npy {threads}",
            "opencv": "texture_opencv.py {desk}/photos {out}.npz {desk}/gabor.npy {threads}",
        },
        {"torch + Pillow": TORCH, "opencv": OPENCV}, 3, lambda out: features(f"{out}.npz"), desk.texture,
    ),
    Process(
        "process: extract of 64 photos, conv 64 7/2 + batchnorm + relu + maxpool 2 + globalpool",
        f"{EXTRACT}-m {{desk}}/features.npz",
        {
            "torch + Pillow": "features_torch.py {desk}/photos {out}.npz {desk}/features.npz {threads}",
            "opencv": "features_opencv.py {desk}/photos {out}.npz {desk}/features.npz {threads}",
        },
        {"torch + Pillow": TORCH, "opencv": OPENCV}, 3, lambda out: features(f"{out}.npz"), desk.features,
    ),
)  # fmt: skip


@dataclass
class ProcessResult(Result):
    """Milliseconds of whole processes, and the most resident memory of each in bytes."""

    memory: dict[str, int] = field(default_factory=dict)


def run_all(processes: Sequence[Process], counts: Sequence[int], rounds: int) -> Iterator[ProcessResult]:
    """One after the other, on one desk; the folder goes away at the end. Not all of them use threads."""
    with tempfile.TemporaryDirectory() as folder:
        for process in processes:
            for threads in counts if "{threads}" in process.words else [1]:
                yield run(process, Path(folder), threads, rounds)


def run(process: Process, folder: Path, threads: int, rounds: int) -> ProcessResult:
    """Interleaved runs after one that warms the caches of the disk, and ours of kernels."""
    if process.make is not None:
        process.make(folder)
    commands = {"ours": ["-m", "cnntool", *process.words.split()]}
    for name, script in process.scripts.items():
        if all(importlib.util.find_spec(package) for package in process.needs[name]):
            commands[name] = words_of(script)
    outputs = {name: f"{folder}/{number}" for number, name in enumerate(commands)}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        names = list(commands)
        for name in names if number % 2 else reversed(names):
            words = [w.format(desk=folder, out=outputs[name], threads=threads) for w in commands[name]]
            found[name].append(timed(words, threads))
    seconds = {name: statistics.median(run["seconds"] for run in runs[1:]) for name, runs in found.items()}
    ms = {name: 1e3 * value for name, value in seconds.items()}
    result = ProcessResult(process.name, "process", threads, ms.pop("ours"), ms)
    result.memory = {name: max(run["bytes"] for run in runs) for name, runs in found.items()}
    result.aim("best", min(ms.values(), default=math.nan) / result.ours, process.ratio)
    if process.result is not None:
        numbers = {name: process.result(output) for name, output in outputs.items()}
        own = numbers.pop("ours")
        result.differences = {
            name: float(np.abs(array - own).max() / np.abs(own).max()) for name, array in numbers.items()
        }
    for name, off in result.differences.items():
        if not off <= PEERS_DIFFER.get(name, OTHERS_DIFFER):
            result.notes.append(f"{name} differs")
    return result


def words_of(script: str) -> list[str]:
    """The words behind `python` for one of the peer scripts, or for `-c CODE`."""
    if script.startswith("-c "):
        return ["-c", script.removeprefix("-c ").strip("'")]
    name, *words = script.split()
    return [str(SCRIPTS / name), *words]


def timed(words: list[str], threads: int, python: str = sys.executable) -> dict[str, Any]:
    """Runs `python WORDS`; a script that fails ends the benchmark with what it said."""
    limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    environment = os.environ | limits | {"PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed has its bytecode
    command = [sys.executable, "-S", str(WRAPPER), python, *words]
    said = subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stdout
    found = json.loads(said)
    if found["error"]:
        raise SystemExit(f"{' '.join(words)} failed:\n{found['error']}")
    return found


def rows(result: ProcessResult) -> Iterator[tuple[str, ...]]:
    """A line for each contender, ours first."""
    mark = "PASS" if result.passed else "short"
    least = f"{result.targets[0]['figure']:.2f} ({result.targets[0]['least']:g})"
    name = result.case.removeprefix("process: ")
    threads = str(result.threads)
    yield (name, threads, "ours", table.number(result.ours / 1e3), least, megabytes(result.memory["ours"]), "", mark)
    for peer, ms in result.peers.items():
        off = f"{result.differences[peer]:.0e}" if peer in result.differences else ""
        memory = megabytes(result.memory[peer])
        yield "", "", peer, table.number(ms / 1e3), f"{ms / result.ours:.2f}", memory, off, ""


def megabytes(count: int) -> str:
    return f"{count / 1e6:.0f}"
