"""A bank read from a file of the user's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnntool.banks.base import Bank
from cnntool.banks.learned import Stored
from cnntool.declare import File, argument
from cnntool.errors import CnntoolError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class FileBank(Bank):
    """Filters of your own, from a .npy array of height x width x count (or height x width x 1 x count).

    The numbers are taken as they are, as float32, and must be real and finite. The header is read at once, the
    numbers when the filters are asked for. Nothing in the file can run code.
    """

    path: str = argument(File(".npy"), "A .npy file of filters, height x width x count.")

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and count, from the file's header."""
        return self.opened().shape

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
        array = self.opened()
        for index in range(self.count):
            yield array[..., index]

    def filters(self) -> NDArray[np.float32]:
        import numpy as np

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

    def opened(self) -> NDArray[Any]:
        """The array as (height, width, count), mapped: a number is read when it is used."""
        import numpy as np

        try:
            array: NDArray[Any] = np.lib.format.open_memmap(self.path, mode="r")
        except OSError as error:
            raise CnntoolError(
                f"{self.path}: cannot be read ({error.strerror}): expected a .npy file; check its name"
            ) from error
        except Exception as error:
            # numpy hands the header to Python's own parsers, so a damaged one can raise more than ValueError.
            raise CnntoolError(
                f"{self.path}: not a whole .npy array ({error}): expected a file that numpy.save wrote; write it again"
            ) from error
        if array.dtype.kind not in "fiub":
            raise CnntoolError(f"{self.path}: holds {array.dtype}: expected real numbers; save it as float32")
        if array.ndim == 4 and array.shape[2] == 1:
            array = array[:, :, 0]
        if array.ndim != 3 or not array.size:
            raise CnntoolError(
                f"{self.path}: has shape {array.shape}: expected height x width x count or height x width x 1 x count, "
                "each at least 1; one filter alone is saved as filter[:, :, None]"
            )
        return array
