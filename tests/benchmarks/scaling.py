"""How `extract --shard I/N` and `merge` would scale to 64 machines, from the times of shards measured on one.

    python -m tests.benchmarks.scaling [--images 2000] [--side 256] [--as-if 100000]

The shards of 1/64 to 64/64 are computed one after the other, by one thread each. What a process takes before its first
image is measured by a shard that has all its rows already, what `merge` takes by itself. With W machines, the one that
the names give the most images has one start and their time; `merge` follows. `--as-if` tells for more images:
computing, listing and merging grow with them, the start of a process does not.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from cnntool.batches.shards import place_of
from tests.benchmarks.desk import ROOT
from tests.benchmarks.whole import timed

SHARDS = 64
WORDS = "bank gabor abs globalpool avg"


class Measured(NamedTuple):
    """Seconds of a process that does nothing, of listing all images, of the work of each shard, and of `merge`."""

    start: float
    listing: float
    shards: list[float]
    merge: float


def measure(images: int, side: int) -> Measured:
    """Runs all shards in the present folder."""
    Path("f").mkdir()
    rng = np.random.default_rng(0)
    for number in range(images):
        Image.fromarray(rng.integers(0, 256, (side // 8, side // 8, 3), np.uint8)).resize((side, side)).save(
            f"f/{number:06}.jpg"
        )

    def shard(place: int, output: str = "t.npz") -> float:
        words = ["-m", "cnntool", "extract", "f", output, "--quiet", "--threads", "1", "--shard", f"{place}/{SHARDS}"]
        return timed([*words, *WORDS.split()], 1)["seconds"]

    shard(1)  # compiles what is not compiled yet
    known = float(np.median([shard(1) for _ in range(3)]))
    Path("none").mkdir()
    Image.new("RGB", (side, side)).save("none/a.jpg")
    one = ["-m", "cnntool", "extract", "none", "n.npz", "--quiet", "--threads", "1", *WORDS.split()]
    start = float(np.median([timed(one, 1)["seconds"] for _ in range(3)]))
    times = [max(0.0, shard(place, "u.npz") - known) for place in range(1, SHARDS + 1)]
    merge = timed(["-m", "cnntool", "merge", "u.npz", "--quiet"], 1)["seconds"]
    return Measured(start, max(0.0, known - start), times, max(0.0, merge - start))


def seconds(found: Measured, workers: int, images: int, measured: int) -> tuple[float, float, float]:
    """The whole, the part of it that no machine more makes shorter, and what the fullest shard has beyond the mean."""
    each = sum(found.shards) / measured
    counts = [0] * workers
    for number in range(images):
        counts[place_of(f"{number:06}.jpg", workers)] += 1
    fixed = 2 * found.start + images / measured * (found.listing + found.merge)
    return each * max(counts) + fixed, fixed, each * (max(counts) - images / workers)


def main() -> int:
    """A line for each number of machines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--as-if", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        found = measure(options.images, options.side)
        os.chdir(ROOT)
    total = sum(found.shards)
    print(f"measured: start {found.start:.2f} s, listing {found.listing:.2f} s, merge {found.merge:.2f} s, "
          f"{1e3 * total / options.images:.1f} ms an image")  # fmt: skip
    for count in (options.images, options.as_if):
        alone = seconds(found, 1, count, options.images)[0]
        print(f"{count} images:")
        for workers in (1, 2, 4, 8, 16, 32, 64):
            whole, fixed, uneven = seconds(found, workers, count, options.images)
            print(f"  {workers:2} machines: {whole:8.1f} s, {alone / whole:5.1f} times as fast, efficiency "
                  f"{alone / whole / workers:4.0%}; fixed {fixed:.1f} s, uneven {uneven:.1f} s")  # fmt: skip
        print(f"  half of the time is lost to what is fixed with {total * count / options.images / fixed:.0f} machines")
    return 0


if __name__ == "__main__":
    sys.exit(main())
