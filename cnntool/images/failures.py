"""`OUTPUT.errors.jsonl`: the inputs that failed, and why."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from cnntool.errors import CnntoolError
from cnntool.files import PathLike, Replacement, removed
from cnntool.images.tables import refuse_existing


class ErrorsFile:
    """`OUTPUT.errors.jsonl`: one {"path", "kind", "message"} a line, `count` of them; it appears when the work ends.

    One that an earlier run left is replaced at the end, since its inputs are tried again. Raises CnntoolError for any
    other file of that name without `overwrite`.
    """

    def __init__(self, path: PathLike, overwrite: bool = False) -> None:
        self.path = Path(f"{os.fspath(path).rstrip('/')}.errors.jsonl")
        self.count = 0
        self._replacement: Replacement | None = None
        if not overwrite and not is_list_of_failures(self.path):
            refuse_existing(self.path, False)

    def add(self, name: str, error: CnntoolError) -> None:
        line = json.dumps({"path": name, "kind": error.kind, "message": " ".join(str(error).split())})
        if self._replacement is None:
            self._replacement = Replacement(self.path, make_folders=True)
        self._replacement.file.write(f"{line}\n".encode())
        self.count += 1

    def commit(self) -> None:
        """Makes the file appear; without failures there is none, nor that of an earlier run."""
        if self._replacement is not None:
            self._replacement.commit()
        else:
            removed(self.path)

    def abandon(self) -> None:
        """Leaves what was there."""
        if self._replacement is not None:
            self._replacement.abandon()

    def __enter__(self) -> ErrorsFile:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Work that ends early keeps the results so far: their failures are kept too, unless older ones are there."""
        if kind is None:
            self.commit()
            return
        if self._replacement is not None and not os.path.lexists(self.path):
            with contextlib.suppress(CnntoolError):
                self._replacement.commit()
        self.abandon()


def is_list_of_failures(path: Path) -> bool:
    """Whether a file is what an earlier run wrote; by its first line, for it may be long."""
    try:
        with open(path, "rb") as file:
            first = json.loads(file.readline(2**16))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(first, dict) and set(first) == {"path", "kind", "message"}
