"""Standard streams, which may be closed, full or broken pipes, and text that is safe to show on them."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from typing import Any

import click

from cnntool.files import writing

# What names must not send to a terminal: control characters, bidirectional marks, line separators, undecodable bytes.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""The text on one line, with control characters escaped, such as `\x1b`."""
    return UNPRINTABLE.sub(lambda found: _escaped(ord(found.group())), text)


def _escaped(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # an undecodable byte
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def tell(text: str) -> None:
    """Writes a line to standard error, if it can be written."""
    with telling():
        click.echo(printable(text), err=True)


@contextlib.contextmanager
def telling() -> Iterator[None]:
    """Ignores that standard error cannot be written within the block."""
    try:
        yield
    except (OSError, ValueError) as error:
        if isinstance(error, ValueError) and not sys.stderr.closed:
            raise
        silence(sys.stderr)


@contextlib.contextmanager
def results() -> Iterator[None]:
    """Flushes standard output after the block; an error in writing is reported, a broken pipe is not."""
    with writing("standard output"):
        yield
        sys.stdout.flush()


class Results:
    """Standard output as a stream, for results that come one by one."""

    def write(self, text: str) -> int:
        with writing("standard output"):
            return sys.stdout.write(text)


def silence(stream: Any) -> None:
    """Redirects a broken stream to the null device, so that flushing it when Python exits does not fail."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)


def open_closed_streams() -> None:
    """Opens the null device for streams that the parent process closed; files would get their descriptors otherwise.

    Input is then empty, messages are lost, and writing results is an error as on a full disk.
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
