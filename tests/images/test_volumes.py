from __future__ import annotations

import numpy as np
import pytest

from cnntool.errors import BadInput
from cnntool.images.volumes import load, volume_shape

NUMBERS = np.arange(60).reshape(5, 4, 3)


def saved(path, array, **options):
    np.save(path, array, **options)
    return path


def read(path, **options) -> np.ndarray:
    """By mapping and from bytes, which must agree."""
    mapped = load(path, "a.npy", **options)
    assert np.array_equal(mapped, load(path.read_bytes(), "a.npy", **options), equal_nan=True)
    assert mapped.dtype == np.float32
    assert mapped.flags.c_contiguous
    assert mapped.flags.writeable
    return mapped


@pytest.mark.parametrize("dtype", ["f2", "f8", ">f8", "i1", "u1", "<i4", ">i8", "u8", "?", "f4", ">f4"])
def test_every_type_of_number(tmp_path, dtype):
    path, notes = saved(tmp_path / "a.npy", NUMBERS.astype(dtype)), []
    assert np.array_equal(load(path, "a.npy", notes.append), NUMBERS.astype(dtype).astype(np.float32))
    expected = [] if dtype.endswith("f4") else [f"a.npy: {np.dtype(dtype).name} converted to float32"]
    assert notes == expected
    assert np.array_equal(read(path), NUMBERS.astype(dtype).astype(np.float32))


def test_other_layouts(tmp_path):
    for array in (np.asfortranarray(NUMBERS, np.float32), NUMBERS.astype(np.float32)[:, ::-1]):
        assert np.array_equal(read(saved(tmp_path / "a.npy", array)), array)
    flat = saved(tmp_path / "flat.npy", NUMBERS[:, :, 0].astype(np.float32))
    assert np.array_equal(read(flat), NUMBERS[:, :, :1])
    assert volume_shape(flat, "flat.npy") == (5, 4, 1)


def test_a_part(tmp_path):
    path = saved(tmp_path / "a.npy", NUMBERS.astype(np.float32))
    assert np.array_equal(read(path, part=(slice(1, 3), slice(0, 2))), NUMBERS[1:3, 0:2])


def test_writing_into_the_array_leaves_the_file(tmp_path):
    path = saved(tmp_path / "a.npy", NUMBERS.astype(np.float32))
    before = path.read_bytes()
    load(path, "a.npy")[:] = -1
    assert path.read_bytes() == before


def test_too_large_a_number_becomes_infinite_without_a_warning(tmp_path, recwarn):
    assert np.isinf(read(saved(tmp_path / "a.npy", np.full((1, 1, 1), 1e300)))).all()
    assert not recwarn


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros(5), "1 dimensions"),
        (np.zeros(()), "0 dimensions"),
        (np.zeros((2, 3, 4, 5)), "4 dimensions"),
        (np.zeros((0, 3, 4)), "empty"),
        (np.zeros((2, 2), complex), "complex128"),
        (np.full((2, 2), "text"), "<U4"),
        (np.zeros((2, 2), [("a", "f4")]), "holds"),
        (np.zeros((2, 2), "M8[s]"), "datetime64"),
        (np.full((2, 2), None), "object"),
    ],
)
def test_what_is_no_volume_is_refused(tmp_path, array, reason):
    path = saved(tmp_path / "a.npy", array, allow_pickle=True)
    for source in (path, path.read_bytes()):
        for function in (load, volume_shape):
            with pytest.raises(BadInput, match=reason) as caught:
                function(source, "a.npy")
            assert str(caught.value).startswith("a.npy: not a volume")
            assert "\n" not in str(caught.value)


def headed(text: str, version: bytes = b"\x01\x00") -> bytes:
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    "content",
    [
        headed("{'descr': '<f4', 'fortran_order': False, 'shape': (100000, 100000, 1000)}\n"),
        headed("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 5)}\n"),
        headed("{'descr': '<f4', 'fortran_order': False, 'shape': ('a', 5)}\n"),
        headed("__import__('os').system('false')\n"),
        headed("(" * 5000),
        headed("{'descr': 'nonsense', 'fortran_order': False, 'shape': (1, 5)}\n"),
        headed("{}", b"\x09\x00"),
        b"\x93NUMPY",
        b"",
    ],
)
def test_hostile_headers(tmp_path, content):
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    for source in (path, content):
        with pytest.raises(BadInput, match=r"^a.npy: not a volume that can be read \(.+\): expected"):
            load(source, "a.npy")


def test_a_truncated_volume_tells_what_is_missing(tmp_path):
    path = saved(tmp_path / "a.npy", NUMBERS.astype(np.float32))
    with pytest.raises(BadInput, match="truncated, 7 bytes"):
        load(path.read_bytes()[:-7], "a.npy")
