from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from cnntool.errors import BadInput, CnntoolError
from cnntool.images.preparation import IMAGENET, MAX_PIXELS, Preparation
from cnntool.images.read import image_shape, read_image, read_volume

RANDOM = np.random.default_rng(2)
PIXELS = RANDOM.integers(0, 256, (11, 17, 3), dtype=np.uint8)
COLOUR = Image.fromarray(PIXELS)
GRAY = COLOUR.convert("L")


def saved(path, image: Image.Image, **options):
    image.save(path, **options)
    return path


def modes_in_files():
    """(file name, image, options): every mode in a format that keeps it."""
    deep = RANDOM.integers(0, 65536, (11, 17), dtype=np.uint16)
    palette = COLOUR.quantize(16)
    return [
        ("bits.png", COLOUR.convert("1"), {}),
        ("bits.tif", COLOUR.convert("1"), {}),
        ("gray.png", GRAY, {}),
        ("gray_key.png", GRAY, {"transparency": 7}),
        ("gray.jpg", GRAY, {}),
        ("gray.gif", GRAY, {}),
        ("gray_alpha.png", COLOUR.convert("LA"), {}),
        ("palette.png", palette, {}),
        ("palette_key.png", palette, {"transparency": 3}),
        ("palette_alpha.png", palette, {"transparency": bytes(range(0, 256, 16))}),
        ("palette.gif", palette, {"transparency": 3}),
        ("palette.tif", palette, {}),
        ("palette.bmp", palette, {}),
        ("palette_alpha.tif", palette.convert("PA"), {}),
        ("colour.png", COLOUR, {}),
        ("colour.bmp", COLOUR, {}),
        ("colour.tif", COLOUR, {"compression": "tiff_lzw"}),
        ("colour.webp", COLOUR, {"lossless": True}),
        ("colour.ppm", COLOUR, {}),
        ("colour.tga", COLOUR, {}),
        ("colour.jp2", COLOUR, {}),
        ("colour.ico", COLOUR, {}),
        ("alpha.png", COLOUR.convert("RGBA"), {}),
        ("alpha.webp", COLOUR.convert("RGBA"), {}),
        ("alpha.tif", COLOUR.convert("RGBA"), {}),
        ("padded.tif", COLOUR.convert("RGBX"), {}),
        ("four.jpg", COLOUR.convert("CMYK"), {}),
        ("four.tif", COLOUR.convert("CMYK"), {}),
        ("luma.tif", COLOUR.convert("YCbCr"), {}),
        ("lab.tif", Image.frombytes("LAB", COLOUR.size, PIXELS.tobytes()), {}),
        ("deep.png", Image.fromarray(deep), {}),
        ("deep.tif", Image.fromarray(deep), {}),
        ("deep.pgm", Image.fromarray(deep.astype(np.int32)), {}),
        ("deep_big.tif", Image.frombytes("I;16B", COLOUR.size, deep.astype(">u2").tobytes()), {}),
        ("whole.tif", Image.fromarray(deep.astype(np.int32)), {}),
        ("float.tif", Image.fromarray(RANDOM.normal(size=(11, 17)).astype(np.float32)), {}),
        ("float.pfm", Image.fromarray(RANDOM.normal(size=(11, 17)).astype(np.float32)), {}),
    ]


@pytest.mark.parametrize("case", modes_in_files(), ids=lambda case: case[0])
def test_the_shape_from_the_header_is_the_shape_that_is_read(tmp_path, case):
    name, image, options = case
    path = saved(tmp_path / name, image, **options)
    volume = read_image(path)
    assert volume.dtype == np.float32
    assert volume.flags.c_contiguous
    assert volume.shape == image_shape(path)
    assert volume.shape[:2] == (11, 17) or name == "colour.ico"
    if not name.startswith("float"):
        assert volume.min() >= 0
        assert volume.max() <= 1
        assert volume.max() > 0.5 or name == "whole.tif"
    preparation = Preparation(resize=8, crop=(5, 6), rgb=True, normalize=IMAGENET)
    assert read_image(path, preparation).shape == image_shape(path, preparation) == (5, 6, 3)
    assert read_image(path, Preparation(gray=True)).shape == image_shape(path, Preparation(gray=True))


def test_values_survive(tmp_path):
    assert np.array_equal(read_image(saved(tmp_path / "a.png", COLOUR)), PIXELS / np.float32(255))
    deep = RANDOM.integers(0, 65536, (11, 17), dtype=np.uint16)
    expected = (deep / 65535).astype(np.float32)[:, :, None]
    for name in ("a.png", "a.tif"):
        assert np.array_equal(read_image(saved(tmp_path / name, Image.fromarray(deep))), expected)
    plain = saved(tmp_path / "a.pgm", Image.fromarray(deep.astype(np.int32)))
    assert np.array_equal(read_image(plain), expected)
    numbers = RANDOM.normal(size=(11, 17)).astype(np.float32) * 1000
    for name in ("f.tif", "f.pfm"):
        assert np.array_equal(read_image(saved(tmp_path / name, Image.fromarray(numbers)))[:, :, 0], numbers)


def test_unsigned_tiff_of_32_bits(tmp_path):
    path = saved(tmp_path / "a.tif", Image.fromarray(np.array([[0, -1, 2**31 - 1]], np.int32)))
    content = bytearray(path.read_bytes())
    at = content.index(struct.pack("<HHI", 339, 3, 1))  # SampleFormat: from signed to unsigned
    content[at + 8] = 1
    assert np.allclose(read_image(bytes(content))[0, :, 0], [0, 1, 0.5])


def test_sources_of_any_kind(tmp_path):
    path = saved(tmp_path / "a.png", COLOUR)
    expected = read_image(path)
    assert np.array_equal(read_image(str(path)), expected)
    assert np.array_equal(read_image(path.read_bytes()), expected)
    with open(path, "rb") as file:
        assert np.array_equal(read_image(file), expected)
    reading, writing = os.pipe()
    with open(reading, "rb") as pipe, open(writing, "wb") as end:
        end.write(path.read_bytes())
        end.close()
        assert np.array_equal(read_volume(pipe), expected)


def test_the_suffix_does_not_decide(tmp_path):
    os.rename(saved(tmp_path / "a.png", COLOUR), tmp_path / "a.jpg")
    assert read_image(tmp_path / "a.jpg").shape == (11, 17, 3)


def test_the_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "green", "blue")]
    for name in ("a.gif", "a.webp", "a.png", "a.tif"):
        path = saved(tmp_path / name, frames[0], save_all=True, append_images=frames[1:], lossless=True)
        assert np.abs(read_image(path) - [1, 0, 0]).max() < 0.02
        assert image_shape(path) == (6, 8, 3)


def test_resize_is_pillows_bilinear(tmp_path):
    path = saved(tmp_path / "a.png", COLOUR)
    expected = np.asarray(COLOUR.resize((7, 5), Image.Resampling.BILINEAR)) / np.float32(255)
    assert np.array_equal(read_image(path, Preparation(resize=(5, 7))), expected)
    cropped = read_image(path, Preparation(resize=(5, 7), crop=(2, 4)))
    assert np.array_equal(cropped, expected[2:4, 2:6])


def test_a_drafted_jpeg_is_near_the_whole_one(tmp_path):
    smooth = Image.fromarray(RANDOM.integers(0, 256, (25, 31, 3), dtype=np.uint8)).resize((1001, 803))
    path = saved(tmp_path / "a.jpg", smooth, quality=92)
    whole = Image.open(path).resize((79, 64), Image.Resampling.BILINEAR)
    drafted = read_image(path, Preparation(resize=64))
    assert drafted.shape == (64, 79, 3)
    difference = np.abs(drafted - np.asarray(whole) / 255)
    assert difference.max() < 4 / 255
    # One that is reduced less is decoded whole, to the last bit.
    half = Image.open(path).resize((401, 322), Image.Resampling.BILINEAR)
    assert np.array_equal(read_image(path, Preparation(resize=(322, 401))), np.asarray(half) / np.float32(255))


def test_gray_rgb_and_normalize(tmp_path):
    path = saved(tmp_path / "a.png", COLOUR)
    gray = read_image(path, Preparation(gray=True))
    assert np.allclose(gray[:, :, 0], PIXELS / 255 @ [0.299, 0.587, 0.114], atol=1e-6)
    white = read_image(saved(tmp_path / "w.png", Image.new("RGB", (2, 2), "white")), Preparation(gray=True))
    assert white.max() <= 1
    single = saved(tmp_path / "g.png", GRAY)
    three = read_image(single, Preparation(rgb=True))
    assert np.array_equal(three, np.repeat(read_image(single), 3, axis=2))
    means, deviations = IMAGENET
    normalised = read_image(path, Preparation(normalize=IMAGENET))
    assert np.allclose(normalised, (PIXELS / 255 - means) / deviations, atol=1e-5)
    with pytest.raises(BadInput, match=r"g.png: 1 channel.*RGB"):
        read_image(single, Preparation(normalize=IMAGENET))


def broken_files(folder):
    png = saved(folder / "whole.png", COLOUR).read_bytes()
    jpeg = saved(folder / "whole.jpg", COLOUR.resize((200, 150))).read_bytes()
    tiff = saved(folder / "whole.tif", COLOUR).read_bytes()
    gif = saved(folder / "whole.gif", COLOUR.quantize(16)).read_bytes()
    return {
        "cut.png": png[: len(png) // 2],
        "cut_header.png": png[:20],
        "cut.jpg": jpeg[: len(jpeg) // 2],
        "cut.tif": tiff[:200],
        "cut.gif": gif[: len(gif) // 2],
        "text.png": b"hello, this is a text\n" * 20,
        "text.tga": b"hello, this is a text\n" * 20,
        "empty.png": b"",
        "zeros.jpg": bytes(100),
        "script.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
        "half.npy": b"\x93NUMPY\x01\x00",
        "text.npy": b"hello",
    }


def test_only_a_file_called_so_is_tried_as_tga(tmp_path):
    content = saved(tmp_path / "a.tga", COLOUR).read_bytes()
    assert read_image(content, name="a.tga").shape == (11, 17, 3)
    with pytest.raises(BadInput, match="unknown format"):
        read_image(content, name="a.png")


def test_broken_files_are_one_line_each(tmp_path):
    for name, content in broken_files(tmp_path).items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(BadInput) as caught:
            read_volume(path)
        text = str(caught.value)
        assert text.startswith(f"{path}: {'not a' if content else 'an empty file'}"), text
        assert "expected" in text
        assert "\n" not in text
        assert "0x" not in text
        assert caught.value.exit_code == 1


def test_what_is_not_there_is_another_error(tmp_path):
    for path in (tmp_path / "none.png", tmp_path / "none.npy", tmp_path):
        for read in (read_volume, image_shape):
            with pytest.raises(CnntoolError, match=r"no such file|a folder") as caught:
                read(path)
            assert not isinstance(caught.value, BadInput)
    with pytest.raises(CnntoolError, match="no such file"):
        read_image(tmp_path / "none.png")


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_header(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [(2**15, 2**14 + 1), (2**30, 2**30), (2**31 - 1, 1)])
def test_bombs_are_refused_by_their_header(size):
    for read in (read_image, image_shape):
        with pytest.raises(BadInput, match=f"bomb.png: .*{MAX_PIXELS}"):
            read(png_header(*size), name="bomb.png")


def test_the_largest_image_is_no_bomb():
    # In a process of its own: the test runner sets filters of warnings aside.
    script = "import sys; from cnntool.images.read import image_shape; print(image_shape(sys.stdin.buffer))"
    ran = subprocess.run([sys.executable, "-c", script], input=png_header(2**15, 2**14), capture_output=True)
    assert (ran.stdout.decode(), ran.stderr) == (f"({2**14}, {2**15}, 3)\n", b"")


def test_volumes(tmp_path):
    numbers = RANDOM.normal(size=(9, 8, 3)).astype(np.float32)
    path = tmp_path / "a.npy"
    np.save(path, numbers)
    notes: list[str] = []
    assert np.array_equal(read_volume(path, notice=notes.append), numbers)
    assert np.array_equal(read_volume(path.read_bytes()), numbers)
    assert image_shape(path) == image_shape(path.read_bytes()) == (9, 8, 3)
    assert not notes
    crop = Preparation(crop=(4, 5))
    assert np.array_equal(read_volume(path, crop), numbers[2:6, 2:7])
    assert image_shape(path, crop) == (4, 5, 3)
    gray = read_volume(path, Preparation(gray=True, normalize=((1,), (2,))))
    assert np.allclose(gray[:, :, 0], (numbers @ [0.299, 0.587, 0.114] - 1) / 2, atol=1e-5)
    for read in (read_volume, image_shape):
        with pytest.raises(BadInput, match=r"a.npy: a .npy volume is not resized"):
            read(path, Preparation(resize=4))
        with pytest.raises(BadInput, match=r"a.npy: 9 x 8 pixels are too few"):
            read(path, Preparation(crop=(10, 4)))
    np.save(path, numbers[:, :, :2])
    for read in (read_volume, image_shape):
        with pytest.raises(BadInput, match="2 channels"):
            read(path, Preparation(gray=True))
