"""Standard output in encodings that lack signs."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest

from cnntool.cli.encoding import write_plainly


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("utf-8", "a\u2500\u0436".encode() + b"\xe9"), ("cp1252", b"a-?\xe9"), ("ascii", b"a-?\xe9")],
)
def test_text_in_any_encoding(monkeypatch: pytest.MonkeyPatch, encoding: str, expected: bytes) -> None:
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding=encoding, write_through=True))
    write_plainly()
    sys.stdout.write("a\u2500\u0436\udce9")
    assert buffer.getvalue() == expected


def test_messages_in_any_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(buffer, encoding="cp1252", write_through=True))
    write_plainly()
    sys.stderr.write("a\u2500\u0436\udce9")
    assert buffer.getvalue() == b"a-\\u0436\\xe9"


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1:strict", "utf-8:strict"])
def test_a_table_of_shapes(encoding: str) -> None:
    words = [sys.executable, "-m", "cnntool", "shape", "8x8x3", "conv", "4", "3"]
    found = subprocess.run(words, capture_output=True, env=os.environ | {"PYTHONIOENCODING": encoding})
    assert (found.returncode, found.stderr) == (0, b"")
    rule = found.stdout.splitlines()[1].decode(encoding.partition(":")[0]).strip()
    assert set(rule) == ({"\u2500"} if encoding.startswith("utf") else {"-"})
