"""`cnntool similar`: the nearest images of a table, or its groups of near-duplicates."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cnntool.cli.groups import command_line
from cnntool.cli.options import value_option
from cnntool.cli.streams import printable, results
from cnntool.declare import Integer, Real
from cnntool.errors import BadInput, CnntoolError
from cnntool.files import outputs

if TYPE_CHECKING:
    import numpy as np

    from cnntool.images.stored import Stored
    from cnntool.learning.similar import Rows

DEFAULT_THRESHOLD = {"cosine": 0.99, "l2": 0.1}


@click.command(name="similar")
@click.argument("table", metavar="TABLE")
@click.argument("image", metavar="[IMAGE|ROW]", required=False)
@value_option("-n", "--count", parse=Integer(1), default=5, help="How many of the nearest to show.")
@click.option(
    "--metric",
    type=click.Choice(["cosine", "l2"]),
    default="cosine",
    show_default=True,
    help="How near two rows are: the cosine of their angle, or their distance.",
)
@click.option("--whiten", is_flag=True, help="Give all principal axes of the table the same weight first.")
@value_option(
    "--threshold",
    parse=Real(-1, 1e30),
    metavar="T",
    help="For groups: a cosine of at least T (0.99), or a distance of at most T (0.1).",
)
@click.option("--root", metavar="FOLDER", help="Where the table's paths begin, for --sheet; its INPUT.")
@click.option("--sheet", metavar="OUT", help="The pictures, as one picture.")
@click.option("--json", "as_json", is_flag=True, help="JSON on standard output.")
@click.option("--overwrite", is_flag=True, help="Replace --sheet.")
def command(
    table: str, image: str | None, count: int, metric: str, whiten: bool, threshold: float | None, root: str | None,
    sheet: str | None, as_json: bool, overwrite: bool,
) -> int:  # fmt: skip
    """The nearest images of a table, or its groups of near-duplicates.

    \b
    cnntool extract samples/images/ features.npz -p samples/pipelines/texture.cnn
    cnntool similar features.npz grass.png
    cnntool similar features.npz --threshold 0.98

    TABLE is what `cnntool extract` wrote. ROW is a path in it, the end of one that no other path has, or a row's number
    from 0; an IMAGE that is not in it goes through the table's own pipeline. Without either, images nearer than the
    threshold make groups.
    """
    from cnntool.images.stored import read_stored
    from cnntool.learning.similar import Rows

    with outputs(sheet, overwrite=overwrite):
        stored = read_stored(table)
        rows = Rows(stored.features(), metric, whiten)
        if image is None:
            limit = DEFAULT_THRESHOLD[metric] if threshold is None else threshold
            shown, text = text_of_groups(stored, rows, limit, as_json)
        else:
            shown, text = text_of_nearest(stored, rows, image, count, as_json)
        if sheet is not None:
            draw([stored.paths[number] for number in shown], root, image, sheet)
    with results():
        click.echo(text, nl=bool(text))
    return 0


def text_of_nearest(stored: Stored, rows: Rows, image: str, count: int, as_json: bool) -> tuple[list[int], str]:
    """The nearest rows, the nearest first, without the row itself, as numbers and as what is printed."""
    number = row_of(stored, image)
    query = rows.rows[number : number + 1] if number is not None else rows.prepared(vector_of(stored, image))
    found, values = rows.nearest(query, count + (number is not None))
    pairs = [(n, v) for n, v in zip(found[0].tolist(), values[0].tolist(), strict=True) if n != number][:count]
    if as_json:
        listed = [{"path": stored.paths[n], "row": n, rows.metric: v} for n, v in pairs]
        text = json.dumps({"query": image, "nearest": listed}, indent=1)
    else:
        text = "\n".join(f"{value:7.4f}  {printable(stored.paths[n])}" for n, value in pairs)
    return [n for n, _ in pairs], text


def text_of_groups(stored: Stored, rows: Rows, threshold: float, as_json: bool) -> tuple[list[int], str]:
    """The groups, a line each, which begins with its first row, as the numbers of all rows and as what is printed."""
    from cnntool.learning.similar import groups_of

    groups = groups_of(rows, threshold)
    if as_json:
        listed = [[{"path": stored.paths[n], "row": n} for n in group] for group in groups]
        text = json.dumps({"threshold": threshold, "groups": listed}, indent=1)
    else:
        text = "\n".join("\t".join(printable(stored.paths[n]) for n in group) for group in groups)
    return [n for group in groups for n in group], text


def row_of(stored: Stored, text: str) -> int | None:
    """The row that a path, the end of a path or a number names; None if it names none."""
    from cnntool.images.names import composed

    wanted = composed(text)
    for fits in (lambda path: path == wanted, lambda path: path.endswith(f"/{wanted}")):
        found = [number for number, path in enumerate(stored.paths) if fits(composed(path))]
        if len(found) == 1 or len({stored.paths[n] for n in found}) == 1:  # two rows of one path are mirror images
            return found[0]
        if found:
            raise CnntoolError(f"{text}: {len(found)} paths of the table end so: give more of the path")
    if text.isascii() and text.isdigit() and not Path(text).exists():
        if int(text) >= len(stored.paths):
            raise CnntoolError(f"{text}: expected a row from 0 to {len(stored.paths) - 1}")
        return int(text)
    return None


def vector_of(stored: Stored, image: str) -> np.ndarray:
    """The row of an image that is not in the table, by the table's own pipeline; 1 x D."""
    from cnntool.batches.compute import Work
    from cnntool.batches.identity import identity_of_text, pipeline_of_identity
    from cnntool.engine.threads import available_threads
    from cnntool.images.names import on_disk
    from cnntool.images.preparation import from_json
    from cnntool.images.sources import open_source

    identity = identity_of_text(stored.pipeline)
    if not Path(on_disk(image)).exists():
        raise CnntoolError(f"{image}: neither a path of the table nor a file")
    if identity is None:
        raise CnntoolError(f"{image}: not in the table, which does not tell its pipeline: give a path of the table")
    work = Work(pipeline_of_identity(identity), from_json(identity.values["preparation"]))
    with open_source(image) as source:
        if not source.single:
            raise CnntoolError(f"{image}: expected one image")
        vectors = work.vectors([source[0].read(work.preparation)], available_threads())[0]
    if vectors.shape[1] != stored.length:
        raise BadInput(f"{image} gives {vectors.shape[1]} values and the table has {stored.length} columns")
    return vectors


def draw(paths: list[str], root: str | None, image: str | None, sheet: str) -> None:
    """The pictures in rows, the one that was asked for first."""
    from cnntool.images.names import on_disk
    from cnntool.images.picture_sheet import picture_sheet, thumbnail
    from cnntool.images.write import write_picture

    files = [Path(on_disk(os.path.join(root or "", path))) for path in paths]
    if image is not None:
        asked = Path(on_disk(image))
        asked = asked if asked.exists() else Path(on_disk(os.path.join(root or "", image)))
        files = [*([asked] if asked.exists() else []), *files]
    if missing := [path for path in files if not path.exists()]:
        raise CnntoolError(f"--sheet: {missing[0]} is not there: give --root, the folder that the table was made from")
    if not files:
        raise CnntoolError("--sheet: there is nothing to draw")
    pictures, names = [thumbnail(str(path)) for path in files], [path.name for path in files]
    title = "similar images" if image is None else f"the images most similar to {names[0]}"
    write_picture(sheet, picture_sheet(pictures, names, [""] * len(names), title, ""), command=command_line())
