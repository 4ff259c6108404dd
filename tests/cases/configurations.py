"""The configurations that every way of computing a layer or a chain must agree on.

Layers alone are covered pairwise: every pair of values of any two factors occurs. Chains are a table.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.cases import factors
from tests.cases.evaluation import PLAIN, Row, evaluate, rows_of
from tests.cases.pairwise import cover
from tests.cases.words import Layer, parse
from tests.naive import twins
from tests.oracles import registry

Shape = tuple[int, int, int]

CHAINS: list[tuple[str, Shape]] = [
    ("conv 8 3 --padding 1 relu maxpool 2", (20, 31, 3)),
    ("conv 16 3 --padding same batchnorm relu", (13, 14, 3)),
    ("conv 16 3 --padding 1 --no-bias batchnorm relu maxpool 3 --stride 2 --padding 1", (33, 29, 3)),
    ("conv 32 7 --stride 2 --padding 3 --no-bias batchnorm relu maxpool 3 --stride 2 --padding 1", (56, 40, 3)),
    ("conv 17 5x3 --stride 1x2 leaky-relu --slope 0.1 avgpool 2x3 --ceil", (19, 40, 2)),
    ("conv 5 3 prelu --per-channel conv 7 3 prelu l2pool 2", (17, 15, 3)),
    ("conv 12 1 relu conv 12 3 --padding 1 --groups 12 relu conv 20 1", (15, 13, 4)),
    ("conv 33 3 --groups 3 --padding 1,0,0,1 gelu conv 3 1 tanh", (9, 22, 6)),
    ("conv 8 3 --dilation 2 --padding 2 silu conv 8 3 --dilation 3 --padding same silu", (21, 18, 3)),
    ("maxpool 3 --stride 1 --padding same conv 4 3 abs", (8, 8, 5)),
    ("avgpool 3 --stride 1 --padding 1 --count-padding conv 6 2 --stride 2 hard-swish", (12, 12, 3)),
    ("lrn maxpool 3 --stride 2 --ceil conv 9 3 sigmoid", (16, 17, 7)),
    ("conv 24 3 --padding 1 relu lrn maxpool 2 --stride 1", (14, 14, 3)),
    ("batchnorm conv 8 3 --padding 1 batchnorm elu", (11, 10, 3)),
    ("batchnorm conv 8 3 --padding 0 softplus", (11, 10, 3)),
    ("center conv 8 3 --padding 1 relu", (15, 15, 3)),
    ("standardize conv 8 3 --padding 2,1,0,3 relu", (15, 15, 3)),
    ("whiten conv 8 5 --padding same relu globalpool avg", (24, 24, 3)),
    ("whiten pca conv 8 1 relu", (16, 20, 3)),
    ("conv 4 3 whiten zca abs globalpool max", (16, 20, 3)),
    ("decorrelate conv 6 3 hard-sigmoid", (9, 14, 2)),
    ("decorrelate maxpool 2 fc 4", (12, 14, 3)),
    ("conv 6 1 conv 6 1 conv 6 1", (7, 29, 3)),
    ("batchnorm batchnorm relu", (7, 29, 5)),
    ("center standardize batchnorm", (14, 14, 3)),
    ("relu relu abs relu", (5, 5, 3)),
    ("maxpool 2 maxpool 2 maxpool 2", (29, 17, 3)),
    ("maxpool 3 --stride 2 --padding 1 avgpool 2 --ceil l2pool 2 --ceil", (31, 22, 3)),
    ("conv 16 3 --stride 2 relu conv 32 3 --stride 2 relu fc 10", (31, 31, 3)),
    ("conv 6 5 tanh avgpool 2 fc 10 softmax", (28, 28, 1)),
    ("flatten fc 20 relu fc 5 softmax", (7, 7, 3)),
    ("globalpool l2 fc 3 sigmoid", (10, 11, 8)),
    ("conv 8 3 relu dropout 0.3 globalpool avg softmax", (12, 13, 3)),
    ("conv 1 11 --stride 4 --padding 2 relu", (63, 79, 3)),
    ("conv 64 1 relu conv 2 1", (14, 27, 16)),
    ("conv 3 3 --padding 1 conv 3 3 --padding 1 conv 3 3 --padding 1 conv 3 3 --padding 1", (1, 1, 3)),
    ("conv 4 2 maxpool 2 --stride 1 conv 4 2", (4, 4, 1)),
    ("mark x conv 5 3 --padding 1 add x relu", (9, 14, 5)),
    ("mark x conv 8 3 --padding 1 batchnorm relu conv 8 3 --padding 1 batchnorm add x relu", (13, 15, 8)),
    ("mark x conv 8 3 --padding 1 relu concat x", (10, 11, 3)),
    ("mark x conv 8 1 mark a from x conv 4 3 --padding 1 concat a relu", (10, 11, 3)),
    (
        "mark x maxpool 3 --stride 1 --padding 1 mark p from x avgpool 3 --stride 1 --padding 1 concat p concat x",
        (8, 9, 2),
    ),
    ("conv 6 3 mark x relu mark x conv 6 3 --padding same add x", (12, 7, 3)),
    ("mark x globalpool avg mark g from x globalpool max concat g fc 4", (9, 9, 6)),
    ("mark x conv 16 1 --stride 2 mark s from x conv 16 3 --stride 2 --padding 1 add s leaky-relu", (17, 18, 3)),
    ("mark x add x batchnorm concat x abs", (5, 6, 3)),
    ("conv 9 3 --stride 2 --padding same relu mark y conv 9 3 --groups 9 --padding 1 add y maxpool 2", (25, 30, 3)),
    ("conv --stride 2 8 --padding 1 3 relu maxpool --stride 1 2", (15, 16, 3)),
]


@dataclass(frozen=True)
class Configuration:
    """A chain of layers, and the shape of the volumes it is to be run on."""

    words: str
    shape: Shape

    def __str__(self) -> str:
        return f"{self.words} on {'x'.join(map(str, self.shape))}"

    @functools.cached_property
    def layers(self) -> list[Layer]:
        return parse(self.words)

    @functools.cached_property
    def rows(self) -> list[Row]:
        return rows_of(self.layers, self.shape)

    @property
    def output_shape(self) -> Shape:
        return self.rows[-1].output_shape

    @property
    def work(self) -> int:
        return sum(row.work for row in self.rows)

    @property
    def oracles(self) -> tuple[str, ...]:
        """The names of the oracles that can check every row; of none when there is nothing to compute."""
        computed = [row for row in self.rows if row.operation not in PLAIN]
        if not computed:
            return ()
        return tuple(
            oracle
            for oracle in registry.ORACLES
            if not any(registry.refusal(oracle, row.operation, row.input_shape, row.options) for row in computed)
        )

    def volume(self) -> np.ndarray:
        """A float32 volume, the same at every call: correlated channels of clearly different variances, and a mean."""
        dice = np.random.default_rng(zlib.crc32(str(self).encode()))
        channels = self.shape[2]
        rotation, _ = np.linalg.qr(dice.standard_normal((channels, channels)))
        x = dice.standard_normal(self.shape) * np.geomspace(1.5, 0.2, channels) @ rotation
        return (x + 0.3).astype(np.float32)

    def weights(self) -> list[dict[str, np.ndarray]]:
        """Float32 arrays for every row, the same at every call; such that values neither vanish nor explode."""
        dice = np.random.default_rng(zlib.crc32(self.words.encode()))
        return [{name: draw(dice, name, shape) for name, shape in row.weight_shapes.items()} for row in self.rows]

    def reference(
        self, x: np.ndarray, weights: Sequence[Mapping[str, np.ndarray]], implementation: Any = twins
    ) -> np.ndarray:
        """The chain's last volume in float64: x[H, W, C], one mapping of arrays for every row that `rows` has.

        `implementation` is the naive twins, or the module of an oracle.
        """
        if x.shape != self.shape:
            raise ValueError(f"expected a volume of {self.shape}, got {x.shape}")
        return evaluate(self.layers, x, weights, implementation)


def draw(dice: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    values = dice.standard_normal(shape)
    if name == "weight":
        values *= np.sqrt(2 / np.prod(shape[:-1]))
    elif name in ("gamma", "running_var"):
        values = 0.5 + dice.random(shape)
    elif name == "alpha":
        values *= 0.25
    return values.astype(np.float32)


@functools.cache
def convolutions() -> tuple[Configuration, ...]:
    rows, _ = cover(factors.CONVOLUTION, factors.convolution_fits, seed=1)
    return tuple(Configuration(*factors.convolution_words(row)) for row in rows)


@functools.cache
def pools() -> tuple[Configuration, ...]:
    rows, _ = cover(factors.POOLING, factors.pooling_fits, seed=2)
    return tuple(Configuration(*factors.pooling_words(row)) for row in rows)


@functools.cache
def others() -> tuple[Configuration, ...]:
    rows, _ = cover(factors.OTHERS, factors.other_fits, seed=3)
    return tuple(Configuration(*factors.other_words(row)) for row in rows)


@functools.cache
def chains() -> tuple[Configuration, ...]:
    return tuple(Configuration(words, shape) for words, shape in CHAINS)


def configurations() -> tuple[Configuration, ...]:
    """All of them, each once."""
    return tuple(dict.fromkeys([*convolutions(), *pools(), *others(), *chains()]))
