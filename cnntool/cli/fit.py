"""`cnntool fit`: learns what comes from data, without labels, and saves a model."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from cnntool.batches.kin import channels_text
from cnntool.cli.groups import command_line
from cnntool.cli.options import (
    ChainCommand,
    basic_options,
    image_options,
    outputs_beside,
    pipeline_of,
    pipeline_option,
    preparation_of,
    reading_of,
    refuse_layer_as_output,
    seed_option,
)
from cnntool.errors import BadInput, CnntoolError
from cnntool.files import outputs
from cnntool.pipeline import Pipeline

if TYPE_CHECKING:
    from cnntool.cli.work import Notices
    from cnntool.images.items import Inputs, Item
    from cnntool.images.preparation import Preparation


@click.command(cls=ChainCommand, name="fit")
@click.argument("input", metavar="INPUT")
@click.argument("model", metavar="MODEL")
@pipeline_option
@seed_option
@image_options
@click.option("--show-filters", metavar="FILE", help="Also a picture of the filters of the first learned bank.")
@basic_options
def command(input: str, model: str, show_filters: str | None, **values: Any) -> int:
    """Learn from images without labels, layer by layer, and save a model.

    \b
    cnntool fit photos/ white.npz whiten
    cnntool fit photos/ m.npz --resize 128 bank kmeans 400 6 triangle gridpool 2
    cnntool extract -m bank.npz photos/ features.npz

    INPUT is an image, a .npy volume, a folder, a quoted glob, @list.txt, a .csv or .parquet with a column of paths, a
    .zip, a .tar (.gz, .bz2, .xz, .zst) or a quoted 'shard-{000..012}.tar', a URL of any of these, or - for stdin.

    Learned are the statistics of center, standardize, whiten, decorrelate and batchnorm, and the banks kmeans, pca and
    patches; each layer sees what the layers before it, already fitted, make of the images. MODEL is a .npz or
    .safetensors that holds layers, arrays and the image options, for -m of the other commands.
    """
    from cnntool.cli.work import Notices
    from cnntool.engine.threads import available_threads
    from cnntool.images.preparation import to_json
    from cnntool.images.sources import open_source
    from cnntool.learning.fit import fit, jobs

    refuse_layer_as_output(model)
    pipeline = pipeline_of(values.pop("words"), values.pop("pipeline_file"), None, values.pop("seed"))
    pipeline.require_layers()
    preparation = preparation_of(values)
    check_output(model)
    if show_filters is not None:
        check_picture(show_filters)
    notices = Notices(values["quiet"], False)
    threads = values["threads"] or available_threads()
    with (
        outputs(model, show_filters, overwrite=values["overwrite"]),
        open_source(input, **reading_of(values), outputs=outputs_beside(model, show_filters)) as source,
    ):
        notices.source(source)
        images = ImageData(source, preparation, threads, notices)
        pipeline.input_shape = images.shape
        if not jobs(pipeline.graph, pipeline.input_shape):
            notices.say("no layer learns from data: the model holds the layers as they are")
        with notices.watching_compiler():
            pipeline.set_weights(fit(pipeline.graph, pipeline.parameters, pipeline.input_shape, images, threads))
        pipeline.preparation = to_json(preparation.fixed_to(pipeline.input_shape[2]))
        pipeline.save(model)
        if show_filters is not None:
            draw_filters(pipeline, show_filters)
    return 1 if images.failures else 0


def check_output(model: str) -> None:
    """Refuses a name that no model can be saved under, before any work."""
    from cnntool.models.saving import suffix_of

    if suffix_of(model) == ".safetensors":
        from cnntool.models.tensors import package

        package()


def check_picture(path: str) -> None:
    """Refuses a name that no picture can be saved under, before any work."""
    from cnntool.images.write import output_format

    if output_format(path) == "npy":
        raise CnntoolError(f"--show-filters {path}: expected the name of a picture, such as filters.png")


class ImageData:
    """The inputs as data to learn from; one that fails is reported once and then left out."""

    def __init__(self, source: Inputs, preparation: Preparation, threads: int, notices: Notices) -> None:
        self._source, self._preparation = source, preparation
        self._threads, self._notices = threads, notices
        self.failures = 0
        self._first, self.shape = source.first_shape(preparation)

    def __len__(self) -> int:
        return len(self._source)

    def for_each(
        self, prefix: Any, look: Callable[[int, Any], Any], add: Callable[[Any], None], doing: str
    ) -> None:  # fmt: skip
        from cnntool.cli.work import Progress, volumes
        from cnntool.images.items import Inputs

        failed: set[str] = set()
        with Progress(len(self._source), self._notices, doing) as progress:

            def complain(item: Item, error: CnntoolError) -> None:
                failed.add(item.where)
                progress.complain(str(error))
                progress.advance()

            found = volumes(self._source, prefix, self._preparation, self._threads, self._notices, look, complain)
            for _, item, result, shape in found:
                if shape[2] != self.shape[2] and self._are_mixed:
                    raise CnntoolError(channels_text(item.where, shape, self._first.where, self.shape))
                try:
                    add(result)
                except ValueError as error:
                    complain(item, BadInput(f"{item.where}: {error}"))
                    continue
                progress.advance()
        left = [item for item in self._source if item.where not in failed] if failed else self._source
        self.failures += len(self._source) - len(left)
        if not left:
            raise BadInput("there is nothing to learn from: no image could be used")
        self._source = Inputs(left, self._source.text, single=self._source.single)

    @cached_property
    def _are_mixed(self) -> bool:
        """Whether several of the first images differ from the first in their channels; a single one is left out."""
        from cnntool.batches.order import LOOKED_AT

        others = 0
        for item in self._source[:LOOKED_AT]:
            with suppress(BadInput):
                others += item.shape(self._preparation)[2] != self.shape[2]
        return others > 1

    @contextmanager
    def rounds(self, total: int, doing: str) -> Any:
        from cnntool.cli.work import Progress

        with Progress(total, self._notices, doing) as progress:
            yield progress.advance


def draw_filters(pipeline: Pipeline, path: str) -> None:
    """The filters of the first learned bank as a picture."""
    from cnntool.banks.learned import Learned
    from cnntool.images.filter_sheet import filter_sheet
    from cnntool.images.write import write_picture
    from cnntool.layers.bank import Bank

    assert pipeline.input_shape is not None
    for node, arrays in zip(pipeline.graph.nodes, pipeline.weights(pipeline.input_shape), strict=True):
        if isinstance(node.layer, Bank) and isinstance(node.layer.bank, Learned):
            write_picture(path, filter_sheet(arrays["weight"]).image, command=command_line())
            return
    raise CnntoolError("--show-filters: no layer is a learned bank, such as `bank kmeans 64 6`")
