"""`cnntool show`: each of its pictures by a command, what is refused, what the pictures carry."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnntool import Pipeline
from cnntool.cli.show import SHOWS
from cnntool.images.layout import lay_out
from tests.cli.conftest import Tool, files, pixels, save

DRAWN = [
    "activations OUT --only relu,tanh",
    "bank lm OUT",
    "bank gabor --scales 2 --orientations 3 OUT",
    "bank f.npy OUT",
    "whitening a.png OUT",
    "whitening gray.png OUT --ranges 20,2",
    "pooling a.png OUT",
    "pooling a.png OUT --size 3 --stride 2 --channel 1 bank sobel",
    "network 16x16x3 OUT conv 4 3 relu",
    "network a.png OUT mark x conv 3 3 --padding 1 relu add x",
    "compare a.png OUT",
    "filters schmid OUT --size 9",
    "filters m.npz OUT --layer 1 --top 2",
    "maximize OUT -m m.npz --layer 2 --channel 0-1 --steps 2 --size 8",
    "patches a.png OUT --count 2 --channel 0 bank sobel relu",
]
PLOTS = {"activations", "bank", "whitening", "pooling", "compare", "network"}


@pytest.fixture
def workplace(here: Path) -> Path:
    save("a.png", pixels(40, 50))
    save("gray.png", pixels(30, 40, 1))
    np.save("f.npy", np.random.default_rng(0).normal(size=(5, 5, 3)).astype(np.float32))
    pipeline = Pipeline.parse("conv 4 3 relu")
    pipeline.input_shape = (16, 16, 3)
    pipeline.save("m.npz")
    return here


@pytest.mark.parametrize("line", DRAWN)
def test_a_picture_of_each(cnntool: Tool, workplace: Path, line: str) -> None:
    pytest.importorskip("matplotlib")
    words = line.replace("OUT", "out.png").split()
    before = files(workplace)
    result = cnntool("show", *words)
    assert result.code == 0, result.err
    assert files(workplace) - before == {"out.png"}
    with Image.open("out.png") as image:
        assert image.width >= 400
        assert image.info["Description"] == f"cnntool show {' '.join(words)}"
        drawn = np.asarray(image.convert("L"))
    assert drawn.std() > 5, "an empty picture"
    content = Path("out.png").read_bytes()
    assert "is there already" in cnntool("show", *words).refused()
    assert Path("out.png").read_bytes() == content
    if words[0] not in PLOTS:  # the others are overwritten below
        assert cnntool("show", words[0], "--overwrite", *words[1:]).code == 0


@pytest.mark.parametrize("line", [line for line in DRAWN if line.split()[0] in PLOTS])
def test_the_same_svg_each_time(cnntool: Tool, workplace: Path, line: str) -> None:
    pytest.importorskip("matplotlib")
    kind, *words = line.replace("OUT", "out.svg").split()
    assert cnntool("show", kind, "--overwrite", *words).code == 0
    first = Path("out.svg").read_bytes()
    Path("out.svg").write_bytes(b"older")
    assert cnntool("show", kind, "--overwrite", *words).code == 0
    assert Path("out.svg").read_bytes() == first
    assert first.startswith(b"<?xml")


def test_activations_in_the_terminal(cnntool: Tool, here: Path) -> None:
    pytest.importorskip("plotille")
    result = cnntool("show", "activations", "--only", "sigmoid")
    assert result.code == 0
    assert result.text.startswith("sigmoid")
    assert "mean 0.50" in result.text


def test_a_network_as_mermaid(cnntool: Tool, here: Path) -> None:
    assert cnntool("show", "network", "8x8x3", "n.mmd", *["mark", "x", "conv", "3", "1", "relu", "add", "x"]).code == 0
    lines = Path("n.mmd").read_text().splitlines()
    assert lines[0].startswith("%% cnntool show network 8x8x3 n.mmd")
    assert lines[1] == "flowchart TD"
    assert '    b0["conv 3 1<br/>relu<br/>8 x 8 x 3"]' in lines
    assert '    input -->|"8 x 8 x 3"| b1' in lines


def test_the_table_of_compare(cnntool: Tool, workplace: Path) -> None:
    pytest.importorskip("matplotlib")
    lines = cnntool("show", "compare", "a.png", "out.png").text.splitlines()
    row = next(line.split() for line in lines if line.strip().startswith("64x64"))
    assert row == ["64x64", "786,496", "1,792", "438.9"]


def test_patches_are_where_the_kernels_say(cnntool: Tool, here: Path) -> None:
    """The patch below the strongest answer of a filter, cut out by hand."""
    dark = np.zeros((20, 30), np.uint8)
    dark[12:, :] = 255  # a step downwards at row 12
    dark[:, 20:] = 0
    save("photos/step.png", dark)
    save("photos/plain.png", np.full((20, 30), 90, np.uint8))
    words = ["--count", "2", "--channel", "1", "bank", "sobel", "--padding", "valid"]
    assert cnntool("show", "patches", "photos", "p.png", *words).code == 0
    with Image.open("p.png") as image:
        shades = np.asarray(image.convert("L"))
    layout = lay_out(3, 3, 2, label=lambda width: 20)
    y, x = layout.corner(0)
    patch = shades[y : y + layout.height : layout.enlargement[0], x : x + layout.width : layout.enlargement[1]]
    assert patch.tolist() == [[0] * 3, [0] * 3, [255] * 3], "rows 10 to 12, the first of the strongest"


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("sho", ("'sho'", "activations")),
        ("activations out.png --only rleu", ("'rleu'", "did you mean relu")),
        ("activations out.xyz", ("out.xyz", ".png", ".svg")),
        ("bank gaborr out.png", ("'gaborr'", "did you mean gabor")),
        ("bank kmeans out.png", ("kmeans", "come from data")),
        ("bank gabor --scales 0 out.png", ("--scales", "0", "at least 1")),
        ("bank gabor", ("OUT",)),
        ("filters none.npz out.png", ("none.npz",)),
        ("filters m.npz out.png --layer 2", ("--layer 2", "rows with filters are 1")),
        ("filters lm out.png --layer 2", ("--layer", "bank has no layers")),
        ("whitening a.png out.png --channels 0,3", ("a.png", "no channel 3", "0 to 2")),
        ("whitening a.png out.png --channels 1", ("--channels", "'1'", "0,1")),
        ("whitening a.png out.png --ranges 20,-2", ("--ranges", "20,2")),
        ("whitening none.png out.png", ("none.png", "no such file")),
        ("pooling a.png out.png --size 64", ("64x64", "40x50")),
        ("pooling a.png out.png --channel 5 bank sobel", ("--channel 5", "0 to 1")),
        ("pooling a.png relu", ("OUTPUT is the layer word 'relu'",)),
        ("network 16x16 out.png", ("no layers",)),
        ("network 16x16x3 out.txt relu", ("out.txt", ".mmd")),
        ("maximize out.png --channel 9 bank sobel", ("--channel 9", "0 to 1")),
        ("maximize out.png --channel x bank sobel", ("--channel", "'x'", "0-15")),
        ("maximize out.png --size 16 conv 4 3 batchnorm", ("batchnorm (layer 2)", "expected a trained model")),
        ("patches empty out.png bank sobel", ("empty", "no images")),
    ],
)
def test_what_is_refused(cnntool: Tool, workplace: Path, line: str, parts: tuple[str, ...]) -> None:
    Path("empty").mkdir()
    before = files(workplace)
    message = cnntool("show", *line.split()).refused()
    for part in parts:
        assert part in message
    assert files(workplace) == before


@pytest.mark.parametrize("what", SHOWS)
def test_help_of_each(cnntool: Tool, what: str) -> None:
    result = cnntool("show", what, "--help")
    assert result.code == 0
    assert f"cnntool show {what}" in result.text
    assert what in cnntool("show", "--help").text


def test_help_waits_for_no_library() -> None:
    """Neither the page of all nor that of one imports NumPy, Pillow or matplotlib."""
    for words in (["--help"], ["activations", "--help"], ["network", "--help"]):
        code = (
            "import sys; from cnntool.cli.main import main; main(['show', *sys.argv[1:]]); "
            "print(sorted({'numpy', 'PIL', 'matplotlib', 'numba'} & set(sys.modules)), file=sys.stderr)"
        )
        result = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
        assert result.stderr.strip().endswith("[]"), words
