"""Ctrl-C, SIGTERM and SIGHUP: work stops, nothing is left half-written, the exit code is 128 + the signal."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator

from cnntool import interrupts

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Stopped(KeyboardInterrupt):
    """A signal that ends the process."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def exit_code(error: BaseException | None) -> int:
    """The exit code of a process that `error` interrupted."""
    return 128 + (error.number if isinstance(error, Stopped) else signal.SIGINT)


@contextlib.contextmanager
def ending_like_ctrl_c() -> Iterator[None]:
    """Within the block signals that end the process raise Stopped; ignored ones, as under nohup, stay ignored.

    SIGTERM and SIGHUP do so once, so that clean-up goes on to its end. Ctrl-C may be pressed again by somebody who does
    not want to wait for it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: object) -> None:
        for other in before.keys() - {signal.SIGINT}:
            signal.signal(other, signal.SIG_IGN)
        error = Stopped(number)
        interrupts.receive(error)
        raise error

    def dropped(found: sys.UnraisableHookArgs) -> None:
        """An exception in a finaliser; one of a signal is kept in `interrupts`, and needs no traceback."""
        if not isinstance(found.exc_value, Stopped):
            hook(found)

    hook = sys.unraisablehook
    before = {number: signal.getsignal(number) for number in ENDING}
    before = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    interrupts.forget()
    try:
        sys.unraisablehook = dropped
        for number in before:
            signal.signal(number, stop)
        yield
    finally:
        interrupts.forget()
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.unraisablehook = hook
