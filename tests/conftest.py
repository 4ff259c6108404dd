"""The quick tier, `pytest -m quick`: what a change is tried with first. Left out are tests that start processes, go
through hundreds of cases, or wait.

A script that runs the tests in the background has them ignore Ctrl-C, and the processes that they start would, too.
"""

from __future__ import annotations

import signal

import pytest

signal.signal(signal.SIGINT, signal.default_int_handler)

LONGER = (
    "cases/", "cli/", "algorithms/", "engine/test_program.py", "engine/test_team.py",
    "engine/test_threads.py", "explaining/test_templates.py", "faults/", "fuzz/",
    "images/test_combinations.py", "kernels/test_cache.py",
    "kernels/test_code.py", "kernels/test_lifetimes.py", "kernels/test_processors.py", "kernels/test_show.py",
    "kernels/test_vectors.py", "layers/test_base.py", "layers/test_training.py", "learning/", "models/",
    "samples/", "steps/test_bands.py", "steps/test_guarded.py", "test_arrays.py", "test_configurations.py",
    "test_docs.py", "test_limits.py", "test_locks.py", "test_oracles_on_run.py", "test_readme.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not item.nodeid.removeprefix("tests/").startswith(LONGER):
            item.add_marker(pytest.mark.quick)
