"""Convolution with a bank of fixed filters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from cnntool import kernels
from cnntool.banks.base import Bank as Filters
from cnntool.banks.table import BANKS
from cnntool.declare import Flag, Nested, Padding, Pair, argument, option
from cnntool.layers.base import Arrays, Layer
from cnntool.layers.convolution import matrix_step
from cnntool.layers.geometry import Shape, Sides, Window, output_size, place_window
from cnntool.layers.step import AnyStep, Convolution, Windowed

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Bank(Layer):
    """A bank of fixed filters, such as Gabor's, or the filters of a .npy file (height x width x number).

    Several channels are averaged first; with --per-channel each goes through the whole bank by itself, and the maps of
    the first channel come first.
    """

    word: ClassVar[str] = "bank"

    bank: Filters = argument(Nested("NAME|FILE.npy", BANKS, "file"), "The bank's name, or a file of filters.")
    stride: tuple[int, int] = option((1, 1), Pair(), "Step between positions.")
    padding: Sides | str = option("same", Padding(), "Border of zeros around the input.")
    per_channel: bool = option(False, Flag(), "Filter each channel by itself instead of their mean.")

    def window(self, shape: Shape) -> Window:
        return place_window(self.padding, shape[:2], self.bank.kernel_size, self.stride, (1, 1))

    def repeats(self, shape: Shape) -> int:
        return shape[2] if self.per_channel else 1

    def output_shape(self, shape: Shape, *others: Shape) -> Shape:
        return *output_size(self.window(shape), shape[:2]), self.bank.outputs * self.repeats(shape)

    def buffer_shapes(self, shape: Shape) -> dict[str, tuple[int, ...]]:
        return {"weight": (*self.bank.kernel_size, 1, self.bank.count)}

    def macs(self, shape: Shape) -> int:
        height, width, _ = self.output_shape(shape)
        kh, kw = self.bank.kernel_size
        return height * width * kh * kw * self.bank.count * self.repeats(shape)

    def initial(self, shape: Shape, rng: np.random.Generator, rectified: bool) -> Arrays:
        return {"weight": self.bank.filters()[:, :, None, :]}

    def steps(self, shapes: list[Shape], arrays: Arrays) -> list[AnyStep]:
        import numpy as np

        shape, weight, repeats = shapes[0], arrays["weight"], self.repeats(shapes[0])
        steps: list[AnyStep] = []
        if repeats == 1 and shape[2] > 1:
            steps.append(matrix_step(shape, np.full((shape[2], 1), 1 / shape[2], np.float32)))
            shape = (*shape[:2], 1)
        window = self.window(shape)
        steps.append(Convolution(shape, window, np.tile(weight, (1, 1, 1, repeats)), None, repeats))
        if self.bank.reduce is not None:
            responses = (*output_size(window, shape[:2]), self.bank.count * repeats)
            steps.append(reduce_step(responses, self.bank.reduce, self.bank.count, repeats))
        return steps


def reduce_step(shape: Shape, reduction: Any, count: int, repeats: int) -> Windowed:
    """The step that joins each group of responses into one map, for each of the `repeats` channels' banks."""
    import numpy as np

    codes = {
        "max": kernels.pointwise.MAX,
        "absmax": kernels.pointwise.ABSOLUTE_MAX,
        "modulus": kernels.pointwise.MODULUS,
    }
    groups = [[bank * count + member for member in group] for bank in range(repeats) for group in reduction.groups]
    members = np.array([member for group in groups for member in group])
    starts = np.cumsum([0, *map(len, groups)])
    how = np.array([codes[name] for name in reduction.how] * repeats)

    def kernel(x, x_row, x_column, out, out_row, out_column, first, rows, columns):
        kernels.pointwise.channel_reduce_forward(
            x, x_row, x_column, out, out_row, out_column, rows, columns, members, starts, how
        )

    return Windowed(shape, (*shape[:2], len(groups)), Window(), kernel)
