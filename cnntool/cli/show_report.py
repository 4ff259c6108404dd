"""`cnntool show report`: a network on an image as one page for a browser."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import click

from cnntool.cli.explain import lang_option
from cnntool.cli.groups import command_line
from cnntool.cli.options import (
    CHAIN,
    IMAGE,
    ChainCommand,
    chain_options,
    image_options,
    pipeline_of,
    preparation_of,
    refuse_layer_as_output,
)
from cnntool.cli.streams import tell
from cnntool.errors import CnntoolError


@click.command(cls=ChainCommand, name="report")
@click.argument("input", metavar="IMAGE")
@click.argument("output", metavar="REPORT.html")
@chain_options
@image_options
@click.option("--overwrite", is_flag=True, help="Replace REPORT.html if it is there.")
@lang_option
def report(input: str, output: str, overwrite: bool, lang: str, **values: Any) -> None:
    """One page of a network on an image, for any browser, without network: maps, filters, histograms, numbers.

    \b
    cnntool show report photo.jpg report.html conv 16 5 relu maxpool 2
    cnntool show report photo.jpg alexnet.html --resize 224 -p alexnet.cnn

    A click on a map shows what the unit there sees of the image, and the numbers that it is made of. The page works
    with the keyboard, on a phone, light and dark. An image whose maps are too many for a page is made smaller.
    """
    refuse_layer_as_output(output)
    if os.path.splitext(output)[1].lower() not in (".html", ".htm"):
        raise CnntoolError(f"{output}: a report is a page: expected a name ending in .html")
    chain = {name: values.pop(name) for name in CHAIN}
    pipeline = pipeline_of(**chain)
    write(pipeline, input, output, {name: values.pop(name) for name in IMAGE}, overwrite, lang)


def write(pipeline: Any, input: str, output: str, image: dict[str, Any], overwrite: bool, lang: str) -> None:
    """Reads, computes, and writes the page."""
    from cnntool.explaining.language import Language
    from cnntool.explaining.report import Report, fitting, report_page
    from cnntool.explaining.units import compute
    from cnntool.files import atomic, outputs
    from cnntool.images.names import as_text
    from cnntool.images.read import image_shape, read_volume

    with outputs(output, overwrite=overwrite):
        preparation = preparation_of(image, pipeline)
        shape = image_shape(input, preparation)
        size = fitting(pipeline, shape)
        if size is not None:
            if preparation.resize is not None or preparation.crop is not None or input.endswith(".npy"):
                raise CnntoolError(
                    f"{'x'.join(map(str, shape))} makes too many numbers for a page: expected about "
                    f"{size[0]}x{size[1]}; give a smaller --resize or --crop, or end the chain earlier with --until"
                )
            tell(f"{input}: scaled to {size[0]}x{size[1]}, so that the page stays small; --resize chooses another size")
            preparation = dataclasses.replace(preparation, resize=size)
        computed = compute(pipeline, read_volume(input, preparation, tell))
        facts = Report(os.path.basename(input), command_line(), size is not None)
        page = report_page(computed, facts, Language(lang))
        with atomic(output) as file:
            file.write(as_text(page).encode())
