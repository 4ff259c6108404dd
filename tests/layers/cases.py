"""One table of cases for all layer words: a chain, the shape of its volume, and its slow twin.

A new layer needs a row here; the tests of `test_base.py` and `test_training.py` then run on it, its gradients are
compared with differences of the twin, and `test_table.py` fails without one.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnntool import Pipeline
from cnntool.layers.affine import Moments, one_after_another
from cnntool.layers.base import Arrays, Layer
from cnntool.steps.training import Training
from tests.cases.configurations import draw
from tests.naive import twins
from tests.naive.geometry import same_padding

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Case:
    """`twin(x, arrays, ...)`: the chain's result in float64, from the volume and the arrays of each node.

    `batch_twin` is what it computes of a batch in training, where that is something else.
    """

    word: str
    words: str
    shape: Shape
    twin: Callable[..., np.ndarray]
    batch_twin: Callable[..., np.ndarray] | None = None

    def __str__(self) -> str:
        return self.words

    def pipeline(self) -> Pipeline:
        """The chain with arrays of no special value, such as a bias that is not zero."""
        pipeline = Pipeline.parse(self.words)
        pipeline.set_weights(self.arrays())
        return pipeline

    @functools.cached_property
    def layers(self) -> list[tuple[Layer, list[Shape]]]:
        """The nodes of the chain with the shapes of their inputs."""
        graph = Pipeline.parse(self.words).graph
        shapes = graph.shapes(self.shape)
        return [(node.layer, [shapes[i] for i in node.inputs]) for node in graph.nodes]

    def arrays(self) -> list[Arrays]:
        """For each node the arrays that it has before it has seen data, and running statistics; drawn, but for a
        bank's filters."""
        dice = np.random.default_rng(zlib.crc32(self.words.encode()))
        found = []
        for layer, (shape, *_) in self.layers:
            own = layer.initial(shape, dice, False)
            running = [name for name in layer.buffer_shapes(shape) if name.startswith("running_")]
            shapes = layer.parameter_shapes(shape) | {name: layer.buffer_shapes(shape)[name] for name in running}
            found.append(own | {name: draw(dice, name, wanted) for name, wanted in shapes.items()})
        return found

    def trained_arrays(self) -> list[Arrays]:
        """The same with statistics of some other volume, where the layer has them saved."""
        found = self.arrays()
        for arrays, (layer, (shape, *_)) in zip(found, self.layers, strict=True):
            if missing := layer.buffer_shapes(shape).keys() - arrays.keys():
                moments = Moments(self.volume(2)[None], one_after_another)
                arrays |= {name: array for name, array in layer.learn(moments).items() if name in missing}
        return found

    def volume(self, number: int = 0) -> np.ndarray:
        """A float32 volume, another for each number."""
        dice = np.random.default_rng([zlib.crc32(self.words.encode()), number])
        return (dice.standard_normal(self.shape) * np.geomspace(1.5, 0.3, self.shape[2]) + 0.2).astype(np.float32)

    def training_twin(self, batch: np.ndarray, *arrays: Arrays) -> np.ndarray:
        """What the chain makes of a batch N x H x W x C in training, in float64."""
        return self.batch_twin(batch, *arrays) if self.batch_twin else np.stack([self.twin(x, *arrays) for x in batch])

    def expected(self, x: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", over="ignore"):
            return self.twin(np.asarray(x, np.float64), *self.arrays())


def plainly(name: str, **options: Any) -> Callable[..., np.ndarray]:
    """The twin `name` on the volume with the arrays of its layer."""
    return lambda x, arrays: getattr(twins, name)(x, **arrays, **options)


def batchnorm(x: np.ndarray, arrays: Arrays, eps: float = 1e-5) -> np.ndarray:
    mean, var = arrays["running_mean"], arrays["running_var"]
    return twins.batchnorm(x, arrays["gamma"], arrays["beta"], mean, var, eps)


def of_the_batch(x: np.ndarray, arrays: Arrays, eps: float) -> np.ndarray:
    """Batch normalisation by the statistics of the batch itself."""
    return twins.batchnorm(x, arrays["gamma"], arrays["beta"], eps=eps)


def affine(x: np.ndarray, arrays: Arrays) -> np.ndarray:
    """By statistics that are saved, and so are constants."""
    x = x - arrays["mean"]
    return x @ arrays["matrix"] if "matrix" in arrays else x * arrays.get("scale", 1.0)


def dropout(x: np.ndarray, arrays: Arrays) -> np.ndarray:
    """Times what becomes of ones: the same seed drops the same places."""
    training = Training(one_after_another)
    kept, _ = Pipeline.parse("dropout 0.9").layers[0].train([np.ones(x.shape, np.float32)], {}, training)
    return x * kept


NUMPY_MODES = {"reflect": "symmetric", "mirror": "reflect", "replicate": "edge", "wrap": "wrap", "zero": "constant"}


def framed(x: np.ndarray, sides: tuple[int, int, int, int], border: str) -> np.ndarray:
    """The volume with a border, by NumPy."""
    top, left, bottom, right = sides
    return np.pad(x, ((top, bottom), (left, right), (0, 0)), NUMPY_MODES[border])


def on_border(name: str, sides: tuple[int, int, int, int], border: str, **options: Any) -> Callable[..., np.ndarray]:
    """The twin `name` on the volume with a border."""
    return lambda x, arrays: getattr(twins, name)(framed(x, sides, border), **arrays, **options)


def bank(x: np.ndarray, arrays: Arrays, stride=(1, 1), padding=None, per_channel=False, border="reflect") -> np.ndarray:
    """Every filter on the mean of the channels, or on one channel after the other; reflected around, size kept."""
    weight = arrays["weight"]
    if padding is None:
        (top, bottom), (left, right) = (
            same_padding(x.shape[axis], weight.shape[axis], stride[axis], 1) for axis in (0, 1)
        )
        padding = top, left, bottom, right
    planes = np.moveaxis(x, 2, 0) if per_channel else [x.mean(axis=2)]
    planes = [framed(plane[:, :, None], padding, border) for plane in planes]
    return np.concatenate([twins.conv(plane, weight, None, stride) for plane in planes], axis=2)


def mr8(x: np.ndarray, arrays: Arrays, **options: Any) -> np.ndarray:
    """Six orientations each of three edges and three bars, then two isotropic filters."""
    responses = bank(x, arrays, **options)
    banks = []
    for first in range(0, responses.shape[2], 38):
        found = responses[:, :, first : first + 38]
        edges = [np.abs(found[:, :, 6 * i : 6 * i + 6]).max(axis=2) for i in range(3)]
        bars = [found[:, :, 6 * i : 6 * i + 6].max(axis=2) for i in range(3, 6)]
        banks += [*edges, *bars, found[:, :, 36], found[:, :, 37]]
    return np.stack(banks, axis=2)


def branches(x: np.ndarray, *_: Arrays) -> np.ndarray:
    return np.concatenate([np.abs(x), np.maximum(x, 0)], axis=2)


CASES = [
    Case("conv", "conv 5 3", (6, 7, 2), plainly("conv")),
    Case(
        "conv",
        "conv 6 3x2 --stride 2x1 --padding 1,0,2,1 --dilation 1x2 --groups 2 --no-bias",
        (9, 8, 4),
        plainly("conv", stride=(2, 1), padding=(1, 0, 2, 1), dilation=(1, 2), groups=2),
    ),
    Case("conv", "conv 3 2 --groups 3 --padding same", (8, 7, 3), plainly("conv", groups=3, padding=(0, 0, 1, 1))),
    Case("conv", "conv 4 3 --padding 1 --border reflect", (7, 8, 3), on_border("conv", (1, 1, 1, 1), "reflect")),
    Case(
        "conv",
        "conv 4 3x2 --padding 2,0,3,1 --border mirror --stride 2 --dilation 1x2 --groups 2 --no-bias",
        (9, 8, 4),
        on_border("conv", (2, 0, 3, 1), "mirror", stride=(2, 2), dilation=(1, 2), groups=2),
    ),
    Case(
        "conv",
        "conv 3 4 --padding 2,9,7,1 --border wrap",
        (3, 4, 2),
        on_border("conv", (2, 9, 7, 1), "wrap"),
    ),
    Case(
        "conv",
        "conv 5 3 --groups 5 --padding same --border replicate",
        (8, 7, 5),
        on_border("conv", (1, 1, 1, 1), "replicate", groups=5),
    ),
    Case("bank", "bank sobel --border zero", (7, 8, 3), functools.partial(bank, border="zero")),
    Case(
        "bank",
        "bank mr8 --size 9 --per-channel --border mirror",
        (10, 9, 2),
        functools.partial(mr8, per_channel=True, border="mirror"),
    ),
    Case("bank", "bank gabor --scales 2 --orientations 3 --size 7", (11, 12, 3), bank),
    Case("bank", "bank sobel --per-channel", (7, 8, 3), functools.partial(bank, per_channel=True)),
    Case("bank", "bank laws --stride 2x3", (9, 13, 1), functools.partial(bank, stride=(2, 3))),
    Case(
        "bank",
        "bank dct --size 4 --padding valid --stride 2",
        (9, 8, 1),
        functools.partial(bank, stride=(2, 2), padding=(0, 0, 0, 0)),
    ),
    Case("bank", "bank mr8 --size 9", (10, 11, 2), mr8),
    Case("bank", "bank mr8 --size 9 --per-channel", (10, 9, 2), functools.partial(mr8, per_channel=True)),
    Case("center", "center", (7, 6, 3), plainly("center"), affine),
    Case("standardize", "standardize", (7, 6, 3), plainly("standardize"), affine),
    Case("whiten", "whiten", (9, 8, 3), plainly("whiten"), affine),
    Case("whiten", "whiten std", (9, 8, 3), plainly("whiten", how="std"), affine),
    Case("whiten", "whiten pca", (9, 8, 3), plainly("whiten", how="pca"), affine),
    Case("decorrelate", "decorrelate", (9, 8, 3), plainly("decorrelate"), affine),
    Case("decorrelate", "decorrelate", (5, 6, 2), plainly("decorrelate")),
    Case("relu", "relu", (5, 6, 3), plainly("relu")),
    Case("leaky-relu", "leaky-relu --slope 0.3", (5, 6, 3), plainly("leaky_relu", slope=0.3)),
    Case("prelu", "prelu", (5, 6, 3), plainly("prelu")),
    Case("prelu", "prelu --per-channel", (5, 6, 3), plainly("prelu")),
    Case("sigmoid", "sigmoid", (5, 6, 3), plainly("sigmoid")),
    Case("tanh", "tanh", (5, 6, 3), plainly("tanh")),
    Case("elu", "elu --alpha 0.7", (5, 6, 3), plainly("elu", alpha=0.7)),
    Case("gelu", "gelu", (5, 6, 3), plainly("gelu")),
    Case("silu", "silu", (5, 6, 3), plainly("silu")),
    Case("softplus", "softplus", (5, 6, 3), plainly("softplus")),
    Case("hard-sigmoid", "hard-sigmoid", (5, 6, 3), plainly("hard_sigmoid")),
    Case("hard-swish", "hard-swish", (5, 6, 3), plainly("hard_swish")),
    Case("abs", "abs", (5, 6, 3), plainly("abs")),
    Case("maxpool", "maxpool 2x3", (8, 9, 3), plainly("maxpool", kernel_size=(2, 3))),
    Case(
        "maxpool",
        "maxpool 3 --stride 2 --padding 1 --dilation 2x1 --ceil",
        (9, 8, 3),
        plainly("maxpool", kernel_size=(3, 3), stride=(2, 2), padding=(1, 1, 1, 1), dilation=(2, 1), ceil=True),
    ),
    Case("avgpool", "avgpool 2", (7, 6, 3), plainly("avgpool", kernel_size=(2, 2))),
    Case(
        "avgpool",
        "avgpool 3 --stride 2 --padding 1 --count-padding --ceil",
        (8, 9, 3),
        plainly(
            "avgpool", kernel_size=(3, 3), stride=(2, 2), padding=(1, 1, 1, 1), ceil=True, count_padding=True
        ),
    ),
    Case(
        "avgpool",
        "avgpool 3 --stride 1 --padding 1 --border reflect",
        (8, 9, 3),
        on_border("avgpool", (1, 1, 1, 1), "reflect", kernel_size=(3, 3), stride=(1, 1)),
    ),
    Case(
        "avgpool",
        "avgpool 4x5 --stride 3x2 --padding 1,2,2,1 --border wrap --dilation 1x2",
        (8, 11, 2),
        on_border("avgpool", (1, 2, 2, 1), "wrap", kernel_size=(4, 5), stride=(3, 2), dilation=(1, 2)),
    ),
    Case("l2pool", "l2pool 3 --stride 1", (6, 7, 3), plainly("l2pool", kernel_size=(3, 3), stride=(1, 1))),
    Case("globalpool", "globalpool max", (6, 7, 3), plainly("globalpool", how="max")),
    Case("globalpool", "globalpool avg", (6, 7, 3), plainly("globalpool", how="avg")),
    Case("globalpool", "globalpool l2", (6, 7, 3), plainly("globalpool", how="l2")),
    Case("triangle", "triangle", (5, 6, 7), plainly("triangle")),
    Case("gridpool", "gridpool 3", (11, 8, 3), plainly("gridpool", number=3)),
    Case("gridpool", "gridpool 1", (7, 4, 5), plainly("gridpool", number=1)),
    Case("gram", "gram", (7, 6, 5), plainly("gram")),
    Case(
        "batchnorm",
        "batchnorm --eps 0.01",
        (6, 7, 3),
        functools.partial(batchnorm, eps=0.01),
        functools.partial(of_the_batch, eps=0.01),
    ),
    Case(
        "lrn",
        "lrn --size 3 --alpha 0.5 --beta 0.6 --k 2",
        (5, 4, 7),
        plainly("lrn", size=3, alpha=0.5, beta=0.6, k=2.0),
    ),
    Case("dropout", "dropout 0.9", (5, 6, 3), lambda x, arrays: x, dropout),
    Case("flatten", "flatten", (4, 5, 3), plainly("flatten")),
    Case("fc", "fc 7", (4, 5, 3), plainly("fc")),
    Case("fc", "fc 600 --no-bias", (3, 4, 2), plainly("fc")),
    Case("softmax", "softmax", (4, 5, 6), plainly("softmax")),
    Case("mark", "mark x relu", (5, 6, 3), lambda x, *arrays: twins.relu(x)),
    Case("from", "mark x relu mark r from x abs concat r", (5, 6, 3), branches),
    Case("add", "mark x relu add x", (5, 6, 3), lambda x, *arrays: x + twins.relu(x)),
    Case("concat", "mark x relu concat x", (5, 6, 2), lambda x, *arrays: np.concatenate([twins.relu(x), x], axis=2)),
]  # fmt: skip
