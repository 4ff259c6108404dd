"""`cnntool extract`: one feature vector an image, into a table."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

import click

from cnntool.cli.options import (
    CHAIN,
    ChainCommand,
    chain_options,
    image_options,
    pipeline_of,
    preparation_of,
    refuse_layer_as_output,
    work_options,
)
from cnntool.errors import BadInput, CnntoolError

if TYPE_CHECKING:
    import numpy as np

    from cnntool.pipeline import Pipeline


@click.command(cls=ChainCommand, name="extract")
@click.argument("input", metavar="INPUT")
@click.argument("output", metavar="OUTPUT")
@chain_options
@image_options
@click.option("--labels", is_flag=True, help="Add the name of each image's sub-folder.")
@click.option("--mirrored", is_flag=True, help="A second row of each image, for its mirror image: more to train on.")
@work_options
def command(input: str, output: str, labels: bool, mirrored: bool, **values: Any) -> int:
    """One feature vector an image, into a table.

    \b
    cnntool extract photos/ features.npz conv 64 7 --stride 2 relu globalpool avg
    cnntool extract photos/ features.csv --gray --resize 256 bank lm abs globalpool avg

    INPUT is an image, a .npy volume, a folder, a quoted glob, @list.txt, a .tar, .tar.gz or .zip, or - for stdin.

    OUTPUT is a .npz (`features` float32 N x D, `paths`, and `labels` with --labels), a .csv (path, label, f0, ...) or a
    .jsonl. The last volume is flattened in the order height, width, channels. An image that fails is named, left out
    of the table, and listed in OUTPUT.errors.jsonl; the exit code is then 1.
    """
    refuse_layer_as_output(output)
    pipeline = pipeline_of(**{name: values.pop(name) for name in CHAIN})

    from cnntool.cli.work import Notices, Progress, volumes
    from cnntool.engine.threads import available_threads
    from cnntool.images.sources import open_source
    from cnntool.images.tables import ErrorsFile, open_table

    notices = Notices(values["quiet"], values["verbose"])
    preparation = preparation_of(values, pipeline)
    pipeline.require_fitted()
    pipeline.use_algorithm(values["algorithm"])
    threads = values["threads"] or available_threads()
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(
            open_source(input, files_from=values["files_from"], stdin=sys.stdin.buffer, labels=labels)
        )
        table = open_table(output, labels, values["overwrite"])
        stack.callback(table.abort)
        errors = ErrorsFile(output, values["overwrite"])
        stack.callback(errors.abandon)
        shape, rows = None, 0
        with Progress(len(source), notices, "extract") as progress, notices.watching_compiler():

            def failed(item: Any, error: CnntoolError) -> None:
                progress.complain(str(error))
                errors.add(item.name, error)
                progress.advance()

            runner = Sides(pipeline, mirrored)
            for _, item, vectors, found in volumes(source, runner, preparation, threads, notices, in_rows, failed):
                try:
                    for vector in vectors:
                        table.append(item.name, item.label if labels else None, vector)
                except BadInput as error:
                    failed(item, error)
                    continue
                shape, rows = shape or found, rows + 1
                progress.advance()
        if rows:
            table.commit()
        errors.commit()
    if shape is not None:
        notices.table(pipeline, shape)
        if values["explain_plan"]:
            notices.plan(pipeline, shape, threads)
    if errors.count:
        notices.failures(errors, len(source))
    return 1 if errors.count else 0


def in_rows(number: int, volumes: Any) -> Any:
    """The vector of each volume, in the order height, width, channels."""
    return volumes.reshape(len(volumes), -1)


class Sides:
    """Runs a pipeline on a volume and, when `mirrored`, on its mirror image; gives a batch of one or two."""

    def __init__(self, pipeline: Pipeline, mirrored: bool) -> None:
        self._pipeline, self._mirrored = pipeline, mirrored

    def run(self, volume: np.ndarray, threads: int | None = None) -> np.ndarray:
        import numpy as np

        first = self._pipeline.run(volume, threads)[None]
        if not self._mirrored:
            return first
        # one by one: statistics of a batch would mix the two
        return np.concatenate([first, self._pipeline.run(volume[:, ::-1], threads)[None]])
