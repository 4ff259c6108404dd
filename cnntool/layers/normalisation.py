"""Batch normalisation, local response normalisation, dropout."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from cnntool import kernels
from cnntool.declare import Integer, Real, argument, option
from cnntool.kernels import RANGE
from cnntool.late import np
from cnntool.layers.affine import AnyMoments, Moments, affine_step
from cnntool.layers.base import Arrays, Gradients, Layer, require
from cnntool.steps.geometry import Shape
from cnntool.steps.step import Adaptive, AnyStep, Parallel, PixelInPlace, Step

if TYPE_CHECKING:
    from cnntool.steps.training import Training


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Batch normalisation: gamma (x - mean) / sqrt(var + EPS) + beta for each channel (S. Ioffe, C. Szegedy 2015).

    Mean and variance are the running ones that training saved; without them, those of the present batch, over all its
    positions (variance divided by their number). gamma = sqrt(var + eps) and beta = mean give the input back. A bias
    before it has no effect. (Some texts divide by deviation + eps; this is the form of the usual libraries.)
    """

    word: ClassVar[str] = "batchnorm"
    transparent: ClassVar[bool] = True
    cost_kind: ClassVar[str] = "batch normalisation"
    takes_next: ClassVar[bool] = True
    keeps_channels: ClassVar[bool] = True

    eps: float = option(1e-5, Real(0.0), "Added to the variance.")
    momentum: float = option(0.1, Real(0.0, 1.0), "In training, the weight of the new batch in the running statistics.")

    def parameter_shapes(self, shape: Shape) -> dict[str, tuple[int, ...]]:
        return {"gamma": (shape[2],), "beta": (shape[2],)}

    def buffer_shapes(self, shape: Shape) -> dict[str, tuple[int, ...]]:
        return {"running_mean": (shape[2],), "running_var": (shape[2],)}

    @property
    def statistics(self) -> str:
        return "variance"

    def learn(self, moments: AnyMoments) -> Arrays:
        """The running statistics as in training; the running variance is unbiased."""
        unbiased = moments.count / max(1, moments.count - 1)
        return {"running_mean": moments.mean, "running_var": moments.variance() * unbiased}

    def initial(self, shape: Shape, rng: np.random.Generator, rectified: bool) -> Arrays:
        return {"gamma": np.ones(shape[2], np.float32), "beta": np.zeros(shape[2], np.float32)}

    def steps(self, shapes: list[Shape], arrays: Arrays) -> list[AnyStep]:
        shape = shapes[0]

        def normalise(mean: np.ndarray, var: np.ndarray) -> list[Step]:
            with np.errstate(divide="ignore"):  # zero variance without eps gives NaN
                scale = arrays["gamma"] / np.sqrt(np.asarray(var, np.float64) + self.eps)
            return [affine_step(shape, mean, scale, arrays["beta"])]

        if "running_mean" in arrays:
            return list(normalise(arrays["running_mean"], arrays["running_var"]))

        def resolve(batch: np.ndarray, parallel: Parallel) -> list[list[Step]]:
            moments = Moments(batch, parallel)
            return [normalise(moments.mean, moments.variance())] * len(batch)

        return [Adaptive(shape, shape, resolve, mixes=True)]

    def train(self, inputs: list[np.ndarray], arrays: Arrays, training: Training) -> tuple[np.ndarray, Any]:
        """Uses the statistics of the batch, and updates the running ones with its mean and unbiased variance.

        During the first steps these are plain averages of the batches, so that they describe the data after a few.
        """
        (x,) = inputs
        images, channels = len(x), x.shape[3]
        pixels = x.reshape(images, -1, channels)
        means, squares = (training.array(name, (images, channels), "float64") for name in ("means", "squares"))
        moments = kernels.batch_normalisation.batch_moments_forward
        training.over_images(images, moments.over(pixels, RANGE, means, squares))
        count, positions = images * pixels.shape[1], pixels.shape[1]
        require(
            count > 1,
            "one image at 1x1 gives one value a channel, which has no variance: expected two or more in training; give "
            "a larger --batch-size, or more images",
        )
        mean = means.mean(axis=0)
        total = squares.sum(axis=0) + positions * np.square(means - mean).sum(axis=0)  # T. Chan et al. 1979
        weight = max(self.momentum, 1 / (training.step + 1)) if self.momentum else 0.0
        for name, value, start in (("running_mean", mean, 0.0), ("running_var", total / (count - 1), 1.0)):
            old = arrays.get(name, np.float32(start))
            arrays[name] = ((1 - weight) * old + weight * value).astype(np.float32)
        inverse = 1 / np.sqrt(total / count + self.eps)
        center, scale = mean.astype(np.float32), (arrays["gamma"] * inverse).astype(np.float32)
        constants = center, scale, np.asarray(arrays["beta"], np.float32), np.float32(training.slope)
        batchnorm = kernels.batch_normalisation
        if training.halved:
            shape = images, x.shape[1] // 2, x.shape[2] // 2, channels
            out, index = training.array("output", shape), training.array("index", shape, "int32")
            training.over_images(images, batchnorm.batchnorm_maxpool_forward.over(x, RANGE, *constants, out, index))
            return out, (x, inverse, constants, index)
        out = training.array("output", x.shape)
        y = out.reshape(pixels.shape)
        training.over_images(images, batchnorm.batchnorm_forward.over(pixels, RANGE, *constants, y))
        return out, (x, inverse, constants, None)

    def gradient(self, d_output: np.ndarray, saved: Any, arrays: Arrays, training: Training) -> Gradients:
        x, inverse, constants, index = saved
        images, channels = len(x), x.shape[3]
        positions, flat = x.shape[1] * x.shape[2], (images, -1, channels)
        batchnorm = kernels.batch_normalisation
        if training.halved:
            collect, backward = batchnorm.batchnorm_maxpool_sums_backward, batchnorm.batchnorm_maxpool_backward
            given: tuple[np.ndarray, ...] = x, d_output, index
        else:
            collect, backward = batchnorm.batchnorm_sums_backward, batchnorm.batchnorm_backward
            given = x.reshape(flat), d_output.reshape(flat)
        sums, products = (training.array(name, (images, channels), "float64") for name in ("sums", "products"))
        training.over_images(images, collect.over(*given, RANGE, *constants, sums, products))
        d_beta, d_scale = sums.sum(axis=0), products.sum(axis=0)
        d_arrays = {"gamma": (d_scale * inverse).astype(np.float32), "beta": d_beta.astype(np.float32)}
        if not training.needs_input:
            return [None], d_arrays
        factor = arrays["gamma"] * inverse / (images * positions)
        d_mean, d_var = (factor * d_beta).astype(np.float32), (factor * d_scale * inverse**2).astype(np.float32)
        d_input = training.array("d_input", x.shape)
        d_x = d_input.reshape(given[0].shape)
        training.over_images(images, backward.over(*given, RANGE, *constants, d_mean, d_var, d_x))
        return [d_input], d_arrays


@dataclass(frozen=True)
class LocalResponseNorm(Layer):
    """Local response normalisation: x / (K + ALPHA / SIZE * sum of x^2 over SIZE neighbouring channels) ^ BETA.

    A. Krizhevsky et al. 2012, in PyTorch's and ONNX's form, where ALPHA is divided by SIZE.
    """

    word: ClassVar[str] = "lrn"
    transparent: ClassVar[bool] = True
    keeps_channels: ClassVar[bool] = True

    size: int = option(5, Integer(1, 65535), "Number of neighbouring channels.")
    alpha: float = option(1e-4, Real(), "Weight of the sum of squares.")
    beta: float = option(0.75, Real(), "Exponent.")
    k: float = option(1.0, Real(), "Added to the sum.")

    def steps(self, shapes: list[Shape], arrays: Arrays) -> list[AnyStep]:
        constants = (np.float32(value) for value in (self.alpha, self.beta, self.k))
        return [PixelInPlace(shapes[0], kernels.normalisation.lrn_forward, self.size, *constants)]

    def gradient(self, d_output: np.ndarray, saved: Any, arrays: Arrays, training: Training) -> Gradients:
        x, _ = saved
        d_input = training.array("d_input", x.shape)
        constants = [np.float32(value) for value in (self.alpha, self.beta, self.k)]
        backward = kernels.normalisation_backward.lrn_backward
        training.over_pixels(lambda *pieces: backward(*pieces, self.size, *constants), x, d_output, d_input)
        return [d_input], {}


@dataclass(frozen=True)
class Dropout(Layer):
    """Dropout: in training each value is dropped with probability P; otherwise everything passes as it is.

    What is left is divided by 1 - P in training, so that nothing changes afterwards (N. Srivastava et al. 2014).
    """

    word: ClassVar[str] = "dropout"
    kept: ClassVar[tuple[str, ...]] = ()
    transparent: ClassVar[bool] = True
    keeps_channels: ClassVar[bool] = True

    p: float = argument(Real(0.0, 1.0, open_above=True, metavar="P"), "Probability that a value is dropped.")

    def steps(self, shapes: list[Shape], arrays: Arrays) -> list[AnyStep]:
        return []

    def train(self, inputs: list[np.ndarray], arrays: Arrays, training: Training) -> tuple[np.ndarray, Any]:
        return self.dropped(inputs[0], "output", training), None

    def gradient(self, d_output: np.ndarray, saved: Any, arrays: Arrays, training: Training) -> Gradients:
        return [self.dropped(d_output, "d_input", training)], {}

    def kept_bytes(self, shape: Shape) -> int:
        return 4 * math.prod(shape)

    def dropped(self, x: np.ndarray, name: str, training: Training) -> np.ndarray:
        """Drops the same values forward and backward, determined by the step's seed."""
        out, forward = training.array(name, x.shape), kernels.normalisation_backward.dropout_forward
        flat, result, size = x.reshape(-1), out.reshape(-1), x.size // len(x)
        constants = size, training.seed, int(self.p * 2**32), np.float32(1 / (1 - self.p))
        training.over_images(len(x), forward.over(flat, RANGE, *constants, result))
        return out
