from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from cnntool import Pipeline, interrupts, kernels
from cnntool.engine.threads import Call, _pool, available_threads, parallel, prefetch
from tests.kernels.volumes import noise


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("number", [0, 1, 2, 7, 100])
def test_results_come_in_the_order_of_the_items(threads, number):
    assert parallel(threads, lambda item: item * item, range(number)) == [i * i for i in range(number)]


def test_items_may_be_any_iterable():
    assert parallel(2, str, iter("abc")) == ["a", "b", "c"]


def test_work_is_shared():
    meeting = threading.Barrier(3, timeout=10)
    names = parallel(3, lambda _: (meeting.wait(), threading.current_thread().name)[1], range(3))
    assert len(set(names)) == 3
    assert threading.current_thread().name in names


def test_one_thread_is_the_calling_one():
    assert set(parallel(1, lambda _: threading.get_ident(), range(5))) == {threading.get_ident()}


class Odd(Exception):
    pass


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("kind", [Odd, KeyboardInterrupt])
def test_an_error_is_raised_and_no_new_item_is_begun(threads, kind):
    begun = []

    def work(item):
        begun.append(item)
        if item == 5:
            raise kind("five")
        time.sleep(0.001)

    with pytest.raises(kind, match="five"):
        parallel(threads, work, range(1000))
    assert len(begun) < 6 + 2 * threads


@pytest.mark.parametrize("place", [0, 1])
def test_an_error_of_any_thread_is_raised(place):
    """The two items wait for each other, so that one is with the caller and the other with a helper."""
    meeting = threading.Barrier(2, timeout=10)

    def work(item):
        meeting.wait()
        if (threading.current_thread() is threading.main_thread()) == bool(place):
            raise Odd(item)

    with pytest.raises(Odd):
        parallel(2, work, range(2))


def test_all_have_ended_when_the_error_comes():
    meeting, ended = threading.Barrier(2, timeout=10), []

    def work(item):
        meeting.wait()
        if threading.current_thread() is threading.main_thread():
            raise Odd
        time.sleep(0.1)
        ended.append(item)

    with pytest.raises(Odd):
        parallel(2, work, range(2))
    assert len(ended) == 1


def test_several_callers_at_once():
    results = [None] * 4

    def call(number):
        results[number] = parallel(3, lambda item: number * item, range(200))

    callers = [threading.Thread(target=call, args=(number,)) for number in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert results == [[number * item for item in range(200)] for number in range(4)]


def test_there_is_a_processor():
    assert available_threads() >= 1


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_in_a_kernel_reaches_the_caller_and_leaves_the_pipeline_usable(monkeypatch, threads):
    x, broken = noise(40, 9, 2), Pipeline.parse("conv 3 3 --padding 1 tanh")

    def fails(*arguments):
        raise Odd("in a thread")

    with monkeypatch.context() as patch:
        patch.setattr(kernels.activations, "tanh_forward", fails)
        for _ in range(2):
            with pytest.raises(Odd, match="in a thread"):
                broken.run(x, threads)
    whole = Pipeline.parse("conv 3 3 --padding 1 tanh")
    assert np.isfinite(whole.run(x, threads)).all()


def test_one_pipeline_may_run_in_several_threads_at_once():
    pipeline = Pipeline.parse("conv 16 3 --padding 1 relu maxpool 2 conv 16 3 --padding 1 relu")
    volumes = [np.float32(i + 1) * noise(30, 31, 16) for i in range(4)]
    expected = [pipeline.run(volume, 1).tobytes() for volume in volumes]
    found: list[list[bytes]] = [[] for _ in volumes]

    def call(number):
        for _ in range(5):
            found[number].append(pipeline.run(volumes[number], 2).tobytes())

    callers = [threading.Thread(target=call, args=(number,)) for number in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert found == [[one] * 5 for one in expected]


SCRIPT = """
import atexit, os, pickle, numpy as np
from cnntool import Pipeline
pipeline = Pipeline.parse("conv 8 3 --padding same relu maxpool 2")
small, large = np.ones((31, 40, 3), np.float32), np.ones((50, 44, 3), np.float32)
atexit.register(lambda: print(pipeline.run(small, 2).shape, flush=True))
for _ in range(3):
    pipeline.run(small, 2)
if os.fork() == 0:
    pipeline.run(large, 2)
    os._exit(0)
print(os.wait()[1])
assert pickle.loads(pickle.dumps(pipeline)).run(small).shape == (15, 20, 8)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_forks_copies_and_the_end_of_python() -> None:
    found = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False)
    assert (found.returncode, found.stdout) == (0, "0\n(15, 20, 8)\n"), found.stderr


def test_looking_ahead_keeps_the_order_and_the_bound():
    begun = []

    def slow(item):
        begun.append(item)
        time.sleep(0.002 * (item % 3))
        return -item

    seen = []
    for item, future in prefetch(slow, range(40), 4, 6):
        assert future.result() == -item
        seen.append(item)
        assert len(begun) <= len(seen) + 6
    assert seen == list(range(40))


def test_what_looked_ahead_ends_with_its_reader():
    begun = []

    def function(item):
        begun.append(item)
        time.sleep(0.01)

    def reader():
        for _, future in prefetch(function, range(1000), 2, 50):
            future.result()
            raise KeyError

    with pytest.raises(KeyError):
        reader()
    count = len(begun)
    assert count < 50
    time.sleep(0.05)
    assert len(begun) == count, "a thread went on"


AT_ANY_INSTRUCTION = """
import faulthandler, sys, time
from cnntool.engine.threads import parallel, prefetch

def prefetched():
    for item, call in prefetch(work, range(4), 2, 3):
        assert call.result() == item

def shared():
    assert parallel(3, work, range(4)) == [0, 1, 2, 3]

def work(item):
    time.sleep(0.0003)
    return item

def interrupted(job, left):
    def watch(frame, event, _):
        nonlocal left
        frame.f_trace_opcodes = True
        left -= event == "opcode"
        if event == "opcode" and left == 0:
            raise KeyboardInterrupt
        return watch
    sys.settrace(watch)
    try:
        job()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return False

for job in (prefetched, shared):
    job()
    number = 1
    while interrupted(job, number):
        number += 1
        faulthandler.dump_traceback_later(20, exit=True)
    assert number > 200, number
    job()
"""


def test_no_interrupt_leaves_a_thread_waiting() -> None:
    """At each instruction of the calling thread, also within what it calls of Python's library, it ends the work."""
    done = subprocess.run([sys.executable, "-c", AT_ANY_INSTRUCTION], capture_output=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    "begin",
    [
        lambda: parallel(1, str, range(3)),
        lambda: parallel(3, str, range(3)),
        lambda: next(prefetch(str, range(3), 1, 2)),
    ],
)
def test_work_ends_where_an_interrupt_got_lost(begin) -> None:
    interrupts.receive(KeyboardInterrupt())
    try:
        with pytest.raises(KeyboardInterrupt):
            begin()
    finally:
        interrupts.forget()
    begin()


def test_without_threads_the_caller_does_the_work(monkeypatch) -> None:
    def none(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("_thread.start_new_thread", none)
    _pool.cache_clear()
    try:
        assert parallel(3, str, range(5)) == list("01234")
        assert [call.result() for _, call in prefetch(str, range(5), 2, 3)] == list("01234")
    finally:
        _pool.cache_clear()


def test_a_cancelled_call_is_never_made() -> None:
    made: list[int] = []
    call = Call(made.append, 1)
    assert call.end() is None
    call.make()
    assert not made
