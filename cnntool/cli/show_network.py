"""`cnntool show network`: a network as a graph."""

from __future__ import annotations

from typing import Any

import click

from cnntool.cli.groups import command_line
from cnntool.cli.options import (
    IMAGE,
    ChainCommand,
    chain_options,
    image_options,
    overwrite_option,
    pipeline_of,
    refuse_layer_as_output,
)
from cnntool.cli.shape import input_shape_of
from cnntool.files import outputs


@click.command(cls=ChainCommand, name="network")
@click.argument("input", metavar="HxWxC|IMAGE")
@click.argument("out", metavar="OUT")
@chain_options
@image_options
@overwrite_option
def network(input: str, out: str, words: tuple[str, ...], overwrite: bool, **values: Any) -> None:
    """A network as a graph with the shape behind each layer: a picture, or Mermaid's text (.mmd).

    \b
    cnntool show network 224x224x3 network.svg conv 64 7 --stride 2 relu maxpool 2
    cnntool show network 224x224x3 resnet18.mmd -p samples/pipelines/resnet18.cnn

    A normalisation or activation stands in the box of the layer before it. Arrows are volumes; those of branches go
    around what lies between. No pixel is read, and no weight is drawn.
    """
    from cnntool.network.blocks import blocks_of
    from cnntool.pictures.figures import SUFFIXES, check_picture
    from cnntool.pictures.network import draw_network, mermaid

    refuse_layer_as_output(out)
    is_text = out.lower().endswith(".mmd")
    if not is_text:
        check_picture("OUT", out, (*SUFFIXES, ".mmd"))
    preparation = {name: values.pop(name) for name in IMAGE}
    pipeline = pipeline_of(words, **values)
    shape = input_shape_of(input, preparation, pipeline)
    summary = pipeline.shape(shape)
    blocks = blocks_of(pipeline.graph, summary)
    with outputs(out, overwrite=overwrite):
        if is_text:
            from cnntool.files import atomic

            with atomic(out, text=True) as file:
                file.write(mermaid(blocks, shape, command_line()))
        else:
            draw_network(out, blocks, shape, summary["totals"], command_line())
