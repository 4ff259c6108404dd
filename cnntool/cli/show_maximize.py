"""`cnntool show maximize`: the pictures that excite units most, by gradient ascent."""

from __future__ import annotations

from typing import Any

import click

from cnntool.cli.groups import command_line
from cnntool.cli.options import (
    ChainCommand,
    overwrite_option,
    quiet_option,
    refuse_layer_as_output,
    threads_option,
    value_option,
)
from cnntool.cli.units import channels_of, unit_options, units_of
from cnntool.declare import Integer, Real
from cnntool.errors import CnntoolError
from cnntool.files import outputs
from cnntool.late import np
from cnntool.network.summary import summarise
from cnntool.pipeline import Pipeline

SMALLEST, LARGEST = 32, 160  # pixels a side, where the option does not say


@click.command(cls=ChainCommand, name="maximize")
@click.argument("out", metavar="OUT")
@unit_options
@value_option(
    "--size",
    parse=Integer(4, 1024),
    help="Height and width of the pictures. Default: twice what a unit sees, 32 to 160.",
)
@value_option("--depth", parse=Integer(1, 3), help="Channels of the pictures, where no model tells them. Default: 3.")
@value_option("--steps", parse=Integer(1, 100_000), default=200, help="Steps of the ascent.")
@value_option("--rate", parse=Real(0, 10, open_below=True), metavar="R", default=0.02, help="Length of a step.")
@threads_option
@quiet_option
@overwrite_option
def maximize(out: str, size: int | None, depth: int | None, steps: int, rate: float, overwrite: bool, **values: Any
             ) -> None:  # fmt: skip
    """The pictures that excite units of a network most: what its filters look for.

    \b
    cnntool show maximize -m model.npz --layer 5 --channel 0-15 units.png
    cnntool show maximize units.png --channel 3 bank gabor

    From noise, the picture climbs along the gradient of a channel's positive values, by the kernels that train
    networks. Its spectrum is changed instead of its pixels, and it is shifted a little at each step: without that it
    would stay noise. Below each stands the largest value of its channel, before an activation.
    """
    from cnntool.cli.work import Notices, Progress
    from cnntool.engine.threads import available_threads
    from cnntool.images.picture_sheet import picture_sheet
    from cnntool.images.preparation import from_json
    from cnntool.images.write import write_picture
    from cnntool.learning.ascent import Ascent, excite

    refuse_layer_as_output(out)
    threads, seed = values.pop("threads") or available_threads(), values["seed"]
    notices = Notices(values.pop("quiet"), False)
    pipeline, channels = units_of(values)
    shape = shape_for(pipeline, size, depth)
    summary = pipeline.shape(shape)
    rows = summary["layers"]
    if not rows:
        raise CnntoolError("the output is the input itself: expected a layer")
    chosen = channels_of(channels, rows[-1]["output_shape"][2])
    statistics = from_json(pipeline.preparation).normalize if pipeline.preparation else None
    mean, deviation = (np.array(part) for part in statistics) if statistics else (np.zeros(1), np.ones(1))

    def normalize(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return (pixels - mean) / deviation, 1 / deviation

    with outputs(out, overwrite=overwrite), Progress(steps, notices, "maximize") as progress:
        excited = excite(
            pipeline.graph, pipeline.weights(shape), shape, chosen, Ascent(steps, rate, seed=seed), threads, normalize,
            margin_of(rows[-1]), progress.advance,
        )  # fmt: skip
        names = [f"{rows[-1]['layer']} {c}" for c in chosen]
        reached = [f"{value:.3g}" for value in excited.values]
        field = "x".join(map(str, rows[-1]["receptive_field"]))
        title = f"what excites row {rows[-1]['row']}, {rows[-1]['layer']}: a unit sees {field} pixels"
        remark = f"the largest value of the channel before its activation, after {steps} steps"
        write_picture(out, picture_sheet(list(excited.pictures), names, reached, title, remark), command=command_line())


def margin_of(row: dict[str, Any]) -> tuple[int, int]:
    """Rows and columns at the border of a map whose units see beyond the picture; never all of them."""
    sizes = zip(row["output_shape"], row["receptive_field"], row["jump"], strict=False)
    height, width = (min(field // (2 * jump), (size - 1) // 2) for size, field, jump in sizes)
    return height, width


def shape_for(pipeline: Pipeline, size: int | None, depth: int | None) -> tuple[int, int, int]:
    """Of the pictures: as asked for, or so that a unit's field fits twice, or what the model takes."""
    known = pipeline.input_shape
    channels = depth or (known[2] if known else 3)
    if size is not None:
        return size, size, channels
    try:
        trial = known or (1024, 1024, channels)
        field = max(summarise(pipeline.graph, trial)["layers"][-1]["receptive_field"])
        side = min(LARGEST, max(SMALLEST, 2 * field))
        pipeline.weights((side, side, channels))
        return side, side, channels
    except (CnntoolError, IndexError):
        if known is None:
            raise
        return (*known[:2], channels)
