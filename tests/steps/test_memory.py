"""Who owns memory, and until when."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

from cnntool.steps import guarded
from cnntool.steps.memory import KEPT, LARGEST, PAGE, Lender, Rooms, Scratch, aligned


@pytest.fixture(autouse=True)
def _without_guards():
    """Where things lie is asked here."""
    with guarded.placed_at(""):
        yield


def test_an_aligned_array_begins_at_a_page():
    assert aligned(3, 5, 7).ctypes.data % PAGE == 0
    assert aligned(3, 5, 7).shape == (3, 5, 7)


def test_what_is_lent_comes_back_when_nobody_holds_it_or_a_view():
    lender = Lender()
    array = lender.take((4, 6, 5))
    where = array.ctypes.data
    view = array[1:].reshape(-1)[3:]
    other = np.asarray(memoryview(array))[2:]
    del array
    assert lender.take((4, 6, 5)).ctypes.data != where
    del view
    assert lender.take((4, 6, 5)).ctypes.data != where
    del other
    gc.collect()
    assert where in {lender.take((4, 6, 5)).ctypes.data for _ in range(1)}


def test_results_that_are_held_are_never_lent_twice():
    lender = Lender()
    held = [lender.take((8, 8, 2)) for _ in range(50)]
    assert len({array.ctypes.data for array in held}) == 50
    del held
    assert len(lender._free) == KEPT


def test_memory_is_freed_without_the_garbage_collector():
    """Of results beyond those that are kept, and of a lender that is gone."""
    gc.collect()
    gc.disable()
    try:
        lender = Lender()
        held = [lender.take((100, 100)) for _ in range(9)]
        bases = [weakref.ref(array.base) for array in held]
        del held
        assert sum(base() is not None for base in bases) == KEPT
        array = lender.take((100, 100))
        del lender
        array[:] = 1
        last = weakref.ref(array.base)
        del array
        assert last() is None
        assert all(base() is None for base in bases)
    finally:
        gc.enable()


def test_other_sizes_get_other_memory():
    lender = Lender()
    small = lender.take((2, 2, 2))
    where = small.ctypes.data
    del small
    large = lender.take((20, 20, 20))
    large[:] = 1
    assert large.ctypes.data != where


def test_large_arrays_are_not_kept():
    lender = Lender()
    lender.take((LARGEST // 4 + 1,))
    assert not lender._free


def test_several_threads_borrow_at_once():
    lender, wrong = Lender(), []

    def borrow(number: int) -> None:
        for _ in range(2000):
            array = lender.take((64,))
            array[:] = number
            if (array != number).any():
                wrong.append(number)
            del array

    borrowers = [threading.Thread(target=borrow, args=(number,)) for number in range(4)]
    for borrower in borrowers:
        borrower.start()
    for borrower in borrowers:
        borrower.join()
    assert not wrong


def test_a_room_is_used_again_after_its_release_only():
    rooms = Rooms()
    first, second = rooms.take(1, (3, 4)), rooms.take(2, (3, 4))
    assert not np.shares_memory(first, second)
    rooms.release(1)
    assert np.shares_memory(first, rooms.take(3, (2, 5)))
    assert not np.shares_memory(first, rooms.take(4, (2, 5)))
    assert rooms.release(9) is None


def test_the_smallest_room_that_fits_is_taken():
    rooms = Rooms()
    large, small = rooms.take(1, (100,)), rooms.take(2, (10,))
    rooms.release(1)
    rooms.release(2)
    assert np.shares_memory(small, rooms.take(3, (9,)))
    assert np.shares_memory(large, rooms.take(4, (9,)))


def test_scratch_gives_the_same_arrays_after_a_reset_and_never_overlapping_ones():
    scratch = Scratch()
    before = [scratch.array(7, 5, spare=9), scratch.array(300_000), scratch.array(2, 2)]
    assert not any(np.shares_memory(a, b) for a in before for b in before if a is not b)
    scratch.reset()
    after = [scratch.array(7, 5, spare=9), scratch.array(300_000), scratch.array(2, 2)]
    assert [a.ctypes.data for a in before] == [a.ctypes.data for a in after]
