from __future__ import annotations

import os

import numpy as np
import pytest

from cnntool.errors import CnntoolError
from cnntool.images.stream import VolumeWriter
from cnntool.images.write import write_volume

VOLUME = np.random.default_rng(3).normal(size=(9, 5, 4)).astype(np.float32)


def test_bands_make_the_file_that_one_write_makes(tmp_path):
    write_volume(tmp_path / "whole.npy", VOLUME)
    bands = (VOLUME[0:3], VOLUME[3:3], np.asfortranarray(VOLUME[3:8]), VOLUME[8:9].astype(np.float64))
    with VolumeWriter(tmp_path / "a.npy", VOLUME.shape) as writer:
        for band in bands:
            writer.append(band)
            assert not (tmp_path / "a.npy").exists()
        assert writer.count == 9
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["a.npy", "whole.npy"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit, OSError])
def test_what_is_interrupted_leaves_the_old_file(tmp_path, error):
    (tmp_path / "a.npy").write_text("old")

    def interrupted():
        with VolumeWriter(tmp_path / "a.npy", VOLUME.shape) as writer:
            writer.append(VOLUME[:2])
            assert len(os.listdir(tmp_path)) == 2
            raise error("stopped")

    with pytest.raises(error, match="stopped"):
        interrupted()
    assert (tmp_path / "a.npy").read_text() == "old"
    assert os.listdir(tmp_path) == ["a.npy"]


@pytest.mark.parametrize(
    ("bands", "reason"),
    [
        ([VOLUME[:8]], "8 rows came: expected 9"),
        ([], "0 rows came: expected 9"),
        ([VOLUME, VOLUME[:1]], "10 rows came: expected 9"),
        ([VOLUME[:, :4]], "9 x 4 x 4 numbers do not fit: expected rows x 5 x 4"),
        ([VOLUME[0]], "5 x 4 numbers do not fit: expected rows x 5 x 4"),
    ],
)
def test_rows_that_do_not_fit(tmp_path, bands, reason):
    def written():
        with VolumeWriter(tmp_path / "a.npy", VOLUME.shape) as writer:
            for band in bands:
                writer.append(band)

    with pytest.raises(CnntoolError, match=rf"a.npy: {reason}$"):
        written()
    assert os.listdir(tmp_path) == []


def test_rows_too_many_are_refused_before_they_are_written(tmp_path):
    with VolumeWriter(tmp_path / "a.npy", VOLUME.shape) as writer:
        writer.append(VOLUME[:8])
        with pytest.raises(CnntoolError, match="10 rows came"):
            writer.append(VOLUME[:2])
        writer.append(VOLUME[8:])
    assert np.array_equal(np.load(tmp_path / "a.npy"), VOLUME)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full")
@pytest.mark.parametrize("rows", [1, 9])
def test_a_full_disk_is_one_line(rows):
    """Few rows fail only when the file is closed, many when they are appended."""
    wide = np.zeros((9, 500 if rows == 9 else 2, 40), np.float32)

    def written():
        with VolumeWriter("/dev/full", (rows, *wide.shape[1:])) as writer:
            writer.append(wide[:rows])

    with pytest.raises(CnntoolError, match=r"^/dev/full: cannot be written: No space left on device$"):
        written()


def test_an_error_of_the_block_is_not_hidden_by_a_full_disk():
    if not os.path.exists("/dev/full"):
        pytest.skip("a device that is always full")

    def interrupted():
        with VolumeWriter("/dev/full", VOLUME.shape) as writer:
            writer.append(VOLUME[:1])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()


def test_places_that_cannot_be_written(tmp_path):
    with pytest.raises(CnntoolError, match="there is no folder"), VolumeWriter(tmp_path / "none/a.npy", VOLUME.shape):
        pytest.fail("the block ran")
    with pytest.raises(CnntoolError, match="a folder, expected"), VolumeWriter(tmp_path, VOLUME.shape):
        pytest.fail("the block ran")
    with VolumeWriter(tmp_path / "none/a.npy", VOLUME.shape, make_folders=True) as writer:
        writer.append(VOLUME)
    assert np.array_equal(np.load(tmp_path / "none/a.npy"), VOLUME)
    for closed in (writer, VolumeWriter(tmp_path / "b.npy", VOLUME.shape)):
        with pytest.raises(ValueError, match="within a `with` block"):
            closed.append(VOLUME[:0])
