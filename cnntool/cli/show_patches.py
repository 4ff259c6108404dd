"""`cnntool show patches`: the patches of images that excite units most."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from cnntool.cli.groups import command_line
from cnntool.cli.options import (
    ChainCommand,
    basic_options,
    image_options,
    outputs_beside,
    preparation_of,
    reading_of,
    refuse_layer_as_output,
    value_option,
)
from cnntool.cli.units import channels_of, unit_options, units_of
from cnntool.declare import Integer
from cnntool.errors import BadInput, CnntoolError
from cnntool.files import outputs
from cnntool.late import np

if TYPE_CHECKING:
    from cnntool.images.items import Item


class Found(NamedTuple):
    """The largest value of a channel in one image, and where it is in the map. They are ordered by value."""

    value: float
    order: int  # of the image, backwards: of equal values the first image's comes first
    item: Item
    y: int
    x: int
    shape: tuple[int, ...]


@click.command(cls=ChainCommand, name="patches")
@click.argument("input", metavar="INPUT")
@click.argument("out", metavar="OUT")
@unit_options
@value_option("--count", parse=Integer(1, 64), default=8, help="Patches a channel.")
@image_options
@basic_options
def patches(input: str, out: str, count: int, overwrite: bool, **values: Any) -> int:
    """The patches of images that excite units of a network most: a row a channel, the strongest first.

    \b
    cnntool show patches photos/ patches.png -m model.npz --layer 5 --channel 0-7
    cnntool show patches photos/ patches.png bank gabor relu

    A patch is what the unit sees, cut out of the image; each image gives one a channel. Where a unit sees beyond the
    border, the patch is gray. INPUT is what `cnntool run` takes. Below each patch stand its value and its image.
    """
    from cnntool.cli.work import Notices, Progress, volumes
    from cnntool.engine.threads import available_threads
    from cnntool.images.picture_sheet import picture_sheet
    from cnntool.images.sources import open_source
    from cnntool.images.write import write_picture

    refuse_layer_as_output(out)
    notices = Notices(values.pop("quiet"), False)
    threads, reading = values.pop("threads") or available_threads(), reading_of(values)
    pipeline, asked = units_of(values)
    preparation = preparation_of(values, pipeline)
    best: dict[int, list[Found]] = {}
    failures = 0

    def failed(item: Item, error: CnntoolError) -> None:
        nonlocal failures
        failures += 1
        progress.complain(str(error))

    with (
        outputs(out, overwrite=overwrite),
        open_source(input, **reading, outputs=outputs_beside(None, out)) as source,
        Progress(len(source), notices, "patches") as progress,
    ):
        results = volumes(source, pipeline, preparation, threads, notices, lambda number, maps: peaks(maps), failed)
        for number, item, (values_there, places), shape in results:
            for c in channels_of(asked, len(places)):
                y, x = places[c]
                keep(best.setdefault(c, []), Found(values_there[c], -number, item, y, x, shape), count)
            progress.advance()
        if not best:
            raise BadInput(f"{input}: no image could be computed with")
        plain = dataclasses.replace(preparation, normalize=None)
        pictures, names, remarks = [], [], []
        for c, found in best.items():
            for one in sorted(found, key=lambda f: (f.value, f.order), reverse=True):
                pictures.append(patch_of(pipeline, one, one.item.read(plain)))
                names.append(f"{c}: {one.value:.3g}")
                remarks.append(one.item.name.rpartition("/")[2])
        row = pipeline.shape(next(iter(best.values()))[0].shape)["layers"][-1]  # type: ignore[arg-type]
        field = "x".join(map(str, row["receptive_field"]))
        title = f"what excites row {row['row']}, {row['layer']}, most: {field} pixels of an image"
        remark = "channel: value, and the image"
        columns = max(map(len, best.values()))
        write_picture(
            out, picture_sheet(same_size(pictures), names, remarks, title, remark, columns), command=command_line()
        )
    return 1 if failures else 0


def peaks(maps: np.ndarray) -> tuple[list[float], list[tuple[int, int]]]:
    """The largest number of each channel of H x W x C, and its row and column; NaN is passed over."""
    flat = np.where(np.isnan(maps), -np.inf, maps).reshape(-1, maps.shape[2])
    places = flat.argmax(axis=0)
    values = flat[places, np.arange(flat.shape[1])]
    return values.tolist(), [divmod(int(place), maps.shape[1]) for place in places]


def keep(best: list[Found], one: Found, count: int) -> None:
    """Keeps the `count` largest in a heap."""
    order = [(found.value, found.order) for found in best]
    if len(best) < count:
        best.append(one)
    elif (one.value, one.order) > (lowest := min(order)):
        best[order.index(lowest)] = one


def patch_of(pipeline: Any, one: Found, image: np.ndarray) -> np.ndarray:
    """What the unit sees of the image, H x W x 1 or 3 in [0, 1]; gray where it sees beyond the border."""
    row = pipeline.shape(one.shape)["layers"][-1]
    spans = []
    for place, size, jump, center in zip(
        (one.y, one.x), row["receptive_field"], row["jump"], row["center"], strict=True
    ):
        first = round(center + place * jump - (size - 1) / 2)
        spans.append((first, first + size))
    (top, bottom), (left, right) = spans
    patch = np.full((bottom - top, right - left, image.shape[2]), 0.5, np.float32)
    inside = image[max(0, top) : bottom, max(0, left) : right]
    y, x = max(0, -top), max(0, -left)
    patch[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return patch if patch.shape[2] == 3 else patch[:, :, :1]


def same_size(pictures: list[np.ndarray]) -> list[np.ndarray]:
    """All of the largest height and width, with gray around the smaller: fields of a whole image have its size."""
    height, width = (max(picture.shape[axis] for picture in pictures) for axis in (0, 1))
    found = []
    for picture in pictures:
        full = np.full((height, width, 3), 0.5, np.float32)
        full[: picture.shape[0], : picture.shape[1]] = picture
        found.append(full)
    return found
