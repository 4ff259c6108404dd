"""Which units of a network a command is about: a layer, some of its channels, and what they see."""

from __future__ import annotations

from typing import Any

import click

from cnntool.cli.options import model_option, options, pipeline_of, pipeline_option, seed_option, value_option
from cnntool.declare import is_integer
from cnntool.errors import CnntoolError
from cnntool.pipeline import Pipeline

MOST_CHANNELS = 256


def parse_channels(text: str) -> tuple[int, ...]:
    """`5`, `0,3,7` or `0-15`."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not is_integer(first) or (dash and not is_integer(last)):
            raise ValueError(f"{text!r}: expected numbers of channels, such as 5 or 0,3,7 or 0-15")
        found.extend(range(int(first), int(last if dash else first) + 1))
        if len(found) > MOST_CHANNELS:
            raise ValueError(f"{text!r}: expected at most {MOST_CHANNELS} channels")
    if not found:
        raise ValueError(f"{text!r}: expected numbers of channels, the smaller first, such as 0-15")
    return tuple(found)


unit_options = options(
    model_option,
    pipeline_option,
    click.option("--layer", metavar="ROW|MARK", help="The row of the layer, or a mark. Default: the last."),
    value_option("--channel", "channels", parse=parse_channels, metavar="C|A-B|A,B,...",
                 help="Its channels. Default: the first sixteen."),
    seed_option,
)  # fmt: skip


def units_of(values: dict[str, Any]) -> tuple[Pipeline, tuple[int, ...] | None]:
    """Takes the options out of a command's values: the pipeline up to the layer, and the channels."""
    layer, channels = values.pop("layer"), values.pop("channels")
    chain = {name: values.pop(name) for name in ("words", "model", "pipeline_file", "seed")}
    pipeline = pipeline_of(**chain, until=layer)
    pipeline.require_fitted()
    return pipeline, channels


def channels_of(channels: tuple[int, ...] | None, count: int, most: int = 16) -> tuple[int, ...]:
    """The channels that were asked for, held to those that are there."""
    if channels is None:
        return tuple(range(min(count, most)))
    if max(channels) >= count:
        raise CnntoolError(f"--channel {max(channels)}: the layer has {count} channels: expected 0 to {count - 1}")
    return channels
