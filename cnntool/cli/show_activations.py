"""`cnntool show activations`: curves and derivatives of the activation functions."""

from __future__ import annotations

import click

from cnntool.cli.groups import command_line
from cnntool.cli.options import overwrite_option, value_option
from cnntool.cli.streams import results
from cnntool.declare import Real, did_you_mean
from cnntool.errors import CnntoolError
from cnntool.files import outputs


@click.command(name="activations")
@click.argument("out", metavar="[OUT]", required=False)
@click.option("--only", metavar="WORD,...", help="Some of them, such as relu,leaky-relu,tanh. Default: all.")
@value_option("--range", "reach", parse=Real(0.1, 80), metavar="X", default=5.0, help="From -X to X.")
@overwrite_option
def activations(out: str | None, only: str | None, reach: float, overwrite: bool) -> None:
    """Curves and derivatives of the activation functions, as a picture, or without OUT in the terminal.

    \b
    cnntool show activations curves.png
    cnntool show activations --only sigmoid,tanh

    A shade marks where the derivative is below 0.01: there a neuron is saturated, and nearly nothing of a gradient
    passes. Both curves come from the kernels that run and train networks.
    """
    from cnntool.pictures import figures
    from cnntool.pictures.activations import ACTIVATIONS, curves, draw_activations, terminal_plot

    words = ACTIVATIONS if only is None else tuple(word.strip() for word in only.split(","))
    for word in words:
        if word not in ACTIVATIONS:
            raise CnntoolError(
                f"--only: {word!r} is no activation{did_you_mean(word, ACTIVATIONS)}; they are {', '.join(ACTIVATIONS)}"
            )
    if out is None:
        figures.require("plotille", "a plot in the terminal")
        with results():
            click.echo("\n\n".join(terminal_plot(one) for one in curves(words, reach)))
        return
    figures.check_picture("OUT", out)
    with outputs(out, overwrite=overwrite):
        draw_activations(out, curves(words, reach), command_line())
