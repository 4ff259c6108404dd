"""Ctrl-C, and other signals that end the process, where their exception got lost.

Python drops an exception that a signal handler raises while an object is finalised, and libraries catch every exception
while they import their optional parts. So a handler leaves the exception here too, and loops over work ask for it.
"""

from __future__ import annotations

_received: BaseException | None = None


def receive(error: BaseException) -> None:
    """Keeps the exception of a signal for `check`; called by signal handlers."""
    global _received
    _received = error


def forget() -> None:
    """To be called where an interrupt was dealt with."""
    global _received
    _received = None


def check() -> None:
    """Raises the exception of a signal that came, in any thread."""
    if _received is not None:
        raise _received
