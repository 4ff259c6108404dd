"""The state of training in a file, from which `--resume` goes on."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.errors import CnntoolError
from cnntool.files import atomic
from cnntool.layers.base import Arrays

if TYPE_CHECKING:
    from cnntool.learning.train import Trainer

GROUPS = ("now", "best", "state")  # the arrays, those of the best epoch, and what the optimiser remembers


def checkpoint_path(model: str | os.PathLike[str]) -> Path:
    """`model.npz` has its checkpoint in `model.checkpoint.npz`."""
    path = Path(model)
    return path.with_name(f"{path.stem}.checkpoint.npz")


def write_checkpoint(path: Path, trainer: Trainer) -> None:
    """Killed at any moment, it leaves the old checkpoint or the new one."""
    groups = {"now": flat(trainer.arrays), "best": flat(trainer.best or []), "state": trainer.optimiser.state}
    arrays = {f"{group}.{name}": array for group, found in groups.items() for name, array in found.items()}
    head = {
        "identity": identity(trainer), "history": trainer.history,
        "best_epoch": trainer.best_epoch, "steps": trainer.optimiser.steps,
    }  # fmt: skip
    with atomic(path, synchronise=True) as file:
        np.savez(file, head=np.array(json.dumps(head)), **arrays)  # type: ignore[arg-type]


def check_there(path: Path) -> None:
    """Refuses to go on from a checkpoint that is not there."""
    if not path.exists():
        raise CnntoolError(f"--resume: no checkpoint {path}: leave --resume out to train from the start")


def read_checkpoint(path: Path, trainer: Trainer) -> None:
    """Puts a trainer that was made in the same way where the other one was. Raises CnntoolError."""
    check_there(path)
    try:
        with np.load(path, allow_pickle=False) as loaded:
            head = json.loads(str(loaded["head"]))
            arrays = {name: loaded[name] for name in loaded.files if name != "head"}
        known, history = dict(head["identity"]), list(head["history"])
        best_epoch, steps = int(head["best_epoch"]), int(head["steps"])
    except Exception as error:  # a damaged zip, header or JSON fails in many ways
        reason = " ".join(str(error).split())[:200]
        raise CnntoolError(f"--resume: {path} is no checkpoint that can be read ({reason})") from None
    for name, value in identity(trainer).items():
        if known.get(name) != value:
            raise CnntoolError(
                f"--resume: {path} was made with {name} {known.get(name)!r}, and now it is {value!r}: "
                "give the same options, layers and images, or leave --resume out"
            )
    groups: dict[str, Arrays] = {group: {} for group in GROUPS}
    for name, array in arrays.items():
        group, _, rest = name.partition(".")
        groups.get(group, {})[rest] = array
    trainer.network.arrays = nested(groups["now"], len(trainer.arrays))
    trainer.best = nested(groups["best"], len(trainer.arrays))
    trainer.optimiser.state, trainer.optimiser.steps = groups["state"], steps
    trainer.history, trainer.best_epoch = history, best_epoch


def identity(trainer: Trainer) -> dict[str, Any]:
    """What must be the same for the result to be the same."""
    words = [word for layer, _ in trainer.network.graph.nodes for word in layer.words()]
    options = dataclasses.asdict(trainer.options) | {"augment": ",".join(trainer.options.augment)}
    return options | {"layers": " ".join(words), "images": len(trainer.images), "shape": list(trainer.images.shape)}


def flat(arrays: list[Arrays]) -> Arrays:
    return {f"{row}.{name}": array for row, found in enumerate(arrays, 1) for name, array in found.items()}


def nested(arrays: Arrays, rows: int) -> list[Arrays]:
    """The arrays of each row again, from the names that `flat` gives them."""
    found: list[Arrays] = [{} for _ in range(rows)]
    for name, array in arrays.items():
        row, _, rest = name.partition(".")
        found[int(row) - 1][rest] = array
    return found
