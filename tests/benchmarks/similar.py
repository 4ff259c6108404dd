"""Time and peak memory of `cnntool similar` over a large table, with planted copies that it must find.

    python -m tests.benchmarks.similar [--rows 200000] [--columns 512]

A table of random rows is written, a hundred of them twice with a little noise. Measured are the nearest of one row, and
the groups of the whole table. Ends with 1 if a copy is not found, or with more than 2 GiB of memory.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from cnntool.images.tables import open_table
from tests.benchmarks.desk import ROOT
from tests.benchmarks.whole import timed

COPIES, MOST = 100, 2**31
BLOCK = 10_000


def write(path: str, rows: int, columns: int) -> None:
    """Row `n` of the last hundred is a copy of row `n` of the first."""
    rng = np.random.default_rng(0)
    with open_table(path) as table:
        for first in range(0, rows - COPIES, BLOCK):
            block = rng.standard_normal((min(BLOCK, rows - COPIES - first), columns), np.float32)
            if first == 0:
                copied = block[:COPIES] + 0.01 * rng.standard_normal((COPIES, columns), np.float32)
            for number, row in enumerate(block, first):
                table.append(f"{number:07}.png", None, row)
        for number, row in enumerate(copied):
            table.append(f"copy-{number}.png", None, row)


def main() -> int:
    """Both uses of the command; what they print is looked at in a second, unmeasured run of the first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--columns", type=int, default=512)
    parser.add_argument("--skip-groups", action="store_true")
    options = parser.parse_args()
    well = True
    with tempfile.TemporaryDirectory() as folder:
        table = str(Path(folder, "t.npz"))
        write(table, options.rows, options.columns)
        for name, words in (("nearest of a row", ["7"]), ("groups", [])):
            if not words and options.skip_groups:
                continue
            command = ["-m", "cnntool", "similar", table, *words]
            found = timed(command, os.cpu_count() or 1)
            well &= found["bytes"] <= MOST
            print(f"{name} of {options.rows} x {options.columns}: {found['seconds']:.1f} s, "
                  f"{found['bytes'] / 2**20:.0f} MiB", flush=True)  # fmt: skip
        nearest = [sys.executable, "-m", "cnntool", "similar", table, "7", "--json", "-n", "1"]
        said = subprocess.run(nearest, capture_output=True, check=True, text=True, cwd=ROOT).stdout
        well &= "copy-7.png" in json.dumps(json.loads(said))
    print("PASS" if well else "short")
    return not well


if __name__ == "__main__":
    sys.exit(main())
