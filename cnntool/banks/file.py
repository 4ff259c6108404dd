"""A bank read from a file of the user's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnntool.arrays import Header, npy_array, npy_header, telling
from cnntool.banks.base import FilterBank
from cnntool.banks.learned import Stored
from cnntool.declare import File, argument
from cnntool.errors import CnntoolError
from cnntool.late import np

if TYPE_CHECKING:
    from numpy.typing import NDArray


EXPECTED = "expected real numbers that numpy.save wrote"
TROUBLE = "not a whole .npy array"


@dataclass(frozen=True)
class FileBank(FilterBank):
    """Filters of your own, from a .npy array of height x width x count (or height x width x 1 x count).

    The numbers are taken as they are, as float32, and must be real and finite. The header is read at once, the
    numbers when the filters are asked for. Nothing in the file can run code.
    """

    path: str = argument(File(".npy"), "A .npy file of filters, height x width x count.")

    @cached_property
    def header(self) -> Header:
        """The file's header, checked against the file's length."""
        with telling(self.path, EXPECTED, TROUBLE):
            header = npy_header(self.path)
            header.require("fiub")
        shape = header.shape
        if len(shape) not in (3, 4) or (len(shape) == 4 and shape[2] != 1) or not all(shape):
            raise CnntoolError(
                f"{self.path}: has shape {shape}: expected height x width x count or height x width x 1 x count, "
                "each at least 1; one filter alone is saved as filter[:, :, None]"
            )
        return header

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and count."""
        height, width, *_, count = self.header.shape
        return height, width, count

    @property
    def kernel_size(self) -> tuple[int, int]:
        return self.shape[0], self.shape[1]

    @property
    def count(self) -> int:
        return self.shape[2]

    def without_files(self) -> Stored:
        return Stored(self.count, self.kernel_size)

    def names(self) -> list[str]:
        stem = Path(self.path).stem
        return [f"{stem} {index}" for index in range(self.count)]

    def planes(self) -> Iterator[NDArray[Any]]:
        with telling(self.path, EXPECTED, TROUBLE):
            array = npy_array(self.path, self.header).reshape(self.shape)
            for index in range(self.count):
                yield array[..., index]

    def filters(self) -> NDArray[np.float32]:
        # A number too large for float32 becomes infinite, and is refused as that.
        with np.errstate(over="ignore"):
            filters = super().filters()
        spoilt = np.flatnonzero(~np.isfinite(filters).all(axis=(0, 1)))
        if spoilt.size:
            raise CnntoolError(
                f"{self.path}: filter {spoilt[0]} is not finite as float32: expected finite numbers; "
                "replace or remove it"
            )
        return filters
