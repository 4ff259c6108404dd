"""The shell called in this process, with everything that it says and the code it ends with."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from cnntool.cli.main import main

COMPILING = "cnntool: compiling kernels"
Tool = Callable[..., "Result"]


class Result(NamedTuple):
    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    def refused(self) -> str:
        """The message of a wrong use, once its form is checked: short, no traceback, exit code 2, nothing on stdout."""
        assert self.code == 2, (self.code, self.err)
        assert self.out == b""
        assert 1 <= len(self.err.splitlines()) <= 3, self.err
        assert "Traceback" not in self.err
        assert self.err.startswith("cnntool")
        return self.err


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def cnntool(monkeypatch: pytest.MonkeyPatch) -> Tool:
    """`cnntool("run", "a.png", "b.npy", "relu", stdin=b"")`; `terminal` names the streams that are terminals."""

    def call(*words: object, stdin: bytes = b"", terminal: tuple[str, ...] = ()) -> Result:
        out, err = io.BytesIO(), io.BytesIO()

        def stream(name: str, buffer: io.BytesIO) -> io.TextIOWrapper:
            return (Terminal if name in terminal else io.TextIOWrapper)(buffer, encoding="utf-8", write_through=True)

        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", stream("stdin", io.BytesIO(stdin)))
            patch.setattr(sys, "stdout", stream("stdout", out))
            patch.setattr(sys, "stderr", stream("stderr", err))
            code = main([os.fspath(word) if isinstance(word, Path) else str(word) for word in words])
            # Whether kernels had to be compiled depends on what ran before: that notice has tests of its own.
            said = [line for line in err.getvalue().decode().splitlines(True) if not line.startswith(COMPILING)]
            return Result(code, out.getvalue(), "".join(said))

    return call


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the present one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pixels(height: int = 20, width: int = 24, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Random bytes H x W x C, or H x W for one channel."""
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def save(path: Path | str, array: np.ndarray | None = None) -> Path:
    """A picture of the array, or of random colours, and the folders it lies in."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels() if array is None else array).save(path)
    return path


def files(folder: Path) -> set[str]:
    """All files below a folder, hidden ones too."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
