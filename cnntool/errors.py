"""Errors shown to users. Each message says what was given, what was expected and how to fix it."""

from __future__ import annotations


class CnntoolError(ValueError):
    """Wrong usage: an invalid word, option, shape or file name. Exit code 2."""

    exit_code = 2
    kind = "usage"  # the word that lists of failures have for it


class NoRoom(CnntoolError):
    """The disk is full, failing or read-only: the next output cannot be written either."""


class BadInput(CnntoolError):
    """An input that exists but cannot be used: a broken image, a volume that does not fit. Exit code 1."""

    exit_code = 1
    kind = "unreadable"


class Unfit(BadInput):
    """An intact input that does not fit the options or the layers; others like it will not fit either."""

    kind = "unfit"


class Missing(BadInput):
    """An input that a list names and that is not there."""

    kind = "missing"


class Failed(BadInput):
    """An input on which the machine failed: out of memory, or a worker that died."""

    kind = "failed"


LONGEST_REASON = 200


def reason_of(error: Exception) -> str:
    """What a library says about a damaged file, on one line; it may quote much of that file, so this cuts it short."""
    return " ".join(str(error).split())[:LONGEST_REASON] or type(error).__name__
