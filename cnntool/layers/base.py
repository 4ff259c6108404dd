"""What every layer declares, once: its fields, shapes, parameters, cost, window, and the steps that compute it.

From one class come the shell's word and help, the shape calculator's row, JSON, saved models, documentation and tests.
A layer imports neither numpy nor kernels before it is asked to compute.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar

from cnntool.declare import File, Nested, fields_of, words_of
from cnntool.errors import CnntoolError
from cnntool.steps.geometry import POINT, Shape, Window

if TYPE_CHECKING:
    import numpy as np

    from cnntool.steps.step import AnyStep
    from cnntool.steps.training import Training

Arrays = dict[str, "np.ndarray"]


class Layer:
    """Base of the layers, which are frozen dataclasses. A shape is (height, width, channels)."""

    word: ClassVar[str]
    rectifies: ClassVar[bool] = False  # what stands before it is initialised for a rectifier
    cost_kind: ClassVar[str] = ""  # what other tools count it as: a convolution, a rectifier ...
    transparent: ClassVar[bool] = False  # a rectifier behind it counts for what stands before it
    takes_rectifier: ClassVar[bool] = False  # in training, it computes a rectifier that follows it as well
    gives_probabilities: ClassVar[bool] = False  # as the softmax in the loss does, which takes its place in training

    def output_shape(self, shape: Shape, *others: Shape) -> Shape:
        """The shape that comes out; a CnntoolError where the input cannot be taken."""
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

    def window(self, shape: Shape) -> Window:
        """What one output position sees of the input, for the arithmetic of receptive fields."""
        return POINT

    def initial(self, shape: Shape, rng: np.random.Generator, rectified: bool) -> Arrays:
        """Values for the parameters, and for the buffers that do not come from data."""
        return {}

    def steps(self, shapes: list[Shape], arrays: Arrays) -> list[AnyStep]:
        """How to compute the layer for inputs of these shapes with these parameters and buffers."""
        raise NotImplementedError

    def train(self, inputs: list[np.ndarray], arrays: Arrays, training: Training) -> tuple[np.ndarray, Any]:
        """The output for batches N x H x W x C, and what `gradient` needs to know of this pass.

        Buffers that follow the data, such as running averages, are put into `arrays`.
        """
        from cnntool.layers.whole_images import run_steps

        output = run_steps(self.steps([x.shape[1:] for x in inputs], arrays), inputs, training)
        return output, (inputs[0], output)

    def gradient(
        self, d_output: np.ndarray, saved: Any, arrays: Arrays, training: Training
    ) -> tuple[list[np.ndarray | None], Arrays]:
        """Of the loss, by each input (None where `training` does not need it) and by each trainable array."""
        raise CnntoolError(f"{self.word} has no gradient: it cannot be trained through")

    @property
    def slope_below(self) -> float | None:
        """The slope below zero of a layer that is a rectifier and nothing else; None for all others."""
        return None

    @property
    def joins(self) -> str | None:
        """The mark of the second volume that the layer takes in, if it takes one."""
        return None

    @property
    def statistics(self) -> str:
        """Which moments of the input's channels its buffers come from: `mean`, `variance`, `covariance` or none.

        Without these buffers the layer takes the moments of what it is given to compute.
        """
        return ""

    @property
    def needs_data(self) -> str:
        """Why the layer can compute nothing before `fit` has found its arrays; empty for most, which can."""
        return ""

    def without_files(self) -> Layer:
        """The same layer for a model, which holds the arrays of the files that it names."""
        files = {field.name: None for field in fields_of(self) if isinstance(field.metadata["kind"], File)}
        return dataclasses.replace(self, **files) if files else self  # type: ignore[type-var]

    def options(self) -> dict[str, Any]:
        """The hyperparameters as JSON knows them."""
        return options_of(self)

    def words(self) -> list[str]:
        """The words that make this layer."""
        return [self.word, *words_of(self)]


def options_of(declared: Any) -> dict[str, Any]:
    """The fields of a layer or a bank as JSON knows them; a bank's own join its layer's."""
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
