from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from cnntool.banks.file import FileBank
from cnntool.banks.table import load
from cnntool.errors import CnntoolError

FILTERS = np.random.RandomState(0).standard_normal((3, 5, 4))


@pytest.fixture
def saved(tmp_path):
    def save(array, name="own.npy"):
        path = tmp_path / name
        np.save(path, array)
        return str(path)

    return save


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ">f4", np.int8, np.uint16, np.bool_])
@pytest.mark.parametrize(
    "layout", [np.ascontiguousarray, np.asfortranarray, lambda a: a[:, :, np.newaxis]], ids=["c", "fortran", "4d"]
)
def test_numbers_are_taken_as_they_are(saved, dtype, layout):
    array = np.abs(FILTERS * 9).astype(dtype)
    bank = FileBank(saved(layout(array)))
    assert (bank.kernel_size, bank.count, bank.outputs) == ((3, 5), 4, 4)
    assert bank.names() == ["own 0", "own 1", "own 2", "own 3"]
    filters = bank.filters()
    assert filters.dtype == np.float32
    assert filters.flags.c_contiguous
    np.testing.assert_array_equal(filters, array.astype(np.float32))


def test_the_table_knows_it(saved):
    path = saved(FILTERS)
    assert load("file")(path) == FileBank(path)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (FILTERS[0], r"has shape \(5, 4\).*saved as filter\[:, :, None\]"),
        (FILTERS[:, :, np.newaxis, np.newaxis], "has shape"),
        (np.ones((3, 3, 3, 8)), r"has shape \(3, 3, 3, 8\): expected height x width x count"),
        (np.ones((0, 3, 4)), r"each at least 1"),
        (np.ones((3, 3, 0)), r"each at least 1"),
        (np.ones(()), "has shape"),
        (FILTERS.astype(np.complex64), r"holds complex64\): expected real numbers"),
        (FILTERS.astype(str), "expected real numbers"),
        (np.empty((1, 1, 1), object), "not a whole .npy array"),
        (np.ones((1024, 1, 1)), "1024x1 pixels: expected sides of at most 1023"),
    ],
)
def test_arrays_that_are_no_filters_are_refused(saved, array, message):
    with pytest.raises(CnntoolError, match=message):
        FileBank(saved(array))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_values_that_are_not_finite_are_refused(saved, value):
    array = FILTERS.copy()
    array[1, 2, 3] = value
    bank = FileBank(saved(array))
    with pytest.raises(CnntoolError, match="filter 3 is not finite"):
        bank.filters()


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(CnntoolError, match=r"none\.npy: no such file"):
        FileBank(str(tmp_path / "none.npy"))
    (tmp_path / "folder.npy").mkdir()
    with pytest.raises(CnntoolError, match=r"folder\.npy: cannot be read"):
        FileBank(str(tmp_path / "folder.npy"))


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
def test_a_damaged_file_never_gives_another_error(saved, tmp_path):
    with open(saved(FILTERS.astype(np.float32)), "rb") as file:
        whole = file.read()
    path = tmp_path / "damaged.npy"
    random = np.random.RandomState(5)
    messages = []
    for _ in range(300):
        damaged = bytearray(whole)
        for place in random.randint(0, 80, 2):
            damaged[place] = random.randint(256) if random.rand() < 0.5 else ord("(){}'\\,0 "[random.randint(9)])
        path.write_bytes(bytes(damaged)[: None if random.rand() < 0.8 else random.randint(len(damaged))])
        try:
            FileBank(str(path))
        except CnntoolError as error:
            messages.append(str(error))
    assert len(messages) > 200
    assert all("damaged.npy" in message or "expected sides" in message for message in messages)


def test_a_cut_off_file_is_refused_before_its_numbers_are_needed(saved):
    path = saved(FILTERS)
    with open(path, "r+b") as file:
        file.truncate(200)
    with pytest.raises(CnntoolError, match="not a whole"):
        FileBank(path)


def test_a_huge_header_costs_no_memory(saved, tmp_path):
    path = tmp_path / "huge.npy"
    with open(path, "wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (1000, 1000, 2**20)}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(128 + 4 * 10**6 * 2**20)
    with pytest.raises(CnntoolError, match=r"1048576 filters of 1000x1000.*at most"):
        FileBank(str(path))


def test_nothing_in_the_file_runs(tmp_path):
    path = tmp_path / "evil.npy"
    marker = tmp_path / "ran"
    code = (
        "import numpy, pathlib\n"
        "class Evil:\n"
        f"    def __reduce__(self): return pathlib.Path.touch, (pathlib.Path({str(marker)!r}),)\n"
        f"numpy.save({str(path)!r}, numpy.array([Evil()], object), allow_pickle=True)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(CnntoolError, match="not a whole"):
        FileBank(str(path))
    assert not marker.exists()
    np.load(path, allow_pickle=True)
    assert marker.exists(), "the file was harmless, so the test proved nothing"
