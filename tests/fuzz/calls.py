"""One call of the shell in this process, held to what must be true of every call."""

from __future__ import annotations

import contextlib
import io
import resource
import signal
import sys
from collections.abc import Iterator, Sequence

from cnntool import limits
from cnntool.cli.main import main

MEMORY, MORE = 2**30, 2**32  # bytes that a pretended machine has, and that the process may take beyond its own
SECONDS, WAIT = 20, 300  # of one call: of the processor's time, which a busy machine does not change, and by the clock
LONGEST_LINE = 1000


class Wrong(AssertionError):
    """A call that ended in another way than it should."""


class _Late(BaseException):
    """The call takes too long."""


@contextlib.contextmanager
def small_machine() -> Iterator[None]:
    """A machine of 1 GiB: what needs more must be refused, and for what is not the process gets no memory."""
    kept, bounds = limits.physical_memory, resource.getrlimit(resource.RLIMIT_AS)
    limits.physical_memory = lambda: MEMORY  # type: ignore[assignment]
    if sys.platform == "linux":
        with open("/proc/self/statm") as file:
            present = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (present + MORE, bounds[1]))
    try:
        yield
    finally:
        limits.physical_memory = kept
        resource.setrlimit(resource.RLIMIT_AS, bounds)


def call(words: Sequence[str]) -> tuple[int, str]:
    """The exit code and what was said on stderr; a Wrong for a traceback, a hang, or a lack of memory."""

    def late(*_: object) -> None:
        raise _Late

    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    former = {number: signal.signal(number, late) for number in (signal.SIGPROF, signal.SIGALRM)}
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, WAIT)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(list(words))
    except _Late:
        raise Wrong(f"{shown(words)}: over {SECONDS} s of the processor, or {WAIT} s") from None
    except BaseException as error:
        raise Wrong(f"{shown(words)}: {type(error).__name__}: {error!s:.300}") from error
    finally:
        for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL):
            signal.setitimer(timer, 0)
        for number, handler in former.items():
            signal.signal(number, handler)
    said = err.getvalue()
    if code not in (0, 1, 2):
        raise Wrong(f"{shown(words)}: exit code {code}")
    if "out of memory" in said:
        raise Wrong(f"{shown(words)}: out of memory, which was not refused")
    if code and not said.strip():
        raise Wrong(f"{shown(words)}: exit code {code} without a word")
    if max(map(len, said.splitlines()), default=0) > LONGEST_LINE:
        raise Wrong(f"{shown(words)}: a message of {len(said)} characters")
    return code, said


def shown(words: Sequence[str]) -> str:
    return " ".join(word if len(word) < 40 else f"{word[:40]}...({len(word)})" for word in words)
