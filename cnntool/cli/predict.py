"""`cnntool predict`: classes and scores of images."""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import click

from cnntool.cli.classify import Classified, classified, load_classifier
from cnntool.cli.options import InputCommand, basic_options, image_options, outputs_beside, value_option
from cnntool.cli.streams import Results, printable
from cnntool.declare import Integer
from cnntool.errors import BadInput, CnntoolError
from cnntool.files import atomic, outputs

FORMATS = ("table", "csv", "jsonl")
Top = list[tuple[str, float]]


@click.command(cls=InputCommand, name="predict")
@click.argument("model", metavar="MODEL")
@click.argument("input", metavar="INPUT")
@click.argument("output", metavar="[OUTPUT]", required=False)
@value_option("--top", parse=Integer(1), default=5, help="Classes an image.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="Default: by OUTPUT's suffix; table for stdout.")
@image_options
@basic_options
def command(model: str, input: str, output: str | None, top: int, form: str | None, **values: Any) -> int:
    """The most likely classes of images, with their scores.

    \b
    cnntool predict m.npz photo.jpg
    cnntool predict m.npz photos/ classes.csv --top 1

    MODEL is what `cnntool train` wrote; the image options it was trained with are taken from it. INPUT is what `cnntool
    run` takes, or, for a model of a table, such a table. OUTPUT is a .csv (path, class1, score1, ...) or a .jsonl.
    Scores are the softmax of the network's outputs: over all classes they sum to 1.
    """
    pipeline = load_classifier(model)
    form = form or ("table" if output in (None, "-") else Path(str(output)).suffix[1:].lower())
    if form not in FORMATS:
        raise CnntoolError(f"{output}: expected a name ending in .csv or .jsonl, or --format {'|'.join(FORMATS)}")
    file = None if output == "-" else output
    top = min(top, len(pipeline.classes))
    failed: list[str] = []
    with outputs(file, overwrite=values["overwrite"]), opened(file) as stream:
        write = WRITERS[form](stream, top)
        rows = 0
        for found in classified(pipeline, input, values, "predict", False, failed, outputs_beside(output)):
            write(found.name, best_of(found, pipeline.classes, top))
            rows += 1
        if not rows:  # an older OUTPUT is worth more than an empty one
            raise BadInput(f"{input}: no image could be classified")
    return 1 if failed else 0


def best_of(found: Classified, classes: list[str], top: int) -> Top:
    order = (-found.probabilities).argsort(kind="stable")[:top]
    return [(classes[index], float(found.probabilities[index])) for index in order]


@contextlib.contextmanager
def opened(output: str | None) -> Iterator[IO[str] | Results]:
    """Standard output, or a file that appears when all is written."""
    if output is not None:
        with atomic(output, text=True) as stream:
            yield stream
        return
    yield Results()


def table_writer(stream: IO[str] | Results, top: int) -> Callable[[str, Top], Any]:
    """A line an image, for people."""

    def write(name: str, best: Top) -> None:
        classes = "  ".join(f"{label} {score:.1%}" for label, score in best)
        stream.write(printable(f"{name}  {classes}") + "\n")

    return write


def csv_writer(stream: IO[str] | Results, top: int) -> Callable[[str, Top], Any]:
    """A row an image: its path, then classes and scores in turn."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["path", *(f"{what}{rank}" for rank in range(1, top + 1) for what in ("class", "score"))])

    def write(name: str, best: Top) -> None:
        writer.writerow([name, *(value for label, score in best for value in (label, f"{score:.6f}"))])

    return write


def lines_writer(stream: IO[str] | Results, top: int) -> Callable[[str, Top], Any]:
    """A JSON object a line: `path`, and `classes` with `class` and `score`."""

    def write(name: str, best: Top) -> None:
        classes = [{"class": label, "score": round(score, 6)} for label, score in best]
        stream.write(json.dumps({"path": name, "classes": classes}) + "\n")

    return write


WRITERS = {"table": table_writer, "csv": csv_writer, "jsonl": lines_writer}
