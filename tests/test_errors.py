"""Errors for users: what they are and the exit codes that they carry."""

from __future__ import annotations

import pytest

from cnntool.errors import BadInput, CnntoolError, reason_of


@pytest.mark.parametrize(("kind", "code"), [(CnntoolError, 2), (BadInput, 1)])
def test_exit_codes(kind: type[CnntoolError], code: int) -> None:
    assert kind("what was given").exit_code == code
    assert str(kind("what was given")) == "what was given"


def test_callers_may_catch_value_errors() -> None:
    assert issubclass(BadInput, CnntoolError)
    assert issubclass(CnntoolError, ValueError)


def test_what_a_library_says_becomes_a_short_line() -> None:
    assert reason_of(OSError("a\n  b\tc")) == "a b c"
    assert reason_of(KeyError()) == "KeyError"
    assert reason_of(ValueError("x" * 5000)) == "x" * 200
