"""Pictures of training and evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnntool.images.names import as_text
from cnntool.pictures.figures import draw

if TYPE_CHECKING:
    import numpy as np

MOST_NUMBERED = 30  # classes of a confusion matrix whose counts are written into it


def draw_curves(path: str, history: list[dict[str, Any]], command: str | None = None) -> None:
    """Loss and accuracy over the epochs, of training and of the images held back."""
    epochs = [row["epoch"] for row in history]

    def paint(figure: Any) -> None:
        for axes, key in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
            axes.plot(epochs, [row[key] for row in history], marker=".", label="training")
            if history and f"validation_{key}" in history[0]:
                axes.plot(epochs, [row[f"validation_{key}"] for row in history], marker=".", label="validation")
            axes.set(xlabel="epoch", ylabel=key)
            axes.grid()
            axes.legend()

    draw(path, paint, (9, 3.5), command)


def draw_confusion(path: str, confusion: np.ndarray, classes: list[str], command: str | None = None) -> None:
    """The confusion matrix, rows true and columns predicted, shaded by the share of the row."""
    size = max(4.0, 0.45 * len(classes) + 2)
    shares = confusion / confusion.sum(axis=1, keepdims=True).clip(1)

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        names = list(map(as_text, classes))
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(len(classes)), names, rotation=90, parse_math=False)
        axes.set_yticks(range(len(classes)), names, parse_math=False)
        axes.set(xlabel="predicted", ylabel="true")
        if len(classes) <= MOST_NUMBERED:
            for row, column in zip(*confusion.nonzero(), strict=True):
                colour = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, int(confusion[row, column]), ha="center", va="center", color=colour)

    draw(path, paint, (size, size), command)
