"""Convolution with a bank of fixed filters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from cnntool import kernels
from cnntool.banks.base import FilterBank
from cnntool.banks.learned import KMeans, Learned
from cnntool.banks.table import BANKS, LEARNED
from cnntool.declare import Choice, Flag, Nested, Padding, Pair, argument, option
from cnntool.kernels.arguments import Corner, Sides, Size, Window
from cnntool.late import np
from cnntool.layers.base import Arrays, Gradients, Layer, require
from cnntool.layers.convolution import matrix_step
from cnntool.layers.learned import learned_convolution, learned_steps
from cnntool.limits import check_memory
from cnntool.steps import borders
from cnntool.steps.geometry import Shape, output_size, place_window
from cnntool.steps.step import AnyStep, Band, Call, Convolution, Windowed

if TYPE_CHECKING:
    from cnntool.steps.training import Training


@dataclass(frozen=True)
class Bank(Layer):
    """A bank of fixed filters, such as Gabor's, or the filters of a .npy file (height x width x number).

    Several channels are averaged first; with --per-channel each goes through the whole bank by itself, and the maps of
    the first channel come first.
    """

    word: ClassVar[str] = "bank"
    kept: ClassVar[tuple[str, ...]] = ()

    bank: FilterBank = argument(
        Nested("NAME|FILE.npy", BANKS | LEARNED, "file"), "The bank's name, or a file of filters."
    )
    stride: tuple[int, int] = option((1, 1), Pair(), "Step between positions.")
    padding: Sides | str | None = option(
        None, Padding(), "Border around the input: `same` when not given, of a learned bank `valid`."
    )
    border: str | None = option(
        None, Choice(*borders.MODES), f"{borders.HELP} `reflect` when not given, of a learned bank `zero`."
    )
    per_channel: bool = option(False, Flag(), "Filter each channel by itself instead of their mean.")

    def __post_init__(self) -> None:
        require(
            not (self.per_channel and isinstance(self.bank, Learned)),
            "--per-channel: learned filters go through all channels; expected a fixed bank",
        )

    @property
    def needs_data(self) -> str:
        return self.bank.needs_data

    def options(self) -> dict[str, Any]:
        return super().options() | {"padding": self.padding or self.bank.padding, "border": self.mode}

    @property
    def mode(self) -> str:
        """The border; of filters without a mean, one of zeros would make edges answer that no image has."""
        return self.border or (borders.ZERO if isinstance(self.bank, Learned) else borders.REFLECT)

    def without_files(self) -> Bank:
        return replace(self, bank=self.bank.without_files())

    def window(self, shape: Shape) -> Window:
        return place_window(self.padding or self.bank.padding, shape[:2], self.bank.kernel_size, self.stride, (1, 1))

    def repeats(self, shape: Shape) -> int:
        return shape[2] if self.per_channel else 1

    def output_shape(self, shape: Shape, *others: Shape) -> Shape:
        if isinstance(self.bank, Learned):
            self.bank.patch_length(shape[2])
        return *output_size(self.window(shape), shape[:2]), self.bank.outputs * self.repeats(shape)

    def buffer_shapes(self, shape: Shape) -> dict[str, tuple[int, ...]]:
        if isinstance(self.bank, Learned):
            return self.bank.buffer_shapes(shape[2])
        return {"weight": (*self.bank.kernel_size, 1, self.bank.count)}

    def map_names(self, shape: Shape, names: list[str]) -> list[str]:
        names = self.bank.map_names()
        repeats = self.repeats(shape)
        return names if repeats == 1 else [f"{name} c{channel}" for channel in range(repeats) for name in names]

    def map_places(self, shape: Shape) -> list[tuple[int, int]] | None:
        places = self.bank.map_places()
        if places is None:
            return None
        down = 1 + max(row for row, _ in places)
        return [(channel * down + row, column) for channel in range(self.repeats(shape)) for row, column in places]

    def macs(self, shape: Shape) -> int:
        height, width, _ = self.output_shape(shape)
        if isinstance(self.bank, Learned):
            return height * width * self.bank.macs(shape[2])
        kh, kw = self.bank.kernel_size
        return height * width * kh * kw * self.bank.count * self.repeats(shape)

    def initial(self, shape: Shape, rng: np.random.Generator, rectified: bool) -> Arrays:
        return {"weight": self.bank.filters()[:, :, None, :]}

    def steps(self, shapes: list[Shape], arrays: Arrays) -> list[AnyStep]:
        if isinstance(self.bank, Learned):
            before, shape, window = borders.with_border(shapes[0], self.window(shapes[0]), self.mode)
            return [*before, *learned_steps(self.bank, shape, window, arrays)]
        shape, repeats = shapes[0], self.repeats(shapes[0])
        steps: list[AnyStep] = []
        if self.takes_mean(shape):
            steps.append(matrix_step(shape, np.full((shape[2], 1), 1 / shape[2], np.float32)))
        filtered = (*shape[:2], repeats)
        before, filtered, window = borders.with_border(filtered, self.window(shape), self.mode)
        convolution = self.convolution(filtered, window, arrays)
        steps += [*before, convolution]
        if self.bank.reduce is not None:
            steps.append(reduce_step(convolution.output_shape, self.bank.reduce, self.bank.count, repeats))
        return steps

    def takes_mean(self, shape: Shape) -> bool:
        return not self.per_channel and shape[2] > 1

    def convolution(self, shape: Shape, window: Window, arrays: Arrays) -> Convolution:
        """Of fixed filters with the mean of the channels, or with each channel: as many as `shape` has."""
        weight, repeats = arrays["weight"], shape[2]
        check_memory(weight.size * repeats, "the filters, once for each channel,")
        return Convolution(shape, window, np.tile(weight, (1, 1, 1, repeats)), None, repeats)

    def gradient(self, d_output: np.ndarray, saved: Any, arrays: Arrays, training: Training) -> Gradients:
        """The filters are fixed: only the input has a gradient."""
        from cnntool.algorithms.batches import convolved, input_gradient

        x, output = saved
        shape = x.shape[1:]
        if not training.needs_input:
            return [None], {}
        require(
            not isinstance(self.bank, KMeans), "distances to centroids have no gradient: train only layers behind it"
        )
        mean, window = self.takes_mean(shape) and not isinstance(self.bank, Learned), self.window(shape)
        filtered = np.mean(x, axis=3, keepdims=True) if mean else x
        filtered, inner = borders.batch_with_border(filtered, window, self.mode)
        make = learned_convolution if isinstance(self.bank, Learned) else self.convolution
        convolution = make(filtered.shape[1:], inner, arrays)
        if self.bank.reduce is not None:
            responses = convolved(filtered, convolution, training, "responses")
            groups, how = members_of(self.bank.reduce, self.bank.count, self.repeats(shape))
            d_output = reduce_gradient(d_output, responses, output, groups, how)
        d_input = borders.gradient_without_border(input_gradient(d_output, convolution, training), window, self.mode)
        return [np.repeat(d_input / shape[2], shape[2], axis=3) if mean else d_input], {}


def members_of(reduction: Any, count: int, repeats: int) -> tuple[list[list[int]], list[str]]:
    """The responses reduced to each map, and how, repeated for `repeats` channels."""
    groups = [[bank * count + member for member in group] for bank in range(repeats) for group in reduction.groups]
    return groups, list(reduction.how) * repeats


def reduce_gradient(
    d_output: np.ndarray, responses: np.ndarray, output: np.ndarray, groups: list[list[int]], how: list[str]
) -> np.ndarray:
    """A maximum passes its gradient to the largest response; a length distributes it by response / length."""
    d_responses = np.zeros_like(responses)
    for map_index, (group, name) in enumerate(zip(groups, how, strict=True)):
        values, d = responses[..., group], d_output[..., map_index, None]
        if name == "modulus":
            length = output[..., map_index, None]
            shares = np.divide(values, length, out=np.zeros_like(values), where=length != 0)
        else:
            largest = np.argmax(np.abs(values) if name == "absmax" else values, axis=-1)[..., None]
            shares = np.zeros_like(values)
            sign = np.sign(np.take_along_axis(values, largest, -1)) if name == "absmax" else np.float32(1)
            np.put_along_axis(shares, largest, sign, -1)
        d_responses[..., group] += d * shares
    return d_responses


def reduce_step(shape: Shape, reduction: Any, count: int, repeats: int) -> Windowed:
    """The step that reduces each group of responses to one map."""
    codes = {
        "max": kernels.pointwise.MAX,
        "absmax": kernels.pointwise.ABSOLUTE_MAX,
        "modulus": kernels.pointwise.MODULUS,
    }
    groups, names = members_of(reduction, count, repeats)
    members = np.array([member for group in groups for member in group])
    starts = np.cumsum([0, *map(len, groups)])
    how = np.array([codes[name] for name in names])

    def calls(source: Corner, target: Corner, band: Band) -> list[Call]:
        where = source, target, Size(band.rows, shape[1])
        return [(kernels.pointwise.channel_reduce_forward, (*where, members, starts, how))]

    return Windowed(shape, (*shape[:2], len(groups)), Window(), calls)
