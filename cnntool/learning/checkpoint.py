"""Checkpoints: the state of training in a file, from which `--resume` continues."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.arrays import ArrayFile, open_arrays, telling
from cnntool.errors import CnntoolError
from cnntool.files import atomic
from cnntool.layers.base import Arrays

if TYPE_CHECKING:
    from cnntool.learning.network import Network
    from cnntool.learning.train import Trainer

CONTENTS = {  # digests that must match, and what differs if they do not
    "pictures": "other images, or the same ones in another order",
    "labels": "other labels of the images",
    "start": "other weights at the start",
}
GROUPS = ("now", "best", "state")  # the arrays, those of the best epoch, and the optimiser's state


def checkpoint_path(model: str | os.PathLike[str]) -> Path:
    """`model.npz` has its checkpoint in `model.checkpoint.npz`."""
    path = Path(model)
    return path.with_name(f"{path.stem}.checkpoint.npz")


def write_checkpoint(path: Path, trainer: Trainer) -> None:
    """Writes atomically: a process killed at any moment leaves the old checkpoint or the new one."""
    groups = {"now": flat(trainer.arrays), "best": flat(trainer.best or []), "state": trainer.optimiser.state}
    arrays = {f"{group}.{name}": array for group, found in groups.items() for name, array in found.items()}
    head = {
        "identity": identity(trainer), "history": trainer.history,
        "best_epoch": trainer.best_epoch, "steps": trainer.optimiser.steps,
    }  # fmt: skip
    with atomic(path, synchronise=True) as file:
        np.savez(file, head=np.array(json.dumps(head)), **arrays)  # type: ignore[arg-type]


def check_there(path: Path) -> None:
    """Refuses to resume from a missing checkpoint."""
    if not path.exists():
        raise CnntoolError(f"--resume: no checkpoint {path}: leave --resume out to train from the start")


def read_checkpoint(path: Path, trainer: Trainer) -> None:
    """Restores the state of a trainer that was made with the same arguments. Raises CnntoolError."""
    where, expected = f"--resume: {path}", "leave --resume out to train from the start"
    check_there(path)
    with telling(where, expected, "no checkpoint that can be read"), open_arrays(path) as file:
        head = json.loads(str(file.read("head")))
        known, history = dict(head["identity"]), list(head["history"])
        best_epoch, steps = int(head["best_epoch"]), int(head["steps"])
        if not 0 <= best_epoch <= len(history):
            raise ValueError(f"the best epoch is {best_epoch} of {len(history)}")
        check_identity(known, trainer, path)
        groups = read_groups(file, trainer, best_epoch > 0)
    trainer.network.arrays = nested(groups["now"], len(trainer.arrays))
    trainer.best = nested(groups["best"], len(trainer.arrays)) if best_epoch else None
    trainer.optimiser.state, trainer.optimiser.steps = groups["state"], steps
    trainer.history, trainer.best_epoch = history, best_epoch


def check_identity(known: dict[str, Any], trainer: Trainer, path: Path) -> None:
    """Refuses a checkpoint of a different training run."""
    for name, value in identity(trainer).items():
        if known.get(name) != value:
            apart = CONTENTS.get(name) or f"{name} {known.get(name)!r}, and now it is {value!r}"
            raise CnntoolError(
                f"--resume: {path} was made with {apart}: "
                "give the same options, layers, images and labels, or leave --resume out"
            )


def read_groups(file: ArrayFile, trainer: Trainer, has_best: bool) -> dict[str, Arrays]:
    """The arrays of each group; a ValueError if their shapes are not the trainer's."""
    shapes = shapes_of(trainer.network)
    groups: dict[str, Arrays] = {group: {} for group in GROUPS}
    for key in file.names():
        group, _, name = key.partition(".")
        if key == "head":
            continue
        header = file.header(key)
        if group not in groups or header.kind not in "fiu":
            raise ValueError(f"`{key}` is {header.type_name}, and belongs to no checkpoint")
        expected = shapes.get(name.rpartition(".")[0] if group == "state" else name)
        if header.shape != expected:
            raise ValueError(f"`{key}` has the shape {header.shape}, expected {expected}")
        groups[group][name] = file.read(key)
    for group in ("now", "best") if has_best else ("now",):
        if missing := flat(trainer.arrays).keys() - groups[group].keys():
            raise ValueError(f"`{group}.{min(missing)}` is missing")
    return groups


def shapes_of(network: Network) -> dict[str, tuple[int, ...]]:
    """The shapes of all arrays that the layers have or may get in training."""
    found = {}
    for number in network.order:
        layer, inputs = network.graph.nodes[number]
        shape = network.shapes[inputs[0]]
        for name, declared in (layer.parameter_shapes(shape) | layer.buffer_shapes(shape)).items():
            found[f"{number + 1}.{name}"] = declared
    return found


def identity(trainer: Trainer) -> dict[str, Any]:
    """All that the result of training depends on."""
    words = [word for layer, _ in trainer.network.graph.nodes for word in layer.words()]
    options = dataclasses.asdict(trainer.options) | {"augment": ",".join(trainer.options.augment)}
    return options | {
        "rate": trainer.rate, "weight_decay": trainer.decay, "layers": " ".join(words),
        "classes": list(trainer.classes), "images": len(trainer.images), "shape": list(trainer.images.shape),
        **trainer.contents,
    }  # fmt: skip


def flat(arrays: list[Arrays]) -> Arrays:
    return {f"{row}.{name}": array for row, found in enumerate(arrays, 1) for name, array in found.items()}


def nested(arrays: Arrays, rows: int) -> list[Arrays]:
    """The inverse of `flat`: the arrays of each row."""
    found: list[Arrays] = [{} for _ in range(rows)]
    for name, array in arrays.items():
        row, _, rest = name.partition(".")
        found[int(row) - 1][rest] = array
    return found
