from __future__ import annotations

import io
import os
import stat

import numpy as np
import pytest
from PIL import Image

from cnntool.errors import CnntoolError
from cnntool.images import write
from cnntool.images.write import encode, output_format, picture_of, write_picture, write_volume

VOLUME = np.random.default_rng(3).normal(size=(5, 6, 4)).astype(np.float32)


def test_permissions_are_those_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_volume(tmp_path / "a.npy", VOLUME)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.npy").stat().st_mode) == 0o640


def test_places_that_cannot_be_written(tmp_path):
    with pytest.raises(CnntoolError, match=r"none/a.npy: there is no folder .*none"):
        write_volume(tmp_path / "none/a.npy", VOLUME)
    with pytest.raises(CnntoolError, match="a folder, expected"):
        write_volume(tmp_path, VOLUME)
    with pytest.raises(CnntoolError, match="a folder, expected"):
        write_volume(f"{tmp_path}/new/", VOLUME)
    (tmp_path / "file").write_text("")
    with pytest.raises(CnntoolError, match=r"file/a.npy: cannot be written: Not a directory"):
        write_volume(tmp_path / "file/a.npy", VOLUME)
    write_volume(tmp_path / "none/deep/a.npy", VOLUME, make_folders=True)
    assert np.array_equal(np.load(tmp_path / "none/deep/a.npy"), VOLUME)


@pytest.mark.parametrize("name", ["a.npy", "a.png", "a.jpg", "a.tif"])
def test_a_full_disk_is_one_line(tmp_path, monkeypatch, name):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cnntool.files.os.write", full)
    writer, value = (write_volume, VOLUME) if name == "a.npy" else (write_picture, Image.new("RGB", (500, 500)))
    with pytest.raises(CnntoolError, match=rf"{name}: cannot be written: No space left on device"):
        writer(tmp_path / name, value)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("volume", [VOLUME, VOLUME.astype(np.float64), np.asfortranarray(VOLUME), VOLUME[:, ::-2]])
def test_volumes(tmp_path, volume):
    write_volume(tmp_path / "a.npy", volume)
    loaded = np.load(tmp_path / "a.npy", allow_pickle=False)
    assert loaded.dtype == np.float32
    assert loaded.flags.c_contiguous
    assert np.array_equal(loaded, volume.astype(np.float32))


def test_a_volume_is_what_numpy_would_write(tmp_path):
    np.save(tmp_path / "b.npy", VOLUME)
    write_volume(tmp_path / "a.npy", VOLUME)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


@pytest.mark.parametrize("suffix", write.WRITTEN)
def test_pictures(tmp_path, suffix):
    image = Image.linear_gradient("L").convert("RGB")
    write_picture(tmp_path / f"a{suffix.upper()}", image)
    with Image.open(tmp_path / f"a{suffix.upper()}") as written:
        assert np.abs(np.asarray(written.convert("RGB"), int) - np.asarray(image)).max() <= 2
    assert output_format(f"x{suffix.upper()}") == suffix[1:]
    stream = io.BytesIO()
    encode(image, suffix[1:], stream)
    assert stream.getvalue() == (tmp_path / f"a{suffix.upper()}").read_bytes()


def test_formats_have_limits(tmp_path):
    with pytest.raises(CnntoolError, match=r"a.jpg: 1 x 65501 pixels are too many for JPEG: at most 65500"):
        write_picture(tmp_path / "a.jpg", Image.new("L", (65501, 1)))
    with pytest.raises(CnntoolError, match="WEBP: at most 16383"):
        encode(Image.new("L", (1, 16384)), "webp", io.BytesIO())
    for name in ("a.xyz", "a", "a.npy"):
        with pytest.raises(CnntoolError, match=r"expected .*\.png"):
            write_picture(tmp_path / name, Image.new("L", (1, 1)))
    assert os.listdir(tmp_path) == []


def test_picture_of():
    row = np.array([[-1, 0, 0.5, 1, 7, np.nan, np.inf]], np.float32)[:, :, None]
    assert np.asarray(picture_of(row)).tolist() == [[0, 0, 128, 255, 255, 0, 255]]
    assert np.isnan(row[0, 5, 0])
    colour = picture_of(np.repeat(row, 3, axis=2))
    assert colour.mode == "RGB"
    assert colour.size == (7, 1)
    for shape in ((2, 3, 4), (2, 3, 2), (2, 3)):
        with pytest.raises(CnntoolError, match=f"{shape[0]} x {shape[1]}.*expected 1 or 3 channels"):
            picture_of(np.zeros(shape, np.float32))


def test_encode_to_a_pipe():
    reading, writing = os.pipe()
    with open(reading, "rb") as out, open(writing, "wb", buffering=0) as pipe:
        encode(VOLUME, "npy", pipe)
        pipe.close()
        assert np.array_equal(np.load(io.BytesIO(out.read()), allow_pickle=False), VOLUME)


@pytest.mark.parametrize(
    ("value", "format"), [(VOLUME, "png"), (VOLUME, "xyz"), (Image.new("L", (1, 1)), "npy"), (VOLUME, "")]
)
def test_a_format_that_does_not_fit(value, format):
    stream = io.BytesIO()
    with pytest.raises(CnntoolError, match="expected"):
        encode(value, format, stream)
    assert not stream.getvalue()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".gif", ".tif", ".webp", ".bmp", ".ppm"])
def test_pictures_carry_their_command_where_there_is_a_place(tmp_path, suffix):
    path, command = tmp_path / f"a{suffix}", "cnntool run 'o poză.png' out.png relu"
    write_picture(path, Image.new("RGB", (9, 7)), command=command)
    with Image.open(path) as image:
        found = {
            ".png": lambda: image.info["Description"],
            ".jpg": lambda: image.info["comment"].decode(),
            ".gif": lambda: image.info["comment"].decode(),
            ".tif": lambda: image.getexif()[270].encode("latin-1").decode(),  # as Pillow reads it
            ".webp": lambda: image.getexif()[270].encode("latin-1").decode(),
        }
        if suffix in found:
            assert found[suffix]() == command
        assert image.size == (9, 7)


def test_a_command_that_is_no_text_spoils_no_picture(tmp_path):
    write_picture(tmp_path / "a.png", Image.new("RGB", (2, 2)), command="cnntool run \udcff.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.info["Description"] == "cnntool run \\udcff.png"
