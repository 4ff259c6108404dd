"""A process that compiles for another one, see `ahead`: `python -m cnntool.kernels.worker`.

It reads names of files of the cache, and answers each with the size of the code and the code. If the name stands for
other sources than its own, or another processor, the size is 0.
"""

from __future__ import annotations

import sys

from cnntool.kernels import cache
from cnntool.kernels.code import compiled
from cnntool.kernels.common import SIZE


def main() -> None:
    """Answers until there are no more names."""
    for line in sys.stdin:
        file = line.strip()
        name = file.rpartition("-")[0]
        code = compiled(name) if cache.file_name(name) == file else b""
        sys.stdout.buffer.write(len(code).to_bytes(SIZE, "little") + code)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
