"""Images a second of `cnntool extract` beside torch, Pillow and a DataLoader of as many workers: whole processes.

    python -m tests.benchmarks.throughput [--archive cifar10.tar.gz] [--torch PYTHON] [--workers N] [--rounds N]

Measured are 50,000 images of 32x32 in a .tar.gz, and 500 photos of 1600x1200 made 256x256; then the peak memory over
50,000 images and over 5,000 of them. Without --archive one of the same kind is made, of pieces of the sample photos.
--torch names a Python that has torch and Pillow. Ends with 1 if a target is missed: twice as many images a second, 1.2
times the memory.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from tests.benchmarks.desk import ROOT
from tests.benchmarks.whole import SCRIPTS, features, timed

SMALL, FEW, PHOTOS = 50_000, 5_000, 500
WORDS = "conv 32 5 --stride 2 --weights w.npz relu maxpool 2 globalpool avg"
FASTER, LARGER = 2.0, 1.2
DIFFERS = 1e-3  # relative; the photos are made smaller in another order of arithmetic
HOLD = ("astronaut.jpg", "chelsea.png", "coffee.jpg", "hubble.jpg", "retina.jpg", "rocket.jpg")


def pictures() -> list[Image.Image]:
    """The colour photos among the samples, each of 1600x1200."""
    found = (Image.open(ROOT / "samples" / "images" / name).convert("RGB") for name in HOLD)
    return [picture.resize((1600, 1200), Image.Resampling.BICUBIC) for picture in found]


def make_photos(folder: Path, count: int = PHOTOS) -> None:
    """So many photos that differ: turned, and moved round."""
    folder.mkdir()
    arrays = [np.asarray(picture) for picture in pictures()]
    for number in range(count):
        moved = np.roll(arrays[number % len(arrays)], 37 * number, axis=(0, 1))[:: 1 - 2 * (number % 2)]
        Image.fromarray(np.ascontiguousarray(moved)).save(folder / f"{number:03}.jpg", quality=90)


def make_archive(path: Path) -> None:
    """50,000 pieces of the photos, in ten folders."""
    arrays, rng = [np.asarray(picture) for picture in pictures()], np.random.default_rng(0)
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for number in range(SMALL):
            y, x = rng.integers(0, 1200 - 32), rng.integers(0, 1600 - 32)
            buffer = io.BytesIO()
            Image.fromarray(arrays[number % len(arrays)][y : y + 32, x : x + 32]).save(buffer, "JPEG", quality=90)
            add(archive, f"train/{number % 10}/{number:05}.jpg", buffer.getvalue())


def make_few(source: Path, path: Path) -> None:
    """Every tenth image of an archive."""
    with tarfile.open(source) as large, tarfile.open(path, "w:gz", compresslevel=1) as small:
        for number, member in enumerate(member for member in large if member.isfile()):
            if number % (SMALL // FEW) == 0:
                file = large.extractfile(member)
                assert file is not None
                add(small, member.name, file.read())


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def ours(source: str, output: str, size: str, workers: int) -> list[str]:
    resize = [] if size == "-" else ["--resize", size]
    return ["-m", "cnntool", "extract", source, output, "--restart", "--overwrite", "--quiet", "--threads",
            str(workers), *resize, *WORDS.split()]  # fmt: skip


def race(name: str, source: str, count: int, size: str, options: argparse.Namespace) -> bool:
    """Rounds of both, in turn; whether ours is fast enough."""
    peer = [str(SCRIPTS / "features_loader.py"), source, "theirs.npz", "w.npz", size, str(options.workers)]
    seconds: dict[str, list[float]] = {"ours": [], "torch": []}
    for _ in range(options.rounds):
        seconds["ours"].append(timed(ours(source, "ours.npz", size, options.workers), options.workers)["seconds"])
        if options.torch:
            found = timed(peer, options.workers, options.torch)
            seconds["torch"].append(found["seconds"])
    rate = count / statistics.median(seconds["ours"])
    if not options.torch:
        print(f"{name}: {rate:.0f} images/s", flush=True)
        return True
    theirs = count / statistics.median(seconds["torch"])
    differs = difference("ours.npz", "theirs.npz")
    good = rate >= FASTER * theirs and differs <= DIFFERS
    print(f"{name}: {rate:.0f} images/s, torch and Pillow {theirs:.0f}: {rate / theirs:.2f} times as many "
          f"(wanted {FASTER:g}); rows differ by {differs:.0e}: {'PASS' if good else 'short'}", flush=True)  # fmt: skip
    return good


def difference(first: str, second: str) -> float:
    """The largest difference of the rows, which are in one order, relative to the largest number."""
    rows = [features(file) for file in (first, second)]
    return float(np.abs(rows[0] - rows[1]).max() / np.abs(rows[0]).max())


def memory(many: str, few: str, workers: int) -> bool:
    """Whether peak memory stays as it is when there are ten times as many images."""
    peaks = [timed(ours(source, f"{count}.npz", "-", workers), workers)["bytes"] / 2**20
             for source, count in ((few, FEW), (many, SMALL))]  # fmt: skip
    good = peaks[1] <= LARGER * peaks[0]
    print(f"peak memory: {peaks[0]:.0f} MiB at {FEW} images, {peaks[1]:.0f} at {SMALL}: {peaks[1] / peaks[0]:.2f} times"
          f" (wanted at most {LARGER:g}): {'PASS' if good else 'short'}", flush=True)  # fmt: skip
    return good


def main() -> int:
    """All that was asked for, in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archive", help="50,000 images of 32x32, such as CIFAR-10's, as a .tar.gz")
    parser.add_argument("--torch", help="a Python with torch and Pillow")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", default="small,photos,memory")
    options = parser.parse_args()
    only = options.only.split(",")
    archive = Path(options.archive).absolute() if options.archive else Path("small.tar.gz")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        rng = np.random.default_rng(0)
        weight = rng.standard_normal((5, 5, 3, 32), np.float32) / 9
        np.savez("w.npz", weight=weight, bias=np.zeros(32, np.float32))
        if not options.archive and {"small", "memory"} & set(only):
            make_archive(archive)
        good = []
        if "small" in only:
            good.append(race(f"{SMALL} images of 32x32 in an archive", str(archive), SMALL, "-", options))
        if "photos" in only:
            make_photos(Path("photos"))
            good.append(race(f"{PHOTOS} photos of 1600x1200", "photos", PHOTOS, "256x256", options))
        if "memory" in only:
            make_few(archive, Path("few.tar.gz"))
            good.append(memory(str(archive), "few.tar.gz", options.workers))
        os.chdir(ROOT)
    return not all(good)


if __name__ == "__main__":
    sys.exit(main())
