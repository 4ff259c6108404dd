from __future__ import annotations

import _thread
import os
import threading
import time

import numpy as np
import pytest
import threadpoolctl

from cnntool import Pipeline
from cnntool.layers import affine
from cnntool.steps import blas
from cnntool.steps.blas import one_blas_thread


def blas_threads() -> int:
    libraries = blas._libraries().info()  # not those that other tests have loaded since
    return max((library["num_threads"] for library in libraries if library["user_api"] == "blas"), default=1)


def nobody_controls():
    """For threadpoolctl, so that the next thread takes control."""
    getattr(threadpoolctl.OpenBLASController, "clear_controlling_thread", lambda force: None)(force=True)


@pytest.fixture
def two_threads():
    """NumPy's library as it is on a machine of two processors."""
    nobody_controls()
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        if blas_threads() != 2:
            pytest.skip("NumPy's library of linear algebra has one thread")
        yield


def test_one_thread_while_it_lasts_and_as_many_as_before_afterwards(two_threads):
    with one_blas_thread():
        assert blas_threads() == 1
        with one_blas_thread():
            assert blas_threads() == 1
        assert blas_threads() == 1
    assert blas_threads() == 2
    with pytest.raises(ValueError, match="inside"), one_blas_thread():
        raise ValueError("inside")
    assert blas_threads() == 2


def test_several_threads_at_once_leave_it_as_it_was(two_threads):
    """The one that leaves first does not free the library for the other."""
    other = one_blas_thread()
    with one_blas_thread():
        entering = threading.Thread(target=other.__enter__)
        entering.start()
        entering.join()
    assert blas_threads() == 1
    other.__exit__(None, None, None)
    assert blas_threads() == 2


def test_a_thread_that_came_first_and_goes_on_does_not_keep_control(two_threads):
    came, leave = threading.Event(), threading.Event()

    def first():
        with one_blas_thread():
            pass
        came.set()
        leave.wait(60)

    nobody_controls()
    other = threading.Thread(target=first)
    other.start()
    assert came.wait(60)
    try:
        with one_blas_thread():
            assert blas_threads() == 1
        assert blas_threads() == 2
    finally:
        leave.set()
        other.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks of POSIX")
def test_a_fork_loses_a_thread_that_python_did_not_start(two_threads):
    done = threading.Event()

    def of_a_library():
        threading.current_thread()  # Python now knows it as a dummy
        with one_blas_thread():
            pass
        done.set()
        time.sleep(60)

    nobody_controls()
    _thread.start_new_thread(of_a_library, ())
    assert done.wait(60)
    child = os.fork()
    if not child:
        code = 1
        try:
            with one_blas_thread():
                code = 0 if blas_threads() == 1 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("method", ["fit", "run"])
def test_statistics_take_one_thread(two_threads, monkeypatch, method):
    found = []
    principal_axes = affine.principal_axes
    monkeypatch.setattr(affine, "principal_axes", lambda c: found.append(blas_threads()) or principal_axes(c))
    x = np.random.default_rng(0).random((2, 5, 6, 3), np.float32)
    getattr(Pipeline.parse("whiten"), method)(x, threads=1)
    assert set(found) == {1}
