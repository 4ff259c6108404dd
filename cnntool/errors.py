"""What can go wrong for a user. Each message says what was given, what was expected and how to mend it."""

from __future__ import annotations


class CnntoolError(ValueError):
    """Wrong usage: a word, an option, a shape or a file name that cannot work. The shell exits with 2."""

    exit_code = 2


class BadInput(CnntoolError):
    """An input that is there and cannot be used: a broken image, a volume that does not fit. The shell exits with 1."""

    exit_code = 1


class Unfit(BadInput):
    """An input that is whole, and that the options or the layers do not fit; others like it will not fit either."""
