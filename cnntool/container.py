"""The limits of the container around this process: Linux control groups (cgroup v2)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")


def processors() -> float:
    """The CPU quota, in processors; infinity without a limit."""
    shares = (line.split() for line in _settings("cpu.max"))
    return min((_number(quota) / float(period) for quota, period in shares), default=math.inf)


def memory() -> float:
    """The memory limit in bytes; infinity without one."""
    return min(map(_number, _settings("memory.max")), default=math.inf)


def _settings(name: str) -> Iterator[str]:
    """The contents of a file in the process's own group and all its parents."""
    try:
        own = next(line[3:] for line in OWN.read_text().splitlines() if line.startswith("0::"))
    except (OSError, UnicodeDecodeError, StopIteration):
        return
    folder = ROOT / own.strip("/")
    for group in (folder, *folder.parents):
        if group.is_relative_to(ROOT):
            try:
                yield (group / name).read_text()
            except OSError:  # a group without this limit, or not visible from inside
                continue


def _number(text: str) -> float:
    return math.inf if text.strip() == "max" else float(text)
