"""What every layer declares, once: its fields, shapes, parameters, cost, window, and the steps that compute it.

Command line, help, shape calculator, JSON, saved models, documentation and tests are derived from the class. A layer
imports neither numpy nor kernels before it computes.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING, Any, ClassVar

from cnntool.declare import File, Nested, fields_of, words_of
from cnntool.errors import CnntoolError
from cnntool.kernels.arguments import POINT, Window
from cnntool.steps.geometry import Shape

if TYPE_CHECKING:
    import numpy as np

    from cnntool.steps.step import AnyStep
    from cnntool.steps.training import Training

Arrays = dict[str, "np.ndarray"]
Gradients = tuple[list["np.ndarray | None"], Arrays]
"""Those of a layer's inputs, and those of its arrays by their names."""


def by_position(names: list[str], shape: Shape) -> list[str]:
    """One name a number of a volume whose channels have these names, in the order height, width, channels."""
    height, width, _ = shape
    if height == width == 1:
        return names
    return [f"{name} y{y} x{x}" for y, x in itertools.product(range(height), range(width)) for name in names]


class Layer:
    """Base of the layers, which are frozen dataclasses. A shape is (height, width, channels)."""

    word: ClassVar[str]
    rectifies: ClassVar[bool] = False  # what stands before it is initialised for a rectifier
    cost_kind: ClassVar[str] = ""  # what other tools count it as: a convolution, a rectifier ...
    transparent: ClassVar[bool] = False  # a rectifier behind it counts for what stands before it
    takes_next: ClassVar[bool] = False  # in training, it computes a rectifier and a halving that follow it as well
    gives_probabilities: ClassVar[bool] = False  # as the softmax in the loss does, which takes its place in training

    pads_half_at_most: ClassVar[bool] = False  # whether padding in numbers is at most half of the window
    kept: ClassVar[tuple[str, ...]] = ("input",)  # what PyTorch keeps for the gradient: input, output or neither
    passes_gradient: ClassVar[bool] = False  # whether the gradient of the output is that of the inputs, uncopied
    reshapes: ClassVar[bool] = False  # whether the output is the input's memory in another shape
    keeps_channels: ClassVar[bool] = False  # whether channel k of the output is still that of the input

    def output_shape(self, shape: Shape, *others: Shape) -> Shape:
        """The output shape; a CnntoolError if the input does not fit."""
        return shape

    def parameter_shapes(self, shape: Shape) -> dict[str, tuple[int, ...]]:
        """The trainable arrays."""
        return {}

    def buffer_shapes(self, shape: Shape) -> dict[str, tuple[int, ...]]:
        """The arrays that are saved but not trained: statistics, fixed filters."""
        return {}

    def macs(self, shape: Shape) -> int:
        """Multiply-adds of convolutions and fully connected layers for one image."""
        return 0

    def kept_bytes(self, shape: Shape) -> int:
        """Bytes that PyTorch keeps of an image for the gradient besides: places of maxima, masks."""
        return 0

    def window(self, shape: Shape) -> Window:
        """The window of one output position on the input, for receptive fields."""
        return POINT

    def initial(self, shape: Shape, rng: np.random.Generator, rectified: bool) -> Arrays:
        """Initial values of parameters, and of buffers that do not come from data."""
        return {}

    def steps(self, shapes: list[Shape], arrays: Arrays) -> list[AnyStep]:
        """The steps that compute the layer for inputs of these shapes, with these parameters and buffers."""
        raise NotImplementedError

    def train(self, inputs: list[np.ndarray], arrays: Arrays, training: Training) -> tuple[np.ndarray, Any]:
        """The output for batches N x H x W x C, and what `gradient` needs from this pass.

        Updates running statistics in `arrays`.
        """
        from cnntool.layers.whole_images import run_steps

        output = run_steps(self.steps([x.shape[1:] for x in inputs], arrays), inputs, training)
        return output, (inputs[0], output)

    def gradient(self, d_output: np.ndarray, saved: Any, arrays: Arrays, training: Training) -> Gradients:
        """Gradients of the loss by each input (None if `training` does not need it) and by each trainable array."""
        raise CnntoolError(f"{self.word} has no gradient: it cannot be trained through")

    @property
    def slope_below(self) -> float | None:
        """The slope below zero of a layer that is a rectifier and nothing else; None for all others."""
        return None

    def halves(self, shape: Shape) -> bool:
        """Whether the layer is the maximum of each 2x2 pixels and nothing else."""
        return False

    @property
    def joins(self) -> str | None:
        """The mark of the layer's second input, if it has one."""
        return None

    @property
    def statistics(self) -> str:
        """The moments of the input's channels that determine the buffers: `mean`, `variance`, `covariance` or none.

        Without these buffers the layer uses the moments of its input.
        """
        return ""

    @property
    def needs_data(self) -> str:
        """Why the layer cannot be computed before `fit`; empty if it can."""
        return ""

    def map_names(self, shape: Shape, names: list[str]) -> list[str]:
        """One short name a channel of the output, or none; `names`: those of the input's channels, if they have any."""
        return []

    def map_places(self, shape: Shape) -> list[tuple[int, int]] | None:
        """Row and column of each channel in a grid that shows how they differ; None where they are a mere list."""
        return None

    def without_files(self) -> Layer:
        """The layer for a saved model, which holds the arrays of its files."""
        files = {field.name: None for field in fields_of(self) if isinstance(field.metadata["kind"], File)}
        return dataclasses.replace(self, **files) if files else self  # type: ignore[type-var]

    def options(self) -> dict[str, Any]:
        """The hyperparameters as JSON values."""
        return options_of(self)

    def words(self) -> list[str]:
        """The words that make this layer."""
        return [self.word, *words_of(self)]


def options_of(declared: Any) -> dict[str, Any]:
    """The fields of a layer or a bank as JSON values; a bank's fields are merged into its layer's."""
    found: dict[str, Any] = {}
    for field in fields_of(declared):
        value = getattr(declared, field.name)
        if isinstance(field.metadata["kind"], Nested):
            found[field.name] = field.metadata["kind"].name_of(value)
            found |= options_of(value)
        else:
            found[field.name] = list(value) if isinstance(value, tuple) else value
    return found


def require(condition: bool, message: str) -> None:
    if not condition:
        raise CnntoolError(message)
