"""Keeps NumPy's BLAS to a single thread.

BLAS would start a thread a processor for each matrix product, whatever --threads says, and these wait for each other if
they cannot all run: beside other work, or under a container's CPU quota. On a machine with a load of 10, `fit` took 86
s instead of 3. With one thread, sums do not depend on the machine either.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Iterator
from typing import Any

_lock = threading.Lock()
_inside = 0  # nested and concurrent uses: BLAS has one setting for the whole process
_limit: Any = None


if hasattr(os, "register_at_fork"):  # a child finds the lock open
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


@functools.cache
def _libraries() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _take_control() -> None:
    """Newer releases of threadpoolctl obey only the thread that came first, which may be busy, or lost in a fork."""
    from threadpoolctl import OpenBLASController

    if hasattr(OpenBLASController, "clear_controlling_thread"):
        OpenBLASController.clear_controlling_thread(force=True)


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Within the block, matrix products and decompositions use one thread, in all threads of the process."""
    global _inside, _limit
    with _lock:
        if not _inside:
            _take_control()
            _limit = _libraries().limit(limits=1, user_api="blas")
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _take_control()
                _limit.restore_original_limits()
