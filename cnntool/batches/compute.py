"""Inputs through a pipeline by the threads of this process: each input's rows, in order, without those known before."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from cnntool.batches.content import content_of
from cnntool.batches.order import GROUP_BYTES, LONGEST, Group, in_order, outcome_of
from cnntool.errors import BadInput, CnntoolError, NoRoom, Unfit
from cnntool.images.items import Item
from cnntool.images.preparation import Preparation
from cnntool.pipeline import Pipeline

if TYPE_CHECKING:
    import numpy as np

    from cnntool.images.resizing import Resizer

BATCH_BYTES = 2**23  # of the volumes of a batch, with those that layers make of them

Notice = Callable[[str], None]


class Row(NamedTuple):
    """What an input gives: the digest of its content, its shape and its vectors; without these it is known already."""

    content: bytes
    shape: tuple[int, int, int] | None = None
    vectors: np.ndarray | None = None


class Read(NamedTuple):
    """An input whose row is yet to be computed, from its volume."""

    item: Item
    content: bytes
    volume: np.ndarray


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

    def vectors(self, volumes: Sequence[np.ndarray], threads: int) -> np.ndarray:
        """N x sides x D of volumes of one shape: the last volume, and that of the mirror image, flattened in the order
        height, width, channels. What one gives does not depend on the others."""
        import numpy as np

        batch = volumes[0][None] if len(volumes) == 1 else np.stack(volumes)
        sides = [batch, batch[:, :, ::-1]] if self.mirrored else [batch]
        found = [self.pipeline.run(side, threads).reshape(len(batch), 1, -1) for side in sides]
        return np.concatenate(found, axis=1) if self.mirrored else found[0]

    def takes_batches(self, shape: tuple[int, int, int]) -> bool:
        """Whether volumes of a shape are so small that a batch of them is computed faster than one by one.

        Never where a layer normalises by the statistics of the batch: each row is of its input alone.
        """
        try:
            plan = self.pipeline.plan(shape)
        except CnntoolError:  # of each input by itself
            return False
        return not plan.mixes_images and LONGEST * plan.bytes_of_image <= BATCH_BYTES


@dataclass
class Rows:
    """The rows of groups of inputs, as `in_order` asks for them; one whose content is `known` is not computed."""

    work: Work
    threads: int  # for each input
    known: Container[bytes]
    notice: Notice
    resizer: Resizer | None
    single: bool
    small: dict[tuple[int, int, int], bool] = field(default_factory=dict)  # whether a shape is taken in batches

    def __call__(self, group: Group) -> list[Row | CnntoolError]:
        """The outcomes of a group; fewer where rows are long."""
        found: list[Read | Row | CnntoolError] = []
        held = 0
        for index, item in group:
            one = outcome_of(self._read, index, item)
            if isinstance(one, Read) and not self._is_small(one.volume.shape):
                one = self._row(one)
            found.append(one)
            held += bytes_of(one) if isinstance(one, Row) else 0
            if held > GROUP_BYTES:
                break
        return self._batch(found) or [self._row(one) if isinstance(one, Read) else one for one in found]

    def _is_small(self, shape: tuple[int, int, int]) -> bool:
        if shape not in self.small:
            self.small[shape] = self.work.takes_batches(shape)
        return self.small[shape]

    def _read(self, index: int, item: Item) -> Read | Row:
        content, source = content_of(item)
        if content in self.known:
            return Row(content)
        return Read(item, content, item.read(self.work.preparation, self.notice, self.resizer, source))

    def _batch(self, found: list[Read | Row | CnntoolError]) -> list[Row | CnntoolError] | None:
        """The rows of a whole group at once; None if it is not whole, not of one shape, or fails."""
        read = [one for one in found if isinstance(one, Read)]
        if len(read) < LONGEST or len({one.volume.shape for one in read}) > 1:
            return None
        try:
            vectors = self.work.vectors([one.volume for one in read], self.threads)
        except (CnntoolError, MemoryError):  # of each by itself
            return None
        return [Row(one.content, one.volume.shape, of_one) for one, of_one in zip(read, vectors, strict=True)]

    def _row(self, read: Read) -> Row | CnntoolError:
        return outcome_of(lambda *_: self._computed(read), 0, read.item)

    def _computed(self, read: Read) -> Row:
        with nullcontext() if self.single else naming(read.item):
            return Row(read.content, read.volume.shape, self.work.vectors([read.volume], self.threads)[0])


def bytes_of(row: Row) -> int:
    """Of its vectors."""
    return 0 if row.vectors is None else row.vectors.nbytes


def rows_of(
    items: Sequence[Item],
    work: Work,
    threads: int,
    known: Container[bytes],
    notice: Notice,
    single: bool = False,
) -> Iterator[tuple[int, Item, Row | CnntoolError]]:
    """(index, item, row or error) of each input, in order; one whose content is `known` is not computed.

    Several inputs: each thread reads and computes a group of them at a time. One input: all threads share its bands. A
    mistake in the words is raised if `single` says that there was one input by form.
    """
    spread = threads if len(items) == 1 else 1
    resizer = resizer_of_kernel() if len(items) > 1 and work.preparation.resize is not None else None
    rows = Rows(work, spread, known, notice, resizer, single)
    for index, item, row in in_order(items, rows, work.preparation, threads, LONGEST, bytes_of):
        if single and isinstance(row, CnntoolError) and not isinstance(row, BadInput):
            raise row
        yield index, item, row


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
