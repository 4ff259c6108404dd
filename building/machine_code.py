"""Makes the machine code that a wheel carries: of all kernels that README's commands and the sample networks call.

For each level of processors that this one can run, the commands are run with an empty cache; what they leave there goes
into the package.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

NETWORK = "cnntool extract samples/images/coffee.jpg {}.npz --resize 224 --crop 224 -p samples/pipelines/{}.cnn"
GRAY = {"lenet5": "cnntool extract samples/images/coffee.jpg {}.npz --gray --resize 32x32 -p samples/pipelines/{}.cnn"}
RGB = {"lecture": "cnntool extract samples/images/coffee.jpg {}.npz --resize 32x32 -p samples/pipelines/{}.cnn"}


def commands(root: Path) -> list[str]:
    """The blocks of shell commands in README that call the program, and one command for each sample network."""
    blocks = re.findall(r"^```sh[^\n]*\n(.*?)^```", (root / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    found = [re.sub(r"pip install \S+ && ", "", block) for block in blocks if "cnntool " in block]
    names = sorted(path.stem for path in (root / "samples/pipelines").glob("*.cnn"))
    return found + [(GRAY | RGB).get(name, NETWORK).format(name, name) for name in names]


def run(root: Path, cache: Path, level: str) -> None:
    """Runs all commands for a level of processors. Those that end with an error have called what they have called."""
    with tempfile.TemporaryDirectory() as folder:
        desk = Path(folder)
        shutil.copytree(root / "samples", desk / "samples")
        programs = desk / ".bin"
        programs.mkdir()
        for name, words in {"cnntool": "-m cnntool ", "python": ""}.items():
            (programs / name).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {words}"$@"\n')
            (programs / name).chmod(0o755)
        environment = os.environ | {
            "PATH": os.pathsep.join([str(programs), os.environ.get("PATH", "")]),
            "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")]),
            "CNNTOOL_CACHE_DIR": str(cache),
            "NUMBA_CPU_NAME": level,
        }
        for command in commands(root):
            print(f"{level}: {command.strip()}", flush=True)
            subprocess.run(["sh", "-c", command], cwd=desk, env=environment, stdout=subprocess.DEVNULL, check=False)


def make(root: Path, wanted: str = "yes") -> None:
    """Writes the code into the package below `root`, for the named levels, or all that this processor can run."""
    sys.path.insert(0, str(root))
    from cnntool.kernels import cache, packaged

    here = packaged.levels_here()
    levels = here if wanted == "yes" else wanted.split(",")
    if not levels or set(levels) - set(here):
        raise SystemExit(f"machine code for {wanted}: expected yes, or some of {', '.join(here)}, which run here")
    for level in levels:
        with tempfile.TemporaryDirectory() as folder:
            run(root, Path(folder), packaged.LEVELS[level].target)
            files = sorted((Path(folder) / cache.NAME).glob(f"*{cache.SUFFIX}"))
            for path in files:
                code = cache.checked(path.name, path.read_bytes())
                if code is not None:
                    packaged.write(path.name.rpartition("-")[0], level, code, root / "cnntool/kernels/machine_code")
        print(f"{level}: {len(files)} kernels", flush=True)


if __name__ == "__main__":
    make(Path(__file__).parent.parent, *sys.argv[1:])
