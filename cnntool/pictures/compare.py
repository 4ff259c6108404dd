"""The picture of fully connected against convolutional layers, and of batch normalisation."""

from __future__ import annotations

from typing import Any

from cnntool.images.sheet import scale_of
from cnntool.late import np
from cnntool.pictures.comparison import CONV, FC, Growth, Moved, Normalised, growth, normalised, permuted, shifted
from cnntool.pictures.figures import BLUE, FAINT, GREEN, ORANGE, PURPLE, draw, picture

SIZE = (9.0, 11.6)
COLOURS = (BLUE, ORANGE, GREEN, PURPLE)


def draw_compare(path: str, image: np.ndarray, seed: int, command: str | None = None) -> list[Growth]:
    """Four rows: parameters, a pattern that moves, pixels in another order, batch normalisation."""
    rows = growth(image.shape[2])
    moved, mixed, norm = shifted(image, seed), permuted(image, seed), normalised(image, seed)

    def paint(figure: Any) -> None:
        parts = figure.subfigures(4, 1, height_ratios=(1.15, 1, 1, 1.1))
        parameters(parts[0], rows, image.shape[2])
        same = f"conv: map moves along, largest difference {moved.conv_difference:.1g}"
        other = f"fc: every output changes, by up to {moved.fc_difference:.0%}"
        moving(parts[1], moved, f"The same pattern elsewhere.  {same};  {other}", ("pattern", "moved"))
        same = f"fc, weights in the same order: unchanged but for rounding, {mixed.fc_difference:.1g}"
        moving(parts[2], mixed, f"The pixels in another order.  {same};  conv: structure lost", ("image", "permuted"))
        normalisation(parts[3], norm)

    draw(path, paint, SIZE, command)
    return rows


def parameters(part: Any, rows: list[Growth], depth: int) -> None:
    """The curve of the parameters, and their table."""
    part.suptitle("Parameters as the image grows", x=0.01, ha="left", fontweight="bold", fontsize=9)
    curve, cells = part.subplots(1, 2)
    sides = [row.side for row in rows]
    curve.loglog(sides, [row.fc for row in rows], marker="o", markersize=4, color=ORANGE, label=FC)
    curve.loglog(sides, [row.conv for row in rows], marker="o", markersize=4, color=BLUE, label=CONV)
    curve.set_xticks(sides, [str(side) for side in sides])
    curve.minorticks_off()
    curve.set(xlabel=f"height and width of the image, {depth} channel{'s' * (depth > 1)}", ylabel="parameters")
    curve.grid()
    curve.legend()
    cells.axis("off")
    text = [[f"{row.side} x {row.side}", f"{row.fc:,}", f"{row.conv:,}"] for row in rows]
    table = cells.table(text, colLabels=["image", FC, CONV], loc="center", cellLoc="right", edges="horizontal")
    table.auto_set_font_size(False)
    table.set_fontsize(8)
    table.scale(1, 1.25)


def moving(part: Any, moved: Moved, title: str, names: tuple[str, str]) -> None:
    """Two inputs, the two maps of a convolution, and the outputs of a fully connected layer."""
    part.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=8)
    axes = part.subplots(1, 5, width_ratios=(1, 1, 1, 1, 1.7))
    for one, values, name in zip(axes[:2], moved.inputs, names, strict=True):
        picture(one, values[:, :, 0], "gray", 0.0, float(max(values.max(), 1e-9)))
        one.set_title(name, fontsize=8)
    low, high = scale_of(np.stack(moved.maps), True)
    for one, values, name in zip(axes[2:4], moved.maps, names, strict=True):
        picture(one, values, "blue-red", low, high)
        one.set_title(f"conv, {name}", fontsize=8)
    places = np.arange(len(moved.outputs[0]))
    for shift, values, colour, name in zip((-0.2, 0.2), moved.outputs, (BLUE, ORANGE), names, strict=True):
        axes[4].bar(places + shift, values, 0.4, color=colour, label=name)
    axes[4].axhline(0, color=FAINT, linewidth=0.7)
    axes[4].set_title("fc 16: its outputs", fontsize=8)
    axes[4].legend(fontsize=6.5, ncols=2, loc="lower center", bbox_to_anchor=(0.5, -0.32))
    axes[4].set_xticks([])


def normalisation(part: Any, norm: Normalised) -> None:
    """Histograms before and after, and what the right parameters give back."""
    part.suptitle("Batch normalisation of a convolution's activations", x=0.01, ha="left", fontweight="bold",
                  fontsize=9)  # fmt: skip
    axes = part.subplots(1, 3)
    for one, values, name in ((axes[0], norm.before, "before"), (axes[1], norm.after, "after: mean 0, deviation 1")):
        low, high = (float(end) for end in np.percentile(values, (0.2, 99.8)))
        edges = np.linspace(low, max(high, low + 1e-6), 80)
        for k, colour in zip(range(values.shape[1]), COLOURS, strict=False):
            column = values[:, k]
            label = f"{column.mean():.2f} ± {column.std():.2f}".replace("-0.00", "0.00")
            one.hist(column, edges, histtype="step", density=True, color=colour, linewidth=1.3, label=label)
        one.legend(fontsize=6.5)
        one.set_title(name, fontsize=8)
        one.set_yticks([])
    step = max(1, len(norm.before) // 1500)
    for k, colour in zip(range(norm.before.shape[1]), COLOURS, strict=False):
        axes[2].scatter(norm.before[::step, k], norm.undone[::step, k], s=3, color=colour, linewidths=0, alpha=0.5)
    axes[2].set(xlabel="x", ylabel="BN(x)")
    axes[2].grid()
    axes[2].set_title("gamma = √(var + eps), beta = mean", fontsize=8)
    axes[2].text(0.03, 0.9, f"largest difference {norm.identity_error:.1g}\nof the largest |x|",
                 transform=axes[2].transAxes, fontsize=7, va="center")  # fmt: skip
