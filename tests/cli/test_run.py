"""`cnntool run`: every kind of INPUT and OUTPUT. What fails stands in `test_run_failures.py`."""

from __future__ import annotations

import io
import math
import os
import re
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnntool import Pipeline, read_image
from cnntool.algorithms import ALGORITHMS
from cnntool.images.preparation import Preparation
from tests.cli.conftest import Tool, files, pixels, save

CHAIN = ("conv", "5", "3", "--padding", "same", "relu", "maxpool", "2")


def expected(path: str | Path, chain: tuple[str, ...] = CHAIN, seed: int = 0, **preparation: object) -> np.ndarray:
    """What Python computes of a picture."""
    volume = read_image(path, Preparation(**preparation))  # type: ignore[arg-type]
    return Pipeline.parse(list(chain), seed=seed).run(volume)


@pytest.mark.parametrize(
    "words", ["relu", " ".join(CHAIN), "whiten bank sobel --magnitude abs globalpool l2", "fc 7 softmax"]
)
def test_a_volume_is_exactly_what_python_computes(cnntool: Tool, here: Path, words: str) -> None:
    save("a.png")
    assert cnntool("run", "a.png", "o.npy", *words.split()) == (0, b"", "")
    result = np.load("o.npy")
    assert result.dtype == np.float32
    assert np.array_equal(result, expected("a.png", tuple(words.split())))
    assert files(here) == {"a.png", "o.npy"}


def test_seed(cnntool: Tool, here: Path) -> None:
    save("a.png")
    for name, seed in (("0", 0), ("1", 1), ("again", 1)):
        cnntool("run", "a.png", f"{name}.npy", "--seed", seed, *CHAIN)
    assert Path("1.npy").read_bytes() == Path("again.npy").read_bytes() != Path("0.npy").read_bytes()
    assert np.array_equal(np.load("1.npy"), expected("a.png", seed=1))


@pytest.mark.parametrize("threads", [2, 3, 16])
def test_threads_change_nothing(cnntool: Tool, here: Path, threads: int) -> None:
    for number in range(5):
        save(f"f/{number}.png", pixels(60 + number, 70, seed=number))
    chain = ("whiten", "conv", "17", "5", "relu", "bank", "gabor", "--scales", "2", "avgpool", "3", "softmax")
    for count in (1, threads):
        assert cnntool("run", "f/0.png", f"one{count}.npy", "--threads", count, *chain).code == 0
        assert cnntool("run", "f", f"many{count}/", "--threads", count, *chain).code == 0
    assert Path("one1.npy").read_bytes() == Path(f"one{threads}.npy").read_bytes() == Path("many1/0.npy").read_bytes()
    for number in range(5):
        assert Path(f"many1/{number}.npy").read_bytes() == Path(f"many{threads}/{number}.npy").read_bytes()


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "bmp", "gif", "ppm"])
def test_pictures_are_contact_sheets(cnntool: Tool, here: Path, suffix: str) -> None:
    save("a.png")
    assert cnntool("run", "a.png", f"o.{suffix}", *CHAIN).code == 0
    with Image.open(f"o.{suffix}") as sheet:
        sheet.load()
        # Five maps of 10 x 12 do not fit into fewer pixels.
        assert sheet.width * sheet.height >= 5 * 10 * 12
        assert np.asarray(sheet.convert("L")).std() > 10


def test_as_image_is_the_picture_itself(cnntool: Tool, here: Path) -> None:
    save("a.png")
    save("g.png", pixels(channels=1))
    for name in ("a.png", "g.png"):
        assert cnntool("run", name, f"o_{name}", "--as-image", "relu").code == 0
        with Image.open(name) as before, Image.open(f"o_{name}") as after:
            assert before.mode == after.mode
            assert np.array_equal(np.asarray(before), np.asarray(after))


def signed(name: str, values: list[float], channels: int = 1) -> Path:
    """A volume of one row, and the folder it lies in."""
    Path(name).parent.mkdir(exist_ok=True)
    np.save(name, np.array(values, np.float32).reshape(1, -1, channels))
    return Path(name)


def test_numbers_that_a_picture_clips_are_told_once(cnntool: Tool, here: Path) -> None:
    for number in range(3):
        signed(f"f/{number}.npy", [-1.5, 0, 0.5, 1, 3 + number, math.nan])
    told = (
        "cnntool: 6 of 18 numbers, from -1.5 to 5, are clipped, 3 are NaN: --as-image draws 0 to 1; "
        ".npy and --format tiff-float keep all numbers\n"
    )
    identity = ("leaky-relu", "--slope", "1")
    for threads in (1, 3):
        result = cnntool("run", "f", f"o{threads}/", "--format", "png", "--as-image", "--threads", threads, *identity)
        assert (result.code, result.err) == (0, told)
    sheet = cnntool("run", "f/0.npy", "s.png", *identity)
    assert sheet.err == "cnntool: 1 of 6 numbers, from 3 to 3, are clipped, 1 is NaN; .npy keeps all\n"
    assert cnntool("run", "f/0.npy", "q.png", "--quiet", *identity).err == ""
    assert cnntool("run", "f/0.npy", "-", "--format", "png", "--as-image", *identity).err.startswith("cnntool: 2 of 6")


def test_what_a_picture_shows_whole_is_not_told(cnntool: Tool, here: Path) -> None:
    signed("a.npy", [0, 0.25, 1, 1])
    for name in ("a.png", "b.tif"):
        assert cnntool("run", "a.npy", name, "--as-image", "relu") == (0, b"", "")
    assert cnntool("run", "a.npy", "c.png", "relu") == (0, b"", "")
    signed("d.npy", [5, 1, 7], channels=3)
    assert cnntool("run", "d.npy", "d.png", "globalpool", "max") == (0, b"", "")


def test_volumes_as_tiff(cnntool: Tool, here: Path) -> None:
    for name in ("f/a.png", "f/sub/b.png"):
        save(name)
    right = expected("f/a.png")
    option = ("--format", "tiff-float")
    for output in ("a.tif", "a.TIFF", "t/%s-maps.tiff", "m/"):
        source = "f" if output.endswith(("/", ".tiff")) else "f/a.png"
        assert cnntool("run", source, output, *option, *CHAIN) == (0, b"", ""), output
    streamed = cnntool("run", "f/a.png", "-", *option, *CHAIN)
    assert files(Path("m")) == {"a.tif", "sub/b.tif"}
    assert files(Path("t")) == {"a-maps.tiff", "sub/b-maps.tiff", ".%s-maps.tiff.index.jsonl"}
    written = [Path(name).read_bytes() for name in ("a.tif", "a.TIFF", "t/a-maps.tiff", "m/a.tif", "t/sub/b-maps.tiff")]
    for content in (*written, streamed.out):
        assert np.array_equal(read_image(content, name="a.tif"), right)
    assert cnntool("run", "a.tif", "again.npy", "leaky-relu", "--slope", "1").code == 0
    assert np.array_equal(np.load("again.npy"), right)


def test_volumes_as_tiff_that_are_streamed(cnntool: Tool, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save("a.png", pixels(200, 100))
    assert cnntool("run", "a.png", "whole.tif", "--format", "tiff-float", *CHAIN).code == 0
    monkeypatch.setattr("cnntool.cli.run.LARGE_BYTES", 0)
    assert cnntool("run", "a.png", "rows.tif", "--format", "tiff-float", *CHAIN).code == 0
    assert Path("rows.tif").read_bytes() == Path("whole.tif").read_bytes()
    assert np.array_equal(read_image("rows.tif"), expected("a.png"))


def test_volumes_as_tiff_where_they_do_not_fit(cnntool: Tool, here: Path) -> None:
    save("a.png")
    option = ("--format", "tiff-float")
    message = cnntool("run", "a.png", "a.npy", *option, "relu").refused()
    assert "a.npy: --format tiff-float has another suffix: expected .tif or .tiff" in message
    assert "--as-image needs a picture" in cnntool("run", "a.png", "a.tif", *option, "--as-image", "relu").refused()
    assert (
        "expected one of npy, tiff-float, png" in cnntool("run", "a.png", "m/", "--format", "float", "relu").refused()
    )
    assert files(here) == {"a.png"}


def test_existing_outputs_are_replaced_on_request_only(cnntool: Tool, here: Path) -> None:
    save("a.png")
    Path("o.npy").write_bytes(b"before")
    cnntool("run", "a.png", "o.npy", *CHAIN).refused()
    assert Path("o.npy").read_bytes() == b"before"
    assert cnntool("run", "a.png", "o.npy", "--overwrite", *CHAIN).code == 0
    assert np.array_equal(np.load("o.npy"), expected("a.png"))


def test_one_output_that_is_there_stops_all_before_any_work(cnntool: Tool, here: Path) -> None:
    for number in range(3):
        save(f"f/{number}.png")
    Path("m").mkdir()
    Path("m/2.npy").write_bytes(b"before")
    assert "m/2.npy" in cnntool("run", "f", "m/", "relu").refused()
    assert files(Path("m")) == {"2.npy"}


def test_options_stand_anywhere_before_the_chain(cnntool: Tool, here: Path) -> None:
    save("a.png")
    for place, line in enumerate(
        ["--seed 3 --gray a.png {} relu", "a.png --seed 3 {} --gray relu", "a.png {} --gray --seed=3 relu"]
    ):
        assert cnntool("run", *line.format(f"{place}.npy").split()).code == 0
    assert Path("0.npy").read_bytes() == Path("1.npy").read_bytes() == Path("2.npy").read_bytes()


# INPUT: every form of it.


def test_a_volume_as_input(cnntool: Tool, here: Path) -> None:
    given = np.random.default_rng(0).standard_normal((7, 6, 4)).astype(np.float32)
    np.save("v.npy", given)
    np.save("matrix.npy", given[:, :, 0])
    np.save("double.npy", given.astype(np.float64))
    chain = ("conv", "3", "3")
    for name in ("v", "matrix", "double"):
        result = cnntool("run", f"{name}.npy", f"o_{name}.npy", *chain)
        assert (result.code, result.out) == (0, b"")
        # Doubles are converted, and that is said.
        assert ("float64 converted to float32" in result.err) == (name == "double")
        volume = given[:, :, :1] if name == "matrix" else given
        assert np.array_equal(np.load(f"o_{name}.npy"), Pipeline.parse(list(chain)).run(volume))
    assert cnntool("run", "double.npy", "q.npy", "--quiet", *chain).err == ""


def test_a_folder_to_a_folder(cnntool: Tool, here: Path) -> None:
    for place, name in enumerate(("a.png", "sub/b.png", "sub/deep/c.bmp")):
        save(f"f/{name}", pixels(seed=place))
    Path("f/notes.txt").write_text("skipped")
    assert cnntool("run", "f", "m/", *CHAIN) == (0, b"", "cnntool: not read: 1 .txt\n")
    assert files(Path("m")) == {"a.npy", "sub/b.npy", "sub/deep/c.npy"}
    assert np.array_equal(np.load("m/sub/b.npy"), expected("f/sub/b.png"))
    assert cnntool("run", "f", "p/", "--format", "png", *CHAIN).code == 0
    assert files(Path("p")) == {"a.png", "sub/b.png", "sub/deep/c.png"}


def test_a_template(cnntool: Tool, here: Path) -> None:
    for name in ("a.png", "sub/b.png"):
        save(f"f/{name}")
    assert cnntool("run", "f", "m/%s_maps.npy", *CHAIN).code == 0
    assert files(Path("m")) == {"a_maps.npy", "sub/b_maps.npy", ".%s_maps.npy.index.jsonl"}
    assert cnntool("run", "f/a.png", "%s.webp", *CHAIN).code == 0
    assert Path("a.webp").is_file()


def test_a_glob_a_list_and_archives(cnntool: Tool, here: Path) -> None:
    for place, name in enumerate(("x/1.png", "x/2.png", "y/3.png", "y/no.bmp")):
        save(f"f/{name}", pixels(seed=place))
    Path("f/list.txt").write_text("# a list\nx/1.png\n\nx/2.png\ny/3.png\n")
    with (
        tarfile.open("f.tar", "w") as tar,
        tarfile.open("f.tar.gz", "w:gz") as gz,
        zipfile.ZipFile("f.zip", "w") as zipped,
    ):
        for name in ("x/1.png", "x/2.png", "y/3.png"):
            tar.add(f"f/{name}", name)
            gz.add(f"f/{name}", name)
            zipped.write(f"f/{name}", name)
    for place, source in enumerate(("f/*/*.png", "@f/list.txt", "f.tar", "f.tar.gz", "f.zip")):
        assert cnntool("run", source, f"m{place}/", *CHAIN) == (0, b"", ""), source
        assert files(Path(f"m{place}")) == {"x/1.npy", "x/2.npy", "y/3.npy"}
        assert np.array_equal(np.load(f"m{place}/y/3.npy"), expected("f/y/3.png"))


def test_stdin_and_stdout(cnntool: Tool, here: Path) -> None:
    content = save("a.png").read_bytes()
    result = cnntool("run", "-", "-", *CHAIN, stdin=content)
    assert (result.code, result.err) == (0, "")
    assert np.array_equal(np.load(io.BytesIO(result.out)), expected("a.png"))
    picture = cnntool("run", "-", "-", "--format", "png", *CHAIN, stdin=content)
    with Image.open(io.BytesIO(picture.out)) as sheet:
        assert sheet.format == "PNG"
    itself = cnntool("run", "a.png", "-", "--format", "ppm", "--as-image", "relu")
    with Image.open(io.BytesIO(itself.out)) as image:
        assert np.array_equal(np.asarray(image), pixels())
    assert files(here) == {"a.png"}


def test_a_list_on_stdin(cnntool: Tool, here: Path) -> None:
    save("f/1.png")
    save("g/2.png")
    listed = b"f/1.png\ng/2.png\n"
    assert cnntool("run", "-", "m/", "--files-from", "-", *CHAIN, stdin=listed).code == 0
    assert files(Path("m")) == {"f/1.npy", "g/2.npy"}


def test_two_images_of_one_name_in_different_folders(cnntool: Tool, here: Path) -> None:
    save("f/x/1.png")
    save("f/y/1.png", pixels(seed=1))
    assert cnntool("run", "f", "m/", "relu").code == 0
    assert not np.array_equal(np.load("m/x/1.npy"), np.load("m/y/1.npy"))


# Pipeline files, and where to stop.


def test_a_pipeline_file_with_files_of_its_own(cnntool: Tool, here: Path) -> None:
    save("a.png")
    weight = np.random.default_rng(0).standard_normal((3, 3, 3, 4), np.float32)
    Path("nets").mkdir()
    np.save("nets/w.npy", weight)
    np.savez("nets/w.npz", weight=weight, bias=np.arange(4, dtype=np.float32))
    Path("nets/plain.cnn").write_text("conv 4 3 --weights w.npy  # beside this file\nrelu")
    Path("nets/biased.cnn").write_text("conv 4 3 --weights w.npz")
    assert cnntool("run", "a.png", "o.npy", "-p", "nets/plain.cnn").code == 0
    by_words = ("conv", "4", "3", "--weights", "nets/w.npy", "relu")
    assert np.array_equal(np.load("o.npy"), expected("a.png", by_words))
    assert cnntool("run", "a.png", "b.npy", "--pipeline", "nets/biased.cnn").code == 0
    difference = np.load("b.npy") - expected("a.png", by_words[:-1])
    np.testing.assert_allclose(difference, np.broadcast_to(np.arange(4), difference.shape), atol=1e-5)


def test_until(cnntool: Tool, here: Path) -> None:
    save("a.png")
    chain = ("conv", "4", "3", "mark", "x", "relu", "maxpool", "2")
    for stop in ("1", "x"):
        assert cnntool("run", "a.png", f"{stop}.npy", "--until", stop, *chain).code == 0
    stopped = Pipeline.parse(list(chain)).until("1").run(read_image("a.png"))
    assert np.array_equal(np.load("1.npy"), stopped)
    assert np.array_equal(np.load("x.npy"), np.load("1.npy"))


# Preparation.


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("--gray", {"gray": True}),
        ("--rgb", {"rgb": True}),
        ("--resize 10", {"resize": 10}),
        ("--resize 30x8", {"resize": (30, 8)}),
        ("--crop 8x6", {"crop": (8, 6)}),
        ("--resize 16 --crop 9", {"resize": 16, "crop": (9, 9)}),
        ("--normalize 0.5/0.25", {"normalize": ((0.5,), (0.25,))}),
        ("--normalize imagenet", {"normalize": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))}),
        ("--gray --normalize=0.5/2", {"gray": True, "normalize": ((0.5,), (2.0,))}),
    ],
)
def test_preparation(cnntool: Tool, here: Path, words: str, options: dict[str, object]) -> None:
    save("a.png")
    assert cnntool("run", "a.png", "o.npy", *words.split(), "relu").code == 0
    assert np.array_equal(np.load("o.npy"), expected("a.png", ("relu",), **options))


def test_gray_and_rgb_change_the_channels(cnntool: Tool, here: Path) -> None:
    save("a.png")
    save("g.png", pixels(channels=1))
    for name, option, channels in [("a", "--gray", 1), ("a", "--rgb", 3), ("g", "--gray", 1), ("g", "--rgb", 3)]:
        assert cnntool("run", f"{name}.png", f"{name}{option}.npy", option, "relu").code == 0
        assert np.load(f"{name}{option}.npy").shape == (20, 24, channels)


def test_absolute_names_in_a_list_stay_in_the_output_folder(cnntool: Tool, here: Path) -> None:
    image = save("f/a.png").absolute()
    Path("list.txt").write_text(f"{image}\n../{here.name}/f/a.png\n")
    result = cnntool("run", "@list.txt", "m/", "relu")
    assert result.code == 0, result.err
    assert all(path.startswith(("f/", "m/", ".m.index.jsonl", "list")) for path in files(here))
    assert len(files(Path("m"))) == 2


@pytest.mark.parametrize("given", ["q/", "q/*g"])
@pytest.mark.parametrize("output", ["q/maps/", "q/maps/%s-m.png", "q/%s-m.png", "q/"])
def test_pictures_of_former_runs_are_no_inputs(cnntool: Tool, here: Path, output: str, given: str) -> None:
    for number in range(2):
        save(f"q/{number}.jpg")
    form = [] if "%s" in output else ["--format", "png"]
    assert cnntool("run", given, output, *form, "--quiet", "relu") == (0, b"", "")
    once = files(here)
    assert len([name for name in once if "index.jsonl" not in name]) == 4
    for _ in range(2):
        result = cnntool("run", given, output, *form, "--overwrite", "relu")
        assert (result.code, files(here)) == (0, once)
        if "maps" not in output or given == "q/":  # otherwise the pattern does not reach them
            assert result.err.startswith("cnntool: not read, OUTPUT inside INPUT: ")


@pytest.mark.parametrize(
    ("given", "output"),
    [("q/a.png", "q/a.png"), ("q/", "q/"), ("q/*.png", "q/%s.png"), ("q/", "link/"), ("q/a.png", "hard.png")],
)
def test_no_output_replaces_its_input(cnntool: Tool, here: Path, given: str, output: str) -> None:
    before = save("q/a.png").read_bytes()
    os.symlink("q", "link")
    os.link("q/a.png", "hard.png")
    form = ["--format", "png"] if output.endswith("/") else []
    message = cnntool("run", given, output, *form, "--overwrite", "relu").refused()
    assert "another" in message
    assert Path("q/a.png").read_bytes() == before


def test_other_weights_are_told(cnntool: Tool, here: Path) -> None:
    save("f/a.png", pixels(channels=3))
    save("f/b.png", pixels(channels=1))
    result = cnntool("run", "f/", "m/", "conv", "4", "3")
    assert result.code == 0
    assert result.err.startswith("cnntool: images of other sizes or channels get other weights")
    assert cnntool("run", "f/", "s/", "bank", "sobel") == (0, b"", "")


@pytest.mark.parametrize(("command", "output"), [("run", "o.npy"), ("extract", "t.npz")])
def test_the_plan_is_told_on_stderr_where_it_is_asked_for(cnntool: Tool, here: Path, command: str, output: str) -> None:
    save("a.png")
    chain = "conv 16 3 --padding 1 relu whiten conv 4 5 --padding 2 globalpool avg"
    assert cnntool(command, "a.png", output, *chain.split()).err == ""
    result = cnntool(command, "a.png", f"plan.{output}", "--explain-plan", "--threads", "2", *chain.split())
    assert (result.code, result.out) == (0, b"")
    head, _, *lines = [line.strip() for line in result.err.splitlines() if line.strip()]
    assert re.split(r"\s{2,}", head) == ["layers", "output", "algorithm (others cost)", "computed as"]
    layers, shapes, *_ = zip(*(re.split(r"\s{2,}", line)[:2] for line in lines), strict=True)
    assert " ".join(layers).replace("+ ", "") == "conv relu whiten conv globalpool"
    height, width, _ = read_image("a.png").shape
    assert shapes[0] == f"{height}x{width}x16"
    assert shapes[-1] == "1x1x4"
    (chosen,) = re.findall(rf"{shapes[0]}\s+([\w-]+)( \(([^)]*)\))?", result.err)
    costs = dict(other.split() for other in chosen[2].split(", ")) if chosen[2] else {}
    assert {chosen[0], *costs} <= set(ALGORITHMS)
    assert "direct" in {chosen[0], *costs}
    assert all(float(cost) >= 1 for cost in costs.values())
