"""`cnntool extract`: one feature vector an image, into a table."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from cnntool.cli.options import (
    CHAIN,
    ChainCommand,
    chain_options,
    image_options,
    options,
    outputs_beside,
    pipeline_of,
    preparation_of,
    reading_of,
    refuse_layer_as_output,
    value_option,
    work_options,
)
from cnntool.errors import BadInput, CnntoolError

if TYPE_CHECKING:
    from cnntool.batches.compute import Work
    from cnntool.batches.extraction import Extraction, Outcome
    from cnntool.batches.kin import Kin
    from cnntool.cli.work import Notices, Progress
    from cnntool.images.failures import ErrorsFile
    from cnntool.images.items import Inputs, Item
    from cnntool.images.printed import Failures


def parse_shard(text: str) -> tuple[int, int]:
    """`2/8` is the second of eight shards; a ValueError tells what was expected."""
    first, slash, second = text.partition("/")
    if slash and all(part.isascii() and part.isdigit() and len(part) < 7 for part in (first, second)):
        shard = int(first), int(second)
        if 1 <= shard[0] <= shard[1]:
            return shard
    raise ValueError(f"{text!r} is not a shard: expected I/N with I from 1 to N, such as 2/8")


batch_options = options(
    click.option("--restart", is_flag=True, help="Begin afresh: use no row of an earlier run."),
    click.option("--dry-run", is_flag=True, help="Say what would be computed, and compute nothing."),
    click.option("--on-error", type=click.Choice(["skip", "stop"]), default="skip", show_default=True,
                 help="What an image does that fails: it is left out, or ends the run."),
    value_option("--shard", parse=parse_shard, metavar="I/N",
                 help="Only the I-th of N shards of the images; `cnntool merge OUTPUT` makes the table."),
    click.option("--engine", type=click.Choice(["threads", "dask"]), default="threads", show_default=True,
                 help="Who computes: threads of this process, or a Dask cluster."),
    click.option("--scheduler", metavar="ADDRESS", help="Of a Dask cluster, as tcp://HOST:8786; without: a local one."),
)  # fmt: skip


@click.command(cls=ChainCommand, name="extract")
@click.argument("input", metavar="INPUT")
@click.argument("output", metavar="OUTPUT")
@chain_options
@image_options
@click.option("--labels", is_flag=True, help="Add the name of each image's sub-folder.")
@click.option("--mirrored", is_flag=True, help="A second row of each image, for its mirror image: more to train on.")
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), help="For OUTPUT -, which is standard output.")
@batch_options
@work_options
def command(input: str, output: str, labels: bool, mirrored: bool, form: str | None, **values: Any) -> int:
    """One feature vector an image, into a table.

    \b
    cnntool extract photos/ features.npz conv 64 7 --stride 2 relu globalpool avg
    cnntool extract photos/ table.csv --gray --resize 256 bank lm globalpool avg

    INPUT is an image, a .npy volume, a folder, a quoted glob, @list.txt, a .csv or .parquet with a column of paths, a
    .zip, a .tar (.gz, .bz2, .xz, .zst) or a quoted 'shard-{000..012}.tar', a URL of any of these, or - for stdin.

    OUTPUT is a .npz (`features` float32 N x D, `paths`, and `labels` with --labels), a .csv (path, label, f0, ...), a
    .jsonl, a .parquet, a table.parquet/ (a folder of parts), a .npy (with .paths.txt beside it) or a .safetensors, or -
    for stdout with --format. The last volume is flattened in the order height, width, channels. An image that fails is
    named, left out of the table, and listed in OUTPUT.errors.jsonl; the exit code is then 1.

    The same command again goes on where a run was stopped, and brings a finished table up to date: only images that are
    new, changed or failed are computed.
    """
    refuse_layer_as_output(output)
    if form is not None and output != "-":
        raise CnntoolError(f"--format {form}: OUTPUT {output} has its own suffix; --format goes with OUTPUT -")
    check_batch(input, output, values)
    model = values["model"]
    pipeline = pipeline_of(**{name: values.pop(name) for name in CHAIN})

    from cnntool.batches.compute import Work
    from cnntool.batches.kin import Kin
    from cnntool.cli.work import Notices
    from cnntool.engine.threads import available_threads
    from cnntool.images.sources import open_source

    notices = Notices(values["quiet"], values["verbose"])
    work = Work(pipeline, preparation_of(values, pipeline), mirrored)
    pipeline.require_fitted()
    pipeline.use_algorithm(values["algorithm"])
    values["threads"] = values["threads"] or available_threads()
    kin = Kin(pipeline)
    failures: ErrorsFile | Failures
    with open_source(input, **reading_of(values), labels=labels, outputs=outputs_beside(output)) as source:
        if output == "-":
            failures = print_rows(source, work, form, labels, kin, notices, values)
        elif values["dry_run"]:
            return tell_plan(source, output, work, model, labels, kin, values)
        else:
            failures = write_table(source, output, work, model, labels, kin, notices, values)
    if kin.shape is not None:
        notices.table(pipeline, kin.shape)
        if values["explain_plan"]:
            notices.plan(pipeline, kin.shape, values["threads"])
    notices.source(source, labels)
    if failures.count:
        notices.failures(failures, len(source))
    return 1 if failures.count else 0


def check_batch(input: str, output: str, values: dict[str, Any]) -> None:
    """Refuses options that exclude each other."""
    given = [f"--{name.replace('_', '-')}" for name in ("restart", "dry_run", "shard") if values[name]]
    if output == "-" and given:
        raise CnntoolError(f"{given[0]}: standard output keeps no rows: give OUTPUT a name")
    if values["scheduler"] and values["engine"] != "dask":
        raise CnntoolError("--scheduler: expected --engine dask with it")
    if values["engine"] == "dask" and (output == "-" or values["shard"]):
        raise CnntoolError("--engine dask: expected an OUTPUT with a name, and no --shard")
    if values["engine"] == "dask" and input == "-" and values["files_from"] is None:
        raise CnntoolError("--engine dask: workers have no standard input: give INPUT a name")


def print_rows(
    source: Inputs, work: Work, form: str | None, labels: bool, kin: Kin, notices: Notices, values: dict[str, Any]
) -> Failures:
    """Rows to standard output as they come; nothing is kept."""
    from cnntool.batches.compute import rows_of
    from cnntool.batches.extraction import EARLY
    from cnntool.batches.kin import OtherChannels
    from cnntool.cli.work import Progress
    from cnntool.images.printed import Failures, printed_table

    failures = Failures()
    with (
        contextlib.closing(printed_table(form, sys.stdout.buffer, labels)) as table,
        Progress(len(source), notices, "extract") as progress,
        notices.watching_compiler(),
    ):
        failed = complaining(progress, failures, values["on_error"])
        for _, item, row in rows_of(source, work, values["threads"], (), notices.say, source.single):
            try:
                if isinstance(row, CnntoolError):
                    raise row
                assert row.vectors is not None
                assert row.shape is not None
                kin.check(item, row.shape, row.vectors.shape[1])
                for vector in row.vectors:
                    table.append(item.name, item.label if labels else None, vector)
            except BadInput as error:
                if isinstance(error, OtherChannels) and table.rows < EARLY:
                    raise CnntoolError(str(error)) from None
                failed(item, error)
                continue
            progress.advance()
    return failures


def extraction_of(
    output: str, work: Work, model: str | None, labels: bool, kin: Kin, values: dict[str, Any], **others: Any
) -> Extraction:
    """The work on OUTPUT, with what is there of it."""
    from cnntool.batches.extraction import Extraction
    from cnntool.batches.identity import identity_of

    return Extraction(
        output, identity_of(work.pipeline, work.preparation, work.mirrored, model), kin, sides=work.sides,
        labels=labels, overwrite=values["overwrite"], restart=values["restart"], **others,
    )  # fmt: skip


def write_table(
    source: Inputs, output: str, work: Work, model: str | None, labels: bool, kin: Kin, notices: Notices,
    values: dict[str, Any],
) -> ErrorsFile | Failures:  # fmt: skip
    """The table OUTPUT, or with --shard a part of it."""
    from cnntool.batches.extraction import Entry
    from cnntool.batches.naming import about_of
    from cnntool.batches.shards import Shard
    from cnntool.cli.work import Progress
    from cnntool.images.failures import ErrorsFile
    from cnntool.images.printed import Failures

    shard = Shard(*values["shard"]) if values["shard"] else None
    errors = Failures() if shard else ErrorsFile(output, values["overwrite"])  # those of shards are listed by `merge`
    items = shard.items(source) if shard else source
    claim: dict[str, Any] = {"claim": shard.claim} if shard else {}
    with contextlib.ExitStack() as stack:
        stack.callback(errors.abandon)
        extraction = stack.enter_context(extraction_of(output, work, model, labels, kin, values, **claim))
        stack.enter_context(telling_what_is_kept(extraction, notices))
        with Progress(len(items), notices, "extract") as progress, notices.watching_compiler():
            failed = complaining(progress, errors, values["on_error"])
            outcomes = outcomes_of(items, source, extraction, work, notices, values)
            for _ in extraction.gather(outcomes, failed, compare=shard is None):
                progress.advance()

        def left_out(row: Entry, error: CnntoolError) -> None:
            progress.complain(str(error))
            errors.add(row.name, error)

        if shard is not None:
            shard.finish(extraction, source)
        else:
            extraction.finish(about_of(extraction.identity, work.pipeline, kin.shape), left_out)
        errors.commit()
    reused = len(extraction.entries.rows) - extraction.entries.computed
    if extraction.goes_on:
        notices.say(f"{extraction.entries.computed} images computed, {reused} known from before")
    return errors


def outcomes_of(
    items: Any, source: Inputs, extraction: Extraction, work: Work, notices: Notices, values: dict[str, Any]
) -> Iterator[Outcome]:
    """The rows of all inputs, from the engine that was asked for."""
    if values["engine"] == "dask":
        from cnntool.batches.cluster import rows_of_cluster

        return rows_of_cluster(items, work, extraction, values["scheduler"], values["threads"], notices.say)
    from cnntool.batches.compute import rows_of

    return rows_of(items, work, values["threads"], extraction, notices.say, source.single)


def complaining(progress: Progress, failures: ErrorsFile | Failures, on_error: str) -> Any:
    """What is done with an input that failed: it is told, and listed."""

    def failed(item: Item, error: CnntoolError) -> None:
        if on_error == "stop":
            raise BadInput(str(error))
        progress.complain(str(error))
        failures.add(item.name, error)
        progress.advance(failed=True)

    return failed


@contextlib.contextmanager
def telling_what_is_kept(extraction: Extraction, notices: Notices) -> Iterator[None]:
    """After Ctrl-C and the like, that nothing is lost."""
    try:
        yield
    except KeyboardInterrupt:
        with contextlib.suppress(CnntoolError):
            extraction.parts.flush()
            if extraction.parts.count:
                kept = f"{extraction.parts.count} images are kept in {extraction.parts.folder.name}/"
                notices.say(f"{kept}: the same command goes on from there")
        raise


def tell_plan(
    source: Inputs, output: str, work: Work, model: str | None, labels: bool, kin: Kin, values: dict[str, Any]
) -> int:
    """--dry-run: what is known, what would be computed, what would be dropped."""
    from cnntool.batches.content import content_of
    from cnntool.batches.order import LONGEST, in_order, one_by_one
    from cnntool.batches.shards import Shard
    from cnntool.cli.streams import results

    items = Shard(*values["shard"]).items(source) if values["shard"] else source
    with extraction_of(output, work, model, labels, kin, values) as extraction:
        known = missing = failures = 0
        contents = set()
        contents_of = one_by_one(lambda _, item: content_of(item)[0])
        for *_, content in in_order(items, contents_of, work.preparation, values["threads"], LONGEST):
            failures += isinstance(content, CnntoolError)
            if not isinstance(content, CnntoolError):
                contents.add(content)
                known, missing = known + (content in extraction), missing + (content not in extraction)
        gone = len(extraction.stored_contents() - contents)
    cannot = f", {failures} cannot be read" if failures else ""
    with results():
        click.echo(f"{len(items)} images: {known} known, {missing} to compute{cannot}; {gone} rows to drop")
    return 0
