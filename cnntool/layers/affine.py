"""Centring, standardising, whitening and decorrelating: x W + b at every pixel, with W and b learned from data.

Without saved statistics, each image is transformed by its own. Directions without variance are scaled by zero instead
of infinity; the threshold is relative to the largest variance, and to the resolution of float32 at the mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from cnntool import kernels
from cnntool.declare import Choice, Real, argument, option
from cnntool.late import np
from cnntool.layers.base import Arrays, Gradients, Layer
from cnntool.layers.convolution import matrix_step
from cnntool.steps.geometry import Shape
from cnntool.steps.step import Adaptive, Affine, AnyStep, Parallel, Step, one_after_another, row_blocks

if TYPE_CHECKING:
    from cnntool.steps.training import Training

RELATIVE_EPS = 1e-8
SMALLEST_DEVIATION = 2.0**-126  # below it float32 has no normal numbers, and none for the scale
ROUNDING = 1e-14  # the square of float32's relative resolution: a smaller variance is rounding of the mean


class FromData(Layer):
    """Base of the layers whose arrays are statistics of their input: `learn` computes them, `apply` uses them."""

    kept: ClassVar[tuple[str, ...]] = ()
    moments: ClassVar[str]

    @property
    def statistics(self) -> str:
        return self.moments

    def learn(self, moments: AnyMoments) -> Arrays:
        raise NotImplementedError

    def apply(self, shape: Shape, arrays: Arrays) -> list[Step]:
        raise NotImplementedError

    def steps(self, shapes: list[Shape], arrays: Arrays) -> list[AnyStep]:
        shape = shapes[0]
        if all(name in arrays for name in self.buffer_shapes(shape)):
            return list(self.apply(shape, arrays))

        def resolve(batch: np.ndarray, parallel: Parallel) -> list[list[Step]]:
            return [self.apply(shape, self.learn(Moments(image[None], parallel))) for image in batch]

        return [Adaptive(shape, self.output_shape(shape), resolve)]

    def linear(self, shape: Shape, arrays: Arrays) -> np.ndarray:
        """The linear part: a factor for each channel, or a matrix (in, out)."""
        return arrays["matrix"]

    def gradient(self, d_output: np.ndarray, saved: Any, arrays: Arrays, training: Training) -> Gradients:
        """Treats the statistics as constants, whether saved or of each image."""
        x, _ = saved
        if not training.needs_input:
            return [None], {}
        shape, d_input = x.shape[1:], training.array("d_input", x.shape)
        fixed = all(name in arrays for name in self.buffer_shapes(shape))

        def image(n: int) -> None:
            own = arrays if fixed else self.learn(Moments(x[n : n + 1], one_after_another))
            linear = np.asarray(self.linear(shape, own), np.float32)
            d_input[n] = d_output[n] * linear if linear.ndim == 1 else d_output[n] @ linear.T

        training.parallel(image, range(len(x)))
        return [d_input], {}


class AnyMoments(Protocol):
    """Mean, variance and covariance of the channels of some data, in float64."""

    mean: np.ndarray
    count: int

    def variance(self) -> np.ndarray: ...
    def covariance(self) -> np.ndarray: ...


class Moments:
    """Means, variances and covariance of the channels of a batch, in float64, over all its positions."""

    def __init__(self, batch: np.ndarray, parallel: Parallel) -> None:
        self.batch, self.parallel = batch, parallel
        self.count = batch.shape[0] * batch.shape[1] * batch.shape[2]
        channels = batch.shape[3]
        self.mean = self._sum(kernels.statistics.channel_sums_forward, (channels,)) / self.count

    def variance(self) -> np.ndarray:
        return self._sum(kernels.statistics.channel_squares_forward, self.mean.shape, self.mean) / self.count

    def covariance(self) -> np.ndarray:
        channels = len(self.mean)
        products = self._sum(kernels.statistics.channel_products_forward, (channels, channels), self.mean)
        return products / self.count

    def _sum(self, forward: Any, shape: tuple[int, ...], *mean: np.ndarray) -> np.ndarray:
        def piece(task: tuple[int, tuple[int, int]]) -> np.ndarray:
            image, (first, last) = task
            out = np.zeros(shape)
            forward(self.batch[image], first, last, *mean, out)
            return out

        blocks = row_blocks(self.batch.shape[1])
        pieces = self.parallel(piece, [(image, block) for image in range(len(self.batch)) for block in blocks])
        with np.errstate(invalid="ignore"):  # of both infinities
            return np.sum(pieces, axis=0)


def inverse_deviation(variance: np.ndarray, mean: np.ndarray, eps: float = RELATIVE_EPS) -> np.ndarray:
    """1 / sqrt(variance + eps * largest variance), zero for channels without variance."""
    largest = variance.max(initial=0.0)
    floor = np.maximum(RELATIVE_EPS * largest, ROUNDING * np.square(mean).max(initial=0.0))
    # not `variance > floor`, to propagate NaN
    return np.where(variance <= floor, 0.0, 1 / np.sqrt(np.where(variance <= floor, 1.0, variance + eps * largest)))


def principal_axes(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variances and axes (columns) by decreasing variance; the largest component of each axis is positive."""
    if not np.isfinite(covariance).all():
        return np.full(len(covariance), np.nan), np.full_like(covariance, np.nan)
    variances, axes = np.linalg.eigh(covariance)
    variances, axes = np.maximum(variances[::-1], 0), axes[:, ::-1]
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(len(axes))]
    return variances, axes * np.sign(largest)


def affine_step(shape: Shape, mean: Any = 0.0, scale: Any = 1.0, shift: Any = 0.0) -> Affine:
    """(x - mean) * scale + shift, each one value a channel or one for all."""
    values = (np.broadcast_to(np.asarray(value, np.float64), shape[2]) for value in (mean, scale, shift))
    return Affine(shape, kernels.pointwise.affine_forward, *values)


@dataclass(frozen=True)
class Center(FromData):
    """Subtract the mean of each channel, so that the data lie around zero."""

    word: ClassVar[str] = "center"
    keeps_channels: ClassVar[bool] = True
    moments: ClassVar[str] = "mean"

    def buffer_shapes(self, shape: Shape) -> dict[str, tuple[int, ...]]:
        return {"mean": (shape[2],)}

    def learn(self, moments: AnyMoments) -> Arrays:
        return {"mean": moments.mean}

    def apply(self, shape: Shape, arrays: Arrays) -> list[Step]:
        return [affine_step(shape, arrays["mean"])]

    def linear(self, shape: Shape, arrays: Arrays) -> np.ndarray:
        return np.ones(shape[2])


@dataclass(frozen=True)
class Standardize(FromData):
    """Subtract the mean and divide by the standard deviation of each channel, so that all count alike.

    A constant channel becomes zero; so does one whose deviation is a denormal number of float32.
    """

    word: ClassVar[str] = "standardize"
    keeps_channels: ClassVar[bool] = True
    moments: ClassVar[str] = "variance"

    def buffer_shapes(self, shape: Shape) -> dict[str, tuple[int, ...]]:
        return {"mean": (shape[2],), "scale": (shape[2],)}

    def learn(self, moments: AnyMoments) -> Arrays:
        variance = moments.variance()
        flat = variance <= np.maximum(ROUNDING * np.square(moments.mean), np.square(SMALLEST_DEVIATION))
        return {"mean": moments.mean, "scale": np.where(flat, 0.0, 1 / np.sqrt(np.where(flat, 1.0, variance)))}

    def apply(self, shape: Shape, arrays: Arrays) -> list[Step]:
        return [affine_step(shape, arrays["mean"], arrays["scale"])]

    def linear(self, shape: Shape, arrays: Arrays) -> np.ndarray:
        return arrays["scale"]


@dataclass(frozen=True)
class Whiten(FromData):
    """Whitening: centred, of unit variance and, but for `std`, without correlation between the channels.

    std: (x - mean) / deviation of each channel. pca: the principal axes, each of unit variance. zca: pca turned back,
    the whitened channels that are nearest to the given ones. EPS times the largest variance (of the covariance
    matrix's eigenvalues for pca and zca) is added to each, so that a larger EPS amplifies noise less. Directions
    without variance, less than 1e-8 of the largest, become zero.
    """

    word: ClassVar[str] = "whiten"

    how: str = argument(Choice("std", "pca", "zca"), "The kind of whitening.", default="zca")
    eps: float = option(RELATIVE_EPS, Real(0.0), "Added to the variances, as a share of the largest.")

    @property
    def statistics(self) -> str:
        return "variance" if self.how == "std" else "covariance"

    def buffer_shapes(self, shape: Shape) -> dict[str, tuple[int, ...]]:
        channels = shape[2]
        return {"mean": (channels,), "matrix": (channels, channels)}

    def learn(self, moments: AnyMoments) -> Arrays:
        if self.how == "std":
            return {
                "mean": moments.mean,
                "matrix": np.diag(inverse_deviation(moments.variance(), moments.mean, self.eps)),
            }
        variances, axes = principal_axes(moments.covariance())
        matrix = axes * inverse_deviation(variances, moments.mean, self.eps)
        return {"mean": moments.mean, "matrix": matrix if self.how == "pca" else matrix @ axes.T}

    def apply(self, shape: Shape, arrays: Arrays) -> list[Step]:
        if self.how == "std":
            return [affine_step(shape, arrays["mean"], np.diag(arrays["matrix"]))]
        return [affine_step(shape, arrays["mean"]), matrix_step(shape, np.asarray(arrays["matrix"], np.float32))]


@dataclass(frozen=True)
class Decorrelate(FromData):
    """Decorrelation: two channels A, B become (A + B) / 2 and A - B; more become their principal axes, centred.

    The axes come by decreasing variance; the largest component of each is positive. Mean and difference of two channels
    are uncorrelated if both vary equally: write `standardize decorrelate`, above all where their scales differ.
    """

    word: ClassVar[str] = "decorrelate"
    moments: ClassVar[str] = "covariance"

    def buffer_shapes(self, shape: Shape) -> dict[str, tuple[int, ...]]:
        channels = shape[2]
        return {} if channels == 2 else {"mean": (channels,), "matrix": (channels, channels)}

    def learn(self, moments: AnyMoments) -> Arrays:
        return {"mean": moments.mean, "matrix": principal_axes(moments.covariance())[1]}

    def apply(self, shape: Shape, arrays: Arrays) -> list[Step]:
        matrix = matrix_step(shape, np.asarray(self.linear(shape, arrays), np.float32))
        return [matrix] if shape[2] == 2 else [affine_step(shape, arrays["mean"]), matrix]

    def linear(self, shape: Shape, arrays: Arrays) -> np.ndarray:
        return np.array([[0.5, 1.0], [0.5, -1.0]]) if shape[2] == 2 else arrays["matrix"]
