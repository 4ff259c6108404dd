"""Work shared by threads. Results do not depend on their number, since the pieces of work do not."""

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
    """The number of processors this process may use; a container's quota is rounded up."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(processors, container.processors())))


@functools.cache
def _pool() -> ThreadPoolExecutor:
    """A shared pool that starts threads on demand. Raises RuntimeError when Python exits."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="cnntool")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork


def prefetch(
    function: Callable[[T], R], items: Iterable[T], threads: int, ahead: int, name: str
) -> Iterator[tuple[T, Future[R]]]:
    """Yields each item with the future of `function(item)`, in order, prefetching at most `ahead` items.

    Uses a thread pool of its own, called `name`. If the generator is closed early, pending calls are cancelled.
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

    Each thread takes the next item when it is free. After an error no new item is started, and the error is raised. If
    no more threads can be started, or Python is exiting, there are fewer.
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
