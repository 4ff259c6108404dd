"""Shared by `predict` and `evaluate`: a classifier, and its class probabilities for inputs of any kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from cnntool.cli.options import preparation_of, reading_of
from cnntool.cli.work import Notices, Progress, volumes
from cnntool.errors import BadInput, CnntoolError
from cnntool.images.names import composed
from cnntool.late import np
from cnntool.pipeline import Pipeline

ROWS = 1024  # of a table at a time


class Classified(NamedTuple):
    """An input, the name of its folder where it has one, and a probability for each class."""

    name: str
    label: str | None
    probabilities: np.ndarray


def load_classifier(path: str) -> Pipeline:
    """A model with classes, whose names are in Unicode's composed form as those of folders are."""
    pipeline = Pipeline.load(path)
    if not pipeline.classes:
        raise CnntoolError(f"{path} knows no classes: expected a model that `cnntool train` wrote")
    pipeline.classes = [composed(name) for name in pipeline.classes]
    return pipeline


def classified(
    pipeline: Pipeline,
    input: str,
    values: dict[str, Any],
    doing: str,
    labels: bool,
    failed: list[str],
    outputs: Sequence[str] = (),
) -> Iterator[Classified]:
    """All inputs that can be read, in order. The others go to stderr and into `failed`."""
    from cnntool.engine.threads import available_threads
    from cnntool.images.sources import open_source

    notices = Notices(values["quiet"], False)
    threads = values["threads"] or available_threads()
    if input.lower().endswith(".npz"):
        if values.get("labels_file"):
            raise CnntoolError(f"{input} is a table, whose rows have labels: leave --labels out")
        yield from rows_of_table(pipeline, input, threads)
        return
    preparation = preparation_of(values, pipeline)
    with open_source(
        input,
        **reading_of(values),
        labels=labels,
        labels_file=values.get("labels_file"),
        outputs=outputs,
    ) as source:
        check_labels(pipeline, source.labels if labels else [])
        with Progress(len(source), notices, doing) as progress, notices.watching_compiler():

            def complain(item: Any, error: CnntoolError) -> None:
                progress.complain(str(error))
                progress.advance()
                failed.append(item.name)

            def of_classes(number: int, volume: np.ndarray) -> np.ndarray:
                return probabilities(pipeline, volume.reshape(1, -1))[0]

            for _, item, found, _ in volumes(source, pipeline, preparation, threads, notices, of_classes, complain):
                progress.advance()
                yield Classified(item.name, item.label, found)
        notices.source(source, labels)


def rows_of_table(pipeline: Pipeline, path: str, threads: int) -> Iterator[Classified]:
    """The rows of a table that `extract` wrote, for a model trained on such a table."""
    from cnntool.learning.linear import read_table

    table = read_table(path)
    shape = pipeline.input_shape
    if shape is None or shape[:2] != (1, 1) or shape[2] != table.features.shape[1]:
        raise CnntoolError(
            f"{path} has {table.features.shape[1]} features a row, and the model takes "
            f"{'x'.join(map(str, shape or ()))}: expected images, or the table of the same layers"
        )
    check_labels(pipeline, sorted({composed(label) for label in table.labels} - {""}))
    for first in range(0, len(table.features), ROWS):
        rows = table.features[first : first + ROWS]
        found = probabilities(pipeline, pipeline.run(rows[:, None, None], threads).reshape(len(rows), -1))
        for index, row in enumerate(found, first):
            yield Classified(table.paths[index], composed(table.labels[index]) or None, row)


def probabilities(pipeline: Pipeline, outputs: np.ndarray) -> np.ndarray:
    """The outputs (N, K) of the network, through a softmax unless its last layer is one."""
    from cnntool.learning.losses import softmax

    if outputs.shape[1] != len(pipeline.classes):
        raise BadInput(
            f"the network gives {outputs.shape[1]} numbers for {len(pipeline.classes)} classes: "
            "expected an image of the size the model was trained on; give --resize"
        )
    if np.isnan(outputs).any():
        raise BadInput("the network gives NaN: expected an image, and a model, of finite numbers")
    last = pipeline.graph.needed()[-1:]
    ends_in_softmax = any(pipeline.graph.nodes[number].layer.gives_probabilities for number in last)
    return outputs if ends_in_softmax else softmax(outputs)


def check_labels(pipeline: Pipeline, labels: list[str]) -> None:
    """Refuses labels that are not classes of the model."""
    unknown = [label for label in labels if label not in pipeline.classes]
    if unknown:
        raise CnntoolError(
            f"the label {unknown[0]!r} is no class of the model: expected "
            f"{', '.join(pipeline.classes[:5])}{', ...' if len(pipeline.classes) > 5 else ''}"
        )
