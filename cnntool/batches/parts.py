"""Rows on their way into a table: files in `OUTPUT.parts/`, each written whole, in which rows are found by content.

A part is `PIPELINE-INPUTS.rows`: the digests of the pipeline and of its inputs' contents. Which inputs share
a part means nothing, so that it does not matter either if files were added, renamed or removed since a run was stopped.

    magic[8]  pipeline digest[16]  count, sides as int64
    contents[count, 16] uint8   shapes[count, 3] int64   lengths[count] int64   values float32, little-endian
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections import OrderedDict
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from cnntool.batches.content import DIGEST
from cnntool.batches.identity import Identity
from cnntool.batches.order import AHEAD, LONGEST
from cnntool.errors import CnntoolError
from cnntool.files import PathLike, Replacement, make_own_folder, removed, writing
from cnntool.images.origins import INDEX

MAGIC = b"cnnrows1"
SUFFIX = ".rows"
SHARDS = "shard-*.jsonl"  # what runs with --shard leave for `cnntool merge`
# A part is written when it holds so many rows, bytes, or what so many seconds gave. With the images that a thread has
# in hand, 256 are the most that a kill can cost.
ROWS, BYTES, SECONDS = 256 - AHEAD * LONGEST, 2**25, 30
PART_BITS = 32  # of a row's number in a part
READ_BYTES = 2**16  # at a time; a row alone takes nearly as long
OPEN_FILES = 32  # parts are read where rows lie, a file that was used last stays open
HEAD = len(MAGIC) + DIGEST + 16

Shape = tuple[int, int, int]


class Part(NamedTuple):
    """The head of a part that was read; `values` is the offset of the numbers in the file."""

    sides: int
    contents: np.ndarray
    shapes: np.ndarray
    lengths: np.ndarray
    values: int

    def offset(self, row: int) -> int:
        """Where the numbers of a content begin, in bytes of the file."""
        return self.values + 4 * self.sides * int(self.lengths[:row].sum())

    def without_contents(self) -> Part:
        """What is needed once it is known which row a content has; where all rows are alike, one stands for them."""
        return self._replace(contents=self.contents[:0].copy(), shapes=_once(self.shapes), lengths=_once(self.lengths))


def _once(array: np.ndarray) -> np.ndarray:
    return np.broadcast_to(array[:1].copy(), array.shape) if len(array) and (array == array[0]).all() else array


class Parts:
    """The parts of one output, of one pipeline. One thread adds and reads.

    Raises CnntoolError for parts of another pipeline, unless `discard` says that they may go, and for a folder that
    cannot be used.
    """

    def __init__(self, output: PathLike, identity: Identity, sides: int = 1, discard: bool = False) -> None:
        self.output, self.identity, self.sides = Path(output), identity, sides
        self.folder = Path(f"{os.path.realpath(output)}.parts")
        self.count = 0  # rows that are in parts
        self._paths: list[Path] = []
        # A content's part and row in one number: few bytes for each of millions.
        self._found: dict[bytes, int] = {}
        self._heads: list[Part] = []
        self._opened: OrderedDict[int, IO[bytes]] = OrderedDict()
        self._waiting: dict[bytes, tuple[Shape, np.ndarray]] = {}
        self._bytes, self._began = 0, time.monotonic()
        self._read_part, self._read_first, self._read = -1, 0, np.empty((0, 0, 0), np.float32)
        if self.folder.is_dir():
            make_own_folder(self.folder, output)  # refuses one of somebody else
            self._take(discard)

    def _take(self, discard: bool) -> None:
        """Finds the rows that an interrupted run left."""
        ours = f"{self.identity.digest}-"
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            if path.name.startswith(ours) and not discard:
                if not self.adopt(path):
                    removed(path)
            elif discard:
                removed(path)
            else:
                raise CnntoolError(
                    f"{self.folder} holds rows of another pipeline, from a run that was stopped: give --restart to "
                    "discard them, or another OUTPUT"
                )
        if discard:
            for path in self.folder.glob(SHARDS):
                removed(path)

    def adopt(self, path: Path) -> bool:
        """Takes the rows of a part into the index; False for a file that is damaged."""
        part = read_part(path, self.identity)
        if part is None or part.sides != self.sides:
            return False
        self._enter(path, part)
        return True

    def _enter(self, path: Path, part: Part) -> None:
        first = len(self._paths) << PART_BITS
        self._paths.append(path)
        self._heads.append(part.without_contents())
        for row, content in enumerate(part.contents):
            self._found.setdefault(content.tobytes(), first + row)
        self.count = len(self._found)

    def has(self, name: str) -> bool:
        """Whether a part of this file name is in the index."""
        return self.folder / name in self._paths

    def contents(self) -> set[bytes]:
        """All contents of which there are rows."""
        return self._found.keys() | self._waiting.keys()

    def __contains__(self, content: object) -> bool:
        return content in self._found or content in self._waiting

    def form(self, content: bytes) -> tuple[Shape, int]:
        """The shape of the volume of a content, and the length of its vectors."""
        if content in self._waiting:
            shape, vectors = self._waiting[content]
            return shape, vectors.shape[1]
        part, row = self._place(content)
        height, width, channels = self._heads[part].shapes[row].tolist()
        return (height, width, channels), int(self._heads[part].lengths[row])

    def _place(self, content: bytes) -> tuple[int, int]:
        """The part that a content is in, and its row there."""
        return divmod(self._found[content], 1 << PART_BITS)

    def add(self, content: bytes, shape: Shape, vectors: np.ndarray) -> None:
        """Keeps the vectors of one content, sides x length; they are on disk after the next `flush`."""
        vectors = np.ascontiguousarray(vectors, "<f4").reshape(self.sides, -1)
        self._waiting[content] = shape, vectors
        self._bytes += vectors.nbytes
        late = time.monotonic() - self._began > SECONDS
        if len(self._waiting) >= ROWS or self._bytes >= BYTES or late:
            self.flush()

    def flush(self) -> None:
        """Writes what was added since the last part."""
        self._began = time.monotonic()
        if not self._waiting:
            return
        make_own_folder(self.folder, self.output)
        rows = [(content, *row) for content, row in self._waiting.items()]
        path, part = write_part(self.folder, self.output, self.identity, self.sides, rows)
        if path not in self._paths:
            self._enter(path, part)
        self._waiting, self._bytes = {}, 0

    def vectors(self, content: bytes) -> np.ndarray:
        """The vectors of a content, sides x length; what was added must have been flushed."""
        part, row = self._place(content)
        if part != self._read_part or not 0 <= row - self._read_first < len(self._read):
            self._read_part, self._read_first, self._read = part, row, self._rows(part, row)
        return self._read[row - self._read_first]

    def _rows(self, part: int, row: int) -> np.ndarray:
        """A row, and some after it if all are of one length, rows x sides x length: it is likely that they are next."""
        head = self._heads[part]
        length, count = int(head.lengths[row]), 1
        if not head.lengths.strides[0]:
            count = min(len(head.lengths) - row, max(1, READ_BYTES // max(1, 4 * self.sides * length)))
        file = self._file(part)
        file.seek(head.offset(row))
        values = np.fromfile(file, "<f4", count * length * self.sides)
        if len(values) != count * length * self.sides:
            raise CnntoolError(f"{self.output}: cannot be written: {self._paths[part]} was changed by another program")
        return values.reshape(count, self.sides, length)

    def _file(self, number: int) -> IO[bytes]:
        if number not in self._opened:
            with writing(self.output):
                self._opened[number] = open(self._paths[number], "rb")  # noqa: SIM115 it stays open
            if len(self._opened) > OPEN_FILES:
                self._opened.popitem(last=False)[1].close()
        self._opened.move_to_end(number)
        return self._opened[number]

    def close(self) -> None:
        """Lets go of the files; parts stay."""
        while self._opened:
            self._opened.popitem()[1].close()

    def clear(self) -> None:
        """Removes the parts once their rows are in the table; what others put into the folder stays."""
        self.close()
        for pattern in (f"*{SUFFIX}", SHARDS, INDEX):
            for path in self.folder.glob(pattern):
                removed(path)
        self.remove_if_empty()

    def remove_if_empty(self) -> None:
        with contextlib.suppress(OSError):
            self.folder.rmdir()


def write_part(
    folder: Path, output: PathLike, identity: Identity, sides: int, rows: list[tuple[bytes, Shape, np.ndarray]]
) -> tuple[Path, Part]:
    """A part of these (content, shape, vectors), on disk under its name when this returns."""
    contents = b"".join(content for content, _, _ in rows)
    shapes = np.array([shape for _, shape, _ in rows], "<i8")
    lengths = np.array([vectors.shape[1] for _, _, vectors in rows], "<i8")
    counts = np.array([len(rows), sides], "<i8").tobytes()
    inputs = hashlib.blake2b(contents, digest_size=DIGEST).hexdigest()
    path = folder / f"{identity.digest}-{inputs}{SUFFIX}"
    with writing(output):
        replacement = Replacement(path, synchronise=True, output=output)
        try:
            file = replacement.file
            head = MAGIC + bytes.fromhex(identity.digest) + counts + contents + shapes.tobytes() + lengths.tobytes()
            file.write(head)
            for _, _, vectors in rows:
                file.write(vectors.data.cast("B") if vectors.size else b"")
        except BaseException:
            replacement.abandon()
            raise
        replacement.commit()
    return path, Part(sides, np.frombuffer(contents, np.uint8).reshape(-1, DIGEST), shapes, lengths, len(head))


def read_part(path: Path, identity: Identity) -> Part | None:
    """What a part says that it holds; None if it is of another pipeline, or not as long as it says."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(HEAD)
            if len(head) < HEAD or not head.startswith(MAGIC + bytes.fromhex(identity.digest)):
                return None
            count, sides = np.frombuffer(head, "<i8", 2, HEAD - 16).tolist()
            values = HEAD + count * (DIGEST + 32)
            if not (0 <= count < 2**40 and 1 <= sides <= 2 and values <= size):
                return None
            contents = np.frombuffer(file.read(count * DIGEST), np.uint8).reshape(count, DIGEST)
            shapes = np.frombuffer(file.read(count * 24), "<i8").reshape(count, 3)
            lengths = np.frombuffer(file.read(count * 8), "<i8")
    except OSError:
        return None
    if (lengths < 0).any() or values + 4 * sides * int(lengths.sum()) != size:
        return None
    return Part(sides, contents, shapes, lengths, values)
