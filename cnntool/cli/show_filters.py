"""`cnntool show filters`: the filters of a bank, or of a layer of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cnntool.cli.banks import BankCommand
from cnntool.cli.groups import command_line
from cnntool.cli.options import look_of, overwrite_option, sheet_options, value_option
from cnntool.cli.streams import tell
from cnntool.declare import Integer
from cnntool.errors import CnntoolError
from cnntool.files import outputs

if TYPE_CHECKING:
    import numpy as np


class FiltersCommand(BankCommand):
    """A model may stand in the place of the bank."""

    others = True


@click.command(cls=FiltersCommand, name="filters")
@click.argument("name", metavar="MODEL|BANK")
@click.argument("out", metavar="OUT")
@value_option(
    "--layer",
    parse=Integer(1),
    metavar="ROW",
    help="Of a model, the row of the layer as `cnntool shape -m MODEL` numbers it. Default: the first with filters.",
)
@sheet_options
@overwrite_option
@click.pass_obj
def filters(bank: Any, name: str, out: str, layer: int | None, overwrite: bool, **values: Any) -> None:
    """The filters of a bank or of a layer of a model as a contact sheet.

    \b
    cnntool show filters lm filters.png
    cnntool show filters model.npz filters.png --layer 1 --top 16

    Filters of three channels are drawn in colour about gray, which is 0, those of one channel in blue, white and red.
    Of deeper ones a row is a filter, and a column a channel of its input. A bank's own options may be given.
    """
    from cnntool.images.filter_sheet import filter_sheet
    from cnntool.images.sheet import Caption
    from cnntool.images.write import write_picture

    look = look_of(values)
    if bank is not None and layer is not None:
        raise CnntoolError("--layer: a bank has no layers: leave it out, or give a model")
    with outputs(out, overwrite=overwrite):
        if bank is not None:
            weight = bank.filters()[:, :, None]
            caption = Caption(f"bank {name}", bank.names(), bank.places())
        else:
            weight, caption = of_model(name, layer)
        sheet = filter_sheet(weight, look, caption)
        if sheet.note:
            tell(f"cnntool: {sheet.note}")
        write_picture(out, sheet.image, command=command_line())


def of_model(path: str, row: int | None) -> tuple[np.ndarray, Any]:
    """The filters (height, width, channels, number) of a row of a model, and what the sheet says."""
    from cnntool.images.sheet import Caption
    from cnntool.pipeline import Pipeline

    pipeline = Pipeline.load(path)
    shape = pipeline.input_shape
    assert shape is not None
    arrays = pipeline.weights(shape)
    found = [number for number, own in enumerate(arrays) if "weight" in own and own["weight"].ndim == 4]
    if not found:
        raise CnntoolError(f"{path}: no layer has filters: expected a convolution or a bank among the layers")
    number = found[0] if row is None else row - 1
    if number not in found:
        rows = ", ".join(str(one + 1) for one in found)
        raise CnntoolError(f"--layer {row}: no filters there: the rows with filters are {rows}")
    layer = pipeline.graph.nodes[number].layer
    weight = arrays[number]["weight"]
    words = " ".join(layer.without_files().words())
    title = f"{words} (row {number + 1}): {weight.shape[3]} filters of {' x '.join(map(str, weight.shape[:3]))}"
    return weight, Caption(title, [f"{layer.word} {k}" for k in range(weight.shape[3])])
