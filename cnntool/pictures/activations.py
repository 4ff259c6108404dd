"""Curves of the activation functions, with their derivatives, and where these are so small that nothing is learned."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import Any, NamedTuple

from cnntool.late import np
from cnntool.layers.table import LAYERS, load
from cnntool.pictures.figures import BLUE, FAINT, FORMULA, ORANGE, SHADE, WIDTH, draw
from cnntool.steps.training import Training

ACTIVATIONS = tuple(word for word, (module, _) in LAYERS.items() if module.endswith(".activations"))
POINTS = 1201
SATURATED = 0.01  # a derivative of less lets nearly nothing of a gradient through
SHORTEST = 0.2  # of a flat stretch
FORMULAS = {
    "relu": r"$\max(0,\ x)$",
    "leaky-relu": r"$\max(0.01\,x,\ x)$",
    "prelu": r"$\max(\alpha x,\ x)$, $\alpha$ trained, here 0.25",
    "sigmoid": r"$\sigma(x) = 1\,/\,(1 + e^{-x})$",
    "tanh": r"$(e^x - e^{-x})\,/\,(e^x + e^{-x})$",
    "elu": r"$x$ for $x \geq 0$, $e^x - 1$ below",
    "gelu": r"$x\,\Phi(x)$, $\Phi$ the normal distribution",
    "silu": r"$x\,\sigma(x)$",
    "softplus": r"$\ln(1 + e^x)$",
    "hard-sigmoid": r"$\min(\max(x + 3,\ 0),\ 6)\,/\,6$",
    "hard-swish": r"$x \cdot$ hard-sigmoid$(x)$",
    "abs": r"$|x|$",
}


class Curve(NamedTuple):
    """f and f' at some x, as the kernels compute them."""

    word: str
    x: np.ndarray
    y: np.ndarray
    slope: np.ndarray

    @property
    def saturated(self) -> np.ndarray:
        """Where |f'| is below SATURATED over a stretch; a single minimum on the way is not meant."""
        flat = np.abs(self.slope) < SATURATED
        edges = np.flatnonzero(np.diff(flat, prepend=False, append=False))
        for first, end in edges.reshape(-1, 2):
            if self.x[end - 1] - self.x[first] < SHORTEST:
                flat[first:end] = False
        return flat

    def remark(self) -> str:
        """What the lecture says of an activation, with the numbers over this range."""
        mean, share = float(self.y.mean()), float(self.saturated.mean())
        flat = f"flat over {share:.0%} of it" if share else "never flat"
        return f"{self.y.min():.2f} to {self.y.max():.2f}, mean {mean:.2f}; {flat}"


def curve(word: str, x: np.ndarray) -> Curve:
    """An activation and its derivative at the numbers `x`, by the kernels that networks run and train with."""
    layer = load(word)()
    rng = np.random.default_rng(0)
    arrays = layer.initial((1, 1, 1), rng, False)
    volume = np.ascontiguousarray(x, np.float32).reshape(1, -1, 1, 1)
    training = Training(lambda work, items: [work(item) for item in items])
    output, saved = layer.train([volume], arrays, training)
    (slope,), _ = layer.gradient(np.ones_like(output), saved, arrays, training)
    assert slope is not None
    return Curve(word, volume.ravel(), output.ravel().copy(), slope.ravel().copy())


def curves(words: Sequence[str], reach: float) -> list[Curve]:
    """The curves of activation words from -`reach` to `reach`."""
    x = np.linspace(-reach, reach, POINTS, dtype=np.float32)
    return [curve(word, x) for word in words]


def draw_activations(path: str, found: Sequence[Curve], command: str | None = None) -> None:
    """A panel an activation: f, f', and a shade where f' is nearly 0."""
    columns = min(3, len(found))
    rows = -(-len(found) // columns)

    def paint(figure: Any) -> None:
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True)
        for axes, one in zip(grid.flat, found, strict=False):
            panel(axes, one)
            axes.tick_params(labelbottom=True)
        for axes in grid.flat[len(found) :]:
            axes.set_visible(False)
        handles, labels = grid.flat[0].get_legend_handles_labels()
        from matplotlib.patches import Patch

        handles.append(Patch(color=SHADE))
        labels.append(f"flat: |f ′(x)| < {SATURATED}")
        figure.legend(handles, labels, loc="outside upper center", ncols=3)

    draw(path, paint, (WIDTH, 0.6 + (2.5 if columns == 3 else 3.4) * rows), command)


def panel(axes: Any, one: Curve) -> None:
    """One activation."""
    low = min(-1.3, float(np.floor(min(one.y.min(), one.slope.min()) * 10) / 10 - 0.15))
    high = max(1.3, min(float(one.y.max()), 3.0))
    axes.axhline(0, color=FAINT, linewidth=0.7)
    axes.axvline(0, color=FAINT, linewidth=0.7)
    axes.fill_between(one.x, low, high, where=one.saturated, color=SHADE, linewidth=0, step="mid")
    axes.plot(one.x, one.y, color=BLUE, label="f(x)")
    axes.plot(one.x, one.slope, color=ORANGE, linestyle=(0, (4, 1.5)), label="f ′(x)")
    axes.set(xlim=(one.x[0], one.x[-1]), ylim=(low, high))
    axes.grid()
    axes.set_title(one.word, pad=20)
    axes.text(0, 1.02, FORMULAS.get(one.word, ""), transform=axes.transAxes, fontsize=8, gid=FORMULA)
    axes.set_xlabel(one.remark(), fontsize=7, color=FAINT, loc="left")


def terminal_plot(one: Curve, width: int | None = None) -> str:
    """An activation and its derivative in characters."""
    import plotille

    width = max(20, min(72, (width or shutil.get_terminal_size().columns) - 22))
    figure = plotille.Figure()
    figure.width, figure.height, figure.with_colors, figure.origin = width, 12, False, True
    reach = float(one.x[-1])
    low, high = min(-0.25, float(one.y.min())), min(float(one.y.max()) + 0.25, 3.0)
    figure.set_x_limits(-reach, reach)
    figure.set_y_limits(max(low, -1.25), high)
    figure.x_ticks_fkt = lambda low, high: f"{low:.2g}"
    figure.y_ticks_fkt = lambda low, high: f"{low:.2f}"
    figure.x_label, figure.y_label = "x", ""
    kept = (one.y >= max(low, -1.25)) & (one.y <= high)
    # Points, not lines, so that both can be told apart.
    figure.plot(one.x[kept].tolist(), one.y[kept].tolist(), marker=None)
    figure.plot(one.x[::12].tolist(), one.slope[::12].tolist(), interp=None)
    lines = [line for line in figure.show().splitlines() if line.strip() and "()" not in line]
    return "\n".join([f"{one.word}  (line: f, dots: f')", *lines, f"  {one.remark()}"])
