"""What is varied in the configurations of the layers, and which choices make a layer that fits its volume.

A value that is an empty word leaves the option out. Widths and channel counts lie on both sides of 14 and of multiples
of 16, where tiles of fast kernels end.
"""

from __future__ import annotations

from typing import Any

from tests.cases.evaluation import Row, rows_of
from tests.cases.words import ACTIVATIONS, pair, parse, sides

LARGEST_WORK = 20_000_000

Shape = tuple[int, int, int]
Choice = dict[str, Any]

SIZES = [
    *("1x1", "1x7", "2x3", "3x2", "4x4", "5x12", "6x13", "7x5", "8x9", "9x1", "10x10", "11x6", "12x14", "13x8"),
    *("14x11", "15x15", "16x29", "28x28", "37x53", "64x48", "100x75", "300x200"),
]
CHANNELS = [1, 2, 3, 5, 16, 17, 32, 33, 64]

CONVOLUTION = {
    "size": SIZES,
    "in_channels": CHANNELS,
    "out_channels": CHANNELS,
    "kernel": ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "3x5", "5x2", "1x7", "7x1", "11x3"],
    "stride": ["", "1", "2", "3", "4", "1x2", "3x1", "2x4"],
    "padding": ["", "0", "1", "3", "2x1", "0x3", "1,0,2,1", "0,4,1,2", "same", "valid"],
    "dilation": ["", "1", "2", "3", "2x1", "1x3"],
    "grouping": ["one", "some", "depthwise", "multiplied"],
    "bias": [True, False],
}

POOLING = {
    "pool": ["maxpool", "avgpool", "avgpool --count-padding", "l2pool"],
    "size": SIZES,
    "channels": CHANNELS,
    "kernel": ["1", "2", "3", "4", "5", "7", "2x3", "3x1", "1x4"],
    "stride": ["", "1", "2", "3", "4", "1x2", "4x3"],
    "padding": ["", "0", "1", "2", "1x0", "0,1,1,0", "1,1,0,2", "same", "valid"],
    "dilation": ["", "1", "2", "3", "1x2"],
    "ceil": [True, False],
}

STATISTICS = ["center", "standardize", "whiten", "whiten std", "whiten pca", "whiten zca", "decorrelate"]

OTHERS = {
    "layer": [
        *(*ACTIVATIONS, "leaky-relu --slope 0.2", "prelu --alpha 0.1", "prelu --per-channel"),
        *("batchnorm", "lrn", "softmax", "globalpool max", "globalpool avg", "globalpool l2"),
        *("flatten", "dropout 0.5", "fc 1", "fc 10", "fc 33"),
        *STATISTICS,
    ],
    "size": ["1x1", "1x7", "5x3", "13x14", "20x31", "40x30"],
    "channels": [1, 2, 3, 5, 17, 32],
}


def shape_of(size: str, channels: int) -> Shape:
    return *pair(size), channels


def convolution_words(choice: Choice) -> tuple[str, Shape]:
    """The words of a chosen convolution and the shape of its volume."""
    groups, out_channels = channels_of(choice)
    words = f"conv {out_channels} {choice['kernel']}" + options(choice, "stride", "padding", "dilation")
    words += f" --groups {groups}" if groups > 1 else ""
    return words + ("" if choice["bias"] else " --no-bias"), shape_of(choice["size"], choice["in_channels"])


def channels_of(choice: Choice) -> tuple[int, int]:
    """Groups and output channels; no groups when the grouping does not fit the channels.

    `some` is the smallest number of groups of two or more channels each, `depthwise` keeps the channels, `multiplied`
    makes several of each.
    """
    in_channels, out_channels, grouping = choice["in_channels"], choice["out_channels"], choice["grouping"]
    if grouping == "one":
        return 1, out_channels
    if grouping == "some":
        shared = [g for g in range(2, in_channels) if in_channels % g == 0 and out_channels % g == 0]
        return (shared or [0])[0], out_channels
    times, rest = divmod(out_channels, in_channels)
    fitting = in_channels > 1 and rest == 0 and (times == 1) == (grouping == "depthwise") and times > 0
    return (in_channels if fitting else 0), out_channels


def convolution_fits(choice: Choice) -> bool:
    return channels_of(choice)[0] > 0 and fits(*convolution_words(choice))


def pooling_words(choice: Choice) -> tuple[str, Shape]:
    """The words of a chosen pool and the shape of its volume."""
    pool, *flag = choice["pool"].split()
    words = " ".join([pool, choice["kernel"], *flag]) + options(choice, "stride", "padding", "dilation")
    return words + (" --ceil" if choice["ceil"] else ""), shape_of(choice["size"], choice["channels"])


def pooling_fits(choice: Choice) -> bool:
    """Padding is at most half the kernel, and every window holds a pixel."""
    padding = choice["padding"]
    if padding not in ("", "same", "valid") and not padding_fits(choice["kernel"], padding):
        return False
    words, shape = pooling_words(choice)
    return fits(words, shape) and all_windows_hold_pixels(rows_of(parse(words), shape)[0])


def padding_fits(kernel: str, padding: str) -> bool:
    (height, width), (top, left, bottom, right) = pair(kernel), sides(padding)
    return max(top, bottom) <= height // 2 and max(left, right) <= width // 2


def all_windows_hold_pixels(row: Row) -> bool:
    """Dilation, small volumes and padding together make windows of nothing but padding."""
    options = row.options
    for axis in (0, 1):
        stride, dilation, before = options["stride"][axis], options["dilation"][axis], options["padding"][axis]
        for window in range(row.output_shape[axis]):
            places = (window * stride - before + tap * dilation for tap in range(options["kernel_size"][axis]))
            if not any(0 <= place < row.input_shape[axis] for place in places):
                return False
    return True


def other_words(choice: Choice) -> tuple[str, Shape]:
    return choice["layer"], shape_of(choice["size"], choice["channels"])


def other_fits(choice: Choice) -> bool:
    """Statistics need many pixels for their channels, or so few that the axes without variance are certain."""
    words, shape = other_words(choice)
    pixels, channels = shape[0] * shape[1], shape[2]
    certain = pixels >= 4 * channels or 2 * pixels <= channels or pixels == 1
    return fits(words, shape) and (certain or words not in STATISTICS)


def fits(words: str, shape: Shape) -> bool:
    """Every layer has an output, and the work stays small."""
    rows = rows_of(parse(words), shape)
    return all(min(row.output_shape) >= 1 for row in rows) and sum(row.work for row in rows) <= LARGEST_WORK


def options(choice: Choice, *names: str) -> str:
    return "".join(f" --{name} {choice[name]}" for name in names if choice[name])
