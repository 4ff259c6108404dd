"""What a container grants to this process: the limits of its control groups (Linux, cgroup v2)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")


def processors() -> float:
    """How many processors' time may be used, in processors; infinity without a limit."""
    shares = (line.split() for line in _settings("cpu.max"))
    return min((_number(quota) / float(period) for quota, period in shares), default=math.inf)


def memory() -> float:
    """How many bytes of memory may be used; infinity without a limit."""
    return min(map(_number, _settings("memory.max")), default=math.inf)


def _settings(name: str) -> Iterator[str]:
    """The contents of a file of the process's own group and of all groups around it."""
    try:
        own = next(line[3:] for line in OWN.read_text().splitlines() if line.startswith("0::"))
    except (OSError, UnicodeDecodeError, StopIteration):
        return
    folder = ROOT / own.strip("/")
    for group in (folder, *folder.parents):
        if group.is_relative_to(ROOT):
            try:
                yield (group / name).read_text()
            except OSError:  # a group without this limit, or one that cannot be seen from inside
                continue


def _number(text: str) -> float:
    return math.inf if text.strip() == "max" else float(text)
