"""Shared by the commands: parsing of the chain behind a command's own words, and options with their checks."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from cnntool.algorithms import ALGORITHMS
from cnntool.chain.grammar import cut, parse_words
from cnntool.chain.text import parse_file, split_text
from cnntool.declare import Integer, Kind
from cnntool.errors import CnntoolError
from cnntool.layers.table import LAYERS
from cnntool.limits import LARGEST_PIPELINE, MAX_PIXELS
from cnntool.pipeline import Pipeline

if TYPE_CHECKING:
    from cnntool.images.columns import Columns
    from cnntool.images.preparation import Preparation
    from cnntool.images.sheet import Look


COLORMAPS = ("magma", "viridis", "inferno", "plasma", "cividis", "gray", "blue-red")  # images.colours.NAMES
SHEET = ("columns", "scale", "colormap", "top", "plain")  # the values of a command that `look_of` takes


class ChainCommand(click.Command):
    """A command whose own arguments and options are followed by the words of a chain, which end in `words`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        start = cut(self.get_params(ctx), args, 0)
        refuse_files_as_layers(args, start, ctx)
        rest = super().parse_args(ctx, list(args[:start]))
        ctx.params["words"] = tuple(args[start:])
        return rest

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "LAYER..."]


class InputCommand(click.Command):
    """A command without layers; a surplus file name gets an explanation."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        start = cut(self.get_params(ctx), args, 0)
        refuse_files_as_layers(args, start, ctx)
        return super().parse_args(ctx, args)


def refuse_files_as_layers(args: Sequence[str], start: int, ctx: click.Context) -> None:
    """Explains file names in the position of layers: the shell has expanded a pattern that was not quoted.

    `start` is the index of the first word after the command's own.
    """
    if start >= len(args) or args[start] in LAYERS:
        return
    looks_like_path = bool(os.path.splitext(args[start])[1]) or "/" in args[start]
    found = next((w for w in (args[start], args[start - 1]) if looks_like_path and os.path.isfile(w)), None)
    if found is not None:
        pattern = os.path.join(os.path.dirname(found), f"*{os.path.splitext(found)[1]}")
        raise click.UsageError(f"{found} is one file too many: a pattern is quoted, such as '{pattern}'", ctx)


class Parsed(click.ParamType):
    """A value parsed by a `declare.Kind`, or by a function that raises ValueError."""

    def __init__(self, parse: Callable[[str], Any] | Kind, metavar: str) -> None:
        self.parse = parse.parse if isinstance(parse, Kind) else parse
        self.name = metavar

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def value_option(*names: str, parse: Callable[[str], Any] | Kind, metavar: str = "N", **attributes: Any) -> Callable:
    """An option whose value `parse` reads; its help shows a default."""
    shown = {"show_default": "default" in attributes}
    return click.option(*names, type=Parsed(parse, metavar), metavar=metavar, **shown | attributes)


def _late(name: str) -> Callable[[str], Any]:
    """A parser of `images.preparation`, imported when its option is used."""

    def parse(text: str) -> Any:
        from cnntool.images import preparation

        return getattr(preparation, name)(text)

    return parse


def options(*decorators: Callable) -> Callable[[Callable], Callable]:
    """Several options as one decorator, in the order in which the help shows them."""

    def decorate(function: Callable) -> Callable:
        return functools.reduce(lambda f, option: option(f), reversed(decorators), function)

    return decorate


pipeline_option = click.option(
    "-p", "--pipeline", "pipeline_file", metavar="FILE|-", help="Take the layers from a file of words."
)
seed_option = value_option("--seed", parse=Integer(), default=0, help="Draws the parameters that no file gives.")

model_option = click.option("-m", "--model", metavar="MODEL", help="Take layers and arrays from a saved model.")
until_option = click.option("--until", metavar="ROW|MARK", help="Stop at a row's number, or at a mark.")
chain_options = options(pipeline_option, model_option, until_option, seed_option)

image_options = options(
    click.option("--gray", is_flag=True, help="One channel: 0.299 R + 0.587 G + 0.114 B."),
    click.option("--rgb", is_flag=True, help="Three channels; a gray image is repeated."),
    value_option("--resize", parse=_late("parse_resize"), metavar="N|HxW",
                 help="Shorter side, or exact height and width, in pixels."),
    value_option("--crop", parse=_late("parse_crop"), metavar="N|HxW", help="The middle of the image."),
    value_option("--page", parse=_late("parse_page"), metavar="N|all",
                 help="Of a TIFF of several pages, or an animation; all: gray pages of one size as channels."),
    value_option("--max-pixels", parse=Integer(1, MAX_PIXELS),
                 help="An image or volume of more pixels, as it is stored, fails. Default: 2^29."),
    value_option("--normalize", parse=_late("parse_normalize"), metavar="imagenet|MEAN/STD",
                 help="Subtract and divide, one number for all channels or R,G,B."),
)  # fmt: skip

labels_option = click.option(
    "--labels", "labels_file", metavar="FILE",
    help="Labels from a .csv or .parquet with columns `path` and `label`, relative to FOLDER or to FILE, instead of "
    "from folders.",
)  # fmt: skip

column_options = options(
    click.option("--path-column", metavar="NAME",
                 help="Of a table of paths. Default: path, file, file_name, filename, image or name."),
    click.option("--label-column", metavar="NAME", help="Of a table of paths. Default: label or class."),
)  # fmt: skip

overwrite_option = click.option("--overwrite", is_flag=True, help="Replace OUT when it is there.")
threads_option = value_option("--threads", parse=Integer(1, 1024), help="Default: all processors.")
quiet_option = click.option("--quiet", is_flag=True, help="Nothing on stderr but errors.")

basic_options = options(
    click.option("--files-from", metavar="FILE|-", help="With INPUT -, a list of paths to read."),
    column_options,
    click.option("--overwrite", is_flag=True, help="Replace outputs that are there."),
    threads_option,
    quiet_option,
)

sheet_options = options(
    value_option("--columns", parse=Integer(1),
                 help="Maps in a row of a contact sheet. Default: as a bank is built, or a nearly square sheet."),
    click.option("--scale", type=click.Choice(("own", "shared", "symmetric")), default="own", show_default=True,
                 help="Each map by its own scale; all by one; each by its own, zero in the middle."),
    click.option("--colormap", type=click.Choice(COLORMAPS), help="Default: magma, or blue-red for signed maps."),
    value_option("--top", parse=Integer(1), help="Only the N strongest maps, those of the largest mean of squares."),
    click.option("--plain", is_flag=True, help="Only the maps, without names, ranges and legend."),
)  # fmt: skip

work_options = options(
    click.option("--algorithm", default="auto", metavar="|".join(("auto", *ALGORITHMS)),
                 help="Of convolutions where it fits; auto: the fastest."),
    click.option("--explain-plan", is_flag=True, help="How it is computed and why, as a table on stderr."),
    basic_options,
    click.option("--verbose", is_flag=True, help="The table of shapes on stderr even when that is no terminal."),
)  # fmt: skip


IMAGE = ("gray", "rgb", "resize", "crop", "normalize", "page", "max_pixels")  # those that `preparation_of` takes
CHAIN = ("words", "pipeline_file", "model", "until", "seed")  # the values of a command that `pipeline_of` takes


def pipeline_of(
    words: tuple[str, ...], pipeline_file: str | None, until: str | None, seed: int, model: str | None = None
) -> Pipeline:
    """The pipeline given by words, a file of words or a model."""
    check_one_source(words, pipeline_file, model)
    pipeline = Pipeline(layers_of(words, pipeline_file), seed=seed) if model is None else Pipeline.load(model)
    return pipeline if until is None else pipeline.until(until)


def check_one_source(words: tuple[str, ...], pipeline_file: str | None, model: str | None) -> None:
    """Raises a CnntoolError if a network is given twice."""
    given = {
        f"--pipeline {pipeline_file}": pipeline_file is not None,
        f"--model {model}": model is not None,
        f"the words `{' '.join(words[:3])}`": bool(words),
    }
    several = [name for name, there in given.items() if there]
    if len(several) > 1:
        raise CnntoolError(f"{several[0]} and {several[1]} exclude each other: give one of them")


def layers_of(
    words: tuple[str, ...], pipeline_file: str | None, parse: Callable[..., list[Any]] = parse_words
) -> list[Any]:
    """The layers given by words or a file of words, as `parse` makes them."""
    ctx = click.get_current_context()
    if pipeline_file == "-":
        if "-" in (ctx.params.get("input"), ctx.params.get("files_from")):
            raise CnntoolError("--pipeline -: standard input is INPUT already; give a file for one of them")
        return parse(split_text(words_of_stdin()))
    if pipeline_file is not None:
        return parse_file(pipeline_file, parse)
    if not words:
        expected = "expected at least one, such as relu, or --pipeline FILE, or --model MODEL"
        raise click.UsageError(f"no layers: {expected}", ctx)
    options = [name for p in ctx.command.params if isinstance(p, click.Option) for name in p.opts]
    return parse(words, command_options=options)


def words_of_stdin() -> str:
    """The text of a pipeline on standard input, with the size limit of a pipeline file."""
    content = sys.stdin.buffer.read(LARGEST_PIPELINE + 1)
    try:
        if len(content) <= LARGEST_PIPELINE:
            return content.decode("utf-8")
    except UnicodeDecodeError:
        pass
    raise CnntoolError("--pipeline -: expected words such as `conv 64 3 relu`, at most 1 MiB of UTF-8")


def preparation_of(values: dict[str, Any], pipeline: Pipeline | None = None) -> Preparation:
    """Pops the image options from a command's values; those not given come from the pipeline's model."""
    from cnntool.images.preparation import Preparation, from_json

    given = {name: values.pop(name) for name in IMAGE}
    try:
        Preparation(gray=given["gray"], rgb=given["rgb"])
    except ValueError as error:
        raise CnntoolError(f"--gray and --rgb: {error}") from None
    try:
        saved = from_json(pipeline.preparation if pipeline else {})
    except ValueError as error:
        raise CnntoolError(f"the model's preparation of images cannot be used: {error}") from None
    channels: dict[str, Any] = {}
    if not (given["gray"] or given["rgb"]):
        channels = {"gray": saved.gray, "rgb": saved.rgb}
        if not (saved.gray or saved.rgb) and pipeline and pipeline.classes and pipeline.input_shape:
            # a model saved without channel options; 1x1 is the shape of one trained on a table
            height, width, depth = pipeline.input_shape
            channels = {"gray": depth == 1, "rgb": depth == 3} if (height, width) != (1, 1) else {}
    others = {name: getattr(saved, name) for name in IMAGE if given[name] is None}
    return Preparation(**given | channels | others)


def columns_of(values: dict[str, Any]) -> Columns:
    """The columns that a table of paths is read by."""
    from cnntool.images.columns import Columns

    return Columns(values.pop("path_column"), values.pop("label_column"))


def reading_of(values: dict[str, Any]) -> dict[str, Any]:
    """Pops the basic options that say what INPUT means, as `open_source` takes them."""
    return {
        "files_from": values.pop("files_from"), "stdin": sys.stdin.buffer, "columns": columns_of(values)
    }  # fmt: skip


def look_of(values: dict[str, Any]) -> Look:
    """Takes the options of contact sheets out of a command's values."""
    from cnntool.images.sheet import Look

    given = {name: values.pop(name) for name in SHEET}
    return Look(labelled=not given.pop("plain"), **given)


def outputs_beside(output: str | None, *others: str | None) -> list[str]:
    """Paths that are never inputs: OUTPUT or the folder of its template, files written beside it, other outputs."""
    from cnntool.images.names import PLACEHOLDER

    found = [path for path in others if path]
    if not output:
        return found
    path = os.path.dirname(output.partition(PLACEHOLDER)[0]) if PLACEHOLDER in output else output.rstrip(f"/{os.sep}")
    if output == "-" or not path:
        return found
    stem = os.path.splitext(path)[0]
    named = (".parts", ".errors.jsonl", ".index.npz")
    beside = [f"{name}{suffix}" for name in dict.fromkeys((path, output)) for suffix in named]
    beside += [f"{stem}{suffix}" for suffix in (".paths.txt", ".labels.txt", ".history.csv", ".checkpoint.npz")]
    return [path, *beside, *found]


def refuse_layer_as_output(output: str) -> None:
    """Refuses `cnntool run photo.jpg relu`: OUTPUT was forgotten; nobody wants a file called `relu`. And URLs."""
    if output in LAYERS:
        raise CnntoolError(f"OUTPUT is the layer word {output!r}: did you forget OUTPUT? (./{output} is a file name)")
    if "://" in output:
        raise CnntoolError(f"OUTPUT {output}: expected a file or folder of this machine; URLs are only read")
