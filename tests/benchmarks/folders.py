"""Where a core's time goes in `cnntool extract` over folders of photos: reading, decoding, resizing, computing.

    python -m tests.benchmarks.folders [--photos 64,2000] [--threads 1,2]

Photos of 1600x1200 are made 512x512 and go through samples/pipelines/texture.cnn, with kernels that have been compiled
before. Each part's time is that of its threads on a processor; `waiting` is what the threads did not use of the time
from start to end.
"""

from __future__ import annotations

import argparse
import functools
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cnntool.batches import compute
from cnntool.cli.main import main
from cnntool.images import read
from cnntool.images.items import Item
from tests.benchmarks.desk import ROOT
from tests.benchmarks.throughput import make_photos

PIPELINE = ROOT / "samples" / "pipelines" / "texture.cnn"
PARTS = "reading, hashing", "decoding", "resizing", "computing"


class Clock:
    """The processor time of each part, without that of the parts within it."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    def over(self, part: str, function: Callable[..., Any], *, inside: str = "") -> Callable[..., Any]:
        """The function, whose time counts for `part`, and no longer for the one that it is `inside` of."""

        @functools.wraps(function)
        def timed(*arguments: Any, **options: Any) -> Any:
            began = time.thread_time()
            try:
                return function(*arguments, **options)
            finally:
                took = time.thread_time() - began
                self.seconds[part] += took  # type: ignore[assignment]
                if inside:
                    self.seconds[inside] -= took  # type: ignore[assignment]

        return timed


def measured(folder: Path, threads: int) -> tuple[Clock, float, float]:
    """The parts, and the time of the process on processors and from start to end."""
    clock = Clock()
    patched = [
        (compute, "content_of", clock.over("reading, hashing", compute.content_of)),
        (Item, "read", clock.over("decoding", Item.read)),
        (read, "resized", clock.over("resizing", read.resized, inside="decoding")),
        (compute.Work, "vectors", clock.over("computing", compute.Work.vectors)),
    ]
    before = [getattr(where, name) for where, name, _ in patched]
    for where, name, new in patched:
        setattr(where, name, new)
    processor, wall = time.process_time(), time.perf_counter()
    try:
        main(["extract", str(folder), "features.npz", "--restart", "--overwrite", "--quiet", "--resize", "512x512",
              "--threads", str(threads), "-p", str(PIPELINE)])  # fmt: skip
    finally:
        processor, wall = time.process_time() - processor, time.perf_counter() - wall
        for (where, name, _), old in zip(patched, before, strict=True):
            setattr(where, name, old)
    return clock, processor, wall


def report() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", default="64,2000")
    parser.add_argument("--threads", default="1,2")
    options = parser.parse_args()
    counts, threads = ([int(number) for number in given.split(",")] for given in (options.photos, options.threads))
    with tempfile.TemporaryDirectory() as made:
        os.chdir(made)
        print(f"| photos | threads | seconds | a photo, ms | {' | '.join(PARTS)} | the rest | waiting |")
        print(f"| {' | '.join(['---:'] * (len(PARTS) + 6))} |")
        for count in counts:
            make_photos(Path(str(count)), count)
            for number in threads:
                clock, processor, wall = measured(Path(str(count)), number)
                shares = [clock.seconds[part] for part in PARTS]
                shares += [processor - sum(shares), max(0.0, number * wall - processor)]
                texts = " | ".join(f"{100 * share / (number * wall):.1f}%" for share in shares)
                print(f"| {count} | {number} | {wall:.2f} | {1000 * wall / count:.1f} | {texts} |", flush=True)
        os.chdir(ROOT)


if __name__ == "__main__":
    report()
