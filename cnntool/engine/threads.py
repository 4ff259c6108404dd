"""Work shared by threads. Results do not depend on their number, since the pieces of work do not."""

from __future__ import annotations

import _thread
import functools
import itertools
import math
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from cnntool import container, interrupts

T = TypeVar("T")
R = TypeVar("R")

MOST_THREADS = 1024  # more than processors have


def available_threads() -> int:
    """The number of processors this process may use; a container's quota is rounded up."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(processors, container.processors())))


class Call(Generic[R]):
    """A call of a function that is made once: by a thread of a pool, or by nobody if it is cancelled first.

    Python's own executors and events take their locks in Python code: an interrupt between the taking of a lock and the
    block that releases it leaves it taken, and all threads wait for ever. Here everything that threads share is changed
    by single operations in C, within which no interrupt arrives.
    """

    def __init__(self, function: Callable[[T], R], item: T) -> None:
        self._work = deque([(function, item)])  # empty once the call has begun or is cancelled
        self._ended = threading.Lock()
        self._ended.acquire()
        self._done = False
        self._result: R
        self._error: BaseException | None = None

    def make(self) -> None:
        """Makes the call, unless it has begun or was cancelled."""
        try:
            function, item = self._work.pop()
        except IndexError:
            return
        try:
            self._result = function(item)
        except BaseException as error:
            self._error = error
        self._done = True
        self._ended.release()

    def end(self) -> BaseException | None:
        """Cancels the call, or waits for its end if it has begun; the error that it raised."""
        try:
            self._work.pop()
        except IndexError:
            self._wait()
        return self._error

    def result(self) -> R:
        """What the function returned or raised; waits for it."""
        self._wait()
        if self._error is not None:
            try:
                raise self._error
            finally:
                del self  # the error's traceback would keep the call, and that the error
        return self._result

    def _wait(self) -> None:
        while not self._done:
            self._ended.acquire(timeout=1)


class Pool:
    """Threads that make calls in the order in which they were submitted; started on demand, and daemons."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._calls: SimpleQueue[Call[Any] | None] = SimpleQueue()
        self._open: set[Call[Any]] = set()
        self._threads: list[int] = []

    def submit(self, function: Callable[[T], R], item: T) -> Call[R]:
        """The call is made right here if no thread can be started."""
        call = Call(function, item)
        self._open.add(call)
        self._calls.put(call)
        if len(self._threads) < min(self._most, len(self._open)):
            try:
                self._threads.append(_thread.start_new_thread(self._serve, ()))
            except RuntimeError:  # as many threads as the system allows, or Python is exiting
                if not self._threads:
                    call.make()
        return call

    def close(self) -> None:
        """Has the threads end after the calls that were submitted."""
        self._calls.put(None)

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            call.make()
            self._open.discard(call)
            del call  # it holds a result, and the next one may be long in coming
        self._calls.put(None)  # for the other threads


@functools.cache
def _pool() -> Pool:
    """A pool for all callers."""
    return Pool(MOST_THREADS)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork


def prefetch(function: Callable[[T], R], items: Iterable[T], threads: int, ahead: int) -> Iterator[tuple[T, Call[R]]]:
    """Yields each item with the call `function(item)`, in order, prefetching at most `ahead` items.

    Uses a pool of its own. If the generator is closed early, calls that have not begun are cancelled.
    """
    waiting: deque[tuple[T, Call[R]]] = deque()
    upcoming, pool = iter(items), Pool(threads)
    try:
        while True:
            interrupts.check()
            for item in itertools.islice(upcoming, ahead - len(waiting)):
                waiting.append((item, pool.submit(function, item)))
            if not waiting:
                return
            yield waiting.popleft()
    finally:
        pool.close()
        for _, call in reversed(waiting):  # those that have not begun come first, so that none begins meanwhile
            call.end()


def parallel(threads: int, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """`[function(item) for item in items]`, by the calling thread and `threads - 1` others.

    Each thread takes the next item when it is free. After an error no new item is started, and the error is raised. If
    no more threads can be started, or Python is exiting, there are fewer.
    """
    interrupts.check()
    items = list(items)
    helpers = min(threads, len(items)) - 1
    if helpers < 1:
        return [function(item) for item in items]
    results: list[Any] = [None] * len(items)
    numbers = itertools.count()
    stopped = False

    def work(_: object) -> None:
        nonlocal stopped
        try:
            while not stopped and (number := next(numbers)) < len(items):
                results[number] = function(items[number])
        except BaseException:
            stopped = True
            raise

    others: list[Call[None]] = []
    errors: list[BaseException | None] = []
    try:
        for _ in range(helpers):
            others.append(_pool().submit(work, None))
        work(None)
    except BaseException:
        stopped = True
        raise
    finally:
        errors.extend(other.end() for other in others)
    for error in filter(None, errors):
        raise error
    return results
