"""`cnntool merge`: one table from what runs with --shard left."""

from __future__ import annotations

import contextlib
from typing import Any

import click

from cnntool.cli.options import quiet_option
from cnntool.errors import CnntoolError


@click.command(name="merge")
@click.argument("output", metavar="OUTPUT")
@click.option("--overwrite", is_flag=True, help="Replace a table of another pipeline.")
@quiet_option
def command(output: str, overwrite: bool, quiet: bool) -> int:
    """One table from the shards that `cnntool extract --shard I/N` computed.

    \b
    cnntool extract photos/ t.npz --shard 1/2 bank gabor abs globalpool avg
    cnntool extract photos/ t.npz --shard 2/2 bank gabor abs globalpool avg
    cnntool merge t.npz

    The table is byte for byte what one run over all images writes. A shard that is missing, still at work, or that saw
    other images is named. OUTPUT.errors.jsonl lists what failed in any shard; the exit code is then 1.
    """
    from cnntool.batches.extraction import Extraction
    from cnntool.batches.identity import pipeline_of_identity
    from cnntool.batches.kin import Kin
    from cnntool.batches.naming import about_of
    from cnntool.batches.shards import listed_shards
    from cnntool.cli.streams import tell
    from cnntool.cli.work import Notices
    from cnntool.images.failures import ErrorsFile

    notices = Notices(quiet, False)
    shards = listed_shards(output)
    pipeline = pipeline_of_identity(shards.identity)
    kin = Kin(pipeline)
    errors = ErrorsFile(output, overwrite)
    with contextlib.ExitStack() as stack:
        stack.callback(errors.abandon)
        extraction = stack.enter_context(
            Extraction(output, shards.identity, kin, sides=shards.sides, labels=shards.labels, overwrite=overwrite)
        )

        def failed(item: Any, error: CnntoolError) -> None:
            tell(str(error))
            errors.add(item.name, error)

        for _ in extraction.gather(shards.outcomes(), failed):
            pass
        extraction.finish(about_of(shards.identity, pipeline, kin.shape), failed)
        errors.commit()
    if errors.count:
        notices.failures(errors, shards.inputs)
    return 1 if errors.count else 0
