"""Two channels as points in a plane, through the steps of the lecture: what each of them does to mean and spread."""

from __future__ import annotations

from typing import Any, NamedTuple

from cnntool.errors import CnntoolError
from cnntool.late import np
from cnntool.pictures.figures import BLUE, FAINT, ORANGE, WIDTH, draw
from cnntool.pipeline import Pipeline

# What each panel shows: its title, and the words that make it.
STEPS = (
    ("the data", ""),
    ("centred: the mean is subtracted", "center"),
    ("standardised: divided by the deviation", "standardize"),
    ("decorrelated: (A + B) / 2 and A − B", "standardize decorrelate"),
    ("whitened, kept near A and B (zca)", "whiten zca"),
    ("whitened along the principal axes (pca)", "whiten pca"),
)
POINTS = 3000  # that are drawn; the numbers are those of all


class Stage(NamedTuple):
    """The points (N, 2) after some words, and [A' B'] = [A B] `matrix` + `shift` that made them of the first."""

    title: str
    words: str
    points: np.ndarray
    matrix: np.ndarray
    shift: np.ndarray

    def numbers(self) -> tuple[np.ndarray, np.ndarray, float]:
        """Means and deviations of the two, and their correlation (0 where one does not vary)."""
        means, deviations = self.points.mean(axis=0, dtype=np.float64), self.points.std(axis=0, dtype=np.float64)
        products = ((self.points - means) ** [1, 1]).prod(axis=1).mean()
        spread = float(deviations.prod())
        return means, deviations, float(products) / spread if spread > 0 else 0.0


def two_channels(
    volume: np.ndarray, channels: tuple[int, int], ranges: tuple[float, float] | None
) -> tuple[np.ndarray, tuple[str, str]]:
    """H x W x 2 of a volume, and what the two are called. Raises ValueError for channels that are not there."""
    _, width, count = volume.shape
    if count == 1:
        if width < 2:
            raise ValueError("one gray column has no neighbours to the right: expected two channels or two columns")
        pair = np.concatenate([volume[:, :-1], volume[:, 1:]], axis=2)
        names = ("a pixel, A", "its right neighbour, B")
    else:
        if max(channels) >= count:
            raise ValueError(f"there is no channel {max(channels)}: expected 0 to {count - 1} in --channels")
        pair = volume[:, :, list(channels)]
        colours = ("red", "green", "blue")
        a, b = (colours[c] if count == 3 else f"channel {c}" for c in channels)
        names = (f"{a}, A", f"{b}, B")
    if not np.isfinite(pair).all():
        raise ValueError("some numbers are not finite: expected finite numbers")
    if ranges is not None:
        low, high = pair.min(axis=(0, 1)), pair.max(axis=(0, 1))
        if (low == high).any():
            raise ValueError("a channel that is constant cannot be stretched by --ranges")
        pair = (pair - low) / (high - low) * np.array(ranges, np.float32)
    return np.ascontiguousarray(pair, np.float32), names


def stages(pair: np.ndarray) -> list[Stage]:
    """The points H x W x 2 after each of STEPS, computed by the layers of those words."""
    found = []
    for title, words in STEPS:
        if not words:
            found.append(Stage(title, words, pair.reshape(-1, 2), np.eye(2), np.zeros(2)))
            continue
        pipeline = Pipeline.parse(words)
        points = pipeline.run(pair).reshape(-1, 2)
        fitted = pipeline.fit([pair])
        corners = fitted.run(np.array([[[0, 0], [1, 0], [0, 1]]], np.float32))[0].astype(np.float64)
        found.append(Stage(title, words, points, corners[1:] - corners[0], corners[0]))
    return found


def draw_whitening(path: str, pair: np.ndarray, names: tuple[str, str], command: str | None = None) -> None:
    """A panel a stage, all of the same points."""
    if len(pair.reshape(-1, 2)) < 2:
        raise CnntoolError("one pixel has no spread: expected an image of at least two")
    found = stages(pair)
    count = len(found[0].points)
    chosen = np.sort(np.random.default_rng(0).choice(count, min(POINTS, count), replace=False))

    def paint(figure: Any) -> None:
        for axes, stage in zip(figure.subplots(2, 3).flat, found, strict=True):
            panel(axes, stage, chosen, names)

    draw(path, paint, (WIDTH * 1.15, 7.4), command)


def panel(axes: Any, stage: Stage, chosen: np.ndarray, names: tuple[str, str]) -> None:
    """Points, their ellipse of one and two deviations, and numbers."""
    means, deviations, correlation = stage.numbers()
    axes.scatter(*stage.points[chosen].T, s=3, color=BLUE, alpha=0.25, linewidths=0)
    covariance = np.outer(deviations, deviations) * np.array([[1, correlation], [correlation, 1]])
    values, vectors = np.linalg.eigh(covariance)
    angle = np.linspace(0, 2 * np.pi, 100)
    circle = np.stack([np.cos(angle), np.sin(angle)]) * np.sqrt(np.maximum(values, 0))[:, None]
    for times in (1, 2):
        axes.plot(*(means[:, None] + times * vectors @ circle), color=ORANGE, linewidth=1.3)
    axes.plot(*means, marker="+", color=ORANGE, markersize=9, markeredgewidth=1.6)
    reach = 1.08 * max(float(np.abs(stage.points[chosen] - means).max()), 1e-12)
    middle = means
    axes.set(xlim=(middle[0] - reach, middle[0] + reach), ylim=(middle[1] - reach, middle[1] + reach))
    axes.set_aspect("equal")
    axes.axhline(0, color=FAINT, linewidth=0.7)
    axes.axvline(0, color=FAINT, linewidth=0.7)
    axes.grid()
    axes.set_title(stage.title, fontsize=8)
    first = not stage.words
    axes.set_ylabel(names[1] if first else "B′", labelpad=1)
    (w, x), (y, z), (s, t) = *stage.matrix, stage.shift
    made = f"W = [{w:.3g} {x:.3g}; {y:.3g} {z:.3g}]   b = [{s:.3g} {t:.3g}]"
    numbers = f"mean {clean(means[0])}, {clean(means[1])}   deviation {clean(deviations[0])}, {clean(deviations[1])}"
    axes.set_xlabel(
        f"{names[0] if first else 'A′'}\n{numbers}\ncorrelation {clean(correlation)}" + f"\n{made}" * (not first),
        fontsize=7,
    )


def clean(value: float) -> str:
    """Three figures, and 0 for what is only rounding."""
    return "0" if abs(value) < 5e-6 else f"{value:.3g}"
