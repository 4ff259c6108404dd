"""The forms that explanations are written in: JSON, and animations as .gif, .svg and .html."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

from cnntool.errors import CnntoolError
from cnntool.explaining.data import Equation, Explanation, Grid, Step, Sum
from cnntool.explaining.language import Language
from cnntool.explaining.units import Computed
from cnntool.images.names import as_text

ANIMATIONS = (".gif", ".svg", ".html")
MILLISECONDS = 1200  # of a frame


def as_object(found: list[Explanation], computed: Computed, language: Language) -> dict[str, Any]:
    """All numbers of all steps, and the sentences, as JSON knows them; what is not finite is null."""
    height, width, channels = computed.volumes[-1].shape
    return {"input": [height, width, channels], "layers": [layer_object(one, language) for one in found]}


def layer_object(found: Explanation, language: Language) -> dict[str, Any]:
    """One layer's explanation."""
    (top, bottom), (left, right) = found.field
    return {
        "row": found.row, "layer": found.word, "words": found.words,
        "input_shapes": [list(shape) for shape in found.input_shapes], "output_shape": list(found.output_shape),
        "at": list(found.at), "sees": {"rows": [top, bottom], "columns": [left, right]},
        "value": plain(found.account.value), "computed": plain(found.computed), "agrees": found.agrees,
        "steps": [step_object(step, language) for step in found.account.steps],
    }  # fmt: skip


def step_object(step: Step, language: Language) -> dict[str, Any]:
    """One step: its key, its sentence, its values and numbers."""
    found: dict[str, Any] = {
        "step": step.key,
        "text": language.say(step.key, **step.values),
        "values": {name: plain(value) for name, value in step.values.items()},
    }
    if step.grids:
        found["grids"] = [grid_object(grid) for grid in step.grids]
    if isinstance(step.work, Sum):
        found["terms"], found["result"] = [plain(term) for term in step.work.terms], plain(step.work.total)
    elif isinstance(step.work, Equation):
        found["formula"], found["result"] = step.work.formula, plain(step.work.result)
        found["numbers"] = {name: plain(value) for name, value in step.work.numbers.items()}
    return found


def grid_object(grid: Grid) -> dict[str, Any]:
    """A grid with the rows and columns of the input that it shows, where it shows some."""
    found: dict[str, Any] = {
        "name": grid.title.partition(".")[2],
        "numbers": [[plain(number) for number in line] for line in grid.numbers],
    }
    if grid.rows is not None and grid.columns is not None:
        found["rows"], found["columns"] = grid.rows, grid.columns
    return found


def plain(value: Any) -> Any:
    """A Python number, with null for what JSON has no number for."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value == int(value) and abs(value) < 2**53 else value
    return value


def check_suffix(path: str) -> str:
    """The suffix of an animation; a CnntoolError for another one."""
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in ANIMATIONS:
        raise CnntoolError(
            f"--animate {path}: expected a name ending in {', '.join(ANIMATIONS[:-1])} or {ANIMATIONS[-1]}"
        )
    return suffix


def animated(computed: Computed, path: str, language: Language, row: int | None, command: str) -> bytes:
    """The file's content, by its suffix; `command` stands in it as a comment."""
    from cnntool.explaining.scene import drawing_of, scenes
    from cnntool.explaining.vector import as_page, as_svg
    from cnntool.images.drawing import as_gif

    suffix = check_suffix(path)
    found = scenes(computed, language, row)
    drawings = [drawing_of(scene) for scene in found]
    if suffix == ".gif":
        return as_gif(drawings, MILLISECONDS, command)
    if suffix == ".svg":
        page = as_svg(drawings, MILLISECONDS, found[0].title, command)
    else:
        page = as_page(drawings, [scene.title for scene in found], MILLISECONDS, language, command)
    return as_text(page).encode()
