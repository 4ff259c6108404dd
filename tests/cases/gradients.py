"""Random configurations of every layer that has a gradient: its words, the shape of its volumes, its arrays."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import numpy as np

from tests.cases.evaluation import Row, rows_of
from tests.cases.factors import all_windows_hold_pixels
from tests.cases.words import ACTIVATIONS, parse
from tests.naive import gradients, twins

COUNT = 50
RENAMED = {"running_mean", "running_var"}
OTHERS = (
    *(*ACTIVATIONS, "leaky-relu --slope {slope}", "prelu --per-channel"),
    *("batchnorm", "lrn", "softmax", "flatten", "fc {outputs}", "globalpool max", "globalpool avg", "globalpool l2"),
)
LAYERS = ("conv", "conv depthwise", "maxpool", "avgpool", "avgpool --count-padding", "l2pool", *OTHERS)


def windowed(layer: str, dice: random.Random) -> str:
    """The words of a convolution or a pool, any option at any value."""
    pool = layer.split()[0] != "conv"
    kernel = dice.choice(["1", "2", "3", "3", "3x1", "2x3", "4x2"])
    options = {"stride": dice.choice(["", "1", "2", "3", "1x2"]), "dilation": dice.choice(["", "", "2", "1x3"])}
    paddings = ["", "same", "valid", "1", "0,1,1,0", "0x1"] + ([] if pool else ["2", "3,0,1,4"])
    options["padding"] = dice.choice(paddings)
    words = "".join(f" --{name} {value}" for name, value in options.items() if value)
    if pool:
        word, *flag = layer.split()
        return " ".join([word, kernel, *flag]) + words + dice.choice(["", " --ceil"])
    groups = dice.choice(["", "", " --groups 2", " --groups 3"])
    return f"conv {dice.choice([1, 2, 3, 4, 6, 12, 18, 36])} {kernel}{words}{groups}{dice.choice(['', ' --no-bias'])}"


def words_of(layer: str, channels: int, dice: random.Random) -> str:
    if layer == "conv depthwise":
        _, _, *rest = windowed("conv", dice).split(" --groups")[0].split()
        return " ".join(["conv", str(channels * dice.choice([1, 1, 2])), *rest, "--groups", str(channels)])
    if layer.split()[0] in ("conv", "maxpool", "avgpool", "l2pool"):
        return windowed(layer, dice)
    return layer.format(slope=dice.choice(["0.1", "0.3"]), outputs=dice.choice([1, 3, 10, 33]))


def configurations(layer: str, largest: int) -> Iterator[tuple[Row, np.random.Generator]]:
    """COUNT rows that fit, the same each time; heights and widths of 2 to `largest`."""
    dice = random.Random(f"{layer} {largest}")
    found = 0
    while found < COUNT:
        channels = dice.choice([1, 2, 3, 4, 6, 17, 33] if largest > 8 else [1, 2, 3, 6])
        shape = dice.randint(2, largest), dice.randint(2, largest), channels
        words = words_of(layer, channels, dice)
        row = fitting(words, shape)
        if row is not None:
            found += 1
            yield row, np.random.default_rng(found)


def fitting(words: str, shape: tuple[int, int, int]) -> Row | None:
    layer = parse(words)[0]
    groups = int(layer.options.get("--groups", 1))
    if layer.word == "conv" and (shape[2] % groups or int(layer.arguments[0]) % groups):
        return None
    (row,) = rows_of([layer], shape)
    if min(row.output_shape) < 1:
        return None
    return row if not layer.word.endswith("pool") or "kernel_size" not in row.options or pool_fits(row) else None


def pool_fits(row: Row) -> bool:
    top, left, bottom, right = row.options["padding"]
    kernel = row.options["kernel_size"]
    small = max(top, bottom) <= kernel[0] // 2 and max(left, right) <= kernel[1] // 2
    return small and all_windows_hold_pixels(row)


def arrays_of(row: Row, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Values for the trainable arrays, exact in float32."""
    shapes = {name: shape for name, shape in row.weight_shapes.items() if name not in RENAMED}
    arrays = {name: rng.standard_normal(shape).astype(np.float32).astype(np.float64) for name, shape in shapes.items()}
    if "alpha" in arrays:
        arrays["alpha"] = np.abs(arrays["alpha"])
    return arrays


def batch_of(row: Row, rng: np.random.Generator, images: int) -> np.ndarray:
    """Values that lie off the kinks of activations, and far enough apart for maxima; exact in float32."""
    x = 2 * rng.standard_normal((images, *row.input_shape))
    for kink in (-3.0, 0.0, 3.0):
        x = np.where(np.abs(x - kink) < 1e-3, x + 2e-3, x)
    return x.astype(np.float32).astype(np.float64)


def forward(row: Row, x: np.ndarray, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """The twin over a batch."""
    function: Callable = getattr(twins, row.operation)
    if row.operation == "batchnorm":
        return function(x, **arrays)
    return np.stack([function(image, **arrays, **row.options) for image in x])


def backward(
    row: Row, d_y: np.ndarray, x: np.ndarray, arrays: dict[str, np.ndarray]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The twin's gradients over a batch: those of the arrays are sums over the images."""
    function: Callable = getattr(gradients, f"{row.operation}_backward")
    if row.operation == "batchnorm":
        return function(d_y, x, **arrays)
    found = [function(d, image, **arrays, **row.options) for d, image in zip(d_y, x, strict=True)]
    return np.stack([d_x for d_x, _ in found]), {name: sum(d[name] for _, d in found) for name in arrays}
