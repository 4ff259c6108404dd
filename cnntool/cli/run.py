"""`cnntool run`: feature maps of images."""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from cnntool.cli.kin import Kin
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
from cnntool.errors import CnntoolError
from cnntool.files import check_free, writing
from cnntool.locks import Claim

if TYPE_CHECKING:
    import numpy as np

    from cnntool.cli.work import Notices
    from cnntool.images.items import Inputs
    from cnntool.images.preparation import Preparation
    from cnntool.pipeline import Pipeline

OTHER_WEIGHTS = (
    "images of other sizes or channels get other weights from the seed, and their maps cannot be compared: "
    "give --resize HEIGHTxWIDTH, and --rgb or --gray"
)
LARGE_BYTES = 2**28  # of a volume; larger ones are streamed from file to file, a band of rows at a time


@click.command(cls=ChainCommand, name="run")
@click.argument("input", metavar="INPUT")
@click.argument("output", metavar="OUTPUT")
@chain_options
@image_options
@click.option("--as-image", is_flag=True, help="The volume itself as a picture, for 1 or 3 channels in [0, 1].")
@click.option("--format", "form", metavar="FORMAT", help="npy, png, ...: for OUTPUT - or a folder. Default: npy.")
@work_options
def command(input: str, output: str, as_image: bool, form: str | None, **values: Any) -> int:
    """Feature maps of images.

    \b
    cnntool run photo.jpg maps.png whiten bank gabor relu maxpool 2
    cnntool run photo.jpg maps.npy conv 64 7 --stride 2 relu
    cnntool run photos/ maps/ --format png bank sobel --magnitude

    INPUT is an image, a .npy volume, a folder, a quoted glob, @list.txt, a .zip, a .tar (.gz,
    .bz2, .xz, .zst), or - for stdin.

    OUTPUT goes by its suffix: .npy is the exact float32 volume (height x width x channels), an image suffix a contact
    sheet of the channels. For many inputs it is a folder ending in / or a template with %s, the input's path without
    suffix. - is stdout. Images that fail are named, and listed in OUTPUT.errors.jsonl; the exit code is then 1.
    """
    refuse_layer_as_output(output)
    pipeline = pipeline_of(**{name: values.pop(name) for name in CHAIN})
    return run(pipeline, input, output, as_image, form, **values)


def run(pipeline: Pipeline, input: str, output: str, as_image: bool, form: str | None, **values: Any) -> int:
    """Runs a pipeline over INPUT into OUTPUT, with the values of the image and work options; returns the exit code."""
    from cnntool.cli.work import Notices, Progress, volumes
    from cnntool.engine.threads import available_threads
    from cnntool.images.sources import open_source
    from cnntool.images.tables import ErrorsFile

    notices = Notices(values["quiet"], values["verbose"])
    preparation = preparation_of(values, pipeline)
    pipeline.require_fitted()
    pipeline.use_algorithm(values["algorithm"])
    threads = values["threads"] or available_threads()
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(
            open_source(input, files_from=values["files_from"], stdin=sys.stdin.buffer, outputs=outputs_beside(output))
        )
        targets = targets_of(source, output, form, values["overwrite"])
        write = writer_of(targets, as_image, form, notices)
        if isinstance(targets, list):
            stack.enter_context(claimed(output, targets, values["overwrite"]))
        failures = 0
        shape = None
        many = not source.single and output != "-"
        errors = stack.enter_context(ErrorsFile(output.rstrip(f"/{os.sep}"), values["overwrite"])) if many else None
        with Progress(len(source), notices, "run") as progress, notices.watching_compiler():

            def failed(item: Any, error: CnntoolError) -> None:
                nonlocal failures
                failures += 1
                progress.complain(str(error))
                if errors is not None:
                    errors.add(item.name, error)
                progress.advance()

            kin = Kin(pipeline)
            if (streamed := large_into_file(pipeline, source, preparation, targets)) is not None:
                shape = run_large(pipeline, *streamed, preparation, threads, notices)
            else:
                for *_, found in volumes(source, pipeline, preparation, threads, notices, write, failed):
                    shape = shape or found
                    if not kin.has_weights_of_first(found):
                        notices.say(OTHER_WEIGHTS)
                    progress.advance()
    notices.source(source)
    if shape is not None:
        notices.table(pipeline, shape)
        if values["explain_plan"]:
            notices.plan(pipeline, shape, threads)
    if errors is not None and errors.count:
        notices.failures(errors, len(source))
    return 1 if failures else 0


def large_into_file(
    pipeline: Pipeline, source: Inputs, preparation: Preparation, targets: list[Path] | IO[bytes]
) -> tuple[str, Path] | None:
    """The input and the output file if the volumes between them are large enough to be streamed, else None."""
    from cnntool.images.write import output_format

    if len(source) != 1 or source[0].path is None or not isinstance(targets, list):
        return None
    if output_format(targets[0]) != "npy":
        return None
    try:
        summary = pipeline.shape(source[0].shape(preparation))
    except CnntoolError:  # reported later, like that of any other input
        return None
    largest = max([math.prod(summary["input"]), *(row["output_bytes"] // 4 for row in summary["layers"])])
    return (source[0].path, targets[0]) if 4 * largest > LARGE_BYTES else None


def run_large(
    pipeline: Pipeline, path: str, target: Path, preparation: Preparation, threads: int, notices: Notices
) -> tuple[int, ...]:
    """Streams rows from file to file if the pipeline allows it; returns the input's shape."""
    from cnntool.engine.stream import stream
    from cnntool.images.rows import open_rows
    from cnntool.images.stream import VolumeWriter
    from cnntool.images.write import write_volume

    with open_rows(path, preparation, notices.say) as rows:
        plan = pipeline.stream_plan(rows.shape)
        if plan is None:
            write_volume(target, pipeline.run(rows[: rows.shape[0]], threads=threads), make_folders=True)
        else:
            with VolumeWriter(target, plan.output_shape, make_folders=True) as writer:
                stream(plan, rows, writer.append, threads)
        return rows.shape


def targets_of(source: Inputs, output: str, form: str | None, overwrite: bool) -> list[Path] | IO[bytes]:
    """Where each result goes; checks all that can be checked before any work."""
    from cnntool.images.names import is_for_many, output_paths
    from cnntool.images.write import FORMATS, output_format

    if form is not None and form not in FORMATS:
        raise CnntoolError(f"--format {form}: expected one of {', '.join(FORMATS)}")
    if output == "-":
        if len(source) > 1:
            raise CnntoolError(f"OUTPUT - holds one result, and {source.text} is {len(source)} inputs: give a folder")
        if sys.stdout.isatty():
            raise CnntoolError("OUTPUT - would write binary data to the terminal: redirect it to a file or a pipe")
        return sys.stdout.buffer
    if form is not None and not output.endswith(("/", os.sep)):
        raise CnntoolError(
            f"--format {form}: OUTPUT {output} has its own suffix; --format goes with - and with a folder"
        )
    if source.single and not is_for_many(output):
        paths = [Path(output)]
    else:
        suffix = f".{form or 'npy'}"
        source.without_outputs([output_paths([item.name], output, suffix)[0] for item in source])
        paths = output_paths((item.name for item in source), output, suffix)
    for path in paths:
        if path.is_dir():
            raise CnntoolError(f"{path} is a folder: expected a file name, or {path}/ to write into it")
        output_format(path)
        check_free(path, overwrite, with_folder=not is_for_many(output))
    return paths


@contextlib.contextmanager
def claimed(output: str, targets: list[Path], overwrite: bool) -> Iterator[None]:
    """Within the block this process alone may write OUTPUT, a file or a folder; its parent folders are created."""
    from cnntool.images.names import PLACE, is_for_many

    target = Path(output.partition(PLACE)[0] + PLACE if PLACE in output else output)
    missing = [folder for folder in target.absolute().parents if not folder.exists()]
    with contextlib.ExitStack() as stack, writing(output):
        for folder in reversed(missing):
            folder.mkdir(exist_ok=True)
            stack.callback(remove_empty, folder)
        stack.callback(Claim(target).release)
        for path in targets:  # again, since another process may just have finished
            check_free(path, overwrite, with_folder=not is_for_many(output))
        stack = stack.pop_all()
    with stack:
        yield


def remove_empty(folder: Path) -> None:
    """Removes a folder that was created for results if it stayed empty."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def writer_of(targets: list[Path] | IO[bytes], as_image: bool, form: str | None, notices: Any) -> Any:
    """The function that writes a result, given the index of its input."""
    from cnntool.images.sheet import contact_sheet
    from cnntool.images.write import encode, output_format, picture_of, write_picture, write_volume

    def picture(volume: np.ndarray) -> Any:
        if as_image:
            return picture_of(volume)
        image, note = contact_sheet(volume)
        if note:
            notices.say(note)
        return image

    def write(number: int, volume: np.ndarray) -> None:
        if not isinstance(targets, list):
            kind = form or "npy"
            result = volume if kind == "npy" else picture(volume)
            with writing("standard output"):
                encode(result, kind, targets)
                targets.flush()
            return
        path = targets[number]
        if output_format(path) == "npy":
            write_volume(path, volume, make_folders=True)
        else:
            write_picture(path, picture(volume), make_folders=True)

    if as_image and (form or (isinstance(targets, list) and output_format(targets[0]))) in (None, "npy"):
        raise CnntoolError("--as-image needs a picture: expected OUTPUT with an image suffix such as .png, or --format")
    return write
