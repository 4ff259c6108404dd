"""The template files, and how text and data are put into them."""

from __future__ import annotations

import functools
import html
import json
import re
from importlib import resources
from typing import Any


@functools.cache
def template(name: str) -> str:
    """A file of the folder of templates."""
    return resources.files("cnntool.explaining").joinpath("templates", name).read_text("utf-8")


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def fill(name: str, **values: str) -> str:
    """The template with `{{name}}` replaced; what is not Markup is escaped."""

    def value(match: re.Match[str]) -> str:
        text = values[match[1]]
        return text if isinstance(text, Markup) else html.escape(text)

    return re.sub(r"\{\{(\w+)\}\}", value, template(name))


def as_data(value: Any) -> Markup:
    """JSON that may stand inside a script element: nothing in it ends the element."""
    return Markup(json.dumps(value, separators=(",", ":"), ensure_ascii=True).replace("<", "\\u003c"))
