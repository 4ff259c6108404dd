"""The cases that are measured in this process, as data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

SAMPLES = Path(__file__).parents[2] / "samples"

DEEP_LEARNING = ("torch", "torch nhwc", "onnxruntime")
GRAPHS = (*DEEP_LEARNING, "openvino", "openvino nhwc", "ncnn")
FILTERS = (*GRAPHS, "opencv", "scipy fft", "scipy oaconvolve")

GOOD_SHARE = 0.9


@dataclass(frozen=True)
class Target:
    """The time of the best of these peers is to be at least `ratio` times ours."""

    ratio: float
    peers: tuple[str, ...] = ()  # none: all that the case is measured beside


@dataclass(frozen=True)
class Case:
    """A pipeline on an input of one shape, in words or as one of the sample files."""

    group: str
    words: str
    shape: tuple[int, int, int]
    targets: tuple[Target, ...]
    peers: tuple[str, ...] = GRAPHS
    algorithm: str = "auto"
    share: float | None = None  # of the measured peak that is to be reached
    error: float = 1e-4  # of the largest output, that our result may be off
    label: str = ""
    held_back: str = ""  # by what, where a direct convolution is below `GOOD_SHARE` of the measured peak

    @property
    def name(self) -> str:
        size = "x".join(map(str, self.shape))
        return f"{self.group}: {self.label or self.words} on {size}"

    def is_wanted(self, pattern: str) -> bool:
        return re.search(pattern, self.name) is not None


def conv(out: int, size: int, more: str = "") -> str:
    return f"conv {out} {size} --padding {size // 2}{more}"


def at_least(*ratios: float) -> tuple[Target, ...]:
    return tuple(Target(ratio) for ratio in ratios)


def direct(words: str, shape: tuple[int, int, int], share: float | None = None, held_back: str = "") -> Case:
    return Case("direct", words, shape, at_least(0.97), DEEP_LEARNING, "direct", share, 1e-5, held_back=held_back)


def winograd(side: int, channels: int, out: int) -> Case:
    return Case("winograd", conv(out, 3), (side, side, channels), at_least(2.5), error=5e-5)


def mixed(words: str, shape: tuple[int, int, int]) -> Case:
    return Case("mixed", words, shape, at_least(0.97))


def bank(words: str, ratio: float) -> Case:
    return Case("bank", f"bank {words} --size 31 --border zero", (1024, 1024, 1), at_least(ratio), FILTERS)


def memory(words: str, ratio: float) -> Case:
    return Case("memory", words, (224, 224, 64), at_least(ratio))


def network(name: str, *ratio: float, shape: tuple[int, int, int] = (224, 224, 3)) -> Case:
    path = SAMPLES / "pipelines" / f"{name}.cnn"
    return Case("network", f"-p {path}", shape, at_least(*ratio), error=1e-3, label=name)


# the peers have no border that repeats the outermost pixel, which a bank has when nothing is given
TEXTURE = re.sub("#.*", "", (SAMPLES / "pipelines" / "texture.cnn").read_text(encoding="utf-8"))
TEXTURE = " ".join(TEXTURE.replace("bank gabor", "bank gabor --border zero").split())

FEW_PRODUCTS = (
    "a value is a sum of only 27 products, so writing a tile of the output and beginning the next one shows: "
    "25 ns beside 206 of arithmetic where a tile is 14 pixels x 2 vectors of 16; of 6 channels it is 95 %"
)
NORMALISED = " batchnorm relu maxpool 2"

CASES = (
    direct(conv(64, 7, " --stride 2"), (224, 224, 3)),
    direct(conv(64, 3), (224, 224, 3), held_back=FEW_PRODUCTS),
    direct(conv(128, 3), (112, 112, 64), share=GOOD_SHARE),
    direct(conv(256, 3), (28, 28, 256), share=GOOD_SHARE),
    direct(conv(64, 1), (56, 56, 256)),
    winograd(112, 64, 128),
    winograd(56, 128, 128),
    winograd(28, 256, 256),
    winograd(28, 512, 512),
    mixed(conv(64, 7, " --stride 2"), (224, 224, 3)),
    mixed(conv(64, 3), (224, 224, 3)),
    mixed(conv(64, 1), (56, 56, 256)),
    mixed(conv(96, 5), (28, 28, 32)),
    mixed(conv(128, 3, " --stride 2"), (56, 56, 128)),
    mixed(conv(128, 3, " --groups 128"), (112, 112, 128)),
    bank("gabor --gamma 1 --keep-mean", 5),  # without a balanced mean each filter is exactly two separable ones
    bank("gabor --gamma 0.5", 2.5),
    bank("random --count 40", 1.5),
    Case("chain", conv(64, 3) + NORMALISED, (224, 224, 3), (Target(5, ("torch",)), Target(1.5))),
    Case("chain", conv(64, 3) + NORMALISED, (112, 112, 64), at_least(3)),
    memory("maxpool 2", 0.95),
    memory("avgpool 2", 0.95),
    memory("l2pool 2", 2),
    memory("maxpool 3 --stride 2", 0.95),
    memory("relu", 0.95),
    memory("sigmoid", 0.95),
    memory("tanh", 2),
    network("vgg16", 1.7),
    network("vgg19", 1.7),
    network("resnet50", 1.25),
    network("resnet50-v1", 1.25),
    network("resnet18", 1.5),
    network("alexnet", 1.5),
    network("squeezenet", 1.5),
    network("mobilenet-v1", 1.25),
    network("lenet5", shape=(32, 32, 1)),
    network("lecture", shape=(32, 32, 3)),
    Case("network", TEXTURE, (224, 224, 1), (), error=1e-3, label="texture with a border of zeros"),
)

MEANS = {"mixed": 1.1}  # the geometric mean of a group's ratios is to be at least this
