"""The window on its way over the input, as the scene of an animation: panels of numbers, and what each frame marks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cnntool.errors import CnntoolError
from cnntool.explaining.data import Account, Equation, Place, Sum
from cnntool.explaining.language import Language
from cnntool.explaining.seen import Part, through
from cnntool.explaining.text import equation_text, short, sum_text
from cnntool.explaining.units import Computed, account_of
from cnntool.explaining.view import border_of, view
from cnntool.images.drawing import Box, Drawing, Frame, Label, length
from cnntool.kernels.arguments import Window
from cnntool.steps import borders

LARGEST_SIDE = 16  # of a volume whose numbers are all drawn
MOST_CHANNELS = 4  # that are drawn of a volume
MOST_FILTERS = 4
MOST_FRAMES = 400
ROOM = 24  # around everything, and between columns
CELL_HEIGHT, TITLE_HEIGHT, GAP = 26, 22, 12


class Panel(NamedTuple):
    """A matrix with a title. `corner`: row and column of its first number, negative where padding goes before."""

    key: str
    title: str
    numbers: np.ndarray
    style: str
    corner: tuple[int, int] = (0, 0)
    inner: tuple[int, int] | None = None  # height and width without padding


class Shot(NamedTuple):
    """What a frame marks, (row, column) of panels, and the line below."""

    marks: dict[str, list[tuple[int, int]]]
    line: str


class Scene(NamedTuple):
    """One layer at work."""

    title: str
    columns: list[list[Panel]]
    shots: list[Shot]


def scenes(computed: Computed, language: Language, row: int | None = None) -> list[Scene]:
    """One scene for each layer in order, or for the layer of a row; a CnntoolError where there is too much to draw."""
    found = [scene_of(computed, number, language) for number in computed.nodes if row in (None, number + 1)]
    if not found:
        raise CnntoolError(f"--row {row}: no such row on the way to the output")
    frames = sum(len(scene.shots) for scene in found)
    if frames > MOST_FRAMES:
        raise CnntoolError(
            f"--animate: {frames} steps are too many to be watched: expected at most {MOST_FRAMES}; "
            "make the input smaller, or choose a layer with --row"
        )
    return found


def scene_of(computed: Computed, number: int, language: Language) -> Scene:
    """Input, parameters and output of a layer side by side, and a frame for each number of the output."""
    layer, inputs = computed.pipeline.graph.nodes[number]
    output = computed.volumes[number]
    for volume in (*(computed.volumes[i] for i in inputs), output):
        check_size(volume, layer.word)
    window = layer.window(computed.shapes[inputs[0]])
    windowed = layer.word in ("conv", "bank") or layer.word.endswith("pool")
    padding = window.padding if windowed and layer.word not in ("globalpool", "gridpool") else (0, 0, 0, 0)
    columns = [
        input_panels(computed.volumes[source], padding, border_of(layer), place, language)
        for place, source in enumerate(inputs)
    ]
    columns += parameter_columns(computed, number, language)
    columns.append([
        Panel(f"y{c}", f"{language.say('animation.output')} [:,:,{c}]", output[:, :, c], "output")
        for c in range(min(MOST_CHANNELS, output.shape[2]))
    ])  # fmt: skip
    shots = [
        shot(computed, number, (y, x, c), window if any(padding) or windowed else None)
        for c in range(min(MOST_CHANNELS, output.shape[2]))
        for y in range(output.shape[0])
        for x in range(output.shape[1])
    ]
    height, width, channels = computed.shapes[inputs[0]]
    words = " ".join(layer.words())
    title = language.say("animation.title", words=words, height=height, width=width, channels=channels)
    return Scene(title, columns, shots)


def check_size(volume: np.ndarray, word: str) -> None:
    """Refuses volumes whose numbers could not be read."""
    height, width, channels = volume.shape
    if max(height, width) > LARGEST_SIDE:
        raise CnntoolError(
            f"--animate shows every number, and {word} has a volume of {height}x{width}x{channels}: expected at most "
            f"{LARGEST_SIDE}x{LARGEST_SIDE}; give a shape such as 5x5x3, or --resize 12x12 with an image"
        )


def input_panels(
    volume: np.ndarray, padding: tuple[int, int, int, int], border: str, place: int, language: Language
) -> list[Panel]:
    """The channels of an input, with their padding around them."""
    top, left, bottom, right = padding
    padded = np.pad(volume, ((top, bottom), (left, right), (0, 0)))
    if border != borders.ZERO:
        padded = borders.batch_with_border(volume[None], Window(padding=padding), border)[0][0]
    title = language.say("animation.padded" if any(padding) else "animation.input")
    return [
        Panel(f"x{place}.{c}", f"{title} [:,:,{c}]", padded[:, :, c], "input", (-top, -left), volume.shape[:2])
        for c in range(min(MOST_CHANNELS, volume.shape[2]))
    ]


def parameter_columns(computed: Computed, number: int, language: Language) -> list[list[Panel]]:
    """The filters of a convolution, a column each; the statistics of a normalisation."""
    layer = computed.pipeline.graph.nodes[number].layer
    arrays = computed.arrays[number]
    if layer.word == "conv" or (layer.word == "bank" and "weight" in arrays):
        return [filter_panels(arrays, k, language) for k in range(min(MOST_FILTERS, arrays["weight"].shape[3]))]
    if layer.word != "batchnorm":
        return []
    volume = computed.volumes[computed.pipeline.graph.nodes[number].inputs[0]].astype(np.float64)
    moments = {
        "mean": arrays.get("running_mean", volume.mean(axis=(0, 1))),
        "variance": arrays.get("running_var", volume.var(axis=(0, 1))),
        "gamma": arrays["gamma"],
        "beta": arrays["beta"],
    }
    shown = min(MOST_CHANNELS, volume.shape[2])
    return [[
        Panel(f"p.{name}", language.say(f"animation.{name}"), np.asarray(values)[None, :shown], "filter")
        for name, values in moments.items()
    ]]  # fmt: skip


def filter_panels(arrays: dict[str, np.ndarray], k: int, language: Language) -> list[Panel]:
    """One filter, channel by channel, and its bias."""
    weight = arrays["weight"][..., k]
    title = language.say("animation.filter", index=k)
    panels = [
        Panel(f"w{k}.{c}", f"{title} [:,:,{c}]", weight[:, :, c], "filter")
        for c in range(min(MOST_CHANNELS, weight.shape[2]))
    ]
    if "bias" in arrays:
        bias = language.say("animation.bias", index=k)
        panels.append(Panel(f"w{k}.bias", bias, arrays["bias"][k].reshape(1, 1), "filter"))
    return panels


def shot(computed: Computed, number: int, at: Place, window: Window | None) -> Shot:
    """What one output is made of."""
    layer, inputs = computed.pipeline.graph.nodes[number]
    y, x, c = at
    marks = {f"y{c}": [(y, x)]}
    shapes = [computed.shapes[i] for i in inputs]
    for place, part in through(layer, shapes, Part(frozenset([y]), frozenset([x]), c, c + 1)):
        rows, columns = sorted(part.rows), sorted(part.columns)
        if window is not None and layer.word not in ("globalpool", "gridpool"):
            lying = view(window, shapes[0], y, x)
            rows, columns = lying.rows.tolist(), lying.columns.tolist()
        for channel in range(part.first, part.last):
            marks[f"x{place}.{channel}"] = [(row, column) for row in rows for column in columns]
    for key, array in computed.arrays[number].items():
        if key == "weight" and array.ndim == 4:
            for channel in range(array.shape[2]):
                marks[f"w{c}.{channel}"] = list(np.ndindex(*array.shape[:2]))
            marks[f"w{c}.bias"] = [(0, 0)]
    if layer.word == "batchnorm":
        marks |= {f"p.{name}": [(0, c)] for name in ("mean", "variance", "gamma", "beta")}
    return Shot(marks, f"[{y}, {x}, {c}]  {line_of(account_of(computed.unit(number, at)), layer.word)}")


def line_of(account: Account, word: str) -> str:
    """The last piece of arithmetic of an account; of a maximum the numbers that it is of."""
    if word == "maxpool":
        grid = next(grid for step in account.steps for grid in step.grids)
        inside = grid.numbers if grid.outside is None else grid.numbers[~grid.outside]
        numbers = inside.ravel()
        listed = ", ".join(short(float(number)) for number in numbers[:9]) + (", ..." if len(numbers) > 9 else "")
        return f"max({listed}) = {short(account.value)}"
    works = [step.work for step in account.steps if step.work is not None]
    if not works:
        return short(account.value)
    if word == "batchnorm":
        return "   ".join(equation_text(work) for work in works if isinstance(work, Equation))
    return sum_text(works[-1]) if isinstance(works[-1], Sum) else equation_text(works[-1])


def drawing_of(scene: Scene) -> Drawing:
    """Where everything of a scene lies."""
    boxes: list[Box] = []
    labels = [Label(ROOM, ROOM + 4, scene.title, "head", left=True)]
    places: dict[tuple[str, int, int], Box] = {}
    x, bottom = float(ROOM), 0.0
    for panels in scene.columns:
        width = max(width_of_cells(panel) for panel in panels)
        across, y = 0.0, ROOM + 34.0
        for panel in panels:
            labels.append(Label(x, y, panel.title, "title", left=True))
            across = max(across, width * panel.numbers.shape[1], length(panel.title, "title"))
            y += TITLE_HEIGHT / 2
            for (row, column), number in np.ndenumerate(panel.numbers):
                place = row + panel.corner[0], column + panel.corner[1]
                style = panel.style
                if panel.inner and not (0 <= place[0] < panel.inner[0] and 0 <= place[1] < panel.inner[1]):
                    style = "padding"
                box = Box(x + column * width, y + row * CELL_HEIGHT, width, CELL_HEIGHT, style)
                places[panel.key, *place] = box
                boxes.append(box)
                labels.append(Label(box.x + width / 2, box.y + CELL_HEIGHT / 2, short(float(number)), style))
            y += panel.numbers.shape[0] * CELL_HEIGHT + GAP + TITLE_HEIGHT / 2
        x, bottom = x + across + ROOM, max(bottom, y)
    frames = [frame_of(shot, places, bottom) for shot in scene.shots]
    widest = max([x, *(ROOM * 2 + length(label.text, label.style) for f in frames for label in f.labels),
                  ROOM * 2 + length(scene.title, "head")])  # fmt: skip
    return Drawing(int(widest), int(bottom + 2 * ROOM), boxes, labels, frames)


def width_of_cells(panel: Panel) -> float:
    return max(34.0, max(length(short(float(number)), panel.style) for number in panel.numbers.flat) + 12)


def frame_of(shot: Shot, places: dict[tuple[str, int, int], Box], bottom: float) -> Frame:
    """The marked cells, and the line below all panels."""
    kinds = {"x": "mark-input", "w": "mark-filter", "p": "mark-filter", "y": "mark-output"}
    boxes = [
        places[key, row, column]._replace(style=kinds[key[0]])
        for key, cells in shot.marks.items()
        for row, column in cells
        if (key, row, column) in places
    ]
    return Frame(boxes, [Label(ROOM, bottom + ROOM / 2, shot.line, "work", left=True)])
