"""Groups of inputs: outcomes in order, how many are taken at a time, and what memory they may hold."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

from cnntool.batches import order
from cnntool.batches.compute import Row, Rows, Work, rows_of
from cnntool.batches.order import AHEAD, GROUP_BYTES, GROUP_SECONDS, LONGEST, Group, Pace, in_order, one_by_one
from cnntool.errors import BadInput, CnntoolError, NoRoom, Unfit
from cnntool.images.items import Item
from cnntool.images.preparation import Preparation
from cnntool.pipeline import Pipeline
from tests.batches.volumes import item_of

COUNT = 100
ITEMS = [Item(str(number)) for number in range(COUNT)]


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No group is shorter because this machine is slow."""
    monkeypatch.setattr(order, "GROUP_SECONDS", 600.0)


def outcomes(compute: Callable[[Group], list], threads: int, longest: int = LONGEST, **others: object) -> list:
    found = list(in_order(ITEMS, compute, Preparation(), threads, longest, **others))  # type: ignore[arg-type]
    assert [(index, item.name) for index, item, _ in found] == [(number, str(number)) for number in range(COUNT)]
    return [outcome for *_, outcome in found]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("longest", [1, 7, LONGEST])
def test_outcomes_come_in_order(threads: int, longest: int) -> None:
    assert outcomes(one_by_one(lambda index, item: index * index), threads, longest) == [n * n for n in range(COUNT)]


@pytest.mark.usefixtures("patient")
def test_fast_inputs_come_in_long_groups_slow_ones_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []

    def compute(group: Group) -> list[int]:
        lengths.append(len(group))
        return [0 for _ in group]

    outcomes(compute, 1)
    assert lengths[0] == 1
    assert max(lengths) == LONGEST
    lengths.clear()
    monkeypatch.setattr(order, "GROUP_SECONDS", 0.0)
    outcomes(compute, 1)
    assert set(lengths) == {1}


def test_pace() -> None:
    pace = Pace(LONGEST)
    for inputs, seconds, held, size in (
        (1, 1e-5, 100, LONGEST), (2, GROUP_SECONDS, 0, 2), (4, 2 * GROUP_SECONDS, 0, 2), (1, 9, 0, 1),
        (4, 1e-5, GROUP_BYTES // 2, 8), (4, 1e-5, 9 * GROUP_BYTES, 1),
    ):  # fmt: skip
        pace.took(inputs, seconds, held)
        assert pace.size == size


def test_an_outcome_too_few_is_asked_for_again() -> None:
    asked: list[int] = []

    def compute(group: Group) -> list[int]:
        asked.extend(index for index, _ in group)
        return [index for index, _ in group[:3]]

    assert outcomes(compute, 2) == list(range(COUNT))
    assert set(asked) == set(range(COUNT))


def test_memory_is_bounded_by_what_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []
    done = threading.Event()

    def compute(index: int, item: Item) -> int:
        begun.append(index)
        return index

    found = in_order(ITEMS, one_by_one(compute), Preparation(), 2, LONGEST)
    next(found)
    done.wait(0.1)
    assert len(begun) <= 2 * AHEAD * LONGEST


@pytest.mark.parametrize("threads", [1, 3])
def test_errors_have_their_places(threads: int) -> None:
    def compute(index: int, item: Item) -> int:
        if index % 10 == 9:
            raise BadInput(f"{index} is bad")
        if index == 50:
            raise MemoryError
        return index

    found = outcomes(one_by_one(compute), threads)
    assert [str(one) for one in found if isinstance(one, CnntoolError)] == [
        *(f"{n} is bad" for n in range(9, 50, 10)),
        "50: out of memory: make the images or the pipeline smaller",
        *(f"{n} is bad" for n in range(59, 100, 10)),
    ]


def test_a_full_disk_ends_the_work() -> None:
    def compute(index: int, item: Item) -> int:
        if index == 40:
            raise NoRoom("full")
        return index

    found = in_order(ITEMS, one_by_one(compute), Preparation(), 2, LONGEST)
    assert [next(found)[0] for _ in range(40)] == list(range(40))
    with pytest.raises(NoRoom, match="full"):
        next(found)


def volumes(count: int, *shape: int) -> list[np.ndarray]:
    return [np.random.default_rng(number).random(shape, np.float32) for number in range(count)]


CHAINS = {  # and the size of their batches
    "conv 8 5 --stride 2 relu maxpool 2 globalpool avg": LONGEST,
    "whiten conv 4 3 globalpool max": LONGEST,
    "conv 4 1 standardize mark a conv 4 3 --padding 1 add a": LONGEST,
    "conv 4 3 batchnorm relu globalpool max": 1,  # by the statistics of what it is given
    "flatten fc 7": LONGEST,
    "relu": LONGEST,
}


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("words", CHAINS)
def test_a_batch_gives_the_bits_of_one_by_one(words: str, mirrored: bool) -> None:
    items = [item_of(volume) for volume in volumes(5 * LONGEST, 12, 10, 3)]
    pipeline = Pipeline.parse(words)
    work = Work(pipeline, Preparation(), mirrored)
    batches: list[int] = []
    run = pipeline.run
    pipeline.run = lambda batch, threads: batches.append(len(batch)) or run(batch, threads)  # type: ignore
    found = [row for *_, row in rows_of(items, work, 1, (), lambda _: None)]
    assert max(batches) == CHAINS[words]
    for item, row in zip(items, found, strict=True):
        assert isinstance(row, Row)
        volume = item.read()
        sides = [volume, volume[:, ::-1]] if mirrored else [volume]
        assert row.shape == volume.shape
        assert row.vectors is not None
        assert row.vectors.tobytes() == b"".join(run(side, 1).tobytes() for side in sides)


def rows(work: Work, *given: np.ndarray, known: tuple[bytes, ...] = ()) -> list[Row | CnntoolError]:
    group = list(enumerate(map(item_of, given)))
    return Rows(work, 1, known, lambda _: None, None, False)(group)


def test_groups_of_several_shapes_and_of_what_does_not_fit() -> None:
    work = Work(Pipeline.parse("conv 2 3 globalpool avg"), Preparation())
    small = volumes(LONGEST, 9, 9, 3)
    mixed = [*small[:7], np.zeros((2, 2, 3), np.float32), *small[7:14], np.zeros((20, 9, 3), np.float32)]
    found = rows(work, *mixed)
    assert isinstance(found[7], Unfit)
    alone = [rows(work, volume)[0] for volume in mixed]
    for one, other in zip(found, alone, strict=True):
        if isinstance(one, Row):
            assert isinstance(other, Row)
            assert one.vectors.tobytes() == other.vectors.tobytes()  # type: ignore[union-attr]
    for cut in (1, 8, 15):
        two = [*small[:cut], *volumes(LONGEST - cut, 7, 11, 3)]
        found = rows(work, *two)
        assert [row.vectors.tobytes() for row in found] == [rows(work, one)[0].vectors.tobytes() for one in two]  # type: ignore[union-attr]
    unfit = rows(work, *[np.zeros((2, 2, 3), np.float32)] * LONGEST)
    assert all(isinstance(one, Unfit) and "conv (layer 1)" in str(one) for one in unfit)


def test_known_contents_are_not_computed() -> None:
    work, given = Work(Pipeline.parse("relu"), Preparation()), volumes(LONGEST, 4, 4, 1)
    contents = [row.content for row in rows(work, *given) if isinstance(row, Row)]
    found = rows(work, *given, known=tuple(contents[:5]))
    assert [row.vectors is None for row in found if isinstance(row, Row)] == [True] * 5 + [False] * (LONGEST - 5)


def test_long_rows_end_a_group_early() -> None:
    work = Work(Pipeline.parse("relu"), Preparation())
    side = 2 * int((GROUP_BYTES / 4) ** 0.5)
    assert len(rows(work, *volumes(4, side, side, 1))) == 1
    assert not work.takes_batches((side, side, 1))
    assert work.takes_batches((16, 16, 3))
