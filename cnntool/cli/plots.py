"""Pictures of training and evaluation, by matplotlib, which the extra `plots` brings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnntool.errors import CnntoolError

if TYPE_CHECKING:
    import numpy as np

SUFFIXES = (".png", ".pdf", ".svg", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")


def check_plot(option: str, path: str) -> None:
    """Refuses, before any work, a picture that cannot be drawn."""
    import importlib.util

    if Path(path).suffix.lower() not in SUFFIXES:
        raise CnntoolError(f"{option} {path}: expected the name of a picture ending in {', '.join(SUFFIXES)}")
    if importlib.util.find_spec("matplotlib") is None:
        raise CnntoolError(f"{option} needs matplotlib: install it with `pip install 'cnntool[plots]'`")


def draw_curves(path: str, history: list[dict[str, Any]]) -> None:
    """Loss and accuracy over the epochs, of training and of the images held back."""
    figure, (losses, accuracies) = _figure(1, 2, (9, 3.5))
    epochs = [row["epoch"] for row in history]
    for axes, key in ((losses, "loss"), (accuracies, "accuracy")):
        axes.plot(epochs, [row[key] for row in history], marker=".", label="training")
        if history and f"validation_{key}" in history[0]:
            axes.plot(epochs, [row[f"validation_{key}"] for row in history], marker=".", label="validation")
        axes.set(xlabel="epoch", ylabel=key)
        axes.grid(alpha=0.3)
        axes.legend()
    _save(figure, path)


def draw_confusion(path: str, confusion: np.ndarray, classes: list[str]) -> None:
    """The confusion matrix, rows true and columns predicted, shaded by the share of the row."""
    size = max(4.0, 0.45 * len(classes) + 2)
    figure, axes = _figure(1, 1, (size, size))
    shares = confusion / confusion.sum(axis=1, keepdims=True).clip(1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(classes)), classes, rotation=90)
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="predicted", ylabel="true")
    if len(classes) <= 30:
        for row, column in zip(*confusion.nonzero(), strict=True):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, int(confusion[row, column]), ha="center", va="center", color=colour, fontsize=8)
    _save(figure, path)


def _figure(rows: int, columns: int, size: tuple[float, float]) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns)


def _save(figure: Any, path: str) -> None:
    import io

    from cnntool.files import atomic

    buffer = io.BytesIO()
    figure.savefig(buffer, format=Path(path).suffix[1:].lower(), dpi=120)
    with atomic(path) as file:
        file.write(buffer.getbuffer())
