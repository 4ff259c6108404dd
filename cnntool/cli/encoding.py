"""Text on streams whose encoding has not all signs, such as a redirected console on Windows or an old locale."""

from __future__ import annotations

import codecs
import sys

PLAIN = {"\u2500": "-", "\u2501": "-", "\u2502": "|", "\u00d7": "x", "\u2026": "...", "\u2212": "-"}
HANDLER = "cnntool.plain"


def plain(error: UnicodeError) -> tuple[str | bytes, int]:
    """Lines drawn with plain signs, names that are no UTF-8 as the bytes they are, and ? for what is left."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    sign = error.object[error.start]
    if "\udc80" <= sign <= "\udcff":
        return bytes([ord(sign) - 0xDC00]), error.start + 1
    return PLAIN.get(sign, "?"), error.start + 1


def write_plainly() -> None:
    """Lets standard output take any text."""
    codecs.register_error(HANDLER, plain)
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors=HANDLER)
