"""Compiles kernels that will be needed soon in other processes, while this one compiles those that it needs first."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator

from cnntool.kernels import cache
from cnntool.kernels.common import SIZE
from cnntool.kernels.dependencies import sources_size

COMMAND = ["-m", "cnntool.kernels.worker"]
FEWEST = 3  # kernels to compile at least: a process takes as long to start as one or two small ones take

processes = 0
"""How many other processes may compile; the command line sets it."""

Compile = Callable[[str], bytes]
_lock = threading.RLock()  # one thread compiles at a time
_expected: Callable[[], Iterable[str]] | None = None
_active: Ahead | None = None


@contextlib.contextmanager
def expecting(names: Callable[[], Iterable[str]]) -> Iterator[None]:
    """Within the block these kernels will be needed, in this order; asked for only if one has to be compiled."""
    global _expected
    if not processes or _expected is not None:  # another thread's block, which is as good
        yield
        return
    _expected = names
    try:
        yield
    finally:
        _expected = None
        stop()


def code_of(name: str, compile_one: Compile) -> bytes:
    """The code of a kernel that is in no cache, from another process or this one."""
    global _active
    with _lock:
        if _active is None and _expected is not None:
            _active = Ahead([name, *_expected()])
        return _active.code_of(name, compile_one) if _active is not None else compile_one(name)


def stop() -> None:
    """Ends the processes. What they are still compiling was not needed."""
    global _active
    with _lock:
        if _active is not None:
            _active.stop()
            _active = None


class Ahead:
    """Kernels that are compiled by other processes, or by this one while it waits for them."""

    def __init__(self, names: Iterable[str]) -> None:
        from concurrent.futures import Future, ThreadPoolExecutor

        missing = [name for name in dict.fromkeys(names) if cache.read(name) is None]
        self._running: list[subprocess.Popen] = []
        self._own = threading.local()
        self._done: dict[str, bytes] = {}
        self._waiting: dict[str, Future[bytes]] = {}
        if len(missing) < FEWEST or not sys.executable:
            return
        self._pool = ThreadPoolExecutor(min(processes, len(missing) - 1), "cnntool-compiling")
        for name in sorted(missing[1:], key=sources_size, reverse=True):
            self._waiting[name] = self._pool.submit(self._ask, name)

    def _ask(self, name: str) -> bytes:
        if not hasattr(self._own, "process"):
            pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
            command = [sys.executable, *COMMAND]
            self._own.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere)
            self._running.append(self._own.process)
        to, answer = self._own.process.stdin, self._own.process.stdout
        to.write(f"{cache.file_name(name)}\n".encode())
        to.flush()
        size = int.from_bytes(answer.read(SIZE), "little")
        code = answer.read(size)
        return code if len(code) == size else b""

    def code_of(self, name: str, compile_one: Compile) -> bytes:
        """Compiles other kernels until this one is there."""
        if name in self._done:
            return self._done.pop(name)
        future = self._waiting.pop(name, None)
        if future is None or future.cancel():
            return compile_one(name)
        while not future.done() and (other := self._not_begun()):
            self._done[other] = compile_one(other)
        found = b""
        with contextlib.suppress(Exception):  # whatever is wrong with the process
            found = future.result()
        return found or compile_one(name)

    def _not_begun(self) -> str:
        for name, future in list(self._waiting.items()):
            if future.cancel():
                del self._waiting[name]
                return name
        return ""

    def stop(self) -> None:
        if self._waiting or self._running:
            self._pool.shutdown(wait=False, cancel_futures=True)
        for process in self._running:
            process.kill()
            process.wait()
