"""Random command lines of the declared words and options, with odd values among them, on a tiny image.

    python -m tests.fuzz.command_lines 20000 --seed 1

Each must end with 0, 1 or 2: no traceback, no hang, and no memory that was not counted. What is wrong is printed.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import Field
from typing import Any

import click
import numpy as np

from cnntool.chain.commands import group_of
from cnntool.cli.options import chain_options, image_options, work_options
from cnntool.declare import Choice, File, Flag, Integer, Kind, Nested, Padding, Pair, Real, fields_of, option_name
from cnntool.layers.table import LAYERS, load
from tests.fuzz.calls import Wrong, call, small_machine

BANKS = group_of(load("bank"))
assert BANKS is not None
ODD = [
    "", " ", "0", "-1", "-0", "1e9", "999999999", "65535", "2147483647", "2147483648", str(10**12), str(10**30),
    "9" * 5000, "nan", "-nan", "inf", "-inf", "1e308", "1e-320", "1e400", "0x10", "1_0", "٣", "²", "\0", "a\0b", "\n",
    "x" * 5000,
    "%s", "65535x65535", "1x0", "0,0,0", "65535,0,0,65535", "-1,-1,-1,-1", "same", "valid", "None", "true", "--", "-",
    "../..", "/dev/zero", "\udcff", "🦊", "[bold]", "()", "1;2", "$HOME", "'",
]  # fmt: skip


def declarations() -> dict[str, list[Field]]:
    """The words of each layer and each bank, with their fields."""
    assert BANKS is not None
    plain = {word: list(fields_of(load(word))) for word in LAYERS if word != "bank"}
    shared = [field for field in fields_of(load("bank")) if not isinstance(field.metadata["kind"], Nested)]
    return plain | {f"bank {name}": [*fields_of(BANKS.load(name)), *shared] for name in BANKS.table}


def usual(kind: Kind, dice: random.Random) -> str:
    """A word that the kind takes, mostly a small value."""
    if isinstance(kind, Integer):
        return str(dice.choice([kind.minimum, min(kind.maximum, max(kind.minimum, dice.randint(1, 8)))]))
    if isinstance(kind, Real):
        low, high = max(kind.minimum, -2.0), min(kind.maximum, 4.0)
        return repr(dice.uniform(low, high)) if low < high else repr(kind.minimum)
    if isinstance(kind, Pair):
        return "x".join(str(max(kind.minimum, dice.randint(1, 5))) for _ in range(dice.choice([1, 2])))
    if isinstance(kind, Padding):
        return dice.choice(["0", "1", "2x1", "1,0,2,1", "same", "valid"])
    if isinstance(kind, Choice):
        return dice.choice(kind.values)
    return dice.choice(["w.npy", "none.npy", "v.npy"]) if isinstance(kind, File) else dice.choice(["a", "b"])


def limits_of(kind: Kind) -> list[str]:
    """The words of a kind's limits, and of what lies beyond them."""
    if isinstance(kind, (Integer, Pair)):
        return [str(value) for value in (kind.minimum - 1, kind.minimum, kind.maximum, kind.maximum + 1)]
    if isinstance(kind, Real):
        return [repr(value) for value in (kind.minimum, kind.maximum, kind.minimum - 1e-9, kind.maximum + 1e-9)]
    return []


def words_with(name: str, chosen: dict[str, str]) -> list[str]:
    """The words of a layer with values for some fields; arguments that are left out have small values."""
    dice, words, options = random.Random(0), name.split(), []
    for field in declarations()[name]:
        kind, value = field.metadata["kind"], chosen.get(field.name)
        if field.metadata["argument"]:
            words.append(usual(kind, dice) if value is None else value)
        elif value is not None:
            options += [option_name(field)] if isinstance(kind, Flag) else [option_name(field), value]
    return words + options


def every_option() -> Iterator[list[str]]:
    """A layer's words for every field and every odd value."""
    for name, fields in declarations().items():
        for field in fields:
            for value in [*ODD, *limits_of(field.metadata["kind"])]:
                yield words_with(name, {field.name: value})


def random_line(seed: int) -> list[str]:
    """A command line; the same one for the same seed."""
    dice = random.Random(seed)

    def value(kind: Kind) -> str:
        odd = dice.random() < 0.06
        return dice.choice([*ODD, *limits_of(kind)]) if odd else usual(kind, dice)

    names, words = list(declarations()), []
    for _ in range(dice.choice([1, 2, 3, 3, 4, 6])):
        name = dice.choice(names)
        chosen = {
            field.name: value(field.metadata["kind"])
            for field in declarations()[name]
            if field.metadata["argument"] or dice.random() < 0.3
        }
        words += words_with(name, chosen)
    command = dice.choice(["shape", "run", "run"])
    start = (
        ["shape", dice.choice(["6x5x3", "v.npy"])] if command == "shape" else ["run", "v.npy", "o.npy", "--overwrite"]
    )
    for option in dice.sample(OPTIONS[command], dice.choice([0, 0, 1, 2])):
        start.append(dice.choice(option.opts))
        if not option.is_flag:
            start.append(dice.choice(ODD if dice.random() < 0.5 else ["1", "a", "8x8", "0.5/0.5", "direct", "c.cnn"]))
    line = [*start, *words]
    for _ in range(dice.choice([0, 0, 0, 1])):  # a word too few, too many, or another
        place = dice.randrange(len(line))
        line[place : place + dice.choice([0, 1])] = dice.choice([[], [dice.choice(ODD)], [dice.choice(line)]])
    return line


def _options(*decorators: Any) -> list[click.Option]:
    command: Any = lambda **_: None  # noqa: E731 it is only to hold options
    for decorate in decorators:
        command = decorate(command)
    return [option for option in command.__click_params__ if option.name != "files_from"]


OPTIONS = {"shape": _options(chain_options, image_options), "run": _options(chain_options, image_options, work_options)}


def prepare() -> None:
    """The files that command lines name, in the present folder."""
    volume = np.random.default_rng(0).random((6, 5, 3), np.float32)
    np.save("v.npy", volume)
    np.save("w.npy", np.ones((3, 3, 4), np.float32))
    with open("c.cnn", "w") as file:
        file.write("conv 2 3 relu\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lines", type=int)
    parser.add_argument("--seed", type=int, default=0, help="the first")
    asked = parser.parse_args()
    codes, wrong = dict.fromkeys(range(3), 0), 0
    with tempfile.TemporaryDirectory() as folder, small_machine():
        os.chdir(folder)
        prepare()
        for seed in range(asked.seed, asked.seed + asked.lines):
            try:
                codes[call(random_line(seed))[0]] += 1
            except Wrong as error:
                wrong += 1
                print(f"seed {seed}: {error}", flush=True)
        os.chdir("/")
    print(f"{asked.lines} lines: {codes}, {wrong} wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
