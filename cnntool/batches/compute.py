"""Inputs through a pipeline by the threads of this process: each input's rows, in order, without those known before."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from cnntool.batches.content import content_of
from cnntool.engine.threads import prefetch
from cnntool.errors import BadInput, CnntoolError, Failed, NoRoom, Unfit
from cnntool.images.items import Item
from cnntool.images.preparation import Preparation
from cnntool.pipeline import Pipeline

if TYPE_CHECKING:
    import numpy as np

    from cnntool.images.resizing import Resizer

# Inputs examined, and different shapes tried, before a run of which no input fits ends as a mistake in the words.
LOOKED_AT, TRIED = 200, 8
AHEAD = 2  # images prefetched for each thread: none waits, and memory stays bounded

Notice = Callable[[str], None]
R = TypeVar("R")


class Row(NamedTuple):
    """What an input gives: the digest of its content, its shape and its vectors; without these it is known already."""

    content: bytes
    shape: tuple[int, int, int] | None = None
    vectors: np.ndarray | None = None


@dataclass
class Work:
    """What is done to each input. Goes to other processes as it is."""

    pipeline: Pipeline
    preparation: Preparation
    mirrored: bool = False

    @property
    def sides(self) -> int:
        """The rows an input gives."""
        return 2 if self.mirrored else 1

    def vectors(self, volume: np.ndarray, threads: int) -> np.ndarray:
        """Sides x D: the last volume, and that of the mirror image, each in the order height, width, channels."""
        import numpy as np

        # one by one: statistics of a batch would mix the two
        sides = [volume, volume[:, ::-1]] if self.mirrored else [volume]
        return np.stack([self.pipeline.run(side, threads).reshape(-1) for side in sides])


def rows_of(
    items: Sequence[Item],
    work: Work,
    threads: int,
    known: Container[bytes],
    notice: Notice,
    single: bool = False,
) -> Iterator[tuple[int, Item, Row | CnntoolError]]:
    """(index, item, row or error) of each input, in order; one whose content is `known` is not computed.

    Several inputs: each thread reads and computes one at a time. One input: all threads share its bands. A mistake in
    the words is raised if `single` says that there was one input by form.
    """
    spread = threads if len(items) == 1 else 1
    resizer = resizer_of_kernel() if len(items) > 1 and work.preparation.resize is not None else None

    def compute(index: int, item: Item) -> Row:
        content, source = content_of(item)
        if content in known:
            return Row(content)
        volume = item.read(work.preparation, notice, resizer, source)
        with nullcontext() if single else naming(item):
            return Row(content, volume.shape, work.vectors(volume, spread))

    for index, item, row in in_order(items, compute, work.preparation, threads):
        if single and isinstance(row, CnntoolError) and not isinstance(row, BadInput):
            raise row
        yield index, item, row


def in_order(
    items: Sequence[Item], compute: Callable[[int, Item], R], preparation: Preparation, threads: int
) -> Iterator[tuple[int, Item, R | CnntoolError]]:
    """`compute(index, item)` of each input by several threads, or the error it raised, in order.

    A mistake in the words is raised instead: the first input does not fit, nor does one of any other shape.
    """

    def guarded(following: tuple[int, Item]) -> R:
        try:
            return compute(*following)
        except MemoryError:
            raise Failed(f"{following[1].where}: out of memory: make the images or the pipeline smaller") from None

    if len(items) == 1:
        try:
            yield 0, items[0], guarded((0, items[0]))
        except CnntoolError as error:
            yield 0, items[0], error
        return
    seen_to_fit = False
    for (index, item), call in prefetch(guarded, enumerate(items), threads, AHEAD * threads):
        try:
            result: R | CnntoolError = call.result()
        except NoRoom:
            raise
        except CnntoolError as error:
            if not seen_to_fit and isinstance(error, Unfit) and not any_fits(items, preparation, guarded):
                raise CnntoolError(f"{error} (nor does any other of the {len(items)} inputs fit)") from None
            seen_to_fit = seen_to_fit or isinstance(error, Unfit)
            result = error
        else:
            seen_to_fit = True
        yield index, item, result


def any_fits(items: Sequence[Item], preparation: Preparation, compute: Callable[[tuple[int, Item]], object]) -> bool:
    """Whether an input can be computed, by one of each shape among the first."""
    shapes: set[tuple[int, ...]] = set()
    for index, item in enumerate(items[:LOOKED_AT]):
        try:
            shape = item.shape(preparation)
            if shape not in shapes:
                shapes.add(shape)
                compute((index, item))
                return True
        except CnntoolError:
            if len(shapes) == TRIED:
                break
    return False


class naming:
    """Makes an error of the layers one that names the input, for which they are unfit."""

    def __init__(self, item: Item) -> None:
        self._item = item

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, CnntoolError) and not isinstance(error, NoRoom):
            raise Unfit(f"{self._item.where}: {error}") from None


def resizer_of_kernel() -> Resizer:
    """The resizer of images that the kernels make."""
    from cnntool import kernels
    from cnntool.images.resizing import Resizer

    return Resizer(lambda: kernels.resizing.resize_forward)
