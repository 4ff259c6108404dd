"""The command `cnntool`: finds the sub-command, and turns every error into one short message and an exit code."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import re
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from cnntool import __version__
from cnntool.cli.encoding import write_plainly
from cnntool.cli.groups import COMMAND_LINE, LateGroup
from cnntool.cli.signals import ending_like_ctrl_c, exit_code
from cnntool.cli.streams import open_closed_streams, results, silence, tell, telling
from cnntool.errors import CnntoolError

# OpenBLAS, which comes with NumPy, starts threads that busy-wait: 0.1 s of CPU time at start-up. This makes them sleep
# at once; it is read when NumPy is imported.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")

# New objects between two garbage collections. Python's 700 collects a hundred times while Numba is imported: a run on
# one image takes 0.60 s with that, 0.57 s with this.
GARBAGE = 20_000
LONGEST_WORD = 500  # characters of a word in a message; longer ones are shortened

OF_WRITING = (errno.ENOSPC, errno.EIO, errno.EBADF, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))

# In the order of the help page; each is `command` in the module of its name.
COMMANDS = {
    "run": "Feature maps of images, as volumes or pictures.",
    "extract": "One feature vector an image, into a table.",
    "merge": "One table from the shards of a run on many machines.",
    "similar": "The nearest images of a table, or its near-duplicates.",
    "shape": "Shapes, parameters, cost and receptive fields, without touching a pixel.",
    "explain": "The arithmetic of one output of each layer, step by step.",
    "fit": "Learn whitening and filter banks from images without labels.",
    "train": "Train a classifier of images, one sub-folder a class.",
    "predict": "The most likely classes of images.",
    "evaluate": "Accuracy, precision, recall and confusion matrix of a classifier.",
    "show": "Pictures of filters, activations, pooling, whitening, networks, reports.",
    "layers": "The layer words, and what each of them takes.",
    "doctor": "What this machine is, and how fast it convolves.",
}


class ReaderLeft(Exception):
    """A broken pipe: its reader, such as `head`, has closed it. click would make exit code 1 of a BrokenPipeError."""


class Interrupted(Exception):
    """Ctrl-C or a signal like it. click would print an empty line for a KeyboardInterrupt and lose the signal."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@contextlib.contextmanager
def _past_click() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise ReaderLeft from None
    except KeyboardInterrupt as error:
        raise Interrupted(exit_code(error)) from None


class Commands(LateGroup):
    """All commands; what becomes of a broken pipe and of Ctrl-C within them is told apart here."""

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **options: Any) -> click.Context:
        with _past_click():  # a help page is written here
            command = shlex.join(["cnntool", *args])
            ctx = super().make_context(info_name, args, *rest, **options)
            ctx.meta[COMMAND_LINE] = command
            return ctx

    def invoke(self, ctx: click.Context) -> Any:
        with _past_click():
            return super().invoke(ctx)


@click.group(
    cls=Commands,
    table=COMMANDS,
    place="cnntool.cli.{}:command",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="cnntool %(version)s")
def cnntool() -> None:
    """Image features from convolutional pipelines: filters, activations, pooling, whitening, on fast CPU kernels.

    \b
    cnntool run photo.jpg maps.png whiten bank gabor relu maxpool 2
    cnntool extract photos/ features.npz conv 64 7 --stride 2 relu globalpool avg
    cnntool shape 224x224x3 conv 64 7 --stride 2 --padding 3 relu maxpool 2

    `cnntool COMMAND --help` explains a command, `cnntool layers NAME` a layer.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 0 all done, 1 some inputs failed, 2 wrong usage, 128 + a signal."""
    gc.set_threshold(GARBAGE)
    if "_CNNTOOL_COMPLETE" in os.environ:
        from cnntool.cli.completion import register

        register(cnntool)
    open_closed_streams()
    write_plainly()
    with ending_like_ctrl_c():
        try:
            code = _run(arguments)
        except KeyboardInterrupt as error:  # before or after the command itself
            code = _complain("interrupted", exit_code(error))
    try:
        sys.stdout.flush()
    except (OSError, ValueError):  # already reported
        silence(sys.stdout)
    return code


def _run(arguments: Sequence[str] | None) -> int:
    try:
        result = cnntool.main(arguments, prog_name="cnntool", standalone_mode=False)
        with results():
            pass  # flushes standard output
        return result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        with telling():
            click.echo(error.ctx.get_help() if error.ctx else "", err=True)
        return 2
    except click.UsageError as error:
        return _complain(_one_line(error), 2, error.ctx)
    except click.ClickException as error:
        return _complain(error.format_message(), error.exit_code)
    except CnntoolError as error:
        return _complain(str(error), error.exit_code)
    except Interrupted as error:
        return _complain("interrupted", error.code)
    except click.Abort:
        return _complain("interrupted", 128 + signal.SIGINT)
    except (BrokenPipeError, ReaderLeft):
        return 0
    except MemoryError:
        return _complain("out of memory: make the images, the kernels or the channels fewer", 1)
    except OSError as error:
        return _complain(f"{_place_of(error)}{error.strerror or error}", 1)


def _place_of(error: OSError) -> str:
    """The file that an error is about; one of writing that names none is of a page that click writes."""
    if error.filename is None:
        return "standard output: cannot be written: " if error.errno in OF_WRITING else ""
    return "" if isinstance(error.filename, int) else f"{os.fsdecode(error.filename)}: "


def _one_line(error: click.UsageError) -> str:
    message = " ".join(error.format_message().split()).rstrip(".")
    return message[:1].lower() + message[1:]


def _complain(message: str, code: int, ctx: click.Context | None = None) -> int:
    name = ctx.command_path if ctx else "cnntool"
    message = re.sub(rf"\S{{{LONGEST_WORD},}}", lambda word: f"{word[0][:40]}...{word[0][-5:]}", message)
    tell(f"{name}: {message}")
    if ctx is not None and code == 2:
        tell(f"`{name} --help` explains.")
    return code
