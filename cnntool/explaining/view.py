"""Where a window lies on its input, and which pixels no window reaches."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from cnntool.explaining.data import Grid, Place, Step
from cnntool.kernels.arguments import Window
from cnntool.layers.bank import Bank
from cnntool.layers.base import Layer
from cnntool.steps import borders


class View(NamedTuple):
    """The rows and columns of the input that a window lies on, some of them outside.

    `inside` (kh, kw) tells where there are numbers; with a border other than zeros that is everywhere, and `sources`
    are the rows and columns that stand there.
    """

    rows: np.ndarray
    columns: np.ndarray
    inside: np.ndarray
    sources: tuple[np.ndarray, np.ndarray]

    def of(self, plane: np.ndarray, outside: float = 0.0) -> np.ndarray:
        """The numbers of an H x W plane in the window, in float64; `outside` where it ends."""
        return np.where(self.inside, plane[np.ix_(*self.sources)].astype(np.float64), outside)

    def grid(self, title: str, numbers: np.ndarray, marked: tuple[int, int] | None = None) -> Grid:
        return Grid(title, numbers, self.rows.tolist(), self.columns.tolist(), ~self.inside, marked)

    def place(self, element: tuple[int, ...], channel: int) -> Place:
        """The input's place of an element of the window; the nearest one for an element outside."""
        return int(self.sources[0][element[0]]), int(self.sources[1][element[1]]), channel


def border_of(layer: Layer) -> str:
    """What stands in the padding."""
    return str(layer.mode if isinstance(layer, Bank) else getattr(layer, "border", borders.ZERO))


def view(window: Window, shape: tuple[int, ...], y: int, x: int, border: str = borders.ZERO) -> View:
    """The window of output row y, column x on an input of this shape."""
    top, left, _, _ = window.padding
    axes = zip((y, x), window.stride, (top, left), window.kernel_size, window.dilation, strict=True)
    rows, columns = (place * stride - before + dilation * np.arange(kernel)
                     for place, stride, before, kernel, dilation in axes)  # fmt: skip
    mode = borders.REPLICATE if border == borders.ZERO else border
    sources = tuple(np.array([borders.place(int(i), size, mode) for i in axis])
                    for axis, size in zip((rows, columns), shape[:2], strict=True))  # fmt: skip
    inside = beyond(rows, columns, shape)
    return View(rows, columns, ~inside if border == borders.ZERO else np.ones_like(inside), (sources[0], sources[1]))


def beyond(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Which elements of a window lie outside of the input."""
    return np.logical_or.outer((rows < 0) | (rows >= shape[0]), (columns < 0) | (columns >= shape[1]))


def listed(numbers: np.ndarray) -> str:
    """`3`, `-1..1` for neighbours, `0, 2, 4` for others."""
    if len(numbers) == 1:
        return str(numbers[0])
    if (np.diff(numbers) != 1).any():
        shown = [*map(str, numbers[:6]), *(["..."] if len(numbers) > 6 else [])]
        return ", ".join(shown)
    return f"{numbers[0]}..{numbers[-1]}"


def where(layer: Layer, shape: tuple[int, ...], seen: View, y: int, x: int) -> list[Step]:
    """Where the window lies, and what of it lies outside."""
    window, border = layer.window((shape[0], shape[1], shape[2])), border_of(layer)
    (kh, kw), (sy, sx), (dy, dx), (top, left, _, _) = window
    values: dict[str, Any] = {
        "y": y, "x": x, "stride_y": sy, "stride_x": sx, "top": top, "left": left, "first_row": seen.rows[0],
        "first_column": seen.columns[0], "rows": listed(seen.rows), "columns": listed(seen.columns),
    }  # fmt: skip
    steps = [Step("window.place", values)]
    if (dy, dx) != (1, 1):
        (eh, ew) = window.extent
        steps.append(Step("window.dilation", {"dy": dy, "dx": dx, "kh": kh, "kw": kw, "eh": eh, "ew": ew}))
    outside = int(beyond(seen.rows, seen.columns, shape).sum())
    if outside:
        key = "window.padding" if border == borders.ZERO else "window.border"
        steps.append(Step(key, {"outside": outside, "elements": seen.inside.size, "border": border}))
    return steps


def coverage(window: Window, shape: tuple[int, ...], outputs: tuple[int, ...]) -> list[Step]:
    """What a stride that does not divide leaves over, and the pixels that no window looks at."""
    steps = []
    top, left, bottom, right = window.padding
    for axis, before, after in ((0, top, bottom), (1, left, right)):
        size, kernel, stride, dilation = shape[axis], *(part[axis] for part in window[:3])
        name = "rows" if axis == 0 else "columns"
        room = size + before + after - window.extent[axis]
        if stride > 1 and room % stride:
            values = {"size": size, "padding": before + after, "extent": window.extent[axis], "room": room,
                      "stride": stride, "rest": room % stride, "outputs": outputs[axis]}  # fmt: skip
            steps.append(Step(f"window.remainder_{name}", values))
        seen = {o * stride - before + k * dilation for o in range(outputs[axis]) for k in range(kernel)}
        unseen = np.array(sorted(set(range(size)) - seen))
        if unseen.size:
            steps.append(Step(f"window.unreached_{name}", {"count": unseen.size, "places": listed(unseen)}))
    return steps
