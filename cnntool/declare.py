"""Declarations: how a frozen dataclass describes its fields to a user, with kind of value, help and position.

Layers and filter banks are dataclasses whose fields are made by `argument` and `option`. A field's kind parses the word
that a user types and writes it back; command line, documentation, JSON and saved models are derived from it. This
module imports neither click nor NumPy, so that the shape calculator starts fast.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

MISSING = dataclasses.MISSING
LARGEST_INTEGER = 2**31 - 1


class Kind:
    """A kind of value: how it is parsed from a word and written as one."""

    metavar = "TEXT"
    values: tuple[str, ...] = ()
    """Words that are among those it takes, for completion."""

    def parse(self, word: str) -> Any:
        """The value of `word`; a ValueError says what was expected."""
        return word

    def word(self, value: Any) -> str:
        """The inverse of `parse`."""
        return str(value)


class Text(Kind):
    """Any word."""

    def __init__(self, metavar: str = "TEXT") -> None:
        self.metavar = metavar


class Integer(Kind):
    """An integer from `minimum` to `maximum`."""

    metavar = "N"

    def __init__(self, minimum: int = 0, maximum: int = LARGEST_INTEGER, metavar: str = "N") -> None:
        self.minimum, self.maximum, self.metavar = minimum, maximum, metavar

    def parse(self, word: str) -> int:
        try:
            value = int(word)
        except ValueError:
            raise ValueError(f"{word!r} is not a whole number") from None
        if not self.minimum <= value <= self.maximum:
            limit = f"at least {self.minimum}" if value < self.minimum else f"at most {self.maximum}"
            raise ValueError(f"{value} is out of range: expected a whole number of {limit}")
        return value


class Real(Kind):
    """A finite number in `[minimum, maximum]`; `open_below` and `open_above` exclude the ends."""

    metavar = "X"

    def __init__(
        self,
        minimum: float = -math.inf,
        maximum: float = math.inf,
        *,
        open_below: bool = False,
        open_above: bool = False,
        metavar: str = "X",
    ) -> None:
        self.minimum, self.maximum, self.metavar = minimum, maximum, metavar
        self.open_below, self.open_above = open_below, open_above

    def parse(self, word: str) -> float:
        try:
            value = float(word)
        except ValueError:
            raise ValueError(f"{word!r} is not a number") from None
        if not math.isfinite(value):
            raise ValueError(f"{word} is not a finite number")
        if value < self.minimum or (self.open_below and value == self.minimum):
            raise ValueError(
                f"{word}: expected a number {'above' if self.open_below else 'of at least'} {self.minimum:g}"
            )
        if value > self.maximum or (self.open_above and value == self.maximum):
            raise ValueError(
                f"{word}: expected a number {'below' if self.open_above else 'of at most'} {self.maximum:g}"
            )
        return value

    def word(self, value: float) -> str:
        return repr(value)


class Pair(Kind):
    """`3` or `3x5`, height x width, as a pair of integers."""

    metavar = "SIZE"

    def __init__(self, minimum: int = 1, maximum: int = 65535, metavar: str = "SIZE") -> None:
        self.minimum, self.maximum, self.metavar = minimum, maximum, metavar

    def parse(self, word: str) -> tuple[int, int]:
        parts = word.lower().split("x")
        if len(parts) > 2 or not all(is_integer(part) for part in parts):
            raise ValueError(f"{word!r} is not a size: expected N or HEIGHTxWIDTH, such as 3 or 3x5")
        values = [int(part) for part in parts]
        for value in values:
            if not self.minimum <= value <= self.maximum:
                raise ValueError(f"{word}: expected sizes of {self.minimum} to {self.maximum}")
        return values[0], values[-1]

    def word(self, value: tuple[int, int]) -> str:
        return str(value[0]) if value[0] == value[1] else f"{value[0]}x{value[1]}"


class Padding(Kind):
    """`0`, `3`, `1x2` (rows x columns), `top,left,bottom,right`, `same` or `valid`.

    The value is `(top, left, bottom, right)`, or `same` or `valid`, which depend on the input's size.
    """

    metavar = "PADDING"
    minimum = 0
    values = ("same", "valid")
    EXPECTED = "expected N, ROWSxCOLUMNS, TOP,LEFT,BOTTOM,RIGHT, same or valid"

    def parse(self, word: str) -> tuple[int, int, int, int] | str:
        if word in ("same", "valid"):
            return word
        four = word.split(",")
        if len(four) == 4 and all(is_integer(part) for part in four):
            top, left, bottom, right = (int(part) for part in four)
        else:
            parts = word.lower().split("x")
            if len(parts) > 2 or not all(is_integer(part) for part in parts):
                raise ValueError(f"{word!r} is not a padding: {self.EXPECTED}")
            top = bottom = int(parts[0])
            left = right = int(parts[-1])
        if not all(0 <= side <= 65535 for side in (top, left, bottom, right)):
            raise ValueError(f"{word}: a padding is 0 to 65535 pixels")
        return top, left, bottom, right

    def word(self, value: tuple[int, int, int, int] | str) -> str:
        if isinstance(value, str):
            return value
        top, left, bottom, right = value
        if (top, left) == (bottom, right):
            return str(top) if top == left else f"{top}x{left}"
        return f"{top},{left},{bottom},{right}"


class Choice(Kind):
    """One of a few words."""

    def __init__(self, *values: str) -> None:
        self.values = values
        self.metavar = "|".join(values)

    def parse(self, word: str) -> str:
        if word not in self.values:
            raise ValueError(f"{word!r} is none of {', '.join(self.values)}{did_you_mean(word, self.values)}")
        return word


class Flag(Kind):
    """An option without a value, which inverts the default (`--no-bias`)."""

    metavar = ""

    def parse(self, word: str) -> bool:
        if word not in ("true", "false"):
            raise ValueError(f"{word!r} is neither true nor false")
        return word == "true"

    def word(self, value: bool) -> str:
        return "true" if value else "false"


class File(Kind):
    """A file to read; a relative path in a pipeline file is relative to that file."""

    metavar = "FILE"

    def __init__(self, *suffixes: str) -> None:
        self.suffixes = suffixes
        self.metavar = "FILE" + "|FILE".join(suffixes)

    def parse(self, word: str) -> str:
        if self.suffixes and Path(word).suffix.lower() not in self.suffixes:
            raise ValueError(f"{word!r}: expected a file name ending in {' or '.join(self.suffixes)}")
        return word


class Nested(Kind):
    """A name that selects another declaration, whose fields are added, as in `bank gabor --scales 3`.

    `table` maps names to module and class. Any other word is the first argument of `fallback`.
    """

    def __init__(self, metavar: str, table: dict[str, tuple[str, str]], fallback: str) -> None:
        self.metavar, self.table, self.fallback = metavar, table, fallback

    def load(self, name: str) -> type:
        module, class_name = self.table[name]
        return getattr(importlib.import_module(module), class_name)

    def name_of(self, value: Any) -> str:
        class_path = (type(value).__module__, type(value).__name__)
        return next(name for name, known in self.table.items() if known == class_path)

    def words(self, value: Any) -> list[str]:
        return [self.name_of(value), *words_of(value)]


@dataclasses.dataclass(frozen=True)
class Blank:
    """A word in which each `?` stands for a whole number that is to be found, such as `?` or `3x?`."""

    kind: Integer | Pair | Padding
    text: str

    def __post_init__(self) -> None:
        """Raises ValueError unless whole numbers can stand there."""
        try:
            self.parts()
        except ValueError:
            raise ValueError(
                f"{self.text!r}: a `?` stands for a whole number, such as `?`, `3x?` or `0,?,0,?`"
            ) from None
        self.fill([self.kind.minimum] * self.count)

    @property
    def count(self) -> int:
        return self.text.count("?")

    def fill(self, numbers: Iterable[int]) -> Any:
        """The value of the word with these numbers; a ValueError if it may not have them."""
        pieces = self.text.split("?")
        return self.kind.parse(pieces[0] + "".join(f"{n}{piece}" for n, piece in zip(numbers, pieces[1:], strict=True)))

    def parts(self) -> list[int | None]:
        """The numbers of the word, None where one is open: one, two (rows, columns) or four (the sides)."""
        pieces = self.text.lower().replace(",", "x").split("x")
        return [None if piece == "?" else int(piece) for piece in pieces]


def argument(kind: Kind, help: str, default: Any = MISSING) -> Any:
    """A positional field. With a default it is optional and must be a Choice, since it is consumed only on a match."""
    return dataclasses.field(default=default, metadata={"kind": kind, "help": help, "argument": True})


def option(default: Any, kind: Kind, help: str, name: str | None = None) -> Any:
    """A field given as `--name`; `name` overrides the field's own, as `--no-bias` for `bias`."""
    return dataclasses.field(default=default, metadata={"kind": kind, "help": help, "argument": False, "name": name})


def fields_of(declared: Any) -> Iterator[dataclasses.Field]:
    """The fields of a declaration (class or object) that a user can set, in order."""
    return (field for field in dataclasses.fields(declared) if "kind" in field.metadata)


def option_name(field: dataclasses.Field) -> str:
    return "--" + (field.metadata["name"] or field.name.replace("_", "-"))


def words_of(declared: Any) -> list[str]:
    """The words that produce an object, arguments first, without options at their default."""
    arguments, options = [], []
    for field in fields_of(declared):
        value, kind = getattr(declared, field.name), field.metadata["kind"]
        if isinstance(kind, Nested):
            arguments += kind.words(value)
        elif field.metadata["argument"]:
            arguments.append(kind.word(value))
        elif value != field.default:
            options.append(option_name(field))
            if not isinstance(kind, Flag):
                options.append(kind.word(value))
    return arguments + options


def help_of(declared: type) -> str:
    """The first paragraph of a declaration's docstring, on one line."""
    return " ".join((declared.__doc__ or "").strip().split("\n\n")[0].split())


def is_integer(word: str) -> bool:
    return word.lstrip("-").isascii() and word.lstrip("-").isdigit() and word.count("-") <= 1 and len(word) < 12


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean A or B?`, or "" if no known word is similar."""
    near = difflib.get_close_matches(word, list(known), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def listed(names: Iterable[str], most: int = 20) -> str:
    """`A, B, C`, with `, ...` after `most` names."""
    known = list(names)
    return ", ".join(known[:most]) + (", ..." if len(known) > most else "")
