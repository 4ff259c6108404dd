"""A process that compiles for another one, see `ahead`: `python -m cnntool.kernels.worker`.

It reads names of files of the cache, and answers each with the size of the code and the code. If the name stands for
other sources than its own, or another processor, the size is 0.
"""

from __future__ import annotations

import gc
import importlib
import sys

from cnntool.kernels import cache, common
from cnntool.kernels.code import compiled
from cnntool.kernels.common import SIZE


def main() -> None:
    """Answers until there are no more names."""
    common.undivided = True
    gc.disable()  # the process ends before that would pay
    importlib.import_module("cnntool.kernels.compiler").prepare()  # while it waits for the first name
    for line in sys.stdin:
        file = line.strip()
        name = file.rpartition("-")[0]
        code = compiled(name) if cache.file_name(name) == file else b""
        sys.stdout.buffer.write(len(code).to_bytes(SIZE, "little") + code)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
