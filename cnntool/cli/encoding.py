"""Text on streams whose encoding has not all signs, such as a redirected console on Windows or an old locale."""

from __future__ import annotations

import codecs
import sys

PLAIN = {"\u2500": "-", "\u2501": "-", "\u2502": "|", "\u00d7": "x", "\u2026": "...", "\u2212": "-"}
RESULTS, MESSAGES = "cnntool.results", "cnntool.messages"  # Python's names of how to go on


def for_results(error: UnicodeError) -> tuple[str | bytes, int]:
    """Lines drawn with plain signs, names that are no UTF-8 as the bytes they are, and ? for what is left."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    sign = error.object[error.start]
    if "\udc80" <= sign <= "\udcff":
        return bytes([ord(sign) - 0xDC00]), error.start + 1
    return PLAIN.get(sign, "?"), error.start + 1


def for_messages(error: UnicodeError) -> tuple[str | bytes, int]:
    """The same lines; anything else as a code, as is Python's way on standard error."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    sign = error.object[error.start]
    code = ord(sign) - 0xDC00 if "\udc80" <= sign <= "\udcff" else ord(sign)
    return PLAIN.get(sign, f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"), error.start + 1


def write_plainly() -> None:
    """Lets standard output and error take any text."""
    for stream, name, handler in ((sys.stdout, RESULTS, for_results), (sys.stderr, MESSAGES, for_messages)):
        codecs.register_error(name, handler)
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=name)
