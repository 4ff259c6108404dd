"""What kernels take beside arrays and numbers: tuples of them, which are passed whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

Pair = tuple[int, int]  # rows, columns
Sides = tuple[int, int, int, int]  # top, left, bottom, right


class Window(NamedTuple):
    """A window on an input, by default a single pixel. Kernels that take padded inputs ignore the padding."""

    kernel_size: Pair = (1, 1)
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Sides = (0, 0, 0, 0)

    @property
    def is_point(self) -> bool:
        return self.kernel_size == (1, 1) and self.stride == (1, 1) and self.padding == (0, 0, 0, 0)

    @property
    def extent(self) -> Pair:
        """Height and width of the window with dilation."""
        (kh, kw), (dy, dx) = self.kernel_size, self.dilation
        return dy * (kh - 1) + 1, dx * (kw - 1) + 1


POINT = Window()


class Corner(NamedTuple):
    """An array, and the row and column where a band begins in it."""

    array: np.ndarray
    row: int
    column: int


class Size(NamedTuple):
    """The number of results."""

    rows: int
    columns: int


class Span(NamedTuple):
    """From `first` to before `last`."""

    first: int
    last: int


class Filters(NamedTuple):
    """Packed for the register tile, of so many inputs each; `outputs` are those of all groups together."""

    weight: np.ndarray
    bias: np.ndarray
    groups: int
    inputs: int
    outputs: int


class Canvas(NamedTuple):
    """A zeroed array of `size` with the pixels of an image `spread` apart, beginning at `corner`."""

    size: Pair
    corner: Pair
    spread: Pair = (1, 1)


class Factors(NamedTuple):
    """The arrays of separable convolution.

    blocks: of at most ROWS rows of filters: first fold, folds, where their taps begin in row_taps, first row, rows.
    terms: `column_tile`'s; those of map m from first_term[m] to first_term[m + 1]. mix, mix_factor: those of filter k
    from first_mix[k] to first_mix[k + 1], each map as the offset of its first value; first_mix is padded to full
    registers.
    """

    blocks: np.ndarray
    row_taps: np.ndarray
    terms: np.ndarray
    first_term: np.ndarray
    column_taps: np.ndarray
    first_mix: np.ndarray
    mix: np.ndarray
    mix_factor: np.ndarray


TUPLES: dict[str, type] = {
    "T": tuple,
    "W": Window,
    "C": Corner,
    "S": Size,
    "R": Span,
    "F": Filters,
    "A": Factors,
    "V": Canvas,
}
"""The kinds of tuples by their letters in texts of kinds."""
