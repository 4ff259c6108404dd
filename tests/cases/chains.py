"""Random chains of layers with branches, each made from a seed, valid and cheap."""

from __future__ import annotations

import random

from tests.cases.configurations import Configuration
from tests.cases.evaluation import POOLS, rows_of
from tests.cases.factors import all_windows_hold_pixels
from tests.cases.words import ACTIVATIONS, parse

MOST_WORK = 2_000_000
MOST_TRIES = 300

ENDS = [
    *("flatten", "flatten", "flatten", "fc 7", "fc 33", "fc 64", "globalpool avg", "globalpool max", "globalpool l2"),
    *("softmax", "standardize", "center", "relu flatten fc 5", "flatten relu", "flatten lrn"),
]


def random_configuration(seed: int, *, ends: bool = False) -> Configuration:
    """A chain of 2 to 8 layers, `mark` and `from` not counted; with `ends`, also of layers that end the rows of a
    volume (`flatten`, `fc`, global pools) or need its statistics."""
    dice = random.Random(seed)
    shape = dice.randint(1, 30), dice.randint(1, 30), dice.choice([1, 2, 3, 5, 8, 16, 17, 32])
    wanted, words = dice.randint(2, 8), []
    current, marks = shape, {}
    for _ in range(MOST_TRIES):  # where most of the work is done, hardly a layer fits any more
        if words and len(rows_of(parse(" ".join(words)), shape)) >= wanted:
            break
        if dice.random() < 0.25:
            name = dice.choice("ab")
            words += ["mark", name]
            marks[name] = current
        if marks and dice.random() < 0.15:
            name = dice.choice(sorted(marks))
            words += ["from", name]
            current = marks[name]
        piece = random_join(dice, current, marks) or random_layer(dice, current, ends=ends)
        found = rows_of(parse(" ".join([*words, piece])), shape)
        last = found[-1]
        if min(last.output_shape) < 1 or sum(row.work for row in found) > MOST_WORK:
            continue
        if last.operation in POOLS and not all_windows_hold_pixels(last):
            continue
        words.append(piece)
        current = last.output_shape
    return Configuration(" ".join(words), shape)


def random_join(dice: random.Random, current: tuple, marks: dict[str, tuple]) -> str:
    """A join with a mark that fits, or nothing."""
    same = [f"add {name}" for name, shape in sorted(marks.items()) if shape == current]
    near = [f"concat {name}" for name, shape in sorted(marks.items()) if shape[:2] == current[:2]]
    return dice.choice(same + near) if same + near and dice.random() < 0.5 else ""


def random_layer(dice: random.Random, current: tuple, *, ends: bool = False) -> str:
    if ends and dice.random() < 0.2:
        return dice.choice(ENDS)
    kind = dice.choice(["conv", "conv", "conv", "same", "pool", "activation", "activation", "other"])
    if kind == "conv":
        groups = dice.choice([g for g in range(1, current[2] + 1) if current[2] % g == 0])
        out = groups * dice.choice([1, 1, 2, 3]) if groups > 1 else dice.choice([1, 3, 8, 16, 20, 33])
        padding = dice.choice(["0", "1", "2", "1x0", "0,1,2,0", "same"])
        return (
            f"conv {out} {dice.choice(['1', '2', '3', '3', '5', '1x3', '4x2'])} --stride {dice.choice('1112')} "
            f"--padding {padding} --dilation {dice.choice('1112')} --groups {groups}"
        )
    if kind == "same":
        return f"conv {current[2]} 3 --padding 1"
    if kind == "pool":
        word, padding = dice.choice(POOLS), dice.choice(["0", "1", "same", "1,0,0,1"])
        options = f"--stride {dice.choice('123')} --padding {padding} {dice.choice(['', '--ceil'])}"
        return f"{word} {dice.choice('23')} {options}"
    if kind == "activation":
        return dice.choice([*ACTIVATIONS, "prelu --per-channel"])
    return dice.choice(["batchnorm", "batchnorm", "lrn", "dropout 0.5", "center"])
