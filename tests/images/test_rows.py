from __future__ import annotations

import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from cnntool.images.preparation import IMAGENET, Preparation
from cnntool.images.read import image_shape, read_volume
from cnntool.images.rows import open_rows

RANDOM = np.random.default_rng(5)
HEIGHT, WIDTH = 37, 29
PIXELS = RANDOM.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
DEEP = RANDOM.integers(0, 65536, (HEIGHT, WIDTH), dtype=np.uint16)
COLOUR = Image.fromarray(PIXELS)
GRAY = COLOUR.convert("L")
FLOATS = Image.fromarray(RANDOM.normal(size=(HEIGHT, WIDTH)).astype(np.float32) * 100)
STRIPS = {"tiffinfo": {278: 4}}  # rows a strip
ON_DISK, IN_MEMORY, PAGE = "_StripRows", "_PixelRows", "_PageRows"

# (file name, image, options of saving, where the pixels are kept)
IMAGES = [
    ("gray.tif", GRAY, {}, ON_DISK),
    ("gray_strips.tif", GRAY, STRIPS, ON_DISK),
    ("colour.tif", COLOUR, {}, ON_DISK),
    ("colour_strips.tif", COLOUR, STRIPS, ON_DISK),
    ("alpha.tif", COLOUR.convert("RGBA"), {}, ON_DISK),
    ("gray_alpha.tif", COLOUR.convert("LA"), {}, ON_DISK),
    ("padded.tif", COLOUR.convert("RGBX"), {}, PAGE),
    ("four.tif", COLOUR.convert("CMYK"), {}, ON_DISK),
    ("luma.tif", COLOUR.convert("YCbCr"), {}, ON_DISK),
    ("lab.tif", Image.frombytes("LAB", COLOUR.size, PIXELS.tobytes()), {}, ON_DISK),
    ("bits.tif", COLOUR.convert("1"), {}, ON_DISK),
    ("deep.tif", Image.fromarray(DEEP), {}, PAGE),
    ("deep_big.tif", Image.frombytes("I;16B", COLOUR.size, DEEP.astype(">u2").tobytes()), {}, PAGE),
    ("whole.tif", Image.fromarray(DEEP.astype(np.int32) * 9999), {}, PAGE),
    ("float.tif", FLOATS, {}, PAGE),
    ("gray.pgm", GRAY, {}, ON_DISK),
    ("deep.pgm", Image.fromarray(DEEP.astype(np.int32)), {}, ON_DISK),
    ("colour.ppm", COLOUR, {}, ON_DISK),
    ("bits.pbm", COLOUR.convert("1"), {}, ON_DISK),
    ("float.pfm", FLOATS, {}, ON_DISK),
    ("colour.bmp", COLOUR, {}, ON_DISK),
    ("gray.bmp", GRAY, {}, ON_DISK),
    ("alpha.bmp", COLOUR.convert("RGBA"), {}, ON_DISK),
    ("palette.bmp", COLOUR.quantize(16), {}, IN_MEMORY),
    ("palette.tif", COLOUR.quantize(16), {}, PAGE),
    ("palette_alpha.tif", COLOUR.quantize(16).convert("PA"), {}, PAGE),
    ("packed.tif", COLOUR, {"compression": "tiff_deflate"}, IN_MEMORY),
    ("turned.tif", COLOUR, {"tiffinfo": {274: 6}}, IN_MEMORY),
    ("mirrored.tif", Image.fromarray(DEEP), {"tiffinfo": {274: 2}}, "_InMemory"),
    ("gray.png", GRAY, {}, IN_MEMORY),
    ("gray_key.png", GRAY, {"transparency": 7}, IN_MEMORY),
    ("bits_key.png", COLOUR.convert("1"), {"transparency": 0}, IN_MEMORY),
    ("gray_alpha.png", COLOUR.convert("LA"), {}, IN_MEMORY),
    ("palette_key.png", COLOUR.quantize(16), {"transparency": 3}, IN_MEMORY),
    ("palette_alpha.png", COLOUR.quantize(16), {"transparency": bytes(range(0, 256, 16))}, IN_MEMORY),
    ("colour_key.png", COLOUR, {"transparency": tuple(map(int, PIXELS[3, 4]))}, IN_MEMORY),
    ("alpha.png", COLOUR.convert("RGBA"), {}, IN_MEMORY),
    ("deep.png", Image.fromarray(DEEP), {}, IN_MEMORY),
    ("colour.jpg", COLOUR, {}, IN_MEMORY),
    ("four.jpg", COLOUR.convert("CMYK"), {}, IN_MEMORY),
    ("colour.gif", COLOUR, {}, IN_MEMORY),
    ("colour.webp", COLOUR, {}, IN_MEMORY),
    ("colour.jp2", COLOUR, {}, IN_MEMORY),
    ("colour.ico", COLOUR, {}, IN_MEMORY),
    ("colour.tga", COLOUR, {}, IN_MEMORY),
    ("gray.sgi", GRAY, {}, IN_MEMORY),
]
PREPARATIONS = [
    Preparation(),
    Preparation(crop=(11, 7)),
    Preparation(gray=True, normalize=((0.5,), (0.25,))),
    Preparation(rgb=True, crop=(4, 16), normalize=IMAGENET),
    Preparation(resize=9, crop=(5, 6)),
    Preparation(resize=50, crop=(45, 45)),
]


def saved(path, image: Image.Image, **options):
    image.save(path, **options)
    return path


def check(source, preparation: Preparation = PREPARATIONS[0], name: str | None = None) -> None:
    """Random slices, and the odd ones, are those of the whole."""
    whole = read_volume(source, preparation, name=name)
    with open_rows(source, preparation, name=name) as rows:
        assert rows.shape == whole.shape
        last = rows.shape[0]
        slices = [slice(*sorted(RANDOM.integers(0, last + 1, 2).tolist())) for _ in range(8)]
        for part in (*slices, slice(None), slice(-2, None), slice(last - 1, last + 9), slice(3, 1), slice(0, 0)):
            band = rows[part]
            assert band.dtype == np.float32
            assert band.flags.c_contiguous
            assert np.array_equal(band, whole[part], equal_nan=True)
            band[...] = -1  # an array of its own: what is read later does not change


@pytest.mark.parametrize("case", IMAGES, ids=lambda case: case[0])
def test_images(tmp_path, case):
    name, image, options, kept = case
    path = saved(tmp_path / name, image, **options)
    with open_rows(path) as rows:
        assert type(rows).__name__ == kept
    for preparation in PREPARATIONS:
        check(path, preparation)
        check(path.read_bytes(), preparation, name)


@pytest.mark.parametrize("dtype", ["f4", ">f4", "f2", "f8", "i1", "u1", "<i4", ">i8", "u8", "?"])
@pytest.mark.parametrize("channels", [None, 1, 3])
def test_volumes(tmp_path, dtype, channels):
    shape = (HEIGHT, WIDTH) if channels is None else (HEIGHT, WIDTH, channels)
    numbers = RANDOM.normal(size=shape) * 100
    path, notes = tmp_path / "a.npy", []
    np.save(path, (numbers > 0) if dtype == "?" else numbers.astype("i4").astype(dtype))
    for preparation in PREPARATIONS[:4]:
        check(path, preparation)
    check(path.read_bytes(), name="a.npy")
    with open_rows(path, notice=notes.append, name="a.npy") as rows:
        assert type(rows).__name__ == "_VolumeRows"
        assert rows[3:5].any()
    assert notes == ([] if dtype.endswith("f4") else [f"a.npy: {np.dtype(dtype).name} converted to float32"])


def test_gray_of_numbers_above_1_and_not_a_number_is_the_same_in_bands(tmp_path):
    numbers = RANDOM.integers(1, 9, (HEIGHT, WIDTH, 1)).repeat(3, axis=2).astype(np.float32)
    numbers[5, 5] = np.nan
    numbers[7, 7, 1] = np.inf
    np.save(tmp_path / "a.npy", numbers)
    check(tmp_path / "a.npy", Preparation(gray=True))
    gray = read_volume(tmp_path / "a.npy", Preparation(gray=True))
    finite = np.isfinite(numbers).all(axis=2)
    assert np.allclose(gray[finite, 0], numbers[finite, 0], rtol=1e-6)
    assert (gray[finite, 0] <= numbers[finite, 0]).all()
    assert np.isnan(gray[5, 5])
    assert np.isinf(gray[7, 7])


def test_a_volume_in_fortran_order_is_held_whole_with_a_notice(tmp_path):
    path, notes = tmp_path / "a.npy", []
    np.save(path, np.asfortranarray(RANDOM.normal(size=(HEIGHT, WIDTH, 3)).astype(np.float32)))
    for preparation in PREPARATIONS[:4]:
        check(path, preparation)
    open_rows(path, notice=notes.append, name="a.npy").close()
    assert notes == ["a.npy: columns first (Fortran order), so the whole volume is held in memory"]


def tiff(tiles: list[bytes], size: tuple[int, int], tile: tuple[int, int]) -> bytes:
    """A gray TIFF of tiles (height, width), which Pillow reads but does not write."""
    counts, offsets = [len(content) for content in tiles], []
    head = 8 + 2 + 10 * 12 + 4
    data = head + 8 * len(tiles)
    for content in tiles:
        offsets.append(data)
        data += len(content)
    lists = {324: head, 325: head + 4 * len(tiles)}
    tags = [(256, size[1]), (257, size[0]), (258, 8), (259, 1), (262, 1), (277, 1)]
    tags += [(322, tile[1]), (323, tile[0]), (324, lists[324]), (325, lists[325])]
    fields = b"".join(struct.pack("<HHII", tag, 4, len(tiles) if tag in lists else 1, value) for tag, value in tags)
    tables = struct.pack(f"<{2 * len(tiles)}I", *offsets, *counts)
    return struct.pack("<2sHIH", b"II", 42, 8, 10) + fields + bytes(4) + tables + b"".join(tiles)


def test_a_tiff_of_tiles(tmp_path):
    numbers = PIXELS[:, :, 0]
    padded = np.pad(numbers, ((0, 48 - HEIGHT), (0, 32 - WIDTH)), constant_values=99)
    tiles = [padded[y : y + 16, x : x + 16].tobytes() for y in (0, 16, 32) for x in (0, 16)]
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(tiles, (HEIGHT, WIDTH), (16, 16)))
    assert np.array_equal(read_volume(path)[:, :, 0], numbers / np.float32(255))
    for preparation in PREPARATIONS:
        check(path, preparation)
    with open_rows(path) as rows:
        assert type(rows).__name__ == ON_DISK
    # Pillow would write a tile too many over the first.
    path.write_bytes(tiff([*tiles, tiles[-1]], (HEIGHT, WIDTH), (16, 16)))
    with open_rows(path) as rows:
        assert type(rows).__name__ == PAGE
    assert np.array_equal(read_volume(path)[:, :, 0], numbers / np.float32(255))
    check(path)


def test_an_animation_and_a_book_give_the_first_frame(tmp_path):
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "green", "blue")]
    for name in ("a.gif", "a.webp", "a.png", "a.tif"):
        check(saved(tmp_path / name, frames[0], save_all=True, append_images=frames[1:]))


def test_an_icon_whose_picture_has_other_channels_than_it_tells(tmp_path):
    picture = saved(tmp_path / "a.png", GRAY.resize((128, 128))).read_bytes()
    path = tmp_path / "a.icns"  # ic07 is a picture of 128 x 128
    path.write_bytes(struct.pack(">4sI4sI", b"icns", len(picture) + 16, b"ic07", len(picture) + 8) + picture)
    for preparation in PREPARATIONS:
        check(path, preparation)


@pytest.mark.parametrize("name", ["a.npy", "gray_strips.tif", "colour.bmp", "palette_alpha.png", "turned.tif"])
def test_threads_read_at_once(tmp_path, name):
    path = tmp_path / name
    if name == "a.npy":
        np.save(path, PIXELS)
    else:
        _, image, options, _ = next(case for case in IMAGES if case[0] == name)
        saved(path, image, **options)
    whole = read_volume(path)
    parts = [slice(*sorted(RANDOM.integers(0, HEIGHT + 1, 2).tolist())) for _ in range(400)]
    with open_rows(path) as rows, ThreadPoolExecutor(8) as pool:
        for part, band in zip(parts, pool.map(rows.__getitem__, parts), strict=True):
            assert np.array_equal(band, whole[part])


def test_only_neighbouring_rows_of_open_files(tmp_path):
    np.save(tmp_path / "a.npy", PIXELS)
    for path in (tmp_path / "a.npy", saved(tmp_path / "a.tif", COLOUR), saved(tmp_path / "a.png", COLOUR)):
        rows = open_rows(path)
        with pytest.raises(ValueError, match="steps of 2"):
            rows[::2]
        with pytest.raises(TypeError, match=r"expected a slice of rows"):
            rows[3]
        rows.close()
        with pytest.raises(ValueError, match="the rows are closed"):
            rows[0:1]
        rows.close()


# The peak that getrusage tells is at least what the process had that started this one.
SCRIPT = """
import re, sys
from cnntool.images.rows import open_rows
def peak():
    return int(re.search(r"VmHWM:\\s+([0-9]+) kB", open("/proc/self/status").read())[1])
before = peak()
with open_rows(sys.argv[1]) as rows:
    total = sum(float(rows[top : top + 256].sum(dtype="f8")) for top in range(0, rows.shape[0], 256))
print(total, (peak() - before) / 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
@pytest.mark.parametrize(
    ("name", "megabytes"), [("u1.npy", 35), ("f4.npy", 25), ("plain.tif", 45), ("plain.pgm", 45), ("packed.png", 100)]
)
def test_memory_is_that_of_a_band(tmp_path, name, megabytes):
    """6000 x 6000 pixels are 137 MB as float32, 34 MB as bytes; a band of them is 6 MB."""
    side = 6000
    numbers = np.arange(side, dtype=np.uint8)[np.newaxis].repeat(side, axis=0)
    expected = float(numbers.sum(dtype="f8"))
    if name.endswith(".npy"):
        np.save(tmp_path / name, numbers if name == "u1.npy" else numbers.astype(np.float32))
    else:
        saved(tmp_path / name, Image.fromarray(numbers), **({"compress_level": 1} if name == "packed.png" else {}))
        expected /= 255
    ran = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path / name)], capture_output=True, text=True)
    assert not ran.stderr
    total, grown = map(float, ran.stdout.split())
    assert total == pytest.approx(expected, rel=1e-6)
    assert 0 < grown < megabytes


def test_the_shape_is_that_of_the_header(tmp_path):
    path = saved(tmp_path / "a.jpg", COLOUR.resize((400, 300)))
    for preparation in (Preparation(resize=20), Preparation(resize=(30, 20), crop=(8, 9), gray=True)):
        with open_rows(path, preparation) as rows:
            assert rows.shape == image_shape(path, preparation)
        check(path, preparation)
