"""Progress of training: a live display in a terminal, a line an epoch elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from cnntool.cli.streams import tell, telling
from cnntool.cli.work import Display, Notices

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = (
    "epoch", "rate", "loss", "accuracy", "validation_loss", "validation_accuracy", "seconds", "images_per_second"
)  # fmt: skip


def line_of(row: dict[str, Any], epochs: int, best: bool) -> str:
    """An epoch in words, which fit a terminal of 80 columns: loss and accuracy, of validation, too."""
    parts = [f"epoch {row['epoch']}/{epochs}", f"loss {row['loss']:.4f} {row['accuracy']:.2%}"]
    if "validation_loss" in row:
        parts.append(f"validation {row['validation_loss']:.4f} {row['validation_accuracy']:.2%}")
    parts.append(f"{row['images_per_second']:,.0f} images/s")
    return "  ".join(parts) + (" *" if best else "")


class Watch(Display):
    """Shows the progress of training on stderr. A context manager around the training."""

    def __init__(self, epochs: int, done: int, notices: Notices) -> None:
        self.epochs, self._quiet = epochs, notices.quiet
        if sys.stderr.isatty() and not notices.quiet:
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("epoch {task.fields[epoch]}/" + str(epochs)), BarColumn(),
                TextColumn("loss {task.fields[loss]:.4f}  accuracy {task.fields[accuracy]:.1%}"),
                TextColumn("{task.fields[speed]}"), TimeRemainingColumn(),
                console=Console(file=sys.stderr), transient=True,
            )  # fmt: skip
            self._task = self._bar.add_task(
                "", total=epochs, completed=done, epoch=done + 1, loss=float("nan"), accuracy=0.0, speed=""
            )

    def batch(self, epoch: int, done: int, total: int, loss: float, accuracy: float) -> None:
        if self._bar:
            task = self._bar.tasks[0]
            speed = f"{task.speed * total:,.0f} images/s" if task.speed else ""
            with telling():
                self._bar.update(
                    self._task, completed=epoch - 1 + done / total, epoch=epoch, loss=loss, accuracy=accuracy,
                    speed=speed,
                )  # fmt: skip

    def epoch(self, row: dict[str, Any], best: bool) -> None:
        text = line_of(row, self.epochs, best)
        if self._bar:
            self.print(text)
        elif not self._quiet:
            tell(text)


def write_history(path: Path, history: list[dict[str, Any]]) -> None:
    """One line an epoch; columns without a value, such as those of validation without held-out images, stay empty."""
    import csv

    from cnntool.files import atomic

    with atomic(path, text=True) as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
