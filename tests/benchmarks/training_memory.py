"""The memory of a training step: `cnntool shape --train` against what PyTorch allocates.

    python tests/benchmarks/training_memory.py [NETWORK...]

Each of NETWORKS is built from its words as torch's modules, without in-place operations, and trained for two steps.
torch's profiler reports each allocation and release of the CPU allocator; the peak is the largest sum of all that is
allocated at once, from the making of the parameters on, so that parameters, the state of the optimiser and the images
count. Needs torch and click: not even numpy. The workspace is that of a processor with AVX-512.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2]))
from cnntool.chain.text import split_text
from cnntool.learning import optimisers as learning
from cnntool.network.graph import INPUT, Graph
from cnntool.network.training import training_memory
from cnntool.pipeline import Pipeline

PIPELINES = Path(__file__).parents[2] / "samples/pipelines"
VGG_SMALL = " ".join(
    f"conv {depth} 3 --padding 1 relu conv {depth} 3 --padding 1 relu maxpool 2" for depth in (32, 64, 128)
) + " fc 256 relu dropout 0.5 fc 10"  # fmt: skip
# As PyTorch pads: on both sides alike.
MOBILENET = " ".join(split_text((PIPELINES / "mobilenet-v1.cnn").read_text())).replace("--padding same", "--padding 1")
NETWORKS = {
    "lenet5": ((32, 32, 1), 256, (PIPELINES / "lenet5.cnn")),
    "vgg-small": ((32, 32, 3), 64, VGG_SMALL),
    "alexnet": ((224, 224, 3), 16, (PIPELINES / "alexnet.cnn")),
    "resnet18": ((224, 224, 3), 8, (PIPELINES / "resnet18.cnn")),
    "mobilenet-v1": ((224, 224, 3), 8, MOBILENET),
    "squeezenet": ((224, 224, 3), 8, (PIPELINES / "squeezenet.cnn")),
}
OPTIMISERS = {
    "adam": lambda parameters: torch.optim.Adam(parameters, 1e-3),
    "sgd": lambda parameters: torch.optim.SGD(parameters, 1e-3, momentum=0.9),
}


class Network(nn.Module):
    """A graph of layers as torch's modules."""

    def __init__(self, graph: Graph, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.graph, shapes = graph, graph.shapes(shape)
        self.order = graph.needed()
        self.made = nn.ModuleDict()
        for number in self.order:
            layer, inputs = graph.nodes[number]
            self.made[str(number)] = module_of(layer, shapes[inputs[0]])
        self.last_use = {source: number for number in self.order for source in graph.nodes[number].inputs}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = {INPUT: x}
        del x
        for number in self.order:
            inputs = self.graph.nodes[number].inputs
            given = [values[source] for source in inputs]
            for source in set(inputs):
                if self.last_use[source] == number:
                    del values[source]
            values[number] = self.made[str(number)](given)
            del given
        return values[self.graph.output].flatten(1)


class Joined(nn.Module):
    def __init__(self, word: str) -> None:
        super().__init__()
        self.word = word

    def forward(self, given: list[torch.Tensor]) -> torch.Tensor:
        return given[0] + given[1] if self.word == "add" else torch.cat(given, 1)


class Single(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, given: list[torch.Tensor]) -> torch.Tensor:
        return self.module(given[0])


def module_of(layer: object, shape: tuple[int, int, int]) -> nn.Module:
    """The module of a layer."""
    word, options, channels = layer.word, layer.options(), shape[2]
    if word in ("add", "concat"):
        return Joined(word)
    kernel_size, stride, dilation, (top, left, bottom, right) = layer.window(shape)
    assert word in ("fc", "flatten", "globalpool") or (top, left) == (bottom, right), "padding differs between sides"
    if word == "conv":
        return Single(nn.Conv2d(channels, options["out_channels"], kernel_size, stride, (top, left), dilation,
                                options["groups"], options["bias"]))  # fmt: skip
    if word == "fc":
        features = shape[0] * shape[1] * channels
        return Single(nn.Sequential(nn.Flatten(), nn.Linear(features, options["out_features"], options["bias"])))
    return Single({
        "relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "flatten": nn.Flatten,
        "batchnorm": lambda: nn.BatchNorm2d(channels),
        "dropout": lambda: nn.Dropout(options["p"]),
        "maxpool": lambda: nn.MaxPool2d(kernel_size, stride, (top, left), dilation, ceil_mode=options["ceil"]),
        "avgpool": lambda: nn.AvgPool2d(kernel_size, stride, (top, left)),
        "globalpool": lambda: nn.AdaptiveAvgPool2d(1),
        "leaky-relu": nn.LeakyReLU, "elu": nn.ELU, "gelu": nn.GELU, "silu": nn.SiLU, "softplus": nn.Softplus,
        "hard-sigmoid": nn.Hardsigmoid, "hard-swish": nn.Hardswish, "prelu": nn.PReLU,
        "lrn": lambda: nn.LocalResponseNorm(options["size"]),
    }[word]())  # fmt: skip


def peak(graph: Graph, shape: tuple[int, int, int], batch: int, optimizer: str) -> int:
    """The most bytes that torch has allocated at once during two steps."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        network = Network(graph, shape)
        optimiser = OPTIMISERS[optimizer](network.parameters())
        for _ in range(2):
            height, width, channels = shape
            images = torch.zeros(batch, channels, height, width)
            labels = torch.zeros(batch, dtype=torch.int64)
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(network(images), labels)
            loss.backward()
            optimiser.step()
            del images, labels, loss
    allocated = largest = 0
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    for event in sorted(events, key=lambda event: event.start_ns()):
        allocated += event.nbytes()
        largest = max(largest, allocated)
    return largest


def main() -> None:
    print("| network | images | optimiser | PyTorch | cnntool | difference |")
    print("| --- | ---: | --- | ---: | ---: | ---: |")
    for name in sys.argv[1:] or NETWORKS:
        shape, batch, source = NETWORKS[name]
        pipeline = Pipeline.read(source) if isinstance(source, Path) else Pipeline.parse(source)
        for optimizer in OPTIMISERS:
            measured = peak(pipeline.graph, shape, batch, optimizer)
            told = training_memory(pipeline.graph, shape, batch, optimizer, learning.OPTIMISERS[optimizer].arrays)[
                "peak_bytes"
            ]
            print(
                f"| {name} | {batch} | {optimizer} | {measured / 2**20:.1f} MiB | {told / 2**20:.1f} MiB "
                f"| {100 * (told / measured - 1):+.1f} % |",
                flush=True,
            )


if __name__ == "__main__":
    main()
