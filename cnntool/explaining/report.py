"""One page of a network on an image: layer by layer its maps, filters and numbers, to be read in any browser."""

from __future__ import annotations

import html
import math
from typing import Any, NamedTuple

import numpy as np

from cnntool.banks.learned import KMeans, Learned
from cnntool.errors import CnntoolError
from cnntool.explaining.functions import FUNCTIONS, constants_of, formula_of
from cnntool.explaining.language import Language, number
from cnntool.explaining.matrices import PlainMoments
from cnntool.explaining.packing import packed
from cnntool.explaining.pages import Markup, as_data, fill, template
from cnntool.explaining.seen import rule_of
from cnntool.explaining.units import Computed
from cnntool.explaining.view import border_of
from cnntool.images import colours
from cnntool.images.sheet import top_of
from cnntool.layers.affine import FromData
from cnntool.layers.bank import Bank
from cnntool.layers.descriptors import GridPool, cells
from cnntool.layers.pooling import AvgPool
from cnntool.network.graph import INPUT
from cnntool.pipeline import Pipeline
from cnntool.steps.geometry import Shape

MOST_NUMBERS = 1_700_000  # of all volumes of a page, which makes about 6 MB
MOST_WEIGHTS, MOST_WEIGHTS_OF_LAYER = 500_000, 120_000
MOST_MAPS = 32  # of a layer that are shown
MOST_CHANNELS_OF_MATRIX = 64
BINS = 48


class Report(NamedTuple):
    """What a report is made of, besides the computed network."""

    name: str
    command: str
    scaled: bool  # whether the image was made smaller than it is


def numbers_of(pipeline: Pipeline, shape: Shape) -> int:
    """How many numbers a page would hold for an input of this shape."""
    return sum(math.prod(found) for found in pipeline.graph.shapes(shape).values())


def fitting(pipeline: Pipeline, shape: Shape) -> tuple[int, int] | None:
    """Height and width that an image is to be scaled to for a page; None for as it is."""
    height, width, channels = shape
    if numbers_of(pipeline, shape) <= MOST_NUMBERS:
        return None
    factor, size = 1.0, (height, width)
    while min(size) > 1:
        factor *= 0.97
        size = max(1, round(height * factor)), max(1, round(width * factor))
        try:
            if numbers_of(pipeline, (*size, channels)) <= MOST_NUMBERS:
                return size
        except CnntoolError:  # too small for the layers
            break
    raise CnntoolError("the volumes of all layers are too many for a page: end the chain earlier, with --until ROW")


def report_page(computed: Computed, report: Report, language: Language) -> str:
    """The page."""
    summary = computed.pipeline.shape(computed.shapes[INPUT])
    places = {INPUT: 0} | {node: place + 1 for place, node in enumerate(computed.nodes)}
    share = weights_share(computed)
    layers = [layer_data(computed, node, places, share) for node in computed.nodes]
    data = {
        "input": list(computed.shapes[INPUT]),
        "layers": layers,
        "colours": {name: colour_table(signed).tolist() for name, signed in (("plain", False), ("signed", True))},
        "say": {key.partition(".")[2]: text for key, text in language.messages.items() if key.startswith("report.")},
    }
    arrays = {"v0": computed.volumes[INPUT]}
    for node, layer in zip(computed.nodes, layers, strict=True):
        arrays[f"v{places[node]}"] = computed.volumes[node]
        for name, array in weights_of(computed, node, layer, share).items():
            arrays[f"{name}{places[node]}"] = array
    scripts = "\n".join(
        f'<script type="text/plain" id="{key}">{packed(array)}</script>' for key, array in arrays.items()
    )
    height, width, _ = computed.shapes[INPUT]
    note = language.say("report.size", height=height, width=width) if report.scaled else ""
    says = {key: language.say(f"report.{key}") for key in (
        "input", "layers", "choose", "keys", "zoom", "larger", "smaller", "nofield", "command")}  # fmt: skip
    return fill(
        "report.html", lang=language.name, title=language.say("report.title", name=report.name), line=report.command,
        note=note, table=Markup(table_text(computed, summary, language)), size=f"{height}x{width}",
        sections=Markup("\n".join(section_text(computed, node, layer, row, language)
                                  for node, layer, row in zip(computed.nodes, layers, summary["layers"], strict=True))),
        style=Markup(template("report.css")), script=Markup(template("report.js")), arrays=Markup(scripts),
        data=as_data(data), **says,
    )  # fmt: skip


def colour_table(signed: bool) -> np.ndarray:
    """256 colours and that of NaN, flat."""
    return colours.table(colours.DIVERGING if signed else colours.RISING).reshape(-1)


def weights_share(computed: Computed) -> int:
    """How many numbers of filters each layer may put into the page."""
    with_weights = sum("weight" in computed.arrays[node] for node in computed.nodes)
    return min(MOST_WEIGHTS_OF_LAYER, MOST_WEIGHTS // max(1, with_weights))


def shown_channels(volume: np.ndarray) -> list[int]:
    """The maps that are shown: the first, or of a vector the largest."""
    channels = volume.shape[2]
    if volume.shape[:2] == (1, 1) and channels > MOST_MAPS:
        return np.argsort(-volume[0, 0], kind="stable")[:MOST_MAPS].tolist()
    return list(range(min(MOST_MAPS, channels)))


def layer_data(computed: Computed, node: int, places: dict[int, int], share: int) -> dict[str, Any]:
    """What the page's script has to know of a layer."""
    layer, inputs = computed.pipeline.graph.nodes[node]
    shapes = [computed.shapes[i] for i in inputs]
    volume, window = computed.volumes[node], layer.window(shapes[0])
    channels = shown_channels(volume)
    found: dict[str, Any] = {
        "place": places[node], "row": node + 1, "word": layer.word, "inputs": [places[i] for i in inputs],
        "shape": list(volume.shape), "kernel": list(window.kernel_size), "stride": list(window.stride),
        "dilation": list(window.dilation), "padding": list(window.padding[:2]), "rule": rule_of(layer, shapes),
        "channels": channels, "signed": bool(np.nanmin(volume, initial=0) < 0),
        "border": border_of(layer), "tops": [top_of(volume[:, :, c]) for c in channels], "kind": kind_of(layer),
        "statistics": takes_statistics(computed, node),
    }  # fmt: skip
    if isinstance(layer, GridPool):
        found["cells"] = [cells(size, layer.number) for size in shapes[0][:2]]
    return found | details_of(computed, node, share)


def takes_statistics(computed: Computed, node: int) -> bool:
    """Whether a unit depends on the whole image by the statistics of this layer or of one before it."""
    graph = computed.pipeline.graph
    waiting, seen = [node], set()
    while waiting:
        present = waiting.pop()
        if present == INPUT or present in seen:
            continue
        seen.add(present)
        layer, inputs = graph.nodes[present]
        wanted = layer.buffer_shapes(computed.shapes[inputs[0]])
        if layer.statistics and not all(name in computed.arrays[present] for name in wanted):
            return True
        waiting += inputs
    return False


def kind_of(layer: Any) -> str:
    """By which arithmetic the script shows a unit's numbers."""
    word = layer.word
    if word == "bank":
        if isinstance(layer.bank, KMeans):
            return "pixel"
        return "conv" if isinstance(layer.bank, Learned) else "bank"
    if word in ("conv", "fc", "softmax", "batchnorm", "add", "concat", "flatten"):
        return word
    if word in ("maxpool", "avgpool", "l2pool", "gridpool"):
        return "pool"
    if word == "globalpool":
        return "pool"
    if isinstance(layer, FromData):
        return "affine"
    return "function" if word in FUNCTIONS else "pixel"


def details_of(computed: Computed, node: int, share: int) -> dict[str, Any]:
    """Constants and small arrays of a layer."""
    layer, inputs = computed.pipeline.graph.nodes[node]
    arrays, volume = computed.arrays[node], computed.volumes[inputs[0]]
    found: dict[str, Any] = {}
    if "bias" in arrays:
        found["bias"] = listed(arrays["bias"])
    if "weight" in arrays:
        found["filters"] = filters_shown(computed, node, share)
    if layer.word in FUNCTIONS:
        alpha = float(arrays["alpha"][0]) if "alpha" in arrays else None
        constants = constants_of(layer, alpha)
        found["formula"] = formula_of(layer, constants)
        found["constants"] = {name: f"{value:.4g}" for name, value in constants.items()}
    if layer.word.endswith("pool"):
        how = getattr(layer, "how", layer.word.removesuffix("pool"))
        found["how"] = "sum" if how == "grid" else how
        if isinstance(layer, AvgPool):
            _, shape, inner = layer.inside(computed.shapes[inputs[0]])
            found["sizes"] = [listed(sizes) for sizes in inner.sizes(shape)]
    if layer.word == "batchnorm":
        plane = volume.astype(np.float64)
        found |= {
            "mean": listed(arrays.get("running_mean", plane.mean(axis=(0, 1)))),
            "var": listed(arrays.get("running_var", plane.var(axis=(0, 1)))),
            "gamma": listed(arrays["gamma"]), "beta": listed(arrays["beta"]), "eps": layer.eps,  # type: ignore[attr-defined]
        }  # fmt: skip
    if isinstance(layer, FromData) and volume.shape[2] <= MOST_CHANNELS_OF_MATRIX:
        found |= affine_details(layer, arrays, volume)
    if isinstance(layer, Bank) and not isinstance(layer.bank, Learned):
        reduction = layer.bank.reduce
        found["per_channel"] = layer.per_channel
        found["groups"] = [list(group) for group in reduction.groups] if reduction else None
        found["hows"] = list(reduction.how) if reduction else None
        found["outputs"] = layer.bank.outputs
    return found


def affine_details(layer: FromData, arrays: dict[str, Any], volume: np.ndarray) -> dict[str, Any]:
    """The mean that is subtracted, and the matrix (in, out) that follows."""
    shape = volume.shape[0], volume.shape[1], volume.shape[2]
    if not all(name in arrays for name in layer.buffer_shapes(shape)):
        arrays = layer.learn(PlainMoments(volume))
    linear = np.asarray(layer.linear(shape, arrays), np.float64)
    mean = arrays["mean"] if "mean" in arrays and layer.buffer_shapes(shape) else np.zeros(shape[2])
    matrix = np.diag(linear) if linear.ndim == 1 else linear
    return {"mean": listed(mean), "matrix": [listed(line) for line in matrix]}


def filters_shown(computed: Computed, node: int, share: int) -> list[int]:
    """The filters whose numbers are in the page."""
    layer = computed.pipeline.graph.nodes[node].layer
    weight = computed.arrays[node]["weight"]
    if kind_of(layer) == "bank":
        wanted = list(range(weight.shape[-1]))
    else:
        wanted = shown_channels(computed.volumes[node])
    return wanted[: max(1, share // max(1, math.prod(weight.shape[:-1])))]


def weights_of(computed: Computed, node: int, data: dict[str, Any], share: int) -> dict[str, np.ndarray]:
    """The filters that are in the page, one after another: filter, row, column, channel."""
    if not data.get("filters") or data["kind"] not in ("conv", "bank", "fc"):
        return {}
    weight = computed.arrays[node]["weight"][..., data["filters"]]
    return {"w": np.moveaxis(weight, -1, 0)} if math.prod(weight.shape[:-1]) <= share else {}


def listed(array: Any) -> list[float | None]:
    """Numbers of seven figures; what is not finite is null."""
    return [float(f"{value:.7g}") if math.isfinite(value) else None for value in np.asarray(array, np.float64).ravel()]


# The page's parts


def table_text(computed: Computed, summary: dict[str, Any], language: Language) -> str:
    """The shape calculator's table, each row a link to its layer."""
    heads = [language.say(f"report.{key}") for key in ("layer", "output", "parameters", "macs", "field", "jump")]
    lines = [
        "<thead><tr><td></td>",
        *(f'<th scope="col">{html.escape(head)}</th>' for head in heads),
        "</tr></thead><tbody>",
    ]
    for row in summary["layers"]:
        words = html.escape(" ".join(computed.pipeline.graph.nodes[row["row"] - 1].layer.words()))
        cells = ["x".join(map(str, row["output_shape"])), f"{row['parameters']:,}", f"{row['macs']:,}",
                 pair(row["receptive_field"]), pair(row["jump"])]  # fmt: skip
        lines.append(
            f'<tr><td>{row["row"]}</td><th scope="row"><a href="#layer-{row["row"]}">{words}</a></th>'
            + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
        )  # fmt: skip
    totals = summary["totals"]
    lines.append(
        f'</tbody><tfoot><tr><td></td><th scope="row">{html.escape(language.say("report.total"))}</th><td></td>'
        f"<td>{totals['parameters']:,}</td><td>{totals['macs']:,}</td><td></td><td></td></tr></tfoot>"
    )
    return "".join(lines)


def pair(values: list[int]) -> str:
    return str(values[0]) if values[0] == values[1] else f"{values[0]}x{values[1]}"


def section_text(computed: Computed, node: int, data: dict[str, Any], row: dict[str, Any], language: Language) -> str:
    """One layer: its facts, its histogram, room for its maps and filters."""
    volume = computed.volumes[node]
    count = volume.shape[2]
    words = " ".join(computed.pipeline.graph.nodes[node].layer.words())
    facts = {
        "output": "x".join(map(str, row["output_shape"])), "parameters": f"{row['parameters']:,}",
        "buffers": f"{row['buffers']:,}", "macs": f"{row['macs']:,}", "field": pair(row["receptive_field"]),
        "jump": pair(row["jump"]),
    }  # fmt: skip
    came = [f"#{computed.nodes[place - 1] + 1}" if place else language.say("report.input") for place in data["inputs"]]
    notes = []
    if len(data["channels"]) < count:
        notes.append(language.say("report.shown", shown=len(data["channels"]), count=count))
    filters = data.get("filters") and data["kind"] in ("conv", "bank")
    return fill(
        "layer.html", row=str(row["row"]), place=str(data["place"]), words=words, came=" + ".join(came),
        facts=Markup("".join(f"<div><dt>{html.escape(language.say('report.' + key))}</dt><dd>{value}</dd></div>"
                             for key, value in facts.items())),
        histogram=Markup(histogram(volume, language)), maps=language.say("report.maps"), note=" ".join(notes),
        filters=Markup(f'<h3>{html.escape(language.say("report.filters"))}</h3><div class="filters"></div>'
                       if filters else ""),
    )  # fmt: skip


def histogram(volume: np.ndarray, language: Language) -> str:
    """How often which numbers occur, as an SVG with its numbers in words."""
    finite = volume[np.isfinite(volume)].astype(np.float64)
    if not finite.size:
        return ""
    low, high = float(finite.min()), float(finite.max())
    moving = finite[finite != 0] if (finite == 0).any() and low != high else finite
    counts, _ = np.histogram(moving, BINS, (low, high if high > low else low + 1))
    top = max(1, int(counts.max()))
    bars = "".join(
        f'<rect x="{place}" y="{60 - 60 * count / top:.2f}" width="0.9" height="{60 * count / top:.2f}"/>'
        for place, count in enumerate(counts)
    )
    zeros = 100 * float((finite == 0).mean())
    words = language.say("report.histogram", count=volume.size)
    facts = [("smallest", low), ("largest", high), ("mean", float(finite.mean())), ("deviation", float(finite.std()))]
    said = " · ".join(f"{language.say('report.' + key)} {number(value)}" for key, value in facts)
    said += f" · {language.say('report.zeros', percent=round(zeros, 1))}"
    return (
        f'<figure class="histogram"><svg viewBox="0 0 {BINS} 60" preserveAspectRatio="none" role="img" '
        f'aria-label="{html.escape(words)}">{bars}</svg><div class="axis"><span>{number(low)}</span>'
        f"<span>{number(high)}</span></div><figcaption>{html.escape(words)}: {html.escape(said)}</figcaption></figure>"
    )
