"""`cnntool extract`: one feature vector an image, into a table."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

import click

from cnntool.cli.kin import Kin, OtherChannels
from cnntool.cli.options import (
    CHAIN,
    ChainCommand,
    chain_options,
    image_options,
    outputs_beside,
    pipeline_of,
    preparation_of,
    refuse_layer_as_output,
    work_options,
)
from cnntool.errors import BadInput, CnntoolError

if TYPE_CHECKING:
    import numpy as np

    from cnntool.pipeline import Pipeline

EARLY = 100  # rows; until then an image with other channels ends the run, since little is lost


@click.command(cls=ChainCommand, name="extract")
@click.argument("input", metavar="INPUT")
@click.argument("output", metavar="OUTPUT")
@chain_options
@image_options
@click.option("--labels", is_flag=True, help="Add the name of each image's sub-folder.")
@click.option("--mirrored", is_flag=True, help="A second row of each image, for its mirror image: more to train on.")
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), help="For OUTPUT -, which is standard output.")
@work_options
def command(input: str, output: str, labels: bool, mirrored: bool, form: str | None, **values: Any) -> int:
    """One feature vector an image, into a table.

    \b
    cnntool extract photos/ features.npz conv 64 7 --stride 2 relu globalpool avg
    cnntool extract photos/ table.csv --gray --resize 256 bank lm globalpool avg

    INPUT is an image, a .npy volume, a folder, a quoted glob, @list.txt, a .zip, a .tar (.gz,
    .bz2, .xz, .zst), or - for stdin.

    OUTPUT is a .npz (`features` float32 N x D, `paths`, and `labels` with --labels), a .csv (path, label, f0, ...) or a
    .jsonl, or - for stdout with --format. The last volume is flattened in the order height, width, channels. An image
    that fails is named, left out of the table, and listed in OUTPUT.errors.jsonl; the exit code is then 1.
    """
    refuse_layer_as_output(output)
    if form is not None and output != "-":
        raise CnntoolError(f"--format {form}: OUTPUT {output} has its own suffix; --format goes with OUTPUT -")
    pipeline = pipeline_of(**{name: values.pop(name) for name in CHAIN})

    from cnntool.cli.work import Notices, Progress, volumes
    from cnntool.engine.threads import available_threads
    from cnntool.images.printed import Failures, printed_table
    from cnntool.images.sources import open_source
    from cnntool.images.tables import ErrorsFile, open_table

    notices = Notices(values["quiet"], values["verbose"])
    preparation = preparation_of(values, pipeline)
    pipeline.require_fitted()
    pipeline.use_algorithm(values["algorithm"])
    threads = values["threads"] or available_threads()
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(
            open_source(
                input,
                files_from=values["files_from"],
                stdin=sys.stdin.buffer,
                labels=labels,
                outputs=outputs_beside(output),
            )
        )
        if output == "-":
            table = printed_table(form, sys.stdout.buffer, labels)
        else:
            table = open_table(output, labels, values["overwrite"])
        stack.callback(table.abort)
        errors = Failures() if output == "-" else ErrorsFile(output, values["overwrite"])
        stack.callback(errors.abandon)
        rows, kin = 0, Kin(pipeline)
        with Progress(len(source), notices, "extract") as progress, notices.watching_compiler():

            def failed(item: Any, error: CnntoolError) -> None:
                progress.complain(str(error))
                errors.add(item.name, error)
                progress.advance()

            runner = Sides(pipeline, mirrored)
            for _, item, vectors, found in volumes(source, runner, preparation, threads, notices, in_rows, failed):
                try:
                    kin.check(item, found, vectors[0].size)
                    for vector in vectors:
                        table.append(item.name, item.label if labels else None, vector)
                except BadInput as error:
                    if isinstance(error, OtherChannels) and rows < EARLY:
                        raise CnntoolError(str(error)) from None
                    failed(item, error)
                    continue
                rows += 1
                progress.advance()
        if rows:
            table.commit()
        errors.commit()
    if kin.shape is not None:
        notices.table(pipeline, kin.shape)
        if values["explain_plan"]:
            notices.plan(pipeline, kin.shape, threads)
    notices.source(source, labels)
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
        # one by one, since layers may take statistics over the batch
        return np.concatenate([first, self._pipeline.run(volume[:, ::-1], threads)[None]])
