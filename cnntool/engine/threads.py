"""Threads over pieces of work. Results never depend on how many there are: the pieces are the same for any number."""

from __future__ import annotations

import functools
import itertools
import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

from cnntool import container

T = TypeVar("T")
R = TypeVar("R")

MOST_THREADS = 1024  # more than processors have


def available_threads() -> int:
    """How many processors this process may use; in a container that may use 1.5 of them, 2."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(processors, container.processors())))


@functools.cache
def _pool() -> ThreadPoolExecutor:
    """Starts a thread when there is work and no other is idle. A RuntimeError at the end of Python."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="cnntool")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a child has none of the threads


def prefetch(
    function: Callable[[T], R], items: Iterable[T], threads: int, ahead: int, name: str
) -> Iterator[tuple[T, Future[R]]]:
    """Each item with the future of `function(item)`, in order; at most `ahead` of them are not yet asked for.

    The threads are this call's own, called `name`. Where it ends early, what has not begun is cancelled.
    """
    from concurrent.futures import ThreadPoolExecutor

    waiting: deque[tuple[T, Future[R]]] = deque()
    upcoming = iter(items)
    with ThreadPoolExecutor(threads, thread_name_prefix=name) as pool:
        try:
            while True:
                for item in itertools.islice(upcoming, ahead - len(waiting)):
                    waiting.append((item, pool.submit(function, item)))
                if not waiting:
                    return
                yield waiting.popleft()
        finally:
            for _, future in waiting:
                future.cancel()


def parallel(threads: int, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """`[function(item) for item in items]`, by the calling thread and `threads - 1` others.

    Each takes the next item when it is free. After an error no new item is begun, and the error is raised. Where the
    system gives no more threads, or Python is ending, there are fewer others.
    """
    items = list(items)
    helpers = min(threads, len(items)) - 1
    if helpers < 1:
        return [function(item) for item in items]
    results: list[Any] = [None] * len(items)
    numbers = itertools.count()
    stopped = False

    def work() -> None:
        nonlocal stopped
        try:
            while not stopped and (number := next(numbers)) < len(items):
                results[number] = function(items[number])
        except BaseException:
            stopped = True
            raise

    others: list[Future[None]] = []
    try:
        for _ in range(helpers):
            try:
                others.append(_pool().submit(work))
            except RuntimeError:
                break
        work()
    except BaseException:
        stopped = True
        raise
    finally:
        for other in others:
            other.exception()  # waits
    for other in others:
        other.result()
    return results
