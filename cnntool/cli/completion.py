"""Completion for bash, zsh and fish: commands, files, layer words, names of banks, options and their values.

click writes the shell's script and reads and answers its calls; what may stand at the cursor is found here, since click
does not know chains. Parameters say what they take in their metavar: words in lower case are offered as they stand.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence

import click
from click.shell_completion import BashComplete, CompletionItem, FishComplete, ZshComplete, add_completion_class

from cnntool.chain.commands import command_of, group_of
from cnntool.chain.grammar import Piece, scan
from cnntool.cli.banks import BankCommand
from cnntool.cli.options import ChainCommand
from cnntool.declare import help_of
from cnntool.layers.table import LAYERS, load

FILES = re.compile(r"FILE.*|FOLDER|IMAGE|INPUT|MODEL|OUT|OUTPUT|TABLE|OTHER")
WORD = re.compile("[a-z][-a-z0-9]*")
OF_MARKS = ("from", "add", "concat")  # the layers whose argument is the name of a mark


def register(root: click.Group) -> None:
    """Lets click's completion of each shell offer what `offers` finds for the commands of `root`."""

    class Completion:
        def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
            return completions(root, args, incomplete)

    for shell in (BashComplete, ZshComplete, FishComplete):
        add_completion_class(type(shell.__name__, (Completion, shell), {}))


def completions(root: click.Group, words: Sequence[str], incomplete: str) -> list[CompletionItem]:
    """What `incomplete` may become. Bash cuts `--option=value` at the equals sign, other shells do not."""
    words, prefix = [word for word in words if word != "="], ""
    if incomplete.startswith("--") and "=" in incomplete:
        name, _, incomplete = incomplete.partition("=")
        words, prefix = [*words, name], f"{name}="
    incomplete = "" if incomplete == "=" else incomplete
    found = [item for item in offers(root, words, incomplete) if item.value.startswith(incomplete)]
    found = [item for item in found if item.type != "file"] or found  # bash shows either words or files
    for item in found:
        item.value = prefix + item.value
    return found


def offers(root: click.Group, words: Sequence[str], incomplete: str) -> list[CompletionItem]:
    """All that may stand where `incomplete` stands, after `words`; the beginnings are not compared yet."""
    command: click.Command = root
    ctx = click.Context(root, info_name=root.name, **root.context_settings)
    words = list(words)
    while isinstance(command, click.Group):
        if not words:
            return _options(command.get_params(ctx)) if incomplete.startswith("-") else _commands(command, ctx)
        found = command.get_command(ctx, words.pop(0))
        if found is None:
            return []
        command = found
        ctx = click.Context(command, parent=ctx, info_name=command.name, **command.context_settings)
    ctx.args = words  # for parameters whose values depend on words before
    if isinstance(command, BankCommand):
        names, options = command.offered(words)
        piece = scan([*command.get_params(ctx), *options], words, 0)
        banks = [] if piece.pending or incomplete.startswith("-") else [CompletionItem(name) for name in names]
        return banks + _of_piece(ctx, piece, incomplete)
    piece = scan(command.get_params(ctx), words, 0)
    if not isinstance(command, ChainCommand):
        return _of_piece(ctx, piece, incomplete)
    if piece.end == len(words):
        return _of_piece(ctx, piece, incomplete) + _layers_after(piece, incomplete)
    return _of_chain(ctx, words[piece.end :], incomplete)


def _of_chain(ctx: click.Context, words: list[str], incomplete: str) -> list[CompletionItem]:
    """What may follow the words of a chain, the last of which may be a whole layer or a part of one."""
    position = 0
    while True:
        word = words[position]
        if word not in LAYERS:
            return []
        position += 1
        group = group_of(load(word))
        if group is not None and position == len(words):
            return [CompletionItem(name, help=help_of(group.load(name))) for name in group.table] + _files(incomplete)
        nested = words[position] if group is not None and words[position] in group.table else ""
        position += bool(nested)
        piece = scan(command_of(word, nested).params, words, position)
        if piece.end == len(words):
            break
        position = piece.end
    if piece.missing and word in OF_MARKS:
        return [CompletionItem(name) for before, name in itertools.pairwise(words) if before == "mark"]
    return _of_piece(ctx, piece, incomplete) + _layers_after(piece, incomplete)


def _of_piece(ctx: click.Context, piece: Piece, incomplete: str) -> list[CompletionItem]:
    """What may follow the words of one command or layer."""
    if piece.pending is not None:
        return _values(ctx, piece.pending, incomplete)
    if incomplete.startswith("-"):
        return _options(piece.parameters)
    return _values(ctx, piece.arguments[0], incomplete) if piece.arguments else []


def _values(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The words that a parameter takes, or its files."""
    if isinstance(parameter.type, click.Choice) or parameter._custom_shell_complete is not None:
        return parameter.shell_complete(ctx, incomplete)
    pieces = (parameter.metavar or "").strip("[]").split("|")
    values = getattr(getattr(parameter.type, "kind", None), "values", None) or filter(WORD.fullmatch, pieces)
    found = [CompletionItem(value) for value in values]
    return found + (_files(incomplete) if any(map(FILES.fullmatch, pieces)) else [])


def _options(parameters: Iterable[click.Parameter]) -> list[CompletionItem]:
    return [
        CompletionItem(name, help=parameter.help)
        for parameter in parameters
        if isinstance(parameter, click.Option) and not parameter.hidden
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name.startswith("--")
    ]


def _commands(group: click.Group, ctx: click.Context) -> list[CompletionItem]:
    return [CompletionItem(name) for name in group.list_commands(ctx)]


def _layers_after(piece: Piece, incomplete: str) -> list[CompletionItem]:
    """The layer words, unless something else has to follow first."""
    if piece.pending or piece.missing or incomplete.startswith("-"):
        return []
    return [CompletionItem(word) for word in LAYERS]


def _files(incomplete: str) -> list[CompletionItem]:
    """The shell completes the names of files by itself."""
    return [CompletionItem(incomplete, type="file")]
