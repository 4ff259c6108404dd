"""Kills `cnntool extract` at random moments and counts what had to be computed again; then changes the folder.

    python -m tests.benchmarks.kills FOLDER [--images 20000] [--kills 30] [--kinds npz,csv,parquet]

FOLDER is made, and holds images and tables afterwards. Prints one line a kind of table; ends with 1 if a table differs
from an uninterrupted run's, or if a kill cost more than one part and what the threads had in flight.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

CHAIN = ["bank", "sobel", "relu", "globalpool", "avg"]
THREADS = 2
# The command, with a mark in a file for each image that was computed.
COUNTING = """
import os, sys
from cnntool.batches.compute import Work
from cnntool.cli.main import main
log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
vectors = Work.vectors
def counted(self, volumes, threads):
    found = vectors(self, volumes, threads)
    os.write(log, b"x" * len(volumes))
    return found
Work.vectors = counted
sys.exit(main(sys.argv[1:]))
"""


def image(path: str, seed: int) -> None:
    """A small picture that differs from all others."""
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8)
    Image.fromarray(pixels).save(path, compress_level=1)


def command(table: str) -> list[str]:
    return [sys.executable, "-c", COUNTING, "extract", "images", table, "--threads", str(THREADS), "--quiet", *CHAIN]


def computed() -> int:
    return os.path.getsize("log") if os.path.exists("log") else 0


def run(table: str) -> tuple[int, float]:
    """An uninterrupted run; the number of images that it computed, and its seconds."""
    before, start = computed(), time.monotonic()
    subprocess.run(command(table), check=True)
    return computed() - before, time.monotonic() - start


def killed(table: str, images: int) -> bool:
    """A run that is killed when it has computed so many images, unless it ends before."""
    target = computed() + images
    process = subprocess.Popen(command(table))
    while process.poll() is None:
        if computed() >= target:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return True
        time.sleep(0.002)
    return False


def with_kills(table: str, kills: int, images: int, rng: random.Random) -> tuple[int, int]:
    """Runs that are killed, and one that is not; how many kills there were, and all images computed."""
    before, count = computed(), 0
    while count < kills and not os.path.exists(table):
        count += killed(table, rng.randrange(max(2, 2 * images // kills)))
    run(table)
    return count, computed() - before


def change(images: int, rng: random.Random) -> int:
    """500 added, 200 changed, 100 removed, 50 renamed, of 20,000; the number that is to be computed."""
    share = images / 20_000
    names = sorted(os.listdir("images"))
    rng.shuffle(names)
    added, changed, removed, renamed = (max(1, round(share * count)) for count in (500, 200, 100, 50))
    for number in range(added):
        image(f"images/new-{number:05}.png", 10**6 + number)
    for number in range(changed):
        image(f"images/{names[number]}", 2 * 10**6 + number)
    for name in names[changed : changed + removed]:
        os.unlink(f"images/{name}")
    for name in names[changed + removed : changed + removed + renamed]:
        os.rename(f"images/{name}", f"images/renamed-{name}")
    return added + changed


def same(first: str, second: str) -> bool:
    return Path(first).read_bytes() == Path(second).read_bytes()


def main() -> int:
    """The whole trial, in FOLDER."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--kinds", default="npz,csv,parquet")
    options = parser.parse_args()
    from cnntool.batches.order import AHEAD, LONGEST
    from cnntool.batches.parts import ROWS

    most = ROWS + AHEAD * THREADS * LONGEST  # that a kill may cost: in no part yet, and computed but not yet taken
    os.environ["PYTHONPATH"] = os.getcwd()
    os.makedirs(f"{options.folder}/images")
    os.chdir(options.folder)
    for number in range(options.images):
        image(f"images/{number:05}.png", number)
    rng, well = random.Random(0), True
    kinds = options.kinds.split(",")
    for kind in kinds:
        _, seconds = run(f"fresh.{kind}")
        kills, total = with_kills(f"killed.{kind}", options.kills, options.images, rng)
        again = total - options.images
        good = same(f"fresh.{kind}", f"killed.{kind}") and again <= kills * most
        well &= good
        print(f"{kind}: {seconds:.1f} s without, {kills} kills, {again} of {options.images} computed again "
              f"({again / max(1, kills):.1f} a kill, at most {most}): {'same bytes' if good else 'WRONG'}",
              flush=True)  # fmt: skip
    wanted = change(options.images, rng)
    for kind in kinds:
        updated, seconds = run(f"killed.{kind}")
        run(f"changed.{kind}")
        good = same(f"changed.{kind}", f"killed.{kind}") and updated == wanted
        well &= good
        print(f"{kind}: update computed {updated} of {wanted} in {seconds:.1f} s: {'same bytes' if good else 'WRONG'}",
              flush=True)  # fmt: skip
    return not well


if __name__ == "__main__":
    sys.exit(main())
