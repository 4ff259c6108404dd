"""The command line as a whole: help, start-up, exit codes, every wrong use, pipes and Ctrl-C."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import cnntool as package
from cnntool.cli.main import COMMANDS
from tests.cli.conftest import Tool, files, pixels, save

SLOW_TO_START = {"numpy", "numba", "llvmlite", "PIL"}
PROGRAM = [sys.executable, "-m", "cnntool"]


@pytest.fixture
def workplace(here: Path) -> Path:
    """A folder with one of everything that the wrong uses below speak of."""
    save("a.png")
    save("there.png")
    for name in ("f/1.png", "f/2.png", "twins/a.png", "twins/a.bmp"):
        save(name)
    for folder in ("empty", "dir"):
        Path(folder).mkdir()
    np.save("v.npy", np.zeros((4, 5, 2), np.float32))
    np.save("w.npy", np.zeros((3, 3, 3, 8), np.float32))
    np.save("objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    for name in ("there.npy", "there.npz", "there.csv"):
        Path(name).write_bytes(b"before")
    Path("net.cnn").write_text("conv 4 3 relu")
    Path("wrong.cnn").write_text("conv 4 3\nrleu # a slip")
    Path("open.cnn").write_text("mark 'x")
    Path("empty.cnn").write_text("# nothing\n")
    return here


# A chain, and what its message must name: what was given, and what was expected or how to mend it.
WRONG_CHAINS: list[tuple[str, tuple[str, ...]]] = [
    ("rleu", ("layer 1", "'rleu'", "did you mean relu")),
    ("conv 4 3 maxpol 2", ("layer 2", "'maxpol'", "did you mean maxpool")),
    ("xyzzy", ("layer 1", "'xyzzy'", "cnntool layers")),
    ("relu 3", ("layer 2", "after `relu`", "'3'")),
    ("whiten foo", ("layer 2", "after `whiten`", "'foo'")),
    ("conv", ("conv (layer 1)", "OUT_CHANNELS")),
    ("conv 4", ("conv (layer 1)", "KERNEL_SIZE")),
    ("conv relu", ("OUT_CHANNELS", "'relu'", "whole number")),
    ("conv 4 relu", ("KERNEL_SIZE", "'relu'", "HEIGHTxWIDTH")),
    ("conv 4 3y", ("KERNEL_SIZE", "'3y'", "HEIGHTxWIDTH")),
    ("conv 4 3x3x3", ("KERNEL_SIZE", "'3x3x3'", "HEIGHTxWIDTH")),
    ("conv 4 0", ("KERNEL_SIZE", "0", "1 to")),
    ("conv 0 3", ("OUT_CHANNELS", "0", "at least 1")),
    ("conv -4 3", ("conv (layer 1)", "-4", "negative")),
    ("conv 4 -3", ("conv (layer 1)", "-3", "negative")),
    ("dropout -0.5", ("dropout (layer 1)", "negative")),
    ("conv 4 3 --padding foo", ("--padding", "'foo'", "TOP,LEFT,BOTTOM,RIGHT")),
    ("conv 4 3 --padding 1,2,3", ("--padding", "'1,2,3'", "TOP,LEFT,BOTTOM,RIGHT")),
    ("conv 4 3 --padding -1", ("--padding", "-1", "0 to 65535")),
    ("conv 4 3 --stride 0", ("--stride", "0", "1 to 65535")),
    ("conv 4 3 --stride", ("--stride", "requires an argument")),
    ("conv 4 3 --strid 2", ("--strid", "--stride")),
    ("conv 4 3 --dilation 0", ("--dilation", "0", "1 to 65535")),
    ("conv 4 3 --stride 2 --stride", ("--stride", "requires an argument")),
    ("relu --nope", ("relu (layer 1)", "--nope")),
    ("relu --gray", ("--gray", "belongs before the first layer")),
    ("conv 4 3 --seed 2", ("--seed", "belongs before the first layer")),
    ("--stride 2 conv 4 3", ("--stride",)),
    ("conv 4 25", ("conv (layer 1)", "25x25", "20x24", "--padding same")),
    ("relu maxpool 30", ("maxpool (layer 2)", "30x30", "20x24")),
    ("conv 4 3 --dilation 10", ("conv (layer 1)", "20x24")),
    ("conv 4 3 --groups 2", ("--groups 2", "3 input channels")),
    ("conv 4 3 --groups 3", ("--groups 3", "4 OUT_CHANNELS")),
    ("conv 3 3 --groups 0", ("--groups", "at least 1")),
    ("maxpool 2 --padding 2", ("--padding 2", "at most 1x1")),
    ("dropout 1.5", ("dropout (layer 1)", "1.5", "below 1")),
    ("leaky-relu --slope x", ("--slope", "'x'", "number")),
    ("leaky-relu --slope nan", ("--slope", "nan", "finite")),
    ("globalpool", ("globalpool (layer 1)", "max|avg|l2")),
    ("globalpool sum", ("'sum'", "max, avg, l2")),
    ("bank", ("bank (layer 1)", "gabor")),
    ("bank gabour", ("bank (layer 1)", "'gabour'", "did you mean gabor")),
    ("bank relu", ("'relu'", "gabor", ".npy file")),
    ("bank gabor --scales 0", ("bank gabor (layer 1)", "--scales", "at least 1")),
    ("bank gabor --foo", ("bank gabor (layer 1)", "--foo")),
    ("bank missing.npy", ("bank (layer 1)", "missing.npy", "no such file")),
    ("bank objects.npy", ("bank (layer 1)", "objects.npy")),
    ("conv 8 3 --weights a.png", ("--weights", "'a.png'", ".npy or .npz")),
    ("add x", ("add (layer 1)", "`x`", "mark x")),
    ("from x", ("from (layer 1)", "`x`", "mark x")),
    ("concat x", ("concat (layer 1)", "`x`", "mark x")),
    ("mark xx relu add xy", ("`xy`", "marks before it are xx")),
    ("add x mark x relu", ("add (layer 1)", "`x`")),
    ("mark x conv 4 3 add x", ("add (layer 2)", "18x22x4", "20x24x3", "equal shapes")),
    ("mark x maxpool 2 concat x", ("concat (layer 2)", "10x12x3", "20x24x3", "equal heights and widths")),
    ("mark", ("mark (layer 1)", "NAME")),
    ("mark x", ("no layers",)),
    ("", ("no layers", "relu")),
    ("--until 7 relu", ("--until 7", "1 to 1")),
    ("--until 0 relu", ("--until 0", "1 to 1")),
    ("--until \u00b2 relu", ("--until \u00b2", "1 to 1")),
    ("--until foo mark fooo relu", ("--until foo", "did you mean fooo")),
    ("--seed -1 relu", ("--seed", "-1", "at least 0")),
    ("--seed 1.5 relu", ("--seed", "'1.5'", "whole number")),
    ("-p net.cnn relu", ("net.cnn", "`relu`", "exclude each other")),
    ("-p missing.cnn", ("missing.cnn", "no such file")),
    ("-p wrong.cnn", ("wrong.cnn", "layer 2", "'rleu'", "did you mean relu")),
    ("-p open.cnn", ("open.cnn", "quote")),
    ("-p empty.cnn", ("no layers",)),
    ("-p dir", ("dir", "pipeline file")),
    ("-p a.png", ("a.png", "pipeline file")),
    ("-p", ("-p", "requires an argument")),
    ("conv 99999999999 3", ("OUT_CHANNELS", "99999999999", "at most")),
    ("conv 4 999999", ("KERNEL_SIZE", "999999", "65535")),
    ("fc 99999999999", ("OUT_FEATURES", "99999999999", "at most")),
    (f"conv {'9' * 5000} 3", ("OUT_CHANNELS", "whole number")),
    ("--gray --rgb relu", ("--gray", "--rgb")),
    ("--resize 0 relu", ("--resize", "0", "1 to 65535")),
    ("--resize x relu", ("--resize", "'x'", "HEIGHTxWIDTH")),
    ("--resize 99999999 relu", ("--resize", "99999999", "65535")),
    ("--crop 0 relu", ("--crop", "0", "1 to 65535")),
    ("--normalize foo relu", ("--normalize", "'foo'", "MEAN/STD")),
    ("--normalize 0.5/0 relu", ("--normalize", "'0.5/0'", "above 0")),
    ("--normalize nan/1 relu", ("--normalize", "'nan/1'", "finite")),
]


@pytest.mark.parametrize("command", ["run a.png o.npy", "extract a.png o.npz", "shape a.png"])
@pytest.mark.parametrize(("chain", "parts"), WRONG_CHAINS, ids=lambda value: value[:40] if value is str(value) else "")
def test_wrong_chains(cnntool: Tool, workplace: Path, command: str, chain: str, parts: tuple[str, ...]) -> None:
    before = files(workplace)
    message = cnntool(*shlex.split(f"{command} {chain}")).refused()
    for part in parts:
        assert part in message
    assert files(workplace) == before


WRONG_USES: list[tuple[str, tuple[str, ...]]] = [
    ("run", ("INPUT", "cnntool run --help")),
    ("run a.png", ("OUTPUT", "cnntool run --help")),
    ("run a.png relu", ("'relu'", "did you forget OUTPUT?")),
    ("run a.png relu maxpool 2", ("'relu'", "did you forget OUTPUT?")),
    ("run missing.png o.npy relu", ("missing.png", "no such file")),
    ("run a.png o.npy --overwrit relu", ("--overwrit", "--overwrite")),
    ("run a.png there.npy relu --overwrite", ("relu (layer 1)", "--overwrite belongs before the first layer")),
    ("run a.png o.npy --quiet=3 relu", ("--quiet",)),
    ("run a.png o.npy --threads 0 relu", ("--threads", "at least 1")),
    ("run a.png o.npy --threads x relu", ("--threads", "'x'", "whole number")),
    ("run a.png o.npy --threads 9999 relu", ("--threads", "9999", "at most")),
    ("run a.png there.npy relu", ("there.npy", "there already", "--overwrite")),
    ("run a.png there.png relu", ("there.png", "there already", "--overwrite")),
    ("run a.png dir relu", ("dir is a folder", "dir/")),
    ("run a.png o relu", ("o: no suffix", ".npy", ".png")),
    ("run a.png o.xyz relu", (".xyz", ".npy", ".png")),
    ("run a.png no/o.npy relu", ("no: no such folder",)),
    ("run twins m/ relu", ("a.bmp", "a.png", "m/a.npy")),
    ("run twins m_%s.png relu", ("a.bmp", "a.png", "m_a.png")),
    ("run f o.npy relu", ("o.npy", "ending in /", "%s")),
    ("run f m_%s.xyz relu", (".xyz", ".npy")),
    ("run f m_%s relu", ("no suffix", ".npy")),
    ("run f - relu", ("2 inputs", "give a folder")),
    ("run a.png - --format xyz relu", ("--format xyz", "npy, tiff-float, png")),
    ("run a.png o.npy --format png relu", ("--format png", "o.npy")),
    ("run a.png o.npy --as-image relu", ("--as-image", ".png")),
    ("run a.png o/ --as-image relu", ("--as-image", ".png")),
    ("run a.png o.png --as-image conv 4 3", ("18 x 22 x 4", "1 or 3 channels", "--as-image")),
    ("run empty m/ relu", ("empty: no images",)),
    ("run dir/ m/ relu", ("no images",)),
    ("run @missing m/ relu", ("missing: no such file", "one path a line")),
    ("run '*.nope' m/ relu", ("*.nope", "no images")),
    ("run a.png o.npy --files-from list relu", ("a.png", "expected - for INPUT")),
    ("run - o.npy --files-from missing relu", ("missing: no such file",)),
    ("run '' o.npy relu", ("''", "expected an image")),
    ("run a.png o.npy conv 8 3 --weights missing.npy", ("--weights missing.npy", "no such file")),
    ("run a.png o.npy conv 4 3 --weights w.npy", ("--weights w.npy", "(3, 3, 3, 8)", "(3, 3, 3, 4)")),
    ("run a.png o.npy conv 8 3 --weights objects.npy", ("--weights objects.npy", "`weight` is object")),
    ("run a.png o.npy conv 8 3 --weights dir/w.npz", ("--weights dir/w.npz", "no such file")),
    ("run a.png o.npy conv 4 65535 --padding 65535", ("GiB", "expected at most", "smaller")),
    ("run a.png o.npy conv 500000 3 --padding 1 conv 500000 3", ("conv (layer 2)", "GiB", "expected at most")),
    ("run a.png o.npy fc 16000000", ("fc (layer 1)", "GiB", "expected at most")),
    ("run a.png o.npy conv 4 60000 --padding 30000", ("conv (layer 1)", "GiB", "expected at most")),
    ("extract", ("INPUT", "cnntool extract --help")),
    ("extract a.png", ("OUTPUT", "cnntool extract --help")),
    ("extract a.png relu relu", ("'relu'", "did you forget OUTPUT?")),
    ("extract a.png o.xyz relu", (".xyz", ".npz, .csv, .jsonl")),
    ("extract a.png o relu", ("no suffix", ".npz, .csv, .jsonl")),
    ("extract a.png - relu", ("-: no suffix", ".npz, .csv, .jsonl")),
    ("extract a.png there.npz relu", ("there.npz", "--overwrite")),
    ("extract a.png there.csv relu", ("there.csv", "--overwrite")),
    ("extract f o.npz --labels relu", ("f/1.png", "no label", "sub-folder")),
    ("extract a.png no/o.npz relu", ("no/o.npz", "no folder no")),
    ("extract missing o.npz relu", ("missing: no such file",)),
    ("extract a.png o.npz --as-image relu", ("--as-image",)),
    ("shape", ("HxWxC|IMAGE", "cnntool shape --help")),
    ("shape 3x3x3x3 relu", ("3x3x3x3", "HEIGHTxWIDTHxCHANNELS")),
    ("shape 0x3x3 relu", ("0x3x3", "each from 1")),
    ("shape -1x3x3 relu", ("-1",)),
    ("shape 99999999999x3x3 relu", ("99999999999x3x3", "each from 1 to")),
    ("shape 224 relu", ("224", "HEIGHTxWIDTHxCHANNELS")),
    ("shape 224x relu", ("224x", "224x224x3")),
    ("shape missing.png relu", ("missing.png", "no such file")),
    ("shape f relu", ("f: a folder",)),
    ("shape 224x224x3 --gray relu", ("224x224x3 is a shape", "--gray")),
    ("shape 224x224x3 --crop 3 relu", ("224x224x3 is a shape", "--crop")),
    ("shape 224x224x3 --convention foo relu", ("--convention", "'foo'", "'torchinfo'")),
    ("shape 224x224x3 --overwrite relu", ("--overwrite",)),
    ("shape 224x224x3 relu --json", ("--json", "belongs before the first layer")),
    ("rnu a.png b.npy relu", ("'rnu'", "did you mean run?")),
    ("xyzzy", ("'xyzzy'", "run, extract, merge")),
    ("--foo", ("--foo",)),
    ("layers rleu", ("'rleu'", "did you mean relu")),
    ("layers conv foo", ("conv", "'foo'")),
    ("layers bank foo", ("'foo'", "gabor")),
    ("layers conv a b", ("(b)",)),
    ("doctor x", ("(x)",)),
]


@pytest.mark.parametrize(("line", "parts"), WRONG_USES, ids=lambda value: value[:60] if value is str(value) else "")
def test_wrong_uses(cnntool: Tool, workplace: Path, line: str, parts: tuple[str, ...]) -> None:
    before = files(workplace)
    message = cnntool(*shlex.split(line)).refused()
    for part in parts:
        assert part in message
    assert files(workplace) == before
    assert Path("there.npy").read_bytes() == b"before"


def test_binary_data_is_not_written_to_a_terminal(cnntool: Tool, workplace: Path) -> None:
    result = cnntool("run", "a.png", "-", "relu", terminal=("stdout",))
    assert "terminal" in result.refused()


def test_version_and_help(cnntool: Tool) -> None:
    assert cnntool("--version").text == f"cnntool {package.__version__}\n"
    page = cnntool("--help")
    assert page.code == 0
    assert page == cnntool("-h")
    for name in COMMANDS:
        assert f"  {name} " in page.text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(cnntool: Tool, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = cnntool(name, "--help")
    assert (result.code, result.err) == (0, "")
    assert result.text.startswith(f"Usage: cnntool {name} ")
    assert result == cnntool(name, "-h")
    assert max(map(len, result.text.splitlines())) <= 80


def test_no_words_at_all_show_the_help_as_a_wrong_use(cnntool: Tool) -> None:
    result = cnntool()
    assert (result.code, result.out) == (2, b"")
    assert "Usage: cnntool" in result.err


def run_python(code: str, *arguments: str) -> list[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.parametrize(
    "line",
    [
        "--help",
        "run --help",
        "extract --help",
        "shape --help",
        "layers",
        "layers bank gabor",
        "shape 9x9x3 conv 2 3 relu",
        "shape 64x64x3 --json --as-fc conv 8 3 batchnorm relu bank gabor whiten lrn maxpool 2 flatten fc 9 softmax",
        "shape 64x64x3 --csv --without-sharing mark x leaky-relu l2pool 3 --stride 1 --padding same add x concat x",
        "shape 224x224x3 --convention fvcore -p NETWORK",
        "run missing o.npy",
    ],
)
def test_what_touches_no_pixel_starts_fast(line: str) -> None:
    """Neither numpy, numba nor Pillow is imported."""
    network = str(Path(__file__).parents[2] / "samples/pipelines/resnet18.cnn")
    words = [word.replace("NETWORK", network) for word in line.split()]
    code = "import sys; from cnntool.cli.main import main; main(sys.argv[1:]); print(); print(*sys.modules)"
    loaded = {name.partition(".")[0] for name in run_python(code, *words)[-1].split()}
    assert "click" in loaded
    assert not loaded & SLOW_TO_START


def test_the_package_imports_nothing_heavy() -> None:
    code = "import sys, cnntool; print(*sys.modules)"
    assert not set(run_python(code)[-1].split()) & (SLOW_TO_START | {"click", "rich"})


def test_a_reader_that_had_enough_is_no_error(here: Path) -> None:
    """`cnntool run big.png - | head -c 10`, and a pipe that nobody reads at all."""
    save("big.png", pixels(400, 400))
    process = subprocess.Popen(
        [*PROGRAM, "run", "big.png", "-", "--quiet", "relu"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.read(6) == b"\x93NUMPY"
    process.stdout.close()
    assert process.stderr is not None
    message = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), message) == (0, b"")


@pytest.mark.parametrize("line", ["layers", "shape 9x9x3 --csv relu", "--help"])
def test_a_pipe_that_nobody_reads_is_no_error(line: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run([*PROGRAM, *line.split()], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (result.returncode, result.stderr) == (0, b"")


def test_ctrl_c_while_an_image_is_awaited(here: Path) -> None:
    os.mkfifo("image")
    process = subprocess.Popen([*PROGRAM, "run", "image", "o.npy", "relu"], stderr=subprocess.PIPE)
    with open("image", "wb"):  # opens when the other side does
        process.send_signal(signal.SIGINT)
        _, message = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGINT
    assert message.strip() == b"cnntool: interrupted"
    assert files(here) == {"image"}


@pytest.mark.parametrize("pauses", [(), (0.0,), (0.001, 0.02)])
def test_ctrl_c_in_the_middle_of_a_table(here: Path, pauses: tuple[float, ...]) -> None:
    """Once, twice, three times."""
    save("a.png", pixels(100, 100))
    Path("list.txt").write_text("a.png\n" * 20_000)
    command = [*PROGRAM, "extract", "@list.txt", "t.csv", "conv", "16", "5", "globalpool", "avg"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    parts = Path("t.csv.parts")
    deadline = time.monotonic() + 60
    while not parts.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    for pause in pauses:
        time.sleep(pause)
        process.send_signal(signal.SIGINT)
    _, message = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGINT
    assert message.endswith(b"cnntool: interrupted\n")
    assert b"Traceback" not in message
    assert {name for name in files(here) if not name.startswith("t.csv.parts/")} == {"a.png", "list.txt"}


def test_the_module_is_the_command() -> None:
    result = subprocess.run([*PROGRAM, "shape", "3x3x3", "conv", "4", "5"], capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("cnntool: conv (layer 1): kernel 5x5 does not fit")
