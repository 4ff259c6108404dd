"""Filters in space and in frequency: what a bank answers to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnntool.late import np
from cnntool.pictures.figures import BLUE, FAINT, ORANGE, WIDTH, bare, draw

if TYPE_CHECKING:
    from cnntool.banks.base import FilterBank

LARGEST_SPECTRUM = 129  # points along each axis of a frequency response
MOST_CONTOURS = 128  # filters whose half-height contour is drawn


def responses(filters: np.ndarray, points: int = LARGEST_SPECTRUM) -> np.ndarray:
    """|H|, float64 (points, points, number), of filters (height, width, number): frequencies from -1/2 to 1/2.

    Cycles a pixel; the middle is the response to a constant. `points` is odd, so that zero is among them.
    """
    height, width, _ = filters.shape
    frequencies = (np.arange(points) - points // 2) / points
    down = np.exp(-2j * np.pi * np.outer(frequencies, np.arange(height)))
    across = np.exp(-2j * np.pi * np.outer(np.arange(width), frequencies))
    return np.abs(np.einsum("fy,yxk,xg->fgk", down, filters.astype(np.float64), across, optimize=True))


def radial(power: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies from 0 to 1/2 cycles a pixel, and the mean of a spectrum (points, points) around each circle."""
    points = len(power)
    axis = np.arange(points) - points // 2
    ring = np.rint(np.hypot(*np.meshgrid(axis, axis))).astype(int)
    sums, counts = np.bincount(ring.ravel(), power.ravel()), np.bincount(ring.ravel())
    half = points // 2 + 1
    return np.arange(half) / points, sums[:half] / counts[:half]


def draw_bank(path: str, bank: FilterBank, title: str, command: str | None = None) -> None:
    """Sheets of the filters and of their responses in the order of the bank, and what they cover together."""
    from cnntool.images.sheet import Caption, Look, contact_sheet

    filters = bank.filters()
    spectra = responses(filters)
    caption = Caption(places=bank.places())
    in_space = np.asarray(contact_sheet(filters, Look(scale="symmetric"), caption, max_side=2400).image)
    in_frequency = np.asarray(contact_sheet(spectra, Look(), caption, max_side=2400).image)
    aspect = in_space.shape[0] / in_space.shape[1]
    stacked = aspect < 0.55 and bank.count > 2
    sheets = (2 if stacked else 1) * aspect * (WIDTH if stacked else WIDTH / 2)

    def paint(figure: Any) -> None:
        top, bottom = figure.subfigures(2, 1, height_ratios=(sheets + 0.5, 3.6))
        space, frequency = top.subplots(*((2, 1) if stacked else (1, 2)))
        height, width, count = filters.shape
        for axes, pixels, text in (
            (space, in_space, f"{title}: {count} filters of {height}x{width}; blue −, red +"),
            (frequency, in_frequency, "frequency response |H|, −½ to ½ cycles a pixel"),
        ):
            bare(axes).imshow(pixels, interpolation="antialiased")
            axes.set_title(text)
        together, profile = bottom.subplots(1, 2)
        cover(together, spectra)
        by_frequency(profile, spectra)

    draw(path, paint, (WIDTH, sheets + 4.1), command)


def cover(axes: Any, spectra: np.ndarray) -> None:
    """The sum of |H|^2, and a line around each filter where it has half of its highest response."""
    power = (spectra**2).sum(axis=2)
    edge = 0.5 * (len(power) - 1) / len(power)
    extent = (-edge, edge, edge, -edge)
    axes.imshow(power, cmap="magma", extent=extent, interpolation="bilinear")
    axis = np.linspace(-edge, edge, len(power))
    for k in range(min(spectra.shape[2], MOST_CONTOURS)):
        highest = spectra[..., k].max()
        if highest > 0 and spectra[..., k].min() < highest / 2:
            axes.contour(axis, axis, spectra[..., k], [highest / 2], colors="white", linewidths=0.6, alpha=0.8)
    axes.set(xlabel="across, cycles a pixel", ylabel="down")
    axes.set_title("all together: Σ |H|², half heights")


def by_frequency(axes: Any, spectra: np.ndarray) -> None:
    """Power by frequency, whatever the direction: of each filter thinly, of all."""
    power = spectra**2
    highest = 0.0
    for k in range(min(power.shape[2], MOST_CONTOURS)):
        frequencies, values = radial(power[..., k])
        axes.plot(frequencies, values, color=BLUE, linewidth=0.6, alpha=0.35)
        highest = max(highest, float(values.max()))
    frequencies, values = radial(power.sum(axis=2))
    mean = values / values.max() * highest if values.max() > 0 else values
    axes.plot(frequencies, mean, color=ORANGE, label="the sum, scaled to the highest")
    axes.plot([], [], color=BLUE, linewidth=0.8, label="one filter")
    axes.set(xlabel="cycles a pixel", ylabel="mean |H|² of all directions", xlim=(0, 0.5))
    axes.set_ylim(0, 1.3 * highest)  # room for the legend
    axes.grid()
    axes.legend()
    axes.set_title("power by frequency")
    axes.tick_params(colors=FAINT)
