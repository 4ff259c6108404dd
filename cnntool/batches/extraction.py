"""A table that is made, continued or brought up to date: which rows there are, which are missing, and the new table."""

from __future__ import annotations

import array
import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from cnntool.batches.compute import Row
from cnntool.batches.identity import Identity, identity_of_text
from cnntool.batches.kin import Kin, OtherChannels
from cnntool.batches.parts import Parts, Shape
from cnntool.errors import BadInput, CnntoolError, Failed
from cnntool.files import PathLike, removed, writing
from cnntool.images.items import Item
from cnntool.images.origins import BESIDE, DIGEST, INDEX, About, Origin, digests
from cnntool.images.parquet import plain
from cnntool.images.stored import Stored, files_of, read_stored
from cnntool.images.tables import kind_of, other_length
from cnntool.locks import Claim, holder_in

EARLY = 100  # rows; before so many, images of other channels end the work, for little is lost

Outcome = tuple[int, Item, Row | CnntoolError]


class Entry(NamedTuple):
    """An input that has its place in the table."""

    number: int  # among all inputs
    name: str
    label: str | None
    content: bytes


class EntryList:
    """Entries in order, in a few bytes each besides their names."""

    def __init__(self) -> None:
        self._numbers, self._contents = array.array("q"), bytearray()
        self._names: list[str] = []
        self._labels: list[str] = []  # all rows have one, or none has; "" stands for none

    def append(self, entry: Entry) -> None:
        if entry.label is not None or self._labels:
            self._labels += [""] * (len(self._names) - len(self._labels)) + [entry.label or ""]
        self._numbers.append(entry.number)
        self._names.append(entry.name)
        self._contents += entry.content

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[Entry]:
        for place, (number, name) in enumerate(zip(self._numbers, self._names, strict=True)):
            label = self._labels[place] if self._labels else None
            yield Entry(number, name, label or None, bytes(self._contents[DIGEST * place : DIGEST * (place + 1)]))


@dataclass
class Entries:
    """What all inputs gave: rows in order, failures, and how many inputs had to be computed."""

    rows: EntryList = field(default_factory=EntryList)
    failures: list[tuple[int, str, CnntoolError]] = field(default_factory=list)
    computed: int = 0


def claim_of_all(output: PathLike) -> Claim:
    """The right to write OUTPUT, while no shard of it is being computed."""
    claim = Claim(output)
    holder = holder_in(Path(f"{os.path.realpath(output)}.parts"))
    if holder is not None:
        claim.release()
        raise CnntoolError(
            f"{os.fspath(output)}: a shard of it is being computed ({holder}): wait for its end, or give another name"
        )
    return claim


class Extraction:
    """Work on one table. A context manager: within it no other process writes the table, and parts survive its end.

    Raises CnntoolError for a table of another pipeline, or of unknown origin, without `overwrite`. `restart` begins
    afresh: neither rows of the table nor parts of an earlier run are used.
    """

    def __init__(
        self, output: PathLike, identity: Identity, kin: Kin, *, sides: int = 1, labels: bool = False,
        overwrite: bool = False, restart: bool = False, claim: Callable[[PathLike], Claim] | None = None,
    ) -> None:  # fmt: skip
        self.output, self.identity, self.kin, self.sides, self.labels = Path(output), identity, kin, sides, labels
        self._kind = kind_of(output)
        self._overwrite, self._restart = overwrite, restart
        self._find_stored()
        with writing(output):
            self._claim = (claim or claim_of_all)(output)
        try:
            self._find_stored()  # once more, for what another process has just finished
            self.parts = Parts(output, identity, sides, discard=restart or (overwrite and self._has_other_parts()))
        except BaseException:
            self._claim.release()
            raise
        self.goes_on = bool(self.parts.count or self._rows_stored)  # from what an earlier run left
        self._known_before = self.known_contents() if self.goes_on else frozenset()
        self._length, self._first = -1, ""

    def _has_other_parts(self) -> bool:
        """Whether all parts that were left are another pipeline's, which --overwrite may replace as its table."""
        try:
            Parts(self.output, self.identity, self.sides).close()
        except CnntoolError:
            return True
        return False

    def _find_stored(self) -> None:
        """The table that is there, if it may be replaced, and its rows if they can be used."""
        self.stored: Stored | None = None
        self._rows_stored: dict[bytes, int] = {}
        if not os.path.lexists(self.output):
            return
        stored = None
        with contextlib.suppress(CnntoolError):
            stored = read_stored(self.output)
        found = identity_of_text(stored.pipeline) if stored is not None and stored.pipeline else None
        if found is not None and found.digest == self.identity.digest:
            if not self._restart:
                self.stored = stored
                assert stored is not None
                for row in range(0, len(stored.contents), self.sides):
                    self._rows_stored.setdefault(stored.contents[row].tobytes(), row)
            return
        if self._overwrite or self._was_being_replaced():
            return
        whose = f", of the pipeline `{found.words}`" if found is not None and found.words != self.identity.words else ""
        hint = (
            "; it was made from other files, options or by another version" if found is not None and not whose else ""
        )
        raise CnntoolError(f"{self.output}: is there already{whose}{hint}: give --overwrite to replace it")

    def _was_being_replaced(self) -> bool:
        """Whether a run of this pipeline was stopped between renaming a table's file and what lies beside it."""
        index = Path(f"{os.path.realpath(self.output)}.parts", INDEX)
        if not index.is_file():
            return False
        with contextlib.suppress(Exception):
            from cnntool.arrays import open_arrays

            found = []
            for path in (index, Path(f"{self.output}{BESIDE}")):
                if path.is_file():
                    with open_arrays(path) as file:
                        identity = identity_of_text(str(file.read("pipeline")))
                        if identity is not None and identity.digest == self.identity.digest:
                            found.append(file.read("files").tolist())
            now = digests(files_of(self.output))
            return all(any(digest in files for files in found) for digest in now if digest)
        return False

    def __contains__(self, content: object) -> bool:
        """Whether the rows of a content are known, and need not be computed."""
        return content in self.parts or content in self._rows_stored

    def form(self, content: bytes) -> tuple[Shape, int]:
        """The shape of the volume of a known content, and the length of its vectors."""
        if content in self.parts:
            return self.parts.form(content)
        assert self.stored is not None
        height, width, channels = self.stored.shapes[self._rows_stored[content]].tolist()
        return (height, width, channels), self.stored.length

    def known_contents(self) -> frozenset[bytes]:
        """All contents whose rows need not be computed."""
        return frozenset(self.parts.contents() | self._rows_stored.keys())

    def stored_contents(self) -> set[bytes]:
        """The contents of the rows of the table that is there."""
        return set(self._rows_stored)

    def gather(
        self, outcomes: Iterable[Outcome], failed: Callable[[Item, CnntoolError], None], compare: bool = True
    ) -> Iterator[Item]:
        """Takes the outcomes of all inputs, in order, into `entries`; yields each that has its row.

        `compare`: whether these are all inputs, so that rows which do not go with the first one are failures.
        """
        self.entries = Entries()
        for index, item, row in outcomes:
            try:
                if isinstance(row, CnntoolError):
                    raise row
                if row.vectors is None and row.content not in self:
                    raise Failed(f"{item.where}: its rows are gone: run its shard again")
                if row.vectors is not None:
                    assert row.shape is not None
                    self.parts.add(row.content, row.shape, row.vectors)
                self.entries.computed += row.content not in self._known_before
                if compare:
                    self._check(item, *self.form(row.content))
            except BadInput as error:
                if isinstance(error, OtherChannels) and len(self.entries.rows) < EARLY:
                    raise CnntoolError(str(error)) from None
                self.entries.failures.append((index, item.name, error))
                failed(item, error)
                continue
            self.entries.rows.append(Entry(index, item.name, item.label if self.labels else None, row.content))
            yield item

    def _check(self, item: Item, shape: Shape, length: int) -> None:
        """Whether a row belongs with the rows before; raises BadInput."""
        self.kin.check(item, shape, length)
        if self._length < 0:
            self._length, self._first = length, item.name
        elif length != self._length:
            raise BadInput(other_length(item.name, length, self._first, self._length))

    def is_up_to_date(self, about: About) -> bool:
        """Whether the table that is there holds just these rows."""
        stored, rows = self.stored, self.entries.rows
        if stored is None or (stored.pipeline, len(stored.paths)) != (about.pipeline, self.sides * len(rows)):
            return False
        if (stored.labels is not None) != self.labels or stored.columns not in ([], about.columns):
            return False
        firsts = range(0, len(stored.paths), self.sides)
        labels = stored.labels or [""] * len(stored.paths)
        return all(
            stored.contents[first].tobytes() == row.content
            and plain(stored.paths[first]) == plain(row.name)
            and plain(labels[first]) == plain(row.label or "")
            for first, row in zip(firsts, rows, strict=True)
        )

    def finish(self, about: About, failed: Callable[[Entry, CnntoolError], None]) -> bool:
        """Writes the table from its rows; False if it was so already. Without a row an older table stays."""
        rows = self.entries.rows
        was_stopped = (self.parts.folder / INDEX).exists()  # before what lies beside the table was in its place
        changed = bool(rows) and (was_stopped or not self.is_up_to_date(about))
        if changed:
            self._take_from_stored({row.content for row in rows if row.content not in self.parts})
            self.parts.flush()
            with self._kind(self.output, self.labels, None, about) as table:
                for row in rows:
                    shape, _ = self.parts.form(row.content)
                    try:
                        for vector in self.parts.vectors(row.content):
                            table.append(row.name, row.label, vector, Origin(row.content, shape))
                    except BadInput as error:
                        failed(row, error)
            if not table.keeps_beside:
                removed(f"{self.output}{BESIDE}")
        else:
            self._kind.remove_work(self.parts.folder)  # of a run that was killed when the table was in its place
        self.parts.clear()
        return changed

    def _take_from_stored(self, wanted: set[bytes]) -> None:
        """Copies rows of the table that is there into parts."""
        if not wanted:
            return
        assert self.stored is not None
        import numpy as np

        row, waiting = 0, []
        for block in self.stored.blocks():
            for vector in block:
                waiting.append(vector)
                row += 1
                if len(waiting) == self.sides:
                    first = row - self.sides
                    content = self.stored.contents[first].tobytes()
                    if content in wanted and content not in self.parts:
                        shape, _ = self.form(content)
                        self.parts.add(content, shape, np.stack(waiting))
                    waiting = []

    def __enter__(self) -> Extraction:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """What was computed is kept for the next run, unless it was a mistake in the words that ended this one."""
        try:
            if isinstance(error, KeyboardInterrupt) or (isinstance(error, CnntoolError) and error.exit_code == 1):
                with contextlib.suppress(CnntoolError):
                    self.parts.flush()
            self.parts.close()
            self.parts.remove_if_empty()
        finally:
            self._claim.release()
