"""Activation functions, applied to each position."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from cnntool import kernels
from cnntool.declare import Flag, Real, option
from cnntool.late import np
from cnntool.layers.base import Arrays, Gradients, Layer
from cnntool.steps.geometry import Shape
from cnntool.steps.step import AnyStep, InPlace, Rectifier, period

if TYPE_CHECKING:
    from cnntool.steps.training import Training


class Activation(Layer):
    """Base of the activations; their kernels are called WORD_forward and WORD_backward."""

    keeps_channels: ClassVar[bool] = True

    def arguments(self) -> tuple[float, ...]:
        """The constants that the kernels take."""
        return ()

    @classmethod
    def kernel(cls, direction: str) -> Any:
        return getattr(kernels.activations, f"{cls.word.replace('-', '_')}_{direction}")

    def steps(self, shapes: list[Shape], arrays: Arrays) -> list[AnyStep]:
        constants = map(np.float32, self.arguments())
        return [InPlace(shapes[0], self.kernel("forward"), *constants)]

    def gradient(self, d_output: np.ndarray, saved: Any, arrays: Arrays, training: Training) -> Gradients:
        x, _ = saved
        backward = self.kernel("backward")
        d_input = training.array("d_input", x.shape)
        constants = list(map(np.float32, self.arguments()))
        training.over_numbers(lambda *pieces: backward(*pieces, *constants), x, d_output, d_input)
        return [d_input], {}


@dataclass(frozen=True)
class Relu(Activation):
    """Rectified linear unit: max(0, x)."""

    word: ClassVar[str] = "relu"
    kept: ClassVar[tuple[str, ...]] = ("output",)
    rectifies: ClassVar[bool] = True
    cost_kind: ClassVar[str] = "rectifier"

    @property
    def slope_below(self) -> float:
        return 0.0

    def steps(self, shapes: list[Shape], arrays: Arrays) -> list[AnyStep]:
        return [Rectifier(shapes[0], kernels.activations.relu_forward)]


@dataclass(frozen=True)
class LeakyRelu(Activation):
    """Leaky rectifier: x for x >= 0, SLOPE times x below, so that the gradient never vanishes."""

    word: ClassVar[str] = "leaky-relu"
    rectifies: ClassVar[bool] = True
    cost_kind: ClassVar[str] = "rectifier"

    slope: float = option(0.01, Real(), "The slope for x < 0.")

    @property
    def slope_below(self) -> float:
        return self.slope

    def arguments(self) -> tuple[float, ...]:
        return (self.slope,)


@dataclass(frozen=True)
class PRelu(Layer):
    """Parametric rectifier: x for x >= 0, ALPHA times x below, where ALPHA is trained (K. He et al. 2015)."""

    word: ClassVar[str] = "prelu"
    keeps_channels: ClassVar[bool] = True
    rectifies: ClassVar[bool] = True
    cost_kind: ClassVar[str] = "rectifier"

    alpha: float = option(0.25, Real(), "The slope that training starts from.")
    per_channel: bool = option(False, Flag(), "One slope a channel instead of one for all.")

    def parameter_shapes(self, shape: Shape) -> dict[str, tuple[int, ...]]:
        return {"alpha": (shape[2] if self.per_channel else 1,)}

    def initial(self, shape: Shape, rng: np.random.Generator, rectified: bool) -> Arrays:
        return {"alpha": np.full(self.parameter_shapes(shape)["alpha"], self.alpha, np.float32)}

    def steps(self, shapes: list[Shape], arrays: Arrays) -> list[AnyStep]:
        slopes = period(arrays["alpha"], shapes[0][2])
        return [InPlace(shapes[0], kernels.activations.prelu_forward, slopes)]

    def gradient(self, d_output: np.ndarray, saved: Any, arrays: Arrays, training: Training) -> Gradients:
        x, _ = saved
        d_input = training.array("d_input", x.shape)
        slopes = np.ascontiguousarray(np.broadcast_to(arrays["alpha"], x.shape[3]), np.float32)

        def piece(x: np.ndarray, d_output: np.ndarray, d_input: np.ndarray) -> np.ndarray:
            d_slopes = np.zeros(len(slopes))
            kernels.activations.prelu_backward(x, d_output, d_input, slopes, d_slopes)
            return d_slopes

        d_slopes = np.sum(training.over_pixels(piece, x, d_output, d_input), axis=0)
        d_alpha = d_slopes if self.per_channel else d_slopes.sum(keepdims=True)
        return [d_input], {"alpha": d_alpha.astype(np.float32)}


@dataclass(frozen=True)
class Sigmoid(Activation):
    """Sigmoid: 1 / (1 + exp(-x)), between 0 and 1."""

    word: ClassVar[str] = "sigmoid"
    kept: ClassVar[tuple[str, ...]] = ("output",)


@dataclass(frozen=True)
class Tanh(Activation):
    """Hyperbolic tangent, between -1 and 1 and centred at zero."""

    word: ClassVar[str] = "tanh"
    kept: ClassVar[tuple[str, ...]] = ("output",)


@dataclass(frozen=True)
class Elu(Activation):
    """Exponential linear unit: x for x >= 0, ALPHA (exp(x) - 1) below (D.-A. Clevert et al. 2015)."""

    word: ClassVar[str] = "elu"
    rectifies: ClassVar[bool] = True
    cost_kind: ClassVar[str] = "rectifier"

    alpha: float = option(1.0, Real(), "Minus the value far below zero.")

    def arguments(self) -> tuple[float, ...]:
        return (self.alpha,)


@dataclass(frozen=True)
class Gelu(Activation):
    """Gaussian error linear unit: x times the normal distribution function of x (exact, not the tanh form)."""

    word: ClassVar[str] = "gelu"
    rectifies: ClassVar[bool] = True
    cost_kind: ClassVar[str] = "rectifier"


@dataclass(frozen=True)
class Silu(Activation):
    """Sigmoid linear unit, also called swish: x / (1 + exp(-x))."""

    word: ClassVar[str] = "silu"
    rectifies: ClassVar[bool] = True


@dataclass(frozen=True)
class Softplus(Activation):
    """Softplus, a smooth rectifier: log(1 + exp(x))."""

    word: ClassVar[str] = "softplus"
    rectifies: ClassVar[bool] = True


@dataclass(frozen=True)
class HardSigmoid(Activation):
    """Sigmoid of straight lines: min(max(x + 3, 0), 6) / 6."""

    word: ClassVar[str] = "hard-sigmoid"


@dataclass(frozen=True)
class HardSwish(Activation):
    """x times the hard sigmoid of x (A. Howard et al. 2019)."""

    word: ClassVar[str] = "hard-swish"
    rectifies: ClassVar[bool] = True


@dataclass(frozen=True)
class Abs(Activation):
    """Absolute value |x|: both signs of a filter's response count alike."""

    word: ClassVar[str] = "abs"
