"""`cnntool evaluate`: how good a classifier is."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnntool.cli.classify import classified, load_classifier
from cnntool.cli.groups import command_line
from cnntool.cli.options import InputCommand, basic_options, image_options, labels_option, outputs_beside
from cnntool.cli.streams import printable, results
from cnntool.errors import BadInput, CnntoolError
from cnntool.files import outputs
from cnntool.late import np

if TYPE_CHECKING:
    from cnntool.pipeline import Pipeline

WIDEST_MATRIX = 20  # classes; a larger confusion matrix is not printed


@click.command(cls=InputCommand, name="evaluate")
@click.argument("model", metavar="MODEL")
@click.argument("folder", metavar="FOLDER|TABLE")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.option("--csv", "csv_file", metavar="FILE", help="The confusion matrix as a .csv.")
@click.option("--picture", metavar="FILE", help="The confusion matrix as a picture (needs the extra plots).")
@labels_option
@image_options
@basic_options
def command(
    model: str, folder: str, as_json: bool, csv_file: str | None, picture: str | None, **values: Any
) -> int:  # fmt: skip
    """Accuracy, precision and recall of each class, and the confusion matrix, on labelled images.

    \b
    cnntool evaluate m.npz test/
    cnntool evaluate m.npz test.zip --json --csv confusion.csv

    FOLDER holds one folder a class, or is an archive of them, or a .csv or .parquet with columns of paths and labels,
    or --labels gives the classes, or, for a model of a table, such a table with labels. Precision: of the images that
    were given a class, the share that has it. Recall: of those that have it, the share that was given it. F1: their
    harmonic mean. Rows of the confusion matrix are true classes, columns given ones.
    """
    if picture is not None:
        from cnntool.pictures.figures import check_picture

        check_picture("--picture", picture)
    pipeline = load_classifier(model)
    with outputs(csv_file, picture, overwrite=values["overwrite"]):
        return evaluate(pipeline, folder, as_json, csv_file, picture, values)


def evaluate(
    pipeline: Pipeline, folder: str, as_json: bool, csv_file: str | None, picture: str | None, values: dict[str, Any]
) -> int:  # fmt: skip
    """Classifies, counts, writes; the exit code."""
    classes = pipeline.classes
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    failed: list[str] = []
    beside = outputs_beside(None, csv_file, picture)
    for name, label, found in classified(pipeline, folder, values, "evaluate", True, failed, beside):
        if label is None:
            raise CnntoolError(f"{name}: no label: expected a table that `extract --labels` wrote")
        confusion[classes.index(label), int(found.argmax())] += 1
    if not confusion.any():
        raise BadInput(f"{folder}: no image could be classified")
    result = summary_of(confusion, classes)
    # Files first: the reader of stdout may close the pipe early.
    if csv_file is not None:
        write_matrix(Path(csv_file), confusion, classes)
    if picture is not None:
        from cnntool.pictures.training import draw_confusion

        draw_confusion(picture, confusion, classes, command_line())
    with results():
        if as_json:
            click.echo(json.dumps(result, indent=2))
        else:
            show(result, confusion, classes)
    return 1 if failed else 0


def summary_of(confusion: np.ndarray, classes: list[str]) -> dict[str, Any]:
    """The object that --json prints; a share of zero images is 0."""
    right, true, given = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)

    def share(part: int, total: int) -> float:
        return part / total if total else 0.0

    rows = []
    for index, name in enumerate(classes):
        hits, has, got = int(right[index]), int(true[index]), int(given[index])
        rows.append({
            "class": name, "images": has, "precision": share(hits, got), "recall": share(hits, has),
            "f1": share(2 * hits, has + got),
        })  # fmt: skip
    images = int(confusion.sum())
    return {
        "accuracy": int(right.sum()) / images, "images": images, "classes": rows, "confusion": confusion.tolist()
    }  # fmt: skip


def show(result: dict[str, Any], confusion: np.ndarray, classes: list[str]) -> None:
    """Tables on stdout."""
    from rich.text import Text

    from cnntool.cli.report import console_of, table_of_numbers

    console = console_of(sys.stdout)
    table = table_of_numbers("class", "images", "precision", "recall", "f1")
    for row in result["classes"]:
        shares = (f"{row[key]:.1%}" for key in ("precision", "recall", "f1"))
        table.add_row(Text(printable(row["class"])), f"{row['images']:,}", *shares)
    console.print(table)
    if len(classes) <= WIDEST_MATRIX:
        matrix = table_of_numbers("true \\ given", *(Text(printable(name)) for name in classes))
        for name, line in zip(classes, confusion, strict=True):
            matrix.add_row(Text(printable(name)), *(str(count) if count else "." for count in line))
        console.print(matrix)
    console.print(f"accuracy {result['accuracy']:.2%} on {result['images']:,} images")


def write_matrix(path: Path, confusion: np.ndarray, classes: list[str]) -> None:
    """A row a true class, a column a given one."""
    from cnntool.files import atomic

    with atomic(path, text=True) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["true", *classes])
        writer.writerows([name, *map(int, line)] for name, line in zip(classes, confusion, strict=True))
