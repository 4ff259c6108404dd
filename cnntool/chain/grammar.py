"""Cuts the words of a chain into layers, each by its declared arguments and options.

click's chained commands refuse `conv 64 7 --stride 2 relu`, since they expect a command's options before its arguments.
So the words of each layer are found here, and click then parses and checks them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import click

from cnntool.chain.commands import LayerCommand, command_of, group_of, is_optional_choice
from cnntool.declare import did_you_mean
from cnntool.errors import CnntoolError
from cnntool.layers.base import Layer
from cnntool.layers.table import load
from cnntool.network.templates import Template

Maker = Callable[[LayerCommand, list[str]], Any]


def parse_words(words: Sequence[str], base: str | None = "", command_options: Sequence[str] = ()) -> list[Layer]:
    """The layers of a chain's words. Relative file names are relative to the folder `base`; with None
    a word that names a file is refused.

    `command_options` belong before the chain; the message for one within it says so.
    """
    return _layers(words, base, command_options, LayerCommand.make)


def parse_open_words(
    words: Sequence[str], base: str | None = "", command_options: Sequence[str] = ()
) -> list[Layer | Template]:
    """The same for words in which a `?` may stand for a number: templates of the layers that have one."""
    return _layers(words, base, command_options, LayerCommand.make_open)


def _layers(words: Sequence[str], base: str | None, command_options: Sequence[str], make: Maker) -> list[Any]:
    layers: list[Any] = []
    position = 0
    while position < len(words):
        layer, position = _next_layer(words, position, base, len(layers) + 1, command_options, make)
        layers.append(layer)
    return layers


def _next_layer(
    words: Sequence[str], position: int, base: str | None, number: int, command_options: Sequence[str], make: Maker
) -> tuple[Any, int]:
    word = words[position]
    before = f" after `{words[position - 1]}`" if position else ""
    if word.startswith("-"):
        raise CnntoolError(
            f"layer {number}: expected a layer{before}, got the option {word}{_hint_for_option(word, command_options)}"
        )
    if word == "?":
        raise CnntoolError(f"layer {number}{before}: expected a layer; a `?` can only stand for a number of one")
    try:
        group = group_of(load(word))
    except CnntoolError as error:
        raise CnntoolError(f"layer {number}{before}: {error}") from None
    position += 1
    nested = ""
    if group is not None:
        if position == len(words):
            names = ", ".join(group.table)
            raise CnntoolError(f"{word} (layer {number}): missing argument {group.metavar}: expected one of {names}")
        if words[position] in group.table:
            nested = words[position]
            position += 1
        elif not words[position].lower().endswith(".npy"):
            near = did_you_mean(words[position], group.table) or f"; expected {', '.join(group.table)}, or a .npy file"
            raise CnntoolError(f"{word} (layer {number}): {words[position]!r} is no {word}{near}")
    command = command_of(word, nested, base)
    end = cut(command.params, words, position)
    try:
        return make(command, list(words[position:end])), end
    except click.UsageError as error:
        message = _usage(error, words, end)
        if isinstance(error, click.NoSuchOption):
            message += _hint_for_option(error.option_name, command_options)
    except CnntoolError as error:
        message = str(error)
    raise CnntoolError(f"{command.name} (layer {number}): {message}")


class Piece(NamedTuple):
    """The words of one command or layer: where they end, and what may still follow them.

    `pending` is the option whose value the words stop before, `arguments` those that have not been given.
    """

    end: int
    parameters: Sequence[click.Parameter]
    arguments: Sequence[click.Parameter]
    pending: click.Parameter | None

    @property
    def missing(self) -> bool:
        """Whether an argument has to follow."""
        return bool(self.arguments) and not is_optional_choice(self.arguments[0])


def cut(parameters: Sequence[click.Parameter], words: Sequence[str], position: int) -> int:
    """Where the words of a command with these parameters end: after its arguments and the options around them.

    An unknown option is left in, so that click complains about it.
    """
    return scan(parameters, words, position).end


def scan(parameters: Sequence[click.Parameter], words: Sequence[str], position: int) -> Piece:
    """The words from `position` on that belong to a command with these parameters."""
    options = {name: p for p in parameters if isinstance(p, click.Option) for name in (*p.opts, *p.secondary_opts)}
    arguments = [p for p in parameters if isinstance(p, click.Argument)]
    pending: click.Parameter | None = None
    ended = False  # by `--`: all that follows are arguments
    while position < len(words):
        word = words[position]
        if word == "--" and not ended:
            ended = True
            position += 1
        elif not ended and word.startswith("-") and len(word) > 1 and not (arguments and _is_number(word)):
            name, equals, _ = word.partition("=")
            known = options.get(name)
            takes_value = known is not None and not known.is_flag and not known.count and not equals
            position += 2 if takes_value else 1
            pending = known if position > len(words) else None
        elif arguments and (not is_optional_choice(arguments[0]) or word in arguments[0].type.kind.values):  # type: ignore[attr-defined]
            arguments.pop(0)
            position += 1
        else:
            break
    return Piece(min(position, len(words)), parameters, arguments, pending)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _usage(error: click.UsageError, words: Sequence[str], end: int) -> str:
    """click's message, without its capital and full stop."""
    message = error.format_message().rstrip(".")
    if isinstance(error, click.NoSuchOption) and _is_number(error.option_name):
        message = f"{error.option_name} is no option, and a number by position cannot be negative"
    if isinstance(error, click.MissingParameter) and end < len(words):
        message += f" before `{words[end]}`"
    return message[:1].lower() + message[1:]


def _hint_for_option(name: str, command_options: Sequence[str]) -> str:
    if name.partition("=")[0] in command_options:
        return f"; {name} belongs before the first layer"
    return ""
