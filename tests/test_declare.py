"""Each kind of value: words are read, written and refused."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from cnntool.declare import (
    Blank,
    Choice,
    File,
    Flag,
    Integer,
    Kind,
    Nested,
    Padding,
    Pair,
    Real,
    Text,
    argument,
    did_you_mean,
    fields_of,
    help_of,
    is_integer,
    option,
    option_name,
    words_of,
)

UNIT = Real(0, 1, open_below=True, open_above=True)

# kind, word, value, and the word that is written when it is another one
READ = [
    (Text(), "any thing", "any thing", None),
    (Integer(), "0", 0, None),
    (Integer(-5, 5), "-5", -5, None),
    (Integer(), "2147483647", 2**31 - 1, None),
    (Integer(), "007", 7, "7"),
    (Real(), "0.1", 0.1, None),
    (Real(), "-3", -3.0, "-3.0"),
    (Real(), "1e-30", 1e-30, None),
    (Real(0), "0", 0.0, "0.0"),
    (UNIT, "0.5", 0.5, None),
    (Pair(), "3", (3, 3), None),
    (Pair(), "3x5", (3, 5), None),
    (Pair(), "3X3", (3, 3), "3"),
    (Padding(), "0", (0, 0, 0, 0), None),
    (Padding(), "1x2", (1, 2, 1, 2), None),
    (Padding(), "1,2,3,4", (1, 2, 3, 4), None),
    (Padding(), "1,2,1,2", (1, 2, 1, 2), "1x2"),
    (Padding(), "65535", (65535,) * 4, None),
    (Padding(), "same", "same", None),
    (Padding(), "valid", "valid", None),
    (Choice("max", "avg"), "avg", "avg", None),
    (Flag(), "true", True, None),
    (Flag(), "false", False, None),
    (File(".npy", ".npz"), "a/B.NPY", "a/B.NPY", None),
    (File(), "anything", "anything", None),
]

# kind, word, and what the message must hold
REFUSED: list[tuple[Kind, str, tuple[str, ...]]] = [
    (Integer(), "x", ("'x'", "whole number")),
    (Integer(), "1.5", ("'1.5'", "whole number")),
    (Integer(), "", ("''", "whole number")),
    (Integer(1), "0", ("0", "at least 1")),
    (Integer(1, 9), "10", ("10", "at most 9")),
    (Real(), "x", ("'x'", "not a number")),
    (Real(), "nan", ("nan", "finite")),
    (Real(), "-inf", ("-inf", "finite")),
    (Real(0), "-1", ("-1", "at least 0")),
    (UNIT, "0", ("0", "above 0")),
    (UNIT, "1", ("1", "below 1")),
    (Real(0, 1), "2", ("2", "at most 1")),
    (Pair(), "3x", ("'3x'", "HEIGHTxWIDTH")),
    (Pair(), "3x4x5", ("'3x4x5'", "HEIGHTxWIDTH")),
    (Pair(), "1.5", ("'1.5'", "HEIGHTxWIDTH")),
    (Pair(), "0", ("0", "1 to 65535")),
    (Pair(3, 9), "2x5", ("2x5", "3 to 9")),
    (Pair(), "٣", ("HEIGHTxWIDTH",)),
    (Pair(), "9" * 5000, ("HEIGHTxWIDTH",)),
    (Padding(), "Same", ("'Same'", "TOP,LEFT,BOTTOM,RIGHT")),
    (Padding(), "1,2,3", ("'1,2,3'", "TOP,LEFT,BOTTOM,RIGHT")),
    (Padding(), "-1", ("-1", "0 to 65535")),
    (Padding(), "1,2,3,65536", ("1,2,3,65536", "0 to 65535")),
    (Choice("max", "avg"), "mxa", ("'mxa'", "max, avg", "did you mean max?")),
    (Flag(), "yes", ("'yes'", "true", "false")),
    (File(".npy", ".npz"), "a.png", ("'a.png'", ".npy or .npz")),
]


@pytest.mark.parametrize(("kind", "word", "value", "written"), READ)
def test_words_are_read_and_written(kind: Kind, word: str, value: Any, written: str | None) -> None:
    assert kind.parse(word) == value
    assert type(kind.parse(word)) is type(value)
    assert kind.word(value) == (written or word)
    assert kind.parse(kind.word(value)) == value


@pytest.mark.parametrize(("kind", "word", "parts"), REFUSED, ids=lambda case: str(case)[:30])
def test_refusals_say_what_was_expected(kind: Kind, word: str, parts: tuple[str, ...]) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 the message is checked below
        kind.parse(word)
    for part in parts:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-300, 1e300, -math.pi, 5e-324])
def test_real_numbers_survive_being_written(value: float) -> None:
    assert Real().parse(Real().word(value)) == value


@dataclasses.dataclass(frozen=True)
class Inner:
    """Inside."""

    depth: int = argument(Integer(1), "How deep.")
    slope: float = option(0.5, Real(), "How steep.")


@dataclasses.dataclass(frozen=True)
class Outer:
    """A declaration
    of two lines.

    And more that is not its short help.
    """

    inner: Inner = argument(Nested("NAME", {"inner": (__name__, "Inner")}, "inner"), "What is inside.")
    kernel_size: tuple[int, int] = option((3, 3), Pair(), "Size.")
    bias: bool = option(True, Flag(), "Without bias.", name="no-bias")
    file: str | None = option(None, File(".npy"), "A file.")
    note: str = "a field that no user gives"


def test_words_of_a_declaration() -> None:
    assert words_of(Outer(Inner(2))) == ["inner", "2"]
    everything = Outer(Inner(3, slope=-1.0), kernel_size=(3, 5), bias=False, file="a.npy")
    assert words_of(everything) == [
        "inner", "3", "--slope", "-1.0", "--kernel-size", "3x5", "--no-bias", "--file", "a.npy",
    ]  # fmt: skip


def test_fields_of_a_declaration() -> None:
    assert [field.name for field in fields_of(Outer)] == ["inner", "kernel_size", "bias", "file"]
    assert [option_name(field) for field in list(fields_of(Outer))[1:]] == ["--kernel-size", "--no-bias", "--file"]
    assert help_of(Outer) == "A declaration of two lines."


@pytest.mark.parametrize(
    ("word", "expected"),
    [("3", True), ("-3", True), ("", False), ("-", False), ("--3", False), ("3-", False), ("1e3", False), ("²", False)],
)
def test_is_integer(word: str, expected: bool) -> None:
    assert is_integer(word) is expected


def test_did_you_mean() -> None:
    assert did_you_mean("rleu", ["relu", "conv"]) == "; did you mean relu?"
    assert did_you_mean("zzz", ["relu", "conv"]) == ""


@pytest.mark.parametrize(
    ("kind", "text", "parts", "numbers", "value"),
    [
        (Integer(1), "?", [None], [5], 5),
        (Pair(), "?", [None], [3], (3, 3)),
        (Pair(), "?x5", [None, 5], [3], (3, 5)),
        (Pair(), "?X?", [None, None], [3, 4], (3, 4)),
        (Padding(), "?", [None], [2], (2, 2, 2, 2)),
        (Padding(), "0,?,1,?", [0, None, 1, None], [2, 3], (0, 2, 1, 3)),
    ],
)
def test_a_blank_is_filled(kind: Any, text: str, parts: list, numbers: list[int], value: Any) -> None:
    blank = Blank(kind, text)
    assert (blank.parts(), blank.count, blank.fill(numbers)) == (parts, len(numbers), value)


@pytest.mark.parametrize("text", ["1?", "??", "?x?x?", "?,1", "?x", "same?", "-?"])
def test_a_blank_where_no_number_can_stand(text: str) -> None:
    for kind in (Pair(), Padding()):
        with pytest.raises(ValueError, match=r"expected|stands for a whole number"):
            Blank(kind, text)
