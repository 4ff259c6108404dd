"""One look for all figures, and how they are written: whole, alike on each run, with the command that made them."""

from __future__ import annotations

import importlib.util
import io
import os
import warnings
from collections.abc import Callable
from typing import Any

from cnntool import __version__
from cnntool.errors import CnntoolError
from cnntool.images.formats import WRITTEN, suffix_of
from cnntool.images.names import as_text
from cnntool.late import np

VECTOR = (".svg", ".pdf")
SUFFIXES = (*WRITTEN, *VECTOR)
DPI = 150
WIDTH = 8.0  # inches: 1200 pixels

BLUE, ORANGE, GREEN, PURPLE, RED = "#2a5caa", "#d1600f", "#2b8a57", "#7a4aa5", "#c22f3d"
INK, FAINT, PAPER, SHADE = "#1c1c20", "#6b6b75", "#ffffff", "#f4d9d2"
FORMULA = "formula"  # the gid of a text that is set as mathematics

STYLE: dict[str, Any] = {
    "figure.facecolor": PAPER,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, so that a picture is the same everywhere
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8.5,
    "axes.edgecolor": "#9a9aa4",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "grid.color": "#e3e3e8",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.8,
    "text.color": INK,
    "svg.hashsalt": "cnntool",
    "svg.fonttype": "none",  # text stays text: it can be searched, read aloud and translated
}


def check_picture(name: str, path: str, suffixes: tuple[str, ...] = SUFFIXES) -> None:
    """Refuses, before any work, a picture that cannot be drawn; `name` is how it was given, such as `--curves`."""
    if suffix_of(path) not in suffixes:
        raise CnntoolError(f"{name} {path}: expected the name of a picture ending in {', '.join(suffixes)}")
    require("matplotlib", name)


def require(library: str, name: str) -> None:
    """Refuses what the extra `plots` is missing for."""
    if importlib.util.find_spec(library) is None:
        raise CnntoolError(f"{name} needs {library}: install it with `pip install 'cnntool[plots]'`")


def draw(
    path: str | os.PathLike[str],
    paint: Callable[[Any], None],
    size: tuple[float, float],
    command: str | None = None,
    layout: str | None = "constrained",
) -> None:
    """Writes the figure of `size` inches, width and height, that `paint(figure)` fills."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    with rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a box stands for it
        figure = Figure(figsize=size, dpi=DPI, layout=layout)  # type: ignore[arg-type]
        canvas = FigureCanvasAgg(figure)
        paint(figure)
        for text in figure.findobj(Text):  # names of files and classes are no formulas, and may not even be text
            text.set_text(as_text(text.get_text()))
            if "$" in text.get_text() and text.get_gid() != FORMULA:
                text.set_parse_math(False)
        if suffix_of(path) in VECTOR:
            _write_vector(path, figure, command)
            return
        canvas.draw()
        from cnntool.images.write import write_pixels

        write_pixels(path, np.asarray(canvas.buffer_rgba())[..., :3].copy(), command=command)


def _write_vector(path: str | os.PathLike[str], figure: Any, command: str | None) -> None:
    """Without the time, so that the same figure is the same file."""
    from cnntool.files import atomic

    form, maker = suffix_of(path)[1:], f"cnntool {__version__}"
    if form == "svg":
        metadata = {"Date": None, "Creator": maker, "Description": command}
    else:
        metadata = {"CreationDate": None, "ModDate": None, "Creator": maker, "Subject": command}
    stream = io.BytesIO()
    figure.savefig(stream, format=form, metadata=metadata)
    with atomic(path) as file:
        file.write(stream.getbuffer())


def bare(axes: Any) -> Any:
    """Axes without ticks and frame, for a picture; returned for chaining."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes


def picture(axes: Any, values: Any, colormap: str, low: float, high: float) -> None:
    """Draws H x W numbers, or uint8 H x W x 3, pixel by pixel, in the colours of contact sheets."""
    from cnntool.images import colours

    pixels = values if values.ndim == 3 else colours.painted(values, low, high, colours.table(colormap))
    bare(axes).imshow(pixels, interpolation="nearest" if max(pixels.shape[:2]) < 400 else "antialiased")
