"""Chains as text: one string of words, or a pipeline file."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cnntool.chain.grammar import parse_words
from cnntool.errors import CnntoolError
from cnntool.layers.base import Layer
from cnntool.limits import LARGEST_PIPELINE


def split_text(text: str) -> list[str]:
    """The words of a text as a shell splits them: quotes join, newlines are blanks, `#` begins a comment."""
    try:
        return shlex.split(text, comments=True)
    except ValueError as error:
        raise CnntoolError(
            f"the words cannot be split ({str(error).lower()}): expected every quote to be closed"
        ) from None


def parse_file(path: str | Path, parse: Callable[..., list[Any]] = parse_words) -> list[Layer]:
    """The layers of a pipeline file; relative names in it are relative to that file.

    `parse`: `grammar.parse_words`, or `parse_open_words` for a file whose numbers may be open.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST_PIPELINE + 1)  # a device or a pipe may have no end
        if len(content) > LARGEST_PIPELINE:
            raise CnntoolError("a pipeline file of over 1 MiB; expected words such as `conv 64 3 relu`")
        if b"\0" in content:
            raise CnntoolError("not a pipeline file: it holds a zero byte; expected words such as `conv 64 3 relu`")
        words = split_text(content.decode("utf-8"))
    except FileNotFoundError:
        raise CnntoolError(
            f"{path}: no such file; expected a pipeline file with words such as `conv 64 3 relu`"
        ) from None
    except CnntoolError as error:
        raise CnntoolError(f"{path}: {error}") from None
    except (OSError, ValueError) as error:
        raise CnntoolError(f"{path}: not a pipeline file that can be read ({error})") from None
    try:
        return parse(words, base=str(path.parent))
    except CnntoolError as error:
        raise CnntoolError(f"{path}: {error}") from None
