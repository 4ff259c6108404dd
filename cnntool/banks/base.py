"""What every filter bank is: a frozen dataclass that knows its filters' number and size, and can draw them.

Number and size are integer arithmetic, so that shapes can be worked out without numpy.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from cnntool.declare import Kind, Pair, fields_of, option_name
from cnntool.errors import CnntoolError
from cnntool.late import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST_SIDE = 1023
LARGEST_BANK = 2**26
SIZE = Pair(1, LARGEST_SIDE)
# A filter whose mean is removed needs neighbours to differ from.
SIZE_OF_BALANCED = Pair(3, LARGEST_SIDE)


@dataclass(frozen=True)
class Reduction:
    """How the responses of a bank become its output maps: map i joins the responses `groups[i]` by `how[i]`.

    `max` is the largest response, `absmax` the largest |response|, `modulus` the root of the sum of squares.
    """

    groups: tuple[tuple[int, ...], ...]
    how: tuple[str, ...]


class FilterBank(ABC):
    """Base of the filter banks, which are frozen dataclasses; their fields are checked when one is made.

    Filters are correlated with the image, not convolved: they are not turned by 180 degrees.
    """

    needs_data: ClassVar[str] = ""  # where the filters come from when they do not follow from the fields
    padding: ClassVar[str] = "same"  # of the layer, when it is not given

    def __post_init__(self) -> None:
        check_fields(self)
        check_extent(self)

    size: Any  # the field of banks whose size can be chosen

    @property
    def kernel_size(self) -> tuple[int, int]:
        """Height and width of each filter."""
        return self.size

    @property
    def count(self) -> int:
        """The number of filters."""
        return len(self.names())

    @abstractmethod
    def names(self) -> list[str]:
        """One short name a filter."""

    @abstractmethod
    def planes(self) -> Iterable[NDArray[Any]]:
        """The filters one by one, each (kernel_height, kernel_width)."""

    @property
    def reduce(self) -> Reduction | None:
        """How responses become output maps; None leaves them as they are."""
        return None

    @property
    def outputs(self) -> int:
        """The number of output maps."""
        return len(self.reduce.groups) if self.reduce else self.count

    def places(self) -> list[tuple[int, int]] | None:
        """Row and column of each filter in a grid that shows how the bank is built; None where it is a mere list."""
        return None

    def map_names(self) -> list[str]:
        """One short name an output map: what the names of its filters have in common."""
        names = self.names()
        if self.reduce is None:
            return names
        return [common_words([names[number] for number in group]) for group in self.reduce.groups]

    def map_places(self) -> list[tuple[int, int]] | None:
        """As `places`, of the output maps: each where its first filter stands, without the rows and columns between."""
        places = self.places()
        if places is None or self.reduce is None:
            return places
        firsts = [places[group[0]] for group in self.reduce.groups]
        rows, columns = (sorted(set(axis)) for axis in zip(*firsts, strict=True))
        return [(rows.index(row), columns.index(column)) for row, column in firsts]

    def without_files(self) -> FilterBank:
        """The bank that stands for this one in a model, which holds the filters."""
        return self

    def filters(self) -> NDArray[np.float32]:
        """The bank as float32, (kernel_height, kernel_width, count); CnntoolError if a filter comes out empty."""
        filters = np.empty((*self.kernel_size, self.count), np.float32)
        for index, plane in enumerate(self.planes()):
            filters[..., index] = plane
        return filters


def common_words(names: list[str]) -> str:
    """The words that all names begin with; all of them, where there are none."""
    words = [name.split() for name in names]
    same = next((place for place, one in enumerate(zip(*words, strict=False)) if len(set(one)) > 1), len(words[0]))
    return " ".join(words[0][:same]) or "/".join(names)


def check_fields(bank: FilterBank) -> None:
    """Holds values given from Python to the same limits as words: each must survive being written and read again."""
    for field in fields_of(bank):
        value = getattr(bank, field.name)
        problem = None if value is field.default else problem_with(field.metadata["kind"], value)
        if problem:
            name = field.name.upper() if field.metadata["argument"] else option_name(field)
            mend = "" if field.metadata["argument"] else f"; without {name} it is {default_of(field)}"
            raise CnntoolError(f"{name}: {problem}{mend}")


def problem_with(kind: Kind, value: Any) -> str | None:
    """What a word of this value would be refused for; None when it can be typed."""
    # The repr of a numpy float is not a number's.
    plain = float(value) if isinstance(value, float) else value
    try:
        if kind.parse(kind.word(plain)) == value:
            return None
    except ValueError as error:
        return str(error)
    except (TypeError, LookupError):
        pass
    return f"{value!r} cannot be used: expected {kind.metavar or 'True or False'}"


def default_of(field: Any) -> str:
    return "worked out" if field.default is None else field.metadata["kind"].word(field.default)


def check_extent(bank: FilterBank) -> None:
    """Refuses, before anything is allocated, filters that are too large or too many."""
    height, width = bank.kernel_size
    if max(height, width) > LARGEST_SIDE:
        raise CnntoolError(
            f"the filters would be {height}x{width} pixels: expected sides of at most {LARGEST_SIDE}; make them smaller"
        )
    if bank.count * height * width > LARGEST_BANK:
        raise CnntoolError(
            f"{bank.count} filters of {height}x{width} hold {bank.count * height * width} numbers: "
            f"expected at most {LARGEST_BANK}; make them fewer or smaller"
        )
