"""Features: triangle activation of distances, sums over a grid, the Gram matrix."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from cnntool import kernels
from cnntool.declare import Integer, argument
from cnntool.kernels.arguments import Corner, Size, Window
from cnntool.late import np
from cnntool.layers.base import Arrays, Gradients, Layer, require
from cnntool.steps.geometry import Shape
from cnntool.steps.step import AnyStep, Band, Call, Parallel, PixelInPlace, Whole, Windowed, row_blocks

if TYPE_CHECKING:
    from cnntool.steps.training import Training

LARGEST_GRAM = 8192  # channels; half their square is the number of outputs


@dataclass(frozen=True)
class Triangle(Layer):
    """Triangle activation: max(0, mean - x), where the mean is over the channels of the position.

    Of the distances to the centroids of `bank kmeans`, those below average remain, the nearest as the largest
    (A. Coates, H. Lee, A. Ng 2011).
    """

    word: ClassVar[str] = "triangle"
    keeps_channels: ClassVar[bool] = True

    def steps(self, shapes: list[Shape], arrays: Arrays) -> list[AnyStep]:
        return [PixelInPlace(shapes[0], kernels.clusters.triangle_forward)]

    def gradient(self, d_output: np.ndarray, saved: Any, arrays: Arrays, training: Training) -> Gradients:
        """g = d_y where y > 0, 0 elsewhere; d_x = the mean of g over the channels - g"""
        _, y = saved
        passed = d_output * (y > 0)
        return [passed.mean(axis=3, keepdims=True) - passed], {}


@dataclass(frozen=True)
class GridPool(Layer):
    """Sums over a grid of N x N cells that cover the volume; where N does not divide it, the first cells are larger."""

    word: ClassVar[str] = "gridpool"
    keeps_channels: ClassVar[bool] = True

    number: int = argument(Integer(1, 65535), "Cells along each side.")

    def output_shape(self, shape: Shape, *others: Shape) -> Shape:
        require(
            self.number <= min(shape[:2]),
            f"a grid of {self.number}x{self.number} has empty cells on {shape[0]}x{shape[1]}: "
            f"expected N of at most {min(shape[:2])}",
        )
        return self.number, self.number, shape[2]

    def window(self, shape: Shape) -> Window:
        """The smallest window that covers the cell of each position when moved by equal strides."""
        steps = shape[0] // self.number, shape[1] // self.number
        rest = shape[0] % self.number, shape[1] % self.number
        return Window((steps[0] + rest[0], steps[1] + rest[1]), steps)

    def steps(self, shapes: list[Shape], arrays: Arrays) -> list[AnyStep]:
        shape = shapes[0]
        rows, columns = (np.array(cells(size, self.number)) for size in shape[:2])
        stride = shape[0] // self.number

        def calls(source: Corner, target: Corner, band: Band) -> list[Call]:
            here = rows[band.first : band.first + band.rows] - band.first * stride  # relative to the first window
            edges = here[:, 0].copy(), here[:, 1].copy(), columns[:, 0].copy(), columns[:, 1].copy()
            return [(kernels.descriptors.gridpool_forward, (source, target, Size(band.rows, len(columns)), *edges))]

        return [Windowed(shape, self.output_shape(shape), self.window(shape), calls)]

    def gradient(self, d_output: np.ndarray, saved: Any, arrays: Arrays, training: Training) -> Gradients:
        """Each pixel gets the gradient of its cell."""
        x, _ = saved
        for axis in (1, 2):
            sizes = [last - first for first, last in cells(x.shape[axis], self.number)]
            d_output = np.repeat(d_output, sizes, axis=axis)
        return [d_output], {}


def cells(size: int, number: int) -> list[tuple[int, int]]:
    """The ranges of `number` cells of `size`; the first ones are larger by one if it is not divisible."""
    base, rest = divmod(size, number)
    starts = [i * base + min(i, rest) for i in range(number + 1)]
    return list(itertools.pairwise(starts))


@dataclass(frozen=True)
class Gram(Layer):
    """Gram matrix of the maps: the mean over all positions of x_a x_b for channels a <= b, a description of style.

    It is symmetric, so 1 x 1 x C (C + 1) / 2 numbers come out: its upper triangle row by row, the first row first
    (L. Gatys, A. Ecker, M. Bethge 2016; there the mean is a sum with another constant before it).
    """

    word: ClassVar[str] = "gram"

    def output_shape(self, shape: Shape, *others: Shape) -> Shape:
        channels = shape[2]
        require(channels <= LARGEST_GRAM, f"{channels} channels: expected at most {LARGEST_GRAM} for a Gram matrix")
        return 1, 1, channels * (channels + 1) // 2

    def window(self, shape: Shape) -> Window:
        return Window(kernel_size=shape[:2])

    def steps(self, shapes: list[Shape], arrays: Arrays) -> list[AnyStep]:
        height, width, channels = shapes[0]
        upper = np.triu_indices(channels)
        blocks = row_blocks(height * width, 4)

        def compute(batch: np.ndarray, parallel: Parallel) -> np.ndarray:
            def piece(task: tuple[int, tuple[int, int]]) -> np.ndarray:
                image, (first, last) = task
                out = np.zeros((channels, channels))
                kernels.descriptors.gram_forward(batch[image].reshape(-1, channels), first, last, out)
                return out[upper]

            pieces = parallel(piece, [(image, block) for image in range(len(batch)) for block in blocks])
            with np.errstate(invalid="ignore"):  # of both infinities
                sums = np.stack(pieces).reshape(len(batch), len(blocks), -1).sum(axis=1)
            return (sums / (height * width)).astype(np.float32)[:, None, None, :]

        return [Whole(shapes[0], self.output_shape(shapes[0]), compute)]

    def gradient(self, d_output: np.ndarray, saved: Any, arrays: Arrays, training: Training) -> Gradients:
        """x times the symmetric matrix whose triangle is d_y, its diagonal twice, over the number of positions."""
        x, _ = saved
        channels, d_input = x.shape[3], training.array("d_input", x.shape)
        upper = np.triu_indices(channels)

        def image(n: int) -> None:
            matrix = np.zeros((channels, channels), np.float32)
            matrix[upper] = d_output[n].reshape(-1) / (x.shape[1] * x.shape[2])
            d_input[n] = x[n] @ (matrix + matrix.T)

        training.parallel(image, range(len(x)))
        return [d_input], {}
