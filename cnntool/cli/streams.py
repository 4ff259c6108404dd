"""Standard input, output and error, which may be closed, full or left by their reader; what is safe to show there."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from typing import Any

import click

from cnntool.files import writing

# Names may hold what a terminal obeys or what hides their end: control characters, marks of writing direction, line
# separators, and bytes that are no text.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""The text for a person to read, on one line: what a terminal would obey is shown as `\x1b`."""
    return UNPRINTABLE.sub(lambda found: _escaped(ord(found.group())), text)


def _escaped(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a name that is no UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def tell(text: str) -> None:
    """A line on standard error. That nobody can read it stops no work."""
    with telling():
        click.echo(printable(text), err=True)


@contextlib.contextmanager
def telling() -> Iterator[None]:
    """For what is shown on standard error: that it cannot be written is no error."""
    try:
        yield
    except (OSError, ValueError) as error:
        if isinstance(error, ValueError) and not sys.stderr.closed:
            raise
        silence(sys.stderr)


@contextlib.contextmanager
def results() -> Iterator[None]:
    """For what is printed on standard output: that it cannot be written is told, and that its reader left is not."""
    with writing("standard output"):
        yield
        sys.stdout.flush()


class Results:
    """Standard output as a stream to write to, for results that come one by one."""

    def write(self, text: str) -> int:
        with writing("standard output"):
            return sys.stdout.write(text)


def silence(stream: Any) -> None:
    """Lets what is still to be written to a broken stream go nowhere, so that the end of Python does not fail of it."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)


def open_closed_streams() -> None:
    """Puts something in the place of streams that the parent closed: else files would get their numbers.

    Input is empty, what is told is lost, and results cannot be written, which is an error as for a full disk.
    """
    for number, flags in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            stream = open(number, mode, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
