"""`cnntool run`: feature maps of images."""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from cnntool.batches.kin import Kin
from cnntool.cli.groups import command_line
from cnntool.cli.options import (
    CHAIN,
    ChainCommand,
    chain_options,
    image_options,
    look_of,
    outputs_beside,
    pipeline_of,
    preparation_of,
    reading_of,
    refuse_layer_as_output,
    sheet_options,
    work_options,
)
from cnntool.errors import CnntoolError
from cnntool.files import check_free, writing
from cnntool.locks import Claim

if TYPE_CHECKING:
    import numpy as np

    from cnntool.batches.journal import Journal
    from cnntool.cli.work import Notices
    from cnntool.images.clipping import Clipped
    from cnntool.images.items import Inputs
    from cnntool.images.preparation import Preparation
    from cnntool.images.sheet import Look
    from cnntool.network.maps import Maps
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
@click.option(
    "--format",
    "form",
    metavar="npy|tiff-float|png|jpg|tif|...",
    help="For OUTPUT - or a folder (default: npy); tiff-float also for .tif.",
)
@sheet_options
@work_options
def command(input: str, output: str, as_image: bool, form: str | None, **values: Any) -> int:
    """Feature maps of images.

    \b
    cnntool run photo.jpg maps.png whiten bank gabor relu maxpool 2
    cnntool run photo.jpg maps.npy conv 64 7 --stride 2 relu
    cnntool run photos/ maps/ --format png bank sobel --magnitude

    INPUT is an image, a .npy volume, a folder, a quoted glob, @list.txt, a .csv or .parquet with a column of paths, a
    .zip, a .tar (.gz, .bz2, .xz, .zst) or a quoted 'shard-{000..012}.tar', a URL of any of these, or - for stdin.

    OUTPUT goes by its suffix: .npy is the exact float32 volume (height x width x channels), an image suffix, .tif too,
    a contact sheet of the channels, in colours. --format tiff-float makes .tif the exact volume. For many inputs OUTPUT
    is a folder ending in / or a template with %s, the input's path without suffix. - is stdout. Images that fail are
    named, and listed in OUTPUT.errors.jsonl; the exit code is then 1.
    """
    refuse_layer_as_output(output)
    values["model_file"] = values["model"]
    pipeline = pipeline_of(**{name: values.pop(name) for name in CHAIN})
    return run(pipeline, input, output, as_image, form, **values)


def run(pipeline: Pipeline, input: str, output: str, as_image: bool, form: str | None, **values: Any) -> int:
    """Runs a pipeline over INPUT into OUTPUT, with the values of the image and work options; returns the exit code."""
    from cnntool.batches.identity import identity_of
    from cnntool.batches.journal import Journal, Kept
    from cnntool.cli.work import Notices, Progress, volumes
    from cnntool.engine.threads import available_threads
    from cnntool.images.clipping import Clipped
    from cnntool.images.failures import ErrorsFile
    from cnntool.images.names import is_for_many
    from cnntool.images.sources import open_source
    from cnntool.images.write import NPY

    notices = Notices(values["quiet"], values["verbose"])
    preparation = preparation_of(values, pipeline)
    pipeline.require_fitted()
    pipeline.use_algorithm(values["algorithm"])
    threads = values["threads"] or available_threads()
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(open_source(input, **reading_of(values), outputs=outputs_beside(output)))
        look = look_of(values)
        journal = None
        if is_for_many(output):
            decided: dict[str, Any] = {"form": form or NPY, "as_image": as_image, "look": repr(look)}
            identity = identity_of(pipeline, preparation, model=values.get("model_file"), **decided)
            journal = Journal(output.rstrip(f"/{os.sep}"), identity)
        targets = targets_of(source, output, form, values["overwrite"], journal)
        clipped = Clipped()
        sheet = sheets_of(pipeline, look, notices, clipped)
        write = writer_of(targets, as_image, form, sheet, clipped)
        if isinstance(targets, list):
            stack.enter_context(claimed(output, targets, values["overwrite"], journal))
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
                progress.advance(failed=True)

            kin = Kin(pipeline)
            if (streamed := large_into_file(pipeline, source, preparation, targets, form)) is not None:
                shape = run_large(pipeline, *streamed, preparation, threads, notices)
            else:
                if journal is not None and isinstance(targets, list):
                    stack.enter_context(journal)
                    journal.begin(targets)
                    kept = Kept(journal, targets)
                else:
                    kept = None
                for *_, found in volumes(source, pipeline, preparation, threads, notices, write, failed, kept):
                    if found is None:
                        progress.advance()
                        continue
                    shape = shape or found
                    if not kin.has_weights_of_first(found):
                        notices.say(OTHER_WEIGHTS)
                    progress.advance()
    notices.source(source)
    if line := clipped.line():
        long = ": --as-image draws 0 to 1; .npy and --format tiff-float keep all numbers"
        notices.say(line + (long if as_image else "; .npy keeps all"))
    if shape is not None:
        notices.table(pipeline, shape)
        if values["explain_plan"]:
            notices.plan(pipeline, shape, threads)
    if errors is not None and errors.count:
        notices.failures(errors, len(source))
    return 1 if failures else 0


def large_into_file(
    pipeline: Pipeline, source: Inputs, preparation: Preparation, targets: list[Path] | IO[bytes], form: str | None
) -> tuple[str, Path, str] | None:
    """The input's and the output's file, and the latter's format, where rows should be streamed between them."""
    from cnntool.images.write import VOLUME_FORMATS, output_format

    if len(source) != 1 or source[0].path is None or not isinstance(targets, list):
        return None
    if (form := output_format(targets[0], form)) not in VOLUME_FORMATS:
        return None
    try:
        summary = pipeline.shape(source[0].shape(preparation))
    except CnntoolError:  # reported later, like that of any other input
        return None
    largest = max([math.prod(summary["input"]), *(row["output_bytes"] // 4 for row in summary["layers"])])
    return (source[0].path, targets[0], form) if 4 * largest > LARGE_BYTES else None


def run_large(
    pipeline: Pipeline, path: str, target: Path, form: str, preparation: Preparation, threads: int, notices: Notices
) -> tuple[int, ...]:
    """Streams rows from file to file if the pipeline allows it; returns the input's shape."""
    from cnntool.engine.stream import stream
    from cnntool.images.rows import open_rows
    from cnntool.images.stream import VolumeWriter
    from cnntool.images.write import write_volume

    with open_rows(path, preparation, notices.say) as rows:
        plan = pipeline.stream_plan(rows.shape)
        if plan is None:
            write_volume(target, pipeline.run(rows[: rows.shape[0]], threads=threads), form=form, make_folders=True)
        else:
            with VolumeWriter(target, plan.output_shape, form=form, make_folders=True) as writer:
                stream(plan, rows, writer.append, threads)
        return rows.shape


def targets_of(
    source: Inputs, output: str, form: str | None, overwrite: bool, journal: Journal | None = None
) -> list[Path] | IO[bytes]:
    """Where each result goes; checks all that can be checked before any work."""
    from cnntool.images.names import is_for_many, output_paths
    from cnntool.images.write import FLOAT_TIFF, FORMATS, NPY, output_format, suffix_for

    if form is not None and form not in FORMATS:
        raise CnntoolError(f"--format {form}: expected one of {', '.join(FORMATS)}")
    if output == "-":
        if len(source) > 1:
            raise CnntoolError(f"OUTPUT - holds one result, and {source.text} is {len(source)} inputs: give a folder")
        if sys.stdout.isatty():
            raise CnntoolError("OUTPUT - would write binary data to the terminal: redirect it to a file or a pipe")
        return sys.stdout.buffer
    if form not in (None, FLOAT_TIFF) and not output.endswith(("/", os.sep)):
        raise CnntoolError(
            f"--format {form}: OUTPUT {output} has its own suffix; --format goes with - and with a folder"
        )
    if source.single and not is_for_many(output):
        paths = [Path(output)]
    else:
        suffix = suffix_for(form or NPY)
        source.without_outputs([output_paths([item.name], output, suffix)[0] for item in source])
        paths = output_paths((item.name for item in source), output, suffix)
    for item, path in zip(source, paths, strict=True):
        if item.path is not None and path.exists() and os.path.samefile(item.path, path):
            raise CnntoolError(f"{path} would replace the input it is made from: expected another OUTPUT")
        if path.is_dir():
            raise CnntoolError(f"{path} is a folder: expected a file name, or {path}/ to write into it")
        output_format(path, form)
        own = journal is not None and journal.is_own(path)
        check_free(path, overwrite or own, with_folder=not is_for_many(output))
    return paths


@contextlib.contextmanager
def claimed(output: str, targets: list[Path], overwrite: bool, journal: Journal | None = None) -> Iterator[None]:
    """Within the block this process alone may write OUTPUT, a file or a folder; its parent folders are created."""
    from cnntool.images.names import PLACEHOLDER, is_for_many

    target = Path(output.partition(PLACEHOLDER)[0] + PLACEHOLDER if PLACEHOLDER in output else output)
    missing = [folder for folder in target.absolute().parents if not folder.exists()]
    with contextlib.ExitStack() as stack, writing(output):
        for folder in reversed(missing):
            folder.mkdir(exist_ok=True)
            stack.callback(remove_empty, folder)
        stack.callback(Claim(target).release)
        for path in targets:  # again, since another process may just have finished
            own = journal is not None and journal.is_own(path)
            check_free(path, overwrite or own, with_folder=not is_for_many(output))
        stack = stack.pop_all()
    with stack:
        yield


def remove_empty(folder: Path) -> None:
    """Removes a folder that was created for results if it stayed empty."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def sheets_of(pipeline: Pipeline, look: Look, notices: Notices, clipped: Clipped) -> Callable[[np.ndarray], Any]:
    """The function that draws the contact sheet of a result; what it cannot show is counted in `clipped`."""
    from cnntool.images.sheet import Caption, contact_sheet
    from cnntool.models.saving import layers_of_rows
    from cnntool.network.maps import maps_of

    words = " ".join(
        word for layer in layers_of_rows(pipeline.layers, pipeline.graph.output + 1) for word in layer.words()
    )

    found: dict[str, Maps] = {}

    def sheet(volume: np.ndarray) -> Any:
        maps = found.get("maps")
        if maps is None:
            assert pipeline.input_shape is not None
            maps = found["maps"] = maps_of(pipeline.graph, pipeline.input_shape)
        title = f"{words}: {' x '.join(map(str, volume.shape))}"
        same = len(maps.names) == volume.shape[2]  # not so where images have other channels than the first
        image, note = contact_sheet(volume, look, Caption(title, *(maps[:2] if same else ())), clipped=clipped)
        if note:
            notices.say(note)
        return image

    return sheet


def writer_of(
    targets: list[Path] | IO[bytes],
    as_image: bool,
    form: str | None,
    sheet: Callable[[np.ndarray], Any],
    clipped: Clipped,
) -> Callable[[int, np.ndarray], None]:
    """The function that writes the result of input `number`; what its picture cannot show is counted in `clipped`."""
    from cnntool.images.write import (
        NPY,
        VOLUME_FORMATS,
        encode,
        output_format,
        picture_of,
        write_picture,
        write_volume,
    )

    made_by = command_line()

    def picture(volume: np.ndarray) -> Any:
        return picture_of(volume, clipped) if as_image else sheet(volume)

    def write(number: int, volume: np.ndarray) -> None:
        if not isinstance(targets, list):
            with writing("standard output"):
                encode(volume if kind in VOLUME_FORMATS else picture(volume), kind, targets, made_by)
                targets.flush()
        elif kind in VOLUME_FORMATS:
            write_volume(targets[number], volume, form=kind, make_folders=True)
        else:
            write_picture(targets[number], picture(volume), make_folders=True, command=made_by)

    kind = output_format(targets[0], form) if isinstance(targets, list) and targets else form or NPY
    if as_image and kind in VOLUME_FORMATS:
        raise CnntoolError("--as-image needs a picture: expected OUTPUT with an image suffix such as .png, or --format")
    return write
