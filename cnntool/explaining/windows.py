"""Convolution, banks and pools: what lies in the window of one output."""

from __future__ import annotations

import numpy as np

from cnntool.banks.learned import KMeans, Learned
from cnntool.explaining.data import Account, Equation, Grid, Place, Step, Sum, Unit, largest
from cnntool.explaining.patches import kmeans
from cnntool.explaining.view import View, border_of, coverage, listed, view, where
from cnntool.kernels.arguments import Window
from cnntool.layers.bank import Bank
from cnntool.layers.convolution import Conv
from cnntool.layers.descriptors import cells
from cnntool.layers.pooling import AvgPool


def filtered(seen: View, x: np.ndarray, weight: np.ndarray, channels: range) -> tuple[list[Step], np.ndarray]:
    """One filter (kh, kw, channels) on its channels of the input: a step a channel, and all products."""
    products, steps = np.zeros(weight.shape), []
    for place, channel in enumerate(channels):
        numbers, own = seen.of(x[:, :, channel]), weight[:, :, place].astype(np.float64)
        products[:, :, place] = numbers * own
        grids = (seen.grid("window.grid", numbers), Grid("window.filter", own),
                 Grid("window.products", products[:, :, place]))  # fmt: skip
        total = Sum(products[:, :, place].ravel().tolist(), float(products[:, :, place].sum()))
        steps.append(Step("conv.channel", {"channel": channel}, grids, total))
    return steps, products


def source_of(seen: View, products: np.ndarray, first_channel: int) -> Place:
    """The input that counted most, among those inside."""
    ky, kx, place = largest(np.where(seen.inside[:, :, None], products, np.nan))
    return seen.place((ky, kx), first_channel + place)


def convolution(unit: Unit) -> Account:
    """Windows times filter, channel by channel, and the bias."""
    layer, (y, x, c) = unit.layer, unit.at
    assert isinstance(layer, Conv)
    window, weight = layer.window(unit.shape), unit.arrays["weight"]
    seen = view(window, unit.shape, y, x, border_of(layer))
    each = weight.shape[2]
    first = c // (layer.out_channels // layer.groups) * each
    bias = float(unit.arrays["bias"][c]) if "bias" in unit.arrays else 0.0
    channels, products = filtered(seen, unit.inputs[0], weight[..., c], range(first, first + each))
    value = float(products.sum()) + bias
    size = {"kh": weight.shape[0], "kw": weight.shape[1], "channels": each, "filters": layer.out_channels, "c": c}
    steps = [Step("conv.what", size)]
    if layer.groups > 1:
        steps.append(Step("conv.groups", size | {"groups": layer.groups, "first": first, "last": first + each - 1}))
    if window.is_point:
        steps.append(Step("conv.point", {"inputs": unit.shape[2], "outputs": layer.out_channels}))
    steps += [*where(layer, unit.shape, seen, y, x), *channels]
    sums = [float(products[:, :, place].sum()) for place in range(each)]
    key = "conv.total" if "bias" in unit.arrays else "conv.total_without_bias"
    steps.append(Step(key, {"bias": bias, "c": c}, (), Sum([*sums, *([bias] if layer.bias else [])], value)))
    steps.append(Step("conv.weights", {
        "weights": products.size, "biases": int(layer.bias), "positions": unit.output.shape[0] * unit.output.shape[1],
        "as_fc": int(np.prod(unit.shape)), "height": unit.shape[0], "width": unit.shape[1], "depth": unit.shape[2],
    }))  # fmt: skip
    steps += coverage(window, unit.shape, unit.output.shape)
    scale = float(np.abs(products).sum() + np.abs(weight[..., c]).sum() * np.abs(unit.inputs[0]).max() + abs(bias))
    return Account(value, scale, [source_of(seen, products, first)], steps)


def bank(unit: Unit) -> Account:
    """A fixed filter on the mean of the channels or on one of them; for some banks the joined responses of several."""
    layer, (y, x, c) = unit.layer, unit.at
    assert isinstance(layer, Bank)
    if isinstance(layer.bank, KMeans):
        return kmeans(unit, view(layer.window(unit.shape), unit.shape, y, x, layer.mode))
    if isinstance(layer.bank, Learned):
        return learned(unit)
    window, weight = layer.window(unit.shape), unit.arrays["weight"]
    seen = view(window, unit.shape, y, x, border_of(layer))
    outputs = layer.bank.outputs
    channel = c // outputs if layer.per_channel else 0
    source, steps = unit.inputs[0], []
    if layer.per_channel:
        steps.append(Step("bank.channel", {"channel": channel, "c": c, "maps": outputs}))
        plane = source[:, :, channel]
    else:
        plane = source.astype(np.float64).mean(axis=2)
        if source.shape[2] > 1:
            steps.append(Step("bank.mean", {"channels": source.shape[2]}))
    reduction = layer.bank.reduce
    members = reduction.groups[c % outputs] if reduction else (c % outputs,)
    names, numbers = layer.bank.names(), seen.of(plane)
    steps += where(layer, unit.shape, seen, y, x)
    responses = []
    for member in members:
        own = weight[:, :, 0, member].astype(np.float64)
        responses.append(float((numbers * own).sum()))
        grids = (seen.grid("window.grid", numbers), Grid("window.filter", own), Grid("window.products", numbers * own))
        total = Sum((numbers * own).ravel().tolist(), responses[-1])
        steps.append(Step("bank.response", {"filter": member, "name": names[member]}, grids, total))
    value = responses[0]
    if reduction:
        value, step = joined(responses, reduction.how[c % outputs])
        steps.append(step)
    steps += coverage(window, unit.shape, unit.output.shape)
    best = members[int(np.argmax(np.abs(responses)))]
    products = numbers * weight[:, :, 0, best]
    absolute = np.abs(weight[:, :, 0, list(members)].astype(np.float64))
    scale = float(absolute.sum() * np.abs(source).max())
    return Account(value, scale, [source_of(seen, products[:, :, None], channel)], steps)


def joined(responses: list[float], how: str) -> tuple[float, Step]:
    """The responses of several filters as one number."""
    if how == "modulus":
        value = float(np.sqrt(np.square(responses).sum()))
    else:
        value = max(np.abs(responses) if how == "absmax" else responses)
    return float(value), Step(f"bank.{how}", {"value": float(value)}, (Grid("bank.responses", np.array([responses])),))


def learned(unit: Unit) -> Account:
    """Learned filters go through all channels, as a convolution's."""
    layer, (y, x, c) = unit.layer, unit.at
    assert isinstance(layer, Bank)
    window, weight = layer.window(unit.shape), unit.arrays["weight"]
    seen = view(window, unit.shape, y, x, border_of(layer))
    channels, products = filtered(seen, unit.inputs[0], weight[..., c], range(unit.shape[2]))
    bias = float(unit.arrays["bias"][c]) if "bias" in unit.arrays else 0.0
    value = float(products.sum()) + bias
    sums = products.sum(axis=(0, 1)).tolist() + ([bias] if "bias" in unit.arrays else [])
    key = "conv.total" if "bias" in unit.arrays else "conv.total_without_bias"
    steps = [Step("bank.learned", {"c": c}), *where(layer, unit.shape, seen, y, x), *channels,
             Step(key, {"bias": bias, "c": c}, (), Sum(sums, value)),
             *coverage(window, unit.shape, unit.output.shape)]  # fmt: skip
    scale = float(np.abs(weight[..., c]).sum() * np.abs(unit.inputs[0]).max() + abs(bias))
    return Account(value, scale, [source_of(seen, products, 0)], steps)


def pool(unit: Unit) -> Account:
    """The maximum, mean or length of one channel's numbers in the window."""
    layer, (y, x, c) = unit.layer, unit.at
    window = layer.window(unit.shape)
    seen = view(window, unit.shape, y, x, border_of(layer))
    plane = unit.inputs[0][:, :, c]
    account = pooled(layer.word, seen, plane, c, count_of(unit, y, x))
    steps = [Step("pool.what", {"c": c}), *where(layer, unit.shape, seen, y, x), *account.steps]
    numbers, left = int(np.prod(unit.shape)), unit.output.size
    (kh, kw), (sy, sx) = window.kernel_size, window.stride
    share = {"kh": kh, "kw": kw, "stride_y": sy, "stride_x": sx, "inputs": numbers, "outputs": left,
             "removed": round(100 * (1 - left / numbers), 2)}  # fmt: skip
    steps += [Step("pool.share", share), *coverage(window, unit.shape, unit.output.shape)]
    return Account(account.value, account.scale, account.sources, steps)


def count_of(unit: Unit, y: int, x: int) -> float | None:
    """What an average divides by."""
    if unit.layer.word != "avgpool":
        return None
    assert isinstance(unit.layer, AvgPool)
    _, shape, inner = unit.layer.inside(unit.shape)
    heights, widths = inner.sizes(shape)
    return float(heights[y]) * float(widths[x])


def pooled(word: str, seen: View, plane: np.ndarray, channel: int, count: float | None) -> Account:
    """The numbers in a window as one, by the word of a pool."""
    inside = seen.of(plane)[seen.inside]
    shown = seen.of(plane)
    element = largest(np.where(seen.inside, shown, np.nan))
    if word == "maxpool":
        value = float(inside.max(initial=-np.inf))  # NaN comes through
        element = next(zip(*np.nonzero(seen.inside & ((shown == value) | np.isnan(shown))), strict=True), element)
        step = Step(
            "pool.max", {"value": value}, (seen.grid("window.grid", shown, (int(element[0]), int(element[1]))),)
        )
        return Account(value, abs(value), [seen.place(element, channel)], [step])
    grid = seen.grid("window.grid", shown)
    if word == "avgpool":
        total, count = float(inside.sum()), count or float(inside.size)
        value = total / count if count else float("nan")
        mean = Equation("sum / count", {"sum": total, "count": count}, value)
        steps = [Step("pool.sum", {}, (grid,), Sum(inside.tolist(), total)), Step("pool.average", {}, (), mean)]
    else:
        total = float(np.square(inside).sum())
        value = float(np.sqrt(total))
        root = Equation("sqrt(sum)", {"sum": total}, value)
        steps = [
            Step("pool.squares", {}, (grid,), Sum(np.square(inside).tolist(), total)),
            Step("pool.root", {}, (), root),
        ]
    scale = float(np.abs(inside).sum()) if word == "avgpool" else value
    return Account(value, scale, [seen.place(element, channel)], steps)


def global_pool(unit: Unit) -> Account:
    """A pool whose window is the whole map."""
    c, (height, width, _) = unit.at[2], unit.shape
    seen = view(Window(kernel_size=(height, width)), unit.shape, 0, 0)
    account = pooled(unit.layer.how + "pool", seen, unit.inputs[0][:, :, c], c, None)  # type: ignore[attr-defined]
    account.steps.insert(0, Step("pool.global", {"c": c, "height": height, "width": width, "count": height * width}))
    return account


def grid_pool(unit: Unit) -> Account:
    """The sum over one cell of a grid."""
    (y, x, c), number = unit.at, unit.layer.number  # type: ignore[attr-defined]
    (top, bottom), (left, right) = (cells(size, number)[i] for size, i in zip(unit.shape[:2], (y, x), strict=True))
    rows, columns = np.arange(top, bottom), np.arange(left, right)
    seen = View(rows, columns, np.ones((len(rows), len(columns)), bool), (rows, columns))
    numbers = seen.of(unit.inputs[0][:, :, c])
    value = float(numbers.sum())
    cell = {"number": number, "rows": listed(rows), "columns": listed(columns), "c": c}
    total = Sum(numbers.ravel().tolist(), value)
    steps = [Step("pool.cell", cell), Step("pool.sum", {}, (seen.grid("window.grid", numbers),), total)]
    return Account(value, float(np.abs(numbers).sum()), [seen.place(largest(numbers), c)], steps)
