"""Volumes as TIFF: what independent readers find in the files."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from cnntool import read_image
from cnntool.errors import CnntoolError
from cnntool.images import float_tiff
from cnntool.images.stream import VolumeWriter
from cnntool.images.write import encode, write_volume

SHAPES = [
    (5, 7, 1),
    (5, 7, 2),
    (5, 7, 3),
    (5, 7, 4),
    (6, 5, 10),
    (300, 200, 40),
    (1, 1, 1),
    (1, 1, 65535),
    (4000, 1, 3),
]


def volume_of(shape: tuple[int, int, int]) -> np.ndarray:
    """Any float32 there is, NaN and infinity among them."""
    volume = np.random.default_rng(0).integers(0, 2**32, shape, np.uint32).view(np.float32)
    volume[0, 0, 0] = np.inf
    return volume


def written(volume: np.ndarray) -> bytes:
    stream = io.BytesIO()
    encode(volume, "tiff-float", stream)
    return stream.getvalue()


@pytest.mark.parametrize("shape", SHAPES)
def test_what_was_written_is_read(shape):
    volume = volume_of(shape)
    assert read_image(written(volume), name="a.tif").tobytes() == volume.tobytes()


@pytest.mark.parametrize("shape", SHAPES)
def test_tifffile_reads_it(shape, tmp_path):
    tifffile = pytest.importorskip("tifffile")
    volume = volume_of(shape)
    write_volume(tmp_path / "a.tif", volume, form="tiff-float")
    found = tifffile.imread(tmp_path / "a.tif")
    assert (found.dtype, found.shape) == (np.float32, shape if shape[2] > 1 else shape[:2])
    assert found.tobytes() == volume.tobytes()
    assert tifffile.memmap(tmp_path / "a.tif", mode="r").tobytes() == volume.tobytes()
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert len(file.pages) == 1
        assert file.pages[0].photometric == (2 if shape[2] == 3 else 1)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_opencv_reads_it(channels, tmp_path):
    cv2 = pytest.importorskip("cv2")
    volume = volume_of((50, 70, channels))
    write_volume(tmp_path / "a.tif", volume, form="tiff-float")
    found = cv2.imread(str(tmp_path / "a.tif"), cv2.IMREAD_UNCHANGED).reshape(volume.shape)
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]  # blue comes first there
    assert found[:, :, order].tobytes() == volume.tobytes()


def test_pillow_reads_one_channel():
    volume = volume_of((50, 70, 1))
    with Image.open(io.BytesIO(written(volume))) as image:
        assert image.mode == "F"
        assert np.asarray(image).tobytes() == volume.tobytes()


@pytest.mark.parametrize("shape", [(5, 7, 3), (300, 200, 40)])
def test_rows_one_by_one_make_the_same_file(shape, tmp_path):
    volume = volume_of(shape)
    with VolumeWriter(tmp_path / "a.tif", shape, form="tiff-float") as writer:
        for row in range(shape[0]):
            writer.append(volume[row : row + 1])
    assert (tmp_path / "a.tif").read_bytes() == written(volume)


@pytest.mark.parametrize(
    ("shape", "magic"),
    [
        ((32767, 32760, 1), b"II*\0"),
        ((32768, 32768, 1), b"II+\0"),
        ((2**16, 2**16, 3), b"II+\0"),
        ((1, 2**15, 32768), b"II+\0"),
    ],
)
def test_files_of_4_gib_are_bigtiff(shape, magic, tmp_path):
    tifffile = pytest.importorskip("tifffile")
    header = float_tiff.header(shape)
    assert header.startswith(magic)
    height, width, channels = shape
    with open(tmp_path / "a.tif", "wb") as file:  # holes take no room
        file.write(header)
        file.truncate(len(header) + 4 * height * width * channels)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        page = file.pages[0]
        assert page.shape == (shape if channels > 1 else shape[:2])
        assert (page.dataoffsets[0], sum(page.databytecounts)) == (len(header), 4 * height * width * channels)
        ends = np.add(page.dataoffsets, page.databytecounts)
        assert np.array_equal(ends[:-1], page.dataoffsets[1:])


def test_too_many_channels():
    with pytest.raises(CnntoolError, match=r"65536 channels are too many for TIFF: at most 65535; write .npy"):
        float_tiff.header((1, 1, 65536))
