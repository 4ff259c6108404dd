from __future__ import annotations

import math
from pathlib import Path

import pytest

from cnntool import container
from cnntool.engine.threads import available_threads
from cnntool.limits import physical_memory


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the process's own control group, two below the root."""
    root, own = tmp_path / "cgroup", tmp_path / "own"
    folder = root / "outer" / "inner"
    folder.mkdir(parents=True)
    own.write_text("12:memory:/elsewhere\n0::/outer/inner\n")
    monkeypatch.setattr(container, "ROOT", root)
    monkeypatch.setattr(container, "OWN", own)
    return folder


def test_without_files_there_is_no_limit(group: Path):
    assert (container.processors(), container.memory()) == (math.inf, math.inf)
    container.OWN.write_text("3:cpu:/only/version/1\n")
    assert (container.processors(), container.memory()) == (math.inf, math.inf)
    container.OWN.unlink()
    assert (container.processors(), container.memory()) == (math.inf, math.inf)


def test_the_limits_of_the_own_group(group: Path):
    (group / "cpu.max").write_text("150000 100000\n")
    (group / "memory.max").write_text("536870912\n")
    assert container.processors() == 1.5
    assert container.memory() == 2**29


def test_the_tightest_limit_of_all_groups_around_counts(group: Path):
    (group / "cpu.max").write_text("max 100000\n")
    (group.parent / "cpu.max").write_text("50000 100000\n")
    (group.parent.parent / "cpu.max").write_text("400000 100000\n")
    (group / "memory.max").write_text("max\n")
    (group.parent.parent / "memory.max").write_text("1000000\n")
    assert container.processors() == 0.5
    assert container.memory() == 1_000_000
    (group.parent.parent.parent / "memory.max").write_text("5\n")  # outside of the root
    assert container.memory() == 1_000_000


def test_the_root_group_of_a_container(group: Path):
    container.OWN.write_text("0::/\n")
    (container.ROOT / "cpu.max").write_text("200000 100000\n")
    assert container.processors() == 2


@pytest.mark.parametrize(("quota", "expected"), [("20000 100000", 1), ("100000 100000", 1), ("max 100000", None)])
def test_threads_are_as_many_as_the_container_may_use(group: Path, quota: str, expected: int | None):
    machine = available_threads()
    (group / "cpu.max").write_text(f"{quota}\n")
    assert available_threads() == (expected or machine)


def test_memory_is_what_the_container_may_use(group: Path):
    machine = physical_memory.__wrapped__()
    (group / "memory.max").write_text("67108864\n")
    assert physical_memory.__wrapped__() == 2**26 < machine
