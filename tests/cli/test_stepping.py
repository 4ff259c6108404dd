"""`--terminal`: keys lead through the steps, and no further."""

from __future__ import annotations

import click
import pytest

from cnntool.cli.stepping import moved
from tests.cli.conftest import Tool

COUNTS = [3, 2]


@pytest.mark.parametrize(
    ("key", "before", "after"),
    [
        (" ", (0, 0), (0, 1)),
        ("\r", (0, 2), (1, 0)),
        ("\x1b[C", (1, 1), (1, 1)),
        ("b", (1, 0), (0, 2)),
        ("\x1b[D", (0, 0), (0, 0)),
        ("n", (0, 1), (1, 0)),
        ("n", (1, 1), (1, 1)),
        ("p", (1, 1), (0, 0)),
        ("p", (0, 2), (0, 0)),
        ("?", (0, 1), (0, 1)),
    ],
)
def test_where_keys_lead(key: str, before: tuple[int, int], after: tuple[int, int]) -> None:
    assert moved(key, *before, COUNTS) == after


@pytest.mark.parametrize("last", ["q", "\x1b", KeyboardInterrupt, EOFError])
def test_the_steps_appear_one_by_one(cnntool: Tool, monkeypatch: pytest.MonkeyPatch, last: object) -> None:
    keys: list[object] = [" ", " ", "n", last]

    def getchar(echo: bool = False) -> str:
        key = keys.pop(0)
        if isinstance(key, str):
            return key
        raise key()  # type: ignore[operator]

    monkeypatch.setattr(click, "getchar", getchar)
    result = cnntool("explain", "--terminal", "4x4x1", "conv", 1, 2, "relu", terminal=("stdin", "stdout"))
    assert (result.code, result.err) == (0, "")
    assert not keys
    screens = result.text.split("[space] next")
    assert len(screens) == 5
    assert "Channel 0" not in screens[0]
    assert "Channel 0" in screens[2]
    assert "layer 2 of 2, step 1 of" in screens[3]
