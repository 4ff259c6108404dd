"""Which outputs of `run` into a folder were made by which pipeline from which content: the hidden file
`.OUTPUT.index.jsonl` beside OUTPUT.

The first line names the pipeline, and the outputs that a run set out to write: after a kill these are known as its own.
Then a line an output that is whole, with its size and time, by which one that somebody changed is known.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cnntool.batches.identity import Identity
from cnntool.files import atomic, removed

SECONDS = 30  # after which what was done is brought to disk; more is done again after a kill


class Journal:
    """The index of one folder of outputs; several threads may ask and record. A context manager: saved at its end."""

    def __init__(self, base: str, identity: Identity) -> None:
        """`base` is OUTPUT without a slash at its end."""
        output = Path(base)
        self.path, self._identity = output.with_name(f".{output.name}.index.jsonl"), identity
        self._lock = threading.Lock()
        self._done: dict[str, list[Any]] = {}
        self._pending: set[str] = set()
        self._saved = time.monotonic()
        self._read()

    def _read(self) -> None:
        try:
            with open(self.path, encoding="utf-8") as file:
                head = json.loads(next(file))
                if head["digest"] == self._identity.digest:
                    self._pending = set(head["pending"])
                    self._done = {name: made for name, *made in map(json.loads, file)}
        except (OSError, ValueError, KeyError, TypeError, StopIteration):
            self._done, self._pending = {}, set()

    def is_own(self, target: Path) -> bool:
        """Whether a file that is there is this pipeline's, and unchanged since."""
        name = os.fspath(target)
        return name in self._pending or (name in self._done and self._done[name][1:] == _stamp(target))

    def knows(self, target: Path, content: bytes) -> bool:
        """Whether an output is there already, made from this content."""
        name = os.fspath(target)
        return name in self._done and self._done[name] == [content.hex(), *_stamp(target)]

    def begin(self, targets: Sequence[Path]) -> None:
        """Claims the outputs that a run will write."""
        self._pending = {os.fspath(target) for target in targets} - self._done.keys()
        self._save()

    def record(self, target: Path, content: bytes) -> None:
        """An output is in its place."""
        with self._lock:
            self._done[os.fspath(target)] = [content.hex(), *_stamp(target)]
            if time.monotonic() - self._saved > SECONDS:
                self._save()

    def _save(self) -> None:
        self._saved = time.monotonic()
        with atomic(self.path, text=True, make_folders=True) as file:
            head = {"digest": self._identity.digest, "pipeline": self._identity.text}
            file.write(json.dumps(head | {"pending": sorted(self._pending)}) + "\n")
            for name, made in self._done.items():
                file.write(json.dumps([name, *made]) + "\n")

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._pending = set()
        if self._done:
            self._save()
        else:
            removed(self.path)


class Kept(NamedTuple):
    """What a journal knows of the outputs of a run, by the numbers of its inputs."""

    journal: Journal
    targets: Sequence[Path]

    def has(self, number: int, content: bytes) -> bool:
        """Whether the output of an input of this content is there."""
        return self.journal.knows(self.targets[number], content)

    def record(self, number: int, content: bytes) -> None:
        """The output of an input is in its place."""
        self.journal.record(self.targets[number], content)


def _stamp(path: Path) -> list[int]:
    """Size and time of a file; nothing of one that is gone."""
    try:
        found = path.stat()
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns]
