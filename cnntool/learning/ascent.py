"""The pictures that excite units of a network most, by gradient ascent with the kernels that train it.

Of a picture the spectrum is what is changed, so that smooth structure grows as fast as fine noise, and colours are
mixed as they are in photographs: C. Olah, A. Mordvintsev, L. Schubert, "Feature visualization", Distill 2017. The
picture is shifted a little at each step, so that nothing depends on single pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from cnntool.banks.learned import Learned, Stored
from cnntool.errors import CnntoolError
from cnntool.layers.activations import Activation, LeakyRelu, PRelu
from cnntool.layers.bank import Bank
from cnntool.layers.base import Arrays, Layer
from cnntool.layers.convolution import Conv
from cnntool.learning.network import Network
from cnntool.limits import check_memory
from cnntool.network.graph import Graph, Node

# The square root of the covariance of colours in natural photographs, from lucid: its first column is brightness.
COLOURS = np.array([[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]])
COLOURS = COLOURS / np.linalg.norm(COLOURS, axis=0).max()
START = 0.01  # deviation of the spectrum that the ascent begins with
FLAT = 0.1  # what lifts a channel that nothing excites yet
DECAY = 0.05  # of the spectrum a step: it holds the contrast of what grows, whatever the number of steps
MOMENTA = 0.9, 0.999  # of Adam


@dataclass(frozen=True)
class Ascent:
    """How the ascent goes: so many steps of this rate, with shifts of at most `jitter` pixels."""

    steps: int = 200
    rate: float = 0.02
    jitter: int = 4
    seed: int = 0


class Excited(NamedTuple):
    """Pictures N x H x W x C in [0, 1], and the largest value that each one's channel has."""

    pictures: np.ndarray
    values: np.ndarray


def below_rectifiers(graph: Graph) -> Graph:
    """The graph that ends before the activations at its end, since one that is flat passes no gradient to climb."""
    output = graph.output
    while (
        output >= 0 and isinstance(graph.nodes[output].layer, Activation | PRelu) and graph.nodes[output].inputs[0] >= 0
    ):
        output = graph.nodes[output].inputs[0]
    return Graph(graph.nodes, graph.marks, output)


def as_at_inference(graph: Graph, arrays: Sequence[Arrays], shapes: dict) -> tuple[Graph, list[Arrays]]:
    """The graph as it computes when it is not trained, of layers that have a gradient so.

    Batch normalisation by its running statistics is a convolution of 1x1 a channel; dropout changes nothing.
    """
    nodes, own = list(graph.nodes), [dict(array) for array in arrays]
    for number in graph.needed():
        layer, inputs = nodes[number]
        channels = shapes[inputs[0]][2]
        if layer.word == "dropout":
            nodes[number] = Node(LeakyRelu(slope=1.0), inputs)
        elif layer.word == "batchnorm":
            have = own[number]
            if "running_mean" not in have:
                raise CnntoolError(
                    f"batchnorm (layer {number + 1}): no running statistics: expected a trained model, -m MODEL"
                )
            scale = have["gamma"] / np.sqrt(have["running_var"] + layer.eps)  # type: ignore[attr-defined]
            nodes[number] = Node(Conv(channels, (1, 1), groups=channels), inputs)
            own[number] = {
                "weight": scale.reshape(1, 1, 1, channels).astype(np.float32),
                "bias": (have["beta"] - have["running_mean"] * scale).astype(np.float32),
            }
    return Graph(nodes, graph.marks, graph.output), own


def of_channels(
    graph: Graph, arrays: list[Arrays], channels: Sequence[int]
) -> tuple[Graph, list[Arrays], Sequence[int]]:
    """The graph without the filters at its end that give other channels; where the channels then are."""
    kept, number = list(channels), graph.output
    nodes, own = list(graph.nodes), list(arrays)
    used = [node for needed in graph.needed() for node in graph.nodes[needed].inputs]
    while number >= 0 and used.count(number) == (number != graph.output):
        layer, inputs = nodes[number]
        through = isinstance(layer, Bank) or (isinstance(layer, Conv) and layer.groups == 1)
        if (fewer := with_filters(layer, len(kept), own[number])) is None:
            break
        nodes[number] = Node(fewer, inputs)
        own[number] = {name: np.ascontiguousarray(array[..., kept]) for name, array in own[number].items()}
        if through:
            return Graph(nodes, graph.marks, graph.output), own, range(len(kept))
        number = inputs[0]
    return graph, arrays, channels


def with_filters(layer: Layer, count: int, arrays: Arrays) -> Layer | None:
    """The layer with so many filters, or None where maps do not come from one filter each."""
    if isinstance(layer, Conv):
        if layer.groups == 1:
            return replace(layer, out_channels=count)
        depthwise = layer.groups == layer.out_channels and arrays["weight"].shape[2] == 1
        return replace(layer, out_channels=count, groups=count) if depthwise else None
    if isinstance(layer, Bank) and not isinstance(layer.bank, Learned):
        plain = layer.bank.reduce is None and not layer.per_channel
        return replace(layer, bank=Stored(count, layer.bank.kernel_size)) if plain else None
    return None


def excite(
    graph: Graph,
    arrays: Sequence[Arrays],
    shape: tuple[int, int, int],
    channels: Sequence[int],
    ascent: Ascent,
    threads: int,
    normalize: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    margin: tuple[int, int] = (0, 0),
    advance: Callable[[], None] = lambda: None,
) -> Excited:
    """One picture a channel of the graph's output, each so that the positive values of its channel are large.

    What is climbed is the mean of their squares, before an activation at the end. `margin`: rows and columns of the map
    at its border that do not count, where a unit sees padding. `normalize` gives what the network takes of pixels in
    [0, 1], and what a unit of a pixel is in it.
    """
    graph = below_rectifiers(graph)
    shapes = graph.shapes(shape)
    plain, own, channels = of_channels(*as_at_inference(graph, arrays, shapes), channels)
    network = Network(plain, shape, own, threads, ascent.seed, to_input=True)
    check_memory(network.memory(len(channels)), f"the ascent of {len(channels)} pictures")
    rng = np.random.default_rng(ascent.seed)
    height, width, depth = shape
    spectrum = rng.normal(0, START, (2, len(channels), height, width // 2 + 1, depth))
    first, second = np.zeros_like(spectrum), np.zeros_like(spectrum)
    mix = COLOURS.T if depth == 3 else np.eye(depth)
    weight = falling(height, width)
    reached = np.zeros(len(channels))
    for step in range(ascent.steps + 1):
        pixels = pictures_of(spectrum, weight, mix, height, width)
        last = step == ascent.steps
        shift = (0, 0) if last else tuple(rng.integers(-ascent.jitter, ascent.jitter + 1, 2))
        moved = np.roll(pixels, shift, axis=(1, 2))
        volume, unit = normalize(moved)
        values, saved = network.forward(np.ascontiguousarray(volume, np.float32), 0)
        output = values[network.output]
        rows, columns = (slice(m, size - m) for m, size in zip(margin, output.shape[1:3], strict=True))
        reached = np.array([output[n, rows, columns, c].max() for n, c in enumerate(channels)], np.float64)
        if last:
            break
        d_output = np.zeros_like(output)
        for n, c in enumerate(channels):
            d_output[n, rows, columns, c] = upwards(output[n, rows, columns, c])
        _, d_input = network.gradients(d_output, saved)
        if d_input is None:
            raise CnntoolError("the layer does not depend on the input: there is nothing to climb")
        d_pixels = np.roll(np.asarray(d_input, np.float64) * unit, (-shift[0], -shift[1]), axis=(1, 2))
        d_spectrum = spectrum_of(d_pixels * pixels * (1 - pixels), weight, mix)
        climb(spectrum, d_spectrum, first, second, step + 1, ascent.rate)
        advance()
    return Excited(pixels.astype(np.float32), reached)


def upwards(values: np.ndarray) -> np.ndarray:
    """The direction in which the values of a channel should go: all a little, the larger ones more."""
    positive = np.maximum(values, 0)
    return (positive / max(float(positive.mean()), 1e-12) + FLAT) / values.size


def falling(height: int, width: int) -> np.ndarray:
    """1 / frequency, as the amplitudes of photographs fall, H x (W / 2 + 1) x 1."""
    frequencies = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    return (np.sqrt(height * width) / np.maximum(frequencies, 1 / max(height, width)) / max(height, width))[..., None]


def pictures_of(spectrum: np.ndarray, weight: np.ndarray, mix: np.ndarray, height: int, width: int) -> np.ndarray:
    """N x H x W x C in (0, 1) of a spectrum (real and imaginary, N, H, W / 2 + 1, C)."""
    complex_one = (spectrum[0] + 1j * spectrum[1]) * weight
    values = np.fft.irfft2(complex_one, s=(height, width), axes=(1, 2), norm="ortho") @ mix
    return 1 / (1 + np.exp(-np.clip(values, -30, 30)))


def spectrum_of(d_values: np.ndarray, weight: np.ndarray, mix: np.ndarray) -> np.ndarray:
    """The gradient by the spectrum, of that by the values before the sigmoid: the transposed of `pictures_of`."""
    width = d_values.shape[2]
    found = np.fft.rfft2(d_values @ mix.T, axes=(1, 2), norm="ortho") * weight
    # Frequencies but the first and the last stand for two of the whole spectrum.
    twice = slice(1, (width + 1) // 2)
    found[:, :, twice] *= 2
    return np.stack([found.real, found.imag])


def climb(
    values: np.ndarray, gradient: np.ndarray, first: np.ndarray, second: np.ndarray, step: int, rate: float
) -> None:  # fmt: skip
    """A step of Adam upwards (D. Kingma, J. Ba 2015) with decay, in place."""
    for moment, new, keep in ((first, gradient, MOMENTA[0]), (second, gradient**2, MOMENTA[1])):
        moment *= keep
        moment += (1 - keep) * new
    ahead, spread = first / (1 - MOMENTA[0] ** step), second / (1 - MOMENTA[1] ** step)
    values *= 1 - DECAY
    values += rate * ahead / (np.sqrt(spread) + 1e-12)
