"""Kinds of pooling side by side, as pictures and as numbers, and the share of the activations that they leave."""

from __future__ import annotations

from typing import Any, NamedTuple

from cnntool.errors import CnntoolError
from cnntool.images.sheet import scale_of
from cnntool.late import np
from cnntool.pictures.figures import FAINT, INK, draw, picture
from cnntool.pipeline import Pipeline

MOST_NUMBERED = 8  # pixels a side of a patch whose numbers are written out
WINDOW_COLOURS = ("#2a5caa", "#d1600f", "#2b8a57", "#7a4aa5")


class Pooled(NamedTuple):
    """What one kind of pooling makes of a map, H' x W'; `weights` of the convolution."""

    title: str
    words: str
    values: np.ndarray
    weights: np.ndarray | None = None


def pooled(values: np.ndarray, size: int, stride: int, seed: int) -> list[Pooled]:
    """The map H x W through all kinds, by the layers of their words."""
    if size > min(values.shape):
        raise CnntoolError(f"windows of {size}x{size} do not fit into {values.shape[0]}x{values.shape[1]}: give --size")
    kinds = [("maximum", "maxpool"), ("mean", "avgpool"), ("L2 norm", "l2pool")]
    found = []
    for title, word in kinds:
        words = f"{word} {size} --stride {stride}"
        found.append(Pooled(title, words, Pipeline.parse(words).run(values)[:, :, 0]))
    words = f"conv 1 {size} --stride {stride} --no-bias"
    pipeline = Pipeline.parse(words, seed=seed)
    weights = pipeline.weights((*values.shape, 1))[0]["weight"][:, :, 0, 0]
    found.append(Pooled(f"convolution, stride {stride}", words, pipeline.run(values)[:, :, 0], weights))
    return found


def share_text(before: tuple[int, int], after: tuple[int, int], size: int, stride: int) -> str:
    """The arithmetic of what is left."""
    (height, width), (rows, columns) = before, after
    left = rows * columns / (height * width)
    counts = f"{height} x {width} = {height * width:,} activations become {rows} x {columns} = {rows * columns:,}"
    exact = f"{counts}: {left:.1%} are left, {1 - left:.1%} discarded"
    cells = stride * stride
    rule = f"one window every {stride} x {stride} = {cells} positions leaves 1 of {cells} = {1 / cells:.1%}"
    ends = "" if rows * stride == height and columns * stride == width else " (the borders do not divide evenly)"
    return f"{size}x{size} windows, stride {stride}: {exact}\n{rule} and discards {1 - 1 / cells:.1%}{ends}"


def busiest(values: np.ndarray, side: int, stride: int) -> tuple[int, int]:
    """Where the square of `side` pixels lies, on the grid of windows, whose numbers differ most."""
    windows = np.lib.stride_tricks.sliding_window_view(values, (side, side))[::stride, ::stride]
    spread = np.nan_to_num(windows.astype(np.float64).var(axis=(2, 3)))
    row, column = np.unravel_index(int(spread.argmax()), spread.shape)
    return int(row) * stride, int(column) * stride


def draw_pooling(
    path: str, values: np.ndarray, size: int, stride: int, title: str, seed: int, command: str | None = None
) -> None:  # fmt: skip
    """Above, the map and what each kind makes of it; below, the numbers of two by two windows."""

    found = pooled(values, size, stride, seed)
    side = size + stride
    numbered = side <= min(MOST_NUMBERED, *values.shape)
    height, width = values.shape

    def paint(figure: Any) -> None:
        rows = figure.subplots(
            2 if numbered else 1, 5, squeeze=False, height_ratios=(height / width, 1.0) if numbered else None
        )
        show(rows[0][0], values, f"{title}\n{height} x {width}")
        for axes, one in zip(rows[0][1:], found, strict=True):
            show(axes, one.values, f"{one.title}\n{one.values.shape[0]} x {one.values.shape[1]}")
        if numbered:
            y, x = busiest(values, side, stride)
            patch = values[y : y + side, x : x + side]
            grid(rows[1][0], patch, f"rows {y}–{y + side - 1}, columns {x}–{x + side - 1}", size, stride)
            for axes, one in zip(rows[1][1:], found, strict=True):
                row, column = y // stride, x // stride
                grid(axes, one.values[row : row + 2, column : column + 2], one.words, 1, 1, one.weights)
        figure.suptitle(share_text(values.shape, found[0].values.shape, size, stride), fontsize=9, x=0.01, ha="left")

    draw(path, paint, (10, 0.95 + 2 * min(2.5, height / width) + (2.75 if numbered else 0)), command)


def show(axes: Any, values: np.ndarray, title: str) -> None:
    """A map in gray where nothing is negative, else blue and red."""
    signed = bool((values < 0).any())
    picture(axes, values, "blue-red" if signed else "gray", *scale_of(values, signed))
    axes.set_title(title, fontsize=8)


def grid(
    axes: Any, values: np.ndarray, title: str, size: int, stride: int, weights: np.ndarray | None = None
) -> None:  # fmt: skip
    """Numbers in their squares; a frame for each of the four windows, in the colours of their results."""
    from matplotlib.patches import Rectangle

    signed = bool((values < 0).any())
    low, high = scale_of(values, signed, 100)
    picture(axes, values, "blue-red" if signed else "gray", low, high)
    for (row, column), value in ((place, values[place]) for place in _places(values)):
        level = (float(value) - low) / (high - low)
        dark = abs(level - 0.5) > 0.3 if signed else level < 0.55
        shown = f"{value:.2f}".replace("-0.00", "0.00")
        size_of_text, ink = 7 if len(values) > 2 else 10, "white" if dark else INK
        axes.text(column, row, shown, ha="center", va="center", fontsize=size_of_text, color=ink)
    for number, colour in enumerate(WINDOW_COLOURS):
        row, column = divmod(number, 2)
        inset = 0.04 + (0.05 * number if stride < size else 0)
        corner = (column * stride - 0.5 + inset, row * stride - 0.5 + inset)
        for edge, linewidth in (("white", 3.6), (colour, 2.0)):  # seen on dark and on light squares
            side = size - 2 * inset
            axes.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=edge, linewidth=linewidth))
    axes.set_title(title, fontsize=7, fontweight="normal", color=FAINT)
    if weights is not None:
        lines = "\n".join("  ".join(f"{w:+.2f}" for w in row) for row in weights)
        axes.set_xlabel(f"its weights\n{lines}", fontsize=7)


def _places(values: np.ndarray) -> list[tuple[int, int]]:
    return [(row, column) for row in range(values.shape[0]) for column in range(values.shape[1])]
