"""Text for streams whose encoding lacks characters: a redirected console on Windows, an old locale."""

from __future__ import annotations

import codecs
import sys

PLAIN = {
    "\u2500": "-",
    "\u2501": "-",
    "\u2502": "|",
    "\u250c": "+",
    "\u251c": "+",
    "\u2514": "+",
    "\u253c": "+",
    "\u00d7": "x",
    "\u2026": "...",
    "\u2212": "-",
}
RESULTS, MESSAGES = "cnntool.results", "cnntool.messages"  # names of error handlers for codecs


def for_results(error: UnicodeError) -> tuple[str | bytes, int]:
    """Box drawing in ASCII, undecodable file names as their bytes, ? for everything else."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    if "\udc80" <= character <= "\udcff":
        return bytes([ord(character) - 0xDC00]), error.start + 1
    return PLAIN.get(character, "?"), error.start + 1


def for_messages(error: UnicodeError) -> tuple[str | bytes, int]:
    """Box drawing in ASCII; everything else escaped, as Python does on standard error."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    code = ord(character) - 0xDC00 if "\udc80" <= character <= "\udcff" else ord(character)
    return PLAIN.get(character, f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"), error.start + 1


def write_plainly() -> None:
    """Lets standard output and error take any text."""
    for stream, name, handler in ((sys.stdout, RESULTS, for_results), (sys.stderr, MESSAGES, for_messages)):
        codecs.register_error(name, handler)
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=name)
