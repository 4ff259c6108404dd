"""Compiles kernels that will be needed soon in other processes, while this one compiles those that it needs first."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from cnntool.kernels import cache, packaged
from cnntool.kernels.common import SIZE
from cnntool.kernels.dependencies import sources_size

COMMAND = ["-m", "cnntool.kernels.worker"]
# Those that take longest, in this order; of the others the size of the sources gives an idea.
LONGEST = (
    "conv_winograd_forward", "conv_winograd_images_forward", "conv_winograd_weight_backward",
    "conv_winograd_few_3_forward", "conv_winograd_few_4_forward",
    "conv_winograd_5x5_forward", "conv_winograd_strided_forward",
    "conv_winograd_small_forward", "products_forward", "conv_images_forward", "conv_weight_backward",
    "conv_direct_forward", "conv_fourier_forward", "conv_separable_forward", "maxpool_index_forward",
    "maxpool_backward", "conv_depthwise_3x3_forward", "dense_weight_backward", "globalpool_forward",
)  # fmt: skip
# The kernels that kernels call by their names, which are known for sure only when they are compiled.
_PRODUCTS = ("winograd.products_forward-f1f3f3f1iii",)
_DIRECTLY = (
    "winograd_outliers.direct_rows-C3f3iiF5f1f1iiiC3f3iiS2iiR2iiiif",
    "convolution.conv_direct_forward-C3f3iiF5f1f1iiiC3f3iiS2iiW4T2iiT2iiT2iiT4iiiifR2iiC3f3ii",
)
CALLED = {
    **{f"winograd.conv_winograd_{kind}forward": _PRODUCTS + _DIRECTLY for kind in ("", "small_", "strided_", "5x5_")},
    "winograd_backward.conv_winograd_images_forward": _PRODUCTS,
    "winograd_outliers.direct_rows": _DIRECTLY[1:],
    "convolution_backward.conv_images_forward": _DIRECTLY[1:],
}
FEWEST = 3  # kernels to compile at least: a process takes as long to start as one or two small ones take

processes = 0
"""How many other processes may compile; the command line sets it."""
_ready: list[subprocess.Popen] = []  # processes without work

Compile = Callable[[str], bytes]
_lock = threading.RLock()  # one thread compiles at a time
_expected: Callable[[], Iterable[str]] | None = None
_active: Ahead | None = None


def prepare(most: int) -> None:
    """Lets so many processes compile, and starts one at once if it will surely be needed: nothing is compiled yet."""
    global processes
    processes = most
    if most and not _ready and not packaged.folder() and cache.is_empty():
        with contextlib.suppress(OSError):
            _ready.append(started())


def started() -> subprocess.Popen:
    """A worker, which ends when its input does."""
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, *COMMAND], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)


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
            _active = Ahead(with_called([name, *_expected()]))
        return _active.code_of(name, compile_one) if _active is not None else compile_one(name)


def with_called(names: Iterable[str]) -> Iterator[str]:
    """Each kernel, followed by those that it calls."""
    for name in names:
        yield name
        yield from CALLED.get(name.partition("-")[0], ())


def stop() -> None:
    """Ends the processes. What they are still compiling was not needed."""
    global _active
    with _lock:
        if _active is not None:
            _active.stop()
            _active = None


def _effort(name: str) -> tuple[int, int]:
    """Sorts kernels by the time that they take."""
    function = name.partition("-")[0].partition(".")[2]
    return -LONGEST.index(function) if function in LONGEST else -len(LONGEST), sources_size(name)


class Order:
    """A kernel that another process compiles."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.code = b""  # stays empty if the process cannot do it


class Ahead:
    """Kernels that are compiled by other processes, or by this one while it waits for them."""

    def __init__(self, names: Iterable[str]) -> None:
        missing = [name for name in dict.fromkeys(names) if cache.read(name) is None]
        self._left = deque(sorted(missing[1:], key=_effort, reverse=True))  # that nobody has begun
        self.orders: dict[str, Order] = {}
        self._done: dict[str, bytes] = {}  # by this process, and not asked for yet
        self._changing = threading.Lock()
        self._running: list[subprocess.Popen] = []
        if len(missing) < FEWEST or not sys.executable:
            self._left.clear()
        for _ in range(min(processes, len(self._left))):
            with contextlib.suppress(RuntimeError):  # no more threads
                threading.Thread(target=self._work, name="cnntool-compiling", daemon=True).start()

    def _work(self) -> None:
        """Lets a process work, and ends it when nothing is left."""
        with contextlib.suppress(OSError):
            with self._changing:
                process = _ready.pop() if _ready else None
            process = process or started()
            self._running.append(process)
            while name := self._begin():
                with contextlib.suppress(Exception):  # whatever is wrong with the process
                    self.orders[name].code = answer(process, name)
                self.orders[name].arrived.set()
            process.communicate()

    def _begin(self) -> str:
        """The largest kernel that is left, which is ordered; "" if there is none."""
        with self._changing:
            name = self._left.popleft() if self._left else ""
            if name:
                self.orders[name] = Order()
        return name

    def _take(self, name: str = "") -> str:
        """A kernel, or the largest that is left, for this process; "" if another one has begun it, or none is left."""
        with self._changing:
            found = name if name in self._left else "" if name else next(iter(self._left), "")
            if found:
                self._left.remove(found)
        return found

    def code_of(self, name: str, compile_one: Compile) -> bytes:
        """Compiles other kernels until this one is there."""
        if name in self._done:
            return self._done.pop(name)
        if self._take(name) or name not in self.orders:
            return compile_one(name)
        order = self.orders[name]
        while not order.arrived.is_set() and (other := self._take()):
            self._done[other] = compile_one(other)
        order.arrived.wait()
        return order.code or compile_one(name)

    def stop(self) -> None:
        """Ends the processes; the threads end with them."""
        with self._changing:
            self._left.clear()
        for process in self._running:
            process.kill()
            process.wait()


def answer(process: subprocess.Popen, name: str) -> bytes:
    """The code that a worker makes; empty if it makes none."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{cache.file_name(name)}\n".encode())
    process.stdin.flush()
    size = int.from_bytes(process.stdout.read(SIZE), "little")
    code = process.stdout.read(size)
    return code if len(code) == size else b""
