"""Batch normalisation, local response normalisation, dropout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from cnntool import kernels
from cnntool.declare import Integer, Real, argument, option
from cnntool.layers.affine import Moments, affine_step
from cnntool.layers.base import Arrays, Layer
from cnntool.layers.geometry import Shape
from cnntool.layers.step import Adaptive, AnyStep, Parallel, PixelInPlace, Step

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Batch normalisation: gamma (x - mean) / sqrt(var + EPS) + beta for each channel (S. Ioffe, C. Szegedy 2015).

    Mean and variance are the running ones that training saved; without them, those of the present batch, over all its
    positions (variance divided by their number). gamma = sqrt(var + eps) and beta = mean give the input back. A bias
    before it has no effect. (Some texts divide by deviation + eps; this is the form of the usual libraries.)
    """

    word: ClassVar[str] = "batchnorm"

    eps: float = option(1e-5, Real(0.0), "Added to the variance.")
    momentum: float = option(0.1, Real(0.0, 1.0), "In training, the weight of the new batch in the running statistics.")

    def parameter_shapes(self, shape: Shape) -> dict[str, tuple[int, ...]]:
        return {"gamma": (shape[2],), "beta": (shape[2],)}

    def buffer_shapes(self, shape: Shape) -> dict[str, tuple[int, ...]]:
        return {"running_mean": (shape[2],), "running_var": (shape[2],)}

    def initial(self, shape: Shape, rng: np.random.Generator, rectified: bool) -> Arrays:
        import numpy as np

        return {"gamma": np.ones(shape[2], np.float32), "beta": np.zeros(shape[2], np.float32)}

    def steps(self, shapes: list[Shape], arrays: Arrays) -> list[AnyStep]:
        import numpy as np

        shape = shapes[0]

        def normalise(mean: np.ndarray, var: np.ndarray) -> list[Step]:
            scale = arrays["gamma"] / np.sqrt(np.asarray(var, np.float64) + self.eps)
            return [affine_step(shape, mean, scale, arrays["beta"])]

        if "running_mean" in arrays:
            return list(normalise(arrays["running_mean"], arrays["running_var"]))

        def resolve(batch: np.ndarray, parallel: Parallel) -> list[list[Step]]:
            moments = Moments(batch, parallel)
            return [normalise(moments.mean, moments.variance())] * len(batch)

        return [Adaptive(shape, shape, resolve)]


@dataclass(frozen=True)
class LocalResponseNorm(Layer):
    """Local response normalisation: x / (K + ALPHA / SIZE * sum of x^2 over SIZE neighbouring channels) ^ BETA.

    A. Krizhevsky et al. 2012, in PyTorch's and ONNX's form, where ALPHA is divided by SIZE.
    """

    word: ClassVar[str] = "lrn"

    size: int = option(5, Integer(1), "Number of neighbouring channels.")
    alpha: float = option(1e-4, Real(), "Weight of the sum of squares.")
    beta: float = option(0.75, Real(), "Exponent.")
    k: float = option(1.0, Real(), "Added to the sum.")

    def steps(self, shapes: list[Shape], arrays: Arrays) -> list[AnyStep]:
        import numpy as np

        constants = (np.float32(value) for value in (self.alpha, self.beta, self.k))
        return [PixelInPlace(shapes[0], kernels.normalisation.lrn_forward, self.size, *constants)]


@dataclass(frozen=True)
class Dropout(Layer):
    """Dropout: in training each value is dropped with probability P; otherwise everything passes as it is."""

    word: ClassVar[str] = "dropout"

    p: float = argument(Real(0.0, 1.0, open_above=True, metavar="P"), "Probability that a value is dropped.")

    def steps(self, shapes: list[Shape], arrays: Arrays) -> list[AnyStep]:
        return []
