"""The checking mode sees what it is there to see."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.steps import guarded
from cnntool.steps.memory import Lender, Scratch, aligned
from tests.kernels.volumes import noise

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="guard pages need mprotect")


@pytest.fixture(autouse=True, params=["start", "end"])
def placement(request):
    with guarded.placed_at(request.param):
        yield request.param


def test_what_is_given_out_is_nan_whether_it_was_used_before_or_not():
    assert np.isnan(aligned(3, 4)).all()
    assert np.isnan(Scratch().array(3, 4)).all()
    lender = Lender()
    array = lender.take((3, 4))
    where = array.ctypes.data
    array[:] = 1
    del array
    later = lender.take((3, 4))
    assert later.ctypes.data == where
    assert np.isnan(later).all()


def test_an_array_ends_or_begins_at_a_guard_page(placement):
    array = guarded.array((3, 5))
    at = array.ctypes.data + (array.nbytes if placement == "end" else 0)
    assert at % guarded.PAGE == 0


@pytest.mark.parametrize("write", [False, True])
def test_a_touch_of_a_guard_page_ends_the_process(placement, write):
    act = "ctypes.c_int.from_address(at).value = 1" if write else "print(ctypes.c_int.from_address(at).value)"
    code = f"""
import ctypes
from cnntool.steps import guarded
with guarded.placed_at({placement!r}):
    a = guarded.array((3, 5))
    at = a.ctypes.data + {"a.nbytes" if placement == "end" else "-4"}
    {act}
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60).returncode < 0


def test_a_write_beside_an_array_is_found(placement):
    array = guarded.array((3, 5))
    at = array.ctypes.data + (-4 if placement == "end" else array.nbytes)
    guarded.check_all()
    ctypes.c_int.from_address(at).value += 1
    with pytest.raises(guarded.GuardError, match="beside an array of 60"):
        guarded.check_all()
    ctypes.c_int.from_address(at).value -= 1


def test_inputs_may_not_be_written():
    code = """
import numpy as np
from cnntool.steps import guarded
with guarded.placed_at("end"):
    guarded.read_only(np.ones((3, 4), np.float32))[0, 0] = 2
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60).returncode < 0


def test_rooms_are_spoilt_at_their_release_and_at_the_beginning_of_a_run():
    pipeline, x = Pipeline.parse("conv 4 3 --padding 1 " * 4), noise(12, 10, 4)
    expected = pipeline.run(x, 2).tobytes()
    assert pipeline.run(x, 2).tobytes() == expected
    (plan,) = pipeline._plans.values()
    (((program,),)) = plan._programs.values()
    assert all(np.isnan(room).all() for room in program.rooms.all)
    for room in program.rooms.all:
        room[...] = 7
    assert pipeline.run(x, 2).tobytes() == expected
    assert all(np.isnan(room).all() for room in program.rooms.all)
