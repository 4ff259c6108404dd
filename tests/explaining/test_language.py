"""The message files hold the same messages with the same places to fill, and all that the code says."""

from __future__ import annotations

import ast
import re
import string
from pathlib import Path

import numpy as np
import pytest

import cnntool
from cnntool.explaining.language import LANGUAGES, Language, exact, messages, number

PACKAGE = Path(cnntool.__file__).parent
SOURCES = [*(PACKAGE / "explaining").glob("*.py"), *(PACKAGE / "cli").glob("*.py")]


def places(message: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(message) if name is not None}


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_has_the_same_messages_and_places(language: str) -> None:
    english, other = messages("en"), messages(language)
    assert list(english) == list(other)
    for key, message in english.items():
        assert places(message) == places(other[key]), key
        assert other[key].strip(), key
        if language != "en" and len(message.split()) > 3:
            assert other[key] != message, f"{key} is not translated"


def literals() -> set[str]:
    """All texts in the code, those with places cut at them, and what the page's script asks for."""
    found = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    script = (PACKAGE / "explaining/templates/report.js").read_text()
    return found | {f"report.{key}" for key in re.findall(r'say\("(\w+)"', script)}


def test_every_message_is_said_and_every_key_is_there() -> None:
    said, known = literals(), set(messages("en"))
    sections = {key.partition(".")[0] for key in known}
    wanted = {text for text in said if re.fullmatch(rf"(?:{'|'.join(sections)})\.[a-z0-9_]*[a-z0-9]", text)}
    wanted = {text for text in wanted if not text.endswith((".html", ".css", ".js"))}
    assert wanted <= known
    pieces = {"window.remainder_", "window.unreached_", "bank.", "animation.", "report."}  # keys that are put together
    assert pieces <= said
    for key in known - wanted:
        piece = next((piece for piece in pieces if key.startswith(piece)), None)
        assert piece is not None, f"{key} is never said"
        assert piece == "bank." or key.removeprefix(piece) in said, f"{key} is never said"
    for how in ("max", "absmax", "modulus"):  # of banks whose responses are joined
        assert f"bank.{how}" in known


def test_the_lecture_s_terms() -> None:
    text = " ".join(messages("ro").values())
    terms = (
        "activation map, produsul scalar, receptive field, stride, padding, parameter sharing, filtru, adâncime, "
        "pooling, activări, albire, Centrat, fully-connected, antrenabili"
    )
    for term in terms.split(", "):
        assert term.lower() in text.lower(), term


@pytest.mark.parametrize(
    ("value", "text"),
    [(2.0, "2"), (-0.0, "0"), (0.5, "0.5"), (1 / 3, "0.3333"), (1e-7, "1e-07"), (123456.0, "123456"), (1e9, "1e+09"),
     (float("nan"), "nan"), (float("-inf"), "-inf"), (np.float32(0.1), "0.1")],
)  # fmt: skip
def test_number(value: float, text: str) -> None:
    assert number(value) == text


def test_exact_shows_what_float32_holds() -> None:
    assert exact(float(np.float32(1 / 3))) == "0.3333333"
    assert exact(7.0) == "7"


def test_values_are_filled_in() -> None:
    assert Language("en").say("check.agrees", computed="7") == "The kernels compute 7."
    assert Language("ro").say("pool.max", value=0.25) == "Cel mai mare număr din fereastră: 0.25."
