"""What is said, in the languages of the message files."""

from __future__ import annotations

import functools
import tomllib
from importlib import resources
from typing import Any

import numpy as np

LANGUAGES = ("en", "ro")


@functools.cache
def messages(language: str) -> dict[str, str]:
    """All messages of a language by `section.key`."""
    text = resources.files("cnntool.explaining").joinpath("messages", f"{language}.toml").read_text("utf-8")
    return {
        f"{section}.{key}": message for section, found in tomllib.loads(text).items() for key, message in found.items()
    }


class Language:
    """Fills values into the messages of a language."""

    def __init__(self, name: str) -> None:
        self.name, self.messages = name, messages(name)

    def say(self, key: str, **values: Any) -> str:
        """The message of a key; numbers among the values in a few figures."""
        return self.messages[key].format(**{name: shown(value) for name, value in values.items()})


def shown(value: Any) -> str:
    """A value as it stands in a sentence."""
    return number(value) if isinstance(value, float | np.floating) else str(value)


def number(value: float | np.floating) -> str:
    """A number in four figures, whole ones as they are."""
    value = float(value)
    if value == int(value) if np.isfinite(value) else False:
        return f"{value + 0.0:.0f}" if abs(value) < 1e7 else f"{value:.4g}"
    return f"{value:.4g}"


def exact(value: float) -> str:
    """A float32 in as many figures as it has."""
    return number(value) if np.isfinite(value) and value == int(value) else f"{value:.7g}"
