"""Branches: `mark` names a volume, `from` continues from it, `add` and `concat` join it.

`mark` and `from` only shape the graph: they compute nothing and have no row in a summary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from cnntool import kernels
from cnntool.declare import Text, argument
from cnntool.late import np
from cnntool.layers.base import Arrays, Gradients, Layer, require
from cnntool.steps.geometry import Shape
from cnntool.steps.step import Added, AnyStep, Joined

if TYPE_CHECKING:
    from cnntool.steps.training import Training

NAME = Text("NAME")


@dataclass(frozen=True)
class Mark(Layer):
    """Give the present volume a name, for `from`, `add` and `concat`. A later mark of the same name takes its place."""

    word: ClassVar[str] = "mark"
    name: str = argument(NAME, "The name.")


@dataclass(frozen=True)
class From(Layer):
    """Go on from the volume of that name instead of the present one."""

    word: ClassVar[str] = "from"
    name: str = argument(NAME, "A name given by `mark`.")


class Join(Layer):
    """Base of the layers with a second, marked input."""

    kept: ClassVar[tuple[str, ...]] = ()
    passes_gradient: ClassVar[bool] = True
    name: str

    @property
    def joins(self) -> str | None:
        return self.name


@dataclass(frozen=True)
class Add(Join):
    """Add the marked volume to the present one; the shapes must be equal (a residual connection)."""

    word: ClassVar[str] = "add"
    transparent: ClassVar[bool] = True
    keeps_channels: ClassVar[bool] = True
    name: str = argument(NAME, "A name given by `mark`.")

    def output_shape(self, shape: Shape, *others: Shape) -> Shape:
        require(
            shape == others[0],
            f"the present volume is {text(shape)} and `{self.name}` is {text(others[0])}: expected equal shapes",
        )
        return shape

    def steps(self, shapes: list[Shape], arrays: Arrays) -> list[AnyStep]:
        return [Added(shapes[0], shapes[0], kernels.pointwise.add_forward)]

    def gradient(self, d_output: np.ndarray, saved: Any, arrays: Arrays, training: Training) -> Gradients:
        return [d_output, d_output], {}


@dataclass(frozen=True)
class Concat(Join):
    """Put the channels of the marked volume behind the present ones; heights and widths must be equal."""

    word: ClassVar[str] = "concat"
    name: str = argument(NAME, "A name given by `mark`.")

    def output_shape(self, shape: Shape, *others: Shape) -> Shape:
        require(
            shape[:2] == others[0][:2],
            f"the present volume is {text(shape)} and `{self.name}` is {text(others[0])}: "
            "expected equal heights and widths",
        )
        return *shape[:2], shape[2] + others[0][2]

    def steps(self, shapes: list[Shape], arrays: Arrays) -> list[AnyStep]:
        return [Joined(shapes[0], self.output_shape(*shapes), kernels.pointwise.copy_forward, shapes[0][2])]

    def gradient(self, d_output: np.ndarray, saved: Any, arrays: Arrays, training: Training) -> Gradients:
        channels = saved[0].shape[3]
        return [np.ascontiguousarray(part) for part in (d_output[..., :channels], d_output[..., channels:])], {}


def text(shape: Shape) -> str:
    return "x".join(map(str, shape))
