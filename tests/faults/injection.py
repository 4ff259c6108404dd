"""Commands whose N-th operation on files fails, and what must hold then.

Every output is the old file or a new one whole; a failure that took an output away is told, with the file and the
reason; the next run works and leaves nothing behind. `python -m tests.faults` goes through all operations with all
errors, and the tests through all operations with one error each.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import fcntl
import io
import json
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from cnntool import Pipeline, locks
from cnntool.cli import run
from cnntool.cli.main import main

KILL = "kill"
FAULTS: tuple[int | str, ...] = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EINTR, KILL)
OPERATIONS = ("open", "write", "close", "fsync", "replace", "rename", "unlink", "remove", "mkdir", "rmdir", "dup")
KILLED = 77
OLD = b"old"


class Result(NamedTuple):
    code: int
    told: str


def call(line: str) -> Result:
    """Runs a command in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    before = sys.stdin, sys.stdout, sys.stderr
    sys.stdin, sys.stdout, sys.stderr = io.TextIOWrapper(io.BytesIO()), out, err
    locks._scanned.clear()
    try:
        code = main(line.split())
    finally:
        sys.stdin, sys.stdout, sys.stderr = before
    return Result(code, err.buffer.getvalue().decode())


@contextlib.contextmanager
def failing(number: int, fault: int | str, for_good: bool = False) -> Iterator[list[str]]:
    """Within the block the operation of that number fails, or is the last one of the process; gives those that came.

    With `for_good` all later ones fail too.
    """
    came: list[str] = []

    def now(name: str) -> bool:
        came.append(name)
        return len(came) == number or (for_good and len(came) > number)

    def raised(name: str) -> OSError:
        if fault == KILL:
            os._exit(KILLED)
        assert isinstance(fault, int)
        return OSError(fault, os.strerror(fault), name)

    def faulty(name: str, real: Callable) -> Callable:
        def operation(*arguments: Any, **options: Any) -> Any:
            if not now(name):
                return real(*arguments, **options)
            if name == "write":  # half of it comes through
                real(arguments[0], memoryview(arguments[1]).cast("B")[: len(memoryview(arguments[1]).cast("B")) // 2])
            elif name == "close":  # the system closes it all the same
                real(*arguments)
            raise raised(name)

        return operation

    real_open = builtins.open

    def faulty_open(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        ours = ".parts" in str(file) or set(mode) & set("wax+")
        if ours and now("builtins.open"):
            raise raised("builtins.open")
        return real_open(file, mode, *arguments, **options)

    with contextlib.ExitStack() as stack:
        for name in OPERATIONS:
            stack.callback(setattr, os, name, getattr(os, name))
            setattr(os, name, faulty(name, getattr(os, name)))
        stack.callback(setattr, fcntl, "flock", fcntl.flock)
        fcntl.flock = faulty("flock", fcntl.flock)  # type: ignore[assignment]
        stack.callback(setattr, builtins, "open", real_open)
        builtins.open = faulty_open  # type: ignore[assignment]
        yield came


def attempt(line: str, number: int, fault: int | str, for_good: bool = False) -> tuple[Result, int]:
    """Runs a command with that fault; the number of its operations, at least `number` if the fault came."""
    if fault != KILL:
        with failing(number, fault, for_good) as came:
            return call(line), len(came)
    child = os.fork()
    if not child:
        try:
            with failing(number, fault):
                call(line)
                os._exit(0)
        except BaseException:  # must not go on with the tests
            traceback.print_exc()
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code not in (0, KILLED):
        raise Trouble(f"{line}: operation {number} {fault}: the process ended by itself, with exit code {code}")
    return Result(code, ""), number if code == KILLED else number - 1


def is_model(path: Path) -> bool:
    Pipeline.load(path).weights((12, 10, 1))
    return True


def is_history(path: Path) -> bool:
    head, *rows = path.read_text().splitlines()
    return (
        len(rows) in (1, 2) and {line.count(",") for line in (head, *rows)} == {7} and path.read_bytes()[-1:] == b"\n"
    )


def is_checkpoint(path: Path) -> bool:
    with np.load(path, allow_pickle=False) as loaded:
        return all(loaded[name] is not None for name in loaded.files)


def is_list(path: Path) -> bool:
    """A whole list of failures."""
    lines = path.read_text().splitlines(keepends=True)
    return bool(lines) and all(
        line.endswith("\n") and set(json.loads(line)) == {"path", "kind", "message"} for line in lines
    )


class Case(NamedTuple):
    """A command, its outputs, and for those that differ from run to run what makes them whole."""

    line: str
    outputs: tuple[str, ...]
    whole: dict[str, Callable[[Path], bool]] = {}
    large: int = 2**28


TRAIN = "train photos m.npz --epochs 2 --batch-size 4 --threads 1 --overwrite fc 2"
MAPS = tuple(f"maps/{label}/{number}.npy" for label in "xy" for number in range(3))
CASES = [
    Case("run a.png o.npy --overwrite relu", ("o.npy",)),
    Case("run a.png o.npy --overwrite relu", ("o.npy",), large=0),  # a band of rows at a time
    Case("run a.png o.png --overwrite relu", ("o.png",)),
    Case("run a.png o.jpg --overwrite relu", ("o.jpg",)),
    *(Case(f"run {folder} maps/ --overwrite --threads 1 relu", (*MAPS, "maps.errors.jsonl"),
           {"maps.errors.jsonl": is_list}) for folder in ("photos", "broken")),
    *(Case(f"extract {folder} t.{suffix} --labels --overwrite --threads 1 relu",
           (f"t.{suffix}", f"t.{suffix}.errors.jsonl"))
      for folder in ("photos", "broken") for suffix in ("npz", "csv", "jsonl")),
    Case("fit photos m.npz --overwrite --threads 1 whiten", ("m.npz",)),
    Case("fit photos m.safetensors --overwrite --threads 1 --show-filters f.png bank kmeans 4 3",
         ("m.safetensors", "f.png")),
    Case(TRAIN, ("m.npz", "m.history.csv", "m.checkpoint.npz"),
         {"m.npz": is_model, "m.history.csv": is_history, "m.checkpoint.npz": is_checkpoint}),
    Case("train table.npz m.npz --overwrite", ("m.npz",)),
    Case("predict model.npz photos p.csv --overwrite --threads 1", ("p.csv",)),
    Case("predict model.npz photos p.jsonl --overwrite --threads 1", ("p.jsonl",)),
    Case("evaluate model.npz photos --csv c.csv --overwrite --threads 1", ("c.csv",)),
]  # fmt: skip


def make_inputs() -> None:
    """Pictures of two classes, a folder with a broken one, a table and a model, in the present folder."""
    rng = np.random.default_rng(0)
    for label in "xy":
        for folder in ("photos", "broken"):
            Path(folder, label).mkdir(parents=True)
            for number in range(3):
                Image.fromarray(rng.integers(0, 256, (12, 10), np.uint8)).save(f"{folder}/{label}/{number}.png")
    Path("broken/x/bad.png").write_text("no picture")
    Image.fromarray(rng.integers(0, 256, (100, 100, 3), np.uint8)).save("a.png")
    assert call("extract photos table.npz --labels --threads 1 relu").code == 0
    assert call(TRAIN.replace("m.npz", "model.npz")).code == 0


class Trouble(AssertionError):
    """What did not hold."""


class Sweep:
    """One case in the present folder, with older outputs there; `counts` of (fault, what came of it)."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.before = set(os.listdir())
        run.LARGE_BYTES = case.large
        self.clear()
        self.usual = call(case.line)
        self.new = self.contents()
        self.check_clean()
        self.clear()

    def clear(self) -> None:
        """Older outputs and nothing else but the inputs."""
        for name in set(os.listdir()) - self.before:
            shutil.rmtree(name) if os.path.isdir(name) else os.unlink(name)
        for name in self.case.outputs:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_bytes(OLD)

    def contents(self) -> dict[str, bytes | None]:
        return {name: Path(name).read_bytes() if os.path.exists(name) else None for name in self.case.outputs}

    def is_whole(self, name: str, content: bytes | None) -> bool:
        """Whether it is an output of this run, if only of its beginning."""
        if name in self.case.whole and content is not None:
            return content != OLD and self.case.whole[name](Path(name))
        return content == self.new[name]

    def all_new(self, found: dict[str, bytes | None]) -> bool:
        """Whether all is as a run without faults makes it; what differs each time need only be there or not."""
        return all(
            self.is_whole(name, content) and (content is None) == (self.new[name] is None)
            for name, content in found.items()
        )

    def check_clean(self) -> None:
        names = {path.as_posix() for path in Path().rglob("*")}
        if strange := [name for name in names if ".cnntool-" in name or ".parts" in name]:
            raise Trouble(f"left behind: {strange}")

    def once(self, number: int, fault: int | str, for_good: bool = False) -> str | None:
        """One run with a fault, and one after it; what came of the fault, or None if the run had ended before it."""
        result, came = attempt(self.case.line, number, fault, for_good)
        if came < number:
            self.clear()
            return None
        found = self.contents()
        what = f"{self.case.line}: operation {number} {fault}: {result}"
        for name, content in found.items():
            # what a run leaves away in the end may be there in between
            if not (content in (OLD, None) or self.is_whole(name, content)):
                raise Trouble(f"{what}: {name} is neither old nor new: {content!r:.80}")
            if content is None and self.new[name] is not None:
                raise Trouble(f"{what}: {name} is gone")
        outcome = "killed" if fault == KILL else "harmless" if self.all_new(found) else "told"
        if outcome == "harmless" and result.code != self.usual.code:
            outcome = "told"
        if outcome == "told":
            assert isinstance(fault, int)
            if result.code not in (1, 2) or os.strerror(fault) not in result.told:
                raise Trouble(f"{what}: not told")
            if not any(Path(name).name.split(".")[0] in result.told for name in self.case.outputs):
                raise Trouble(f"{what}: no file is named")
        if "Traceback" in result.told or "Exception ignored" in result.told:
            raise Trouble(f"{what}: a traceback")
        after = call(self.case.line)
        if after.code != self.usual.code:
            raise Trouble(f"{what}: the next run fails: {after}")
        if not self.all_new(self.contents()):
            raise Trouble(f"{what}: the next run does not make the same")
        self.check_clean()
        self.clear()
        return outcome
