"""Kernels that other processes compile: those and no others, and all the same if such a process fails."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from cnntool.kernels import ahead, cache, common, worker
from cnntool.kernels.code import compiled

NAMES = [
    f"activations.{word}_forward-f2iif2iiii" for word in ("relu", "abs", "sigmoid", "tanh", "silu", "gelu", "softplus")
]

OTHER_SOURCES = "import sys; [sys.stdout.buffer.write(bytes(8)) and sys.stdout.flush() for line in sys.stdin]"
WINOGRAD = "C3f3iif1F5f1f1iiiC3f3iiS2iiT4f3f3f2f1fR2ii"
KINDS = dict.fromkeys((f"conv_winograd_{kind}forward" for kind in ("", "small_", "strided_", "5x5_")), WINOGRAD)
KINDS |= {
    "conv_winograd_images_forward": "f4iif1f1f4iil1",
    "conv_images_forward": "f4iiF5f1f1iiif4V3T2iiT2iiT2iiW4T2iiT2iiT2iiT4iiii",
    "direct_rows": "C3f3iiF5f1f1iiiC3f3iiS2iiR2iiiif",
}


class Compiler:
    """Compiles here, and keeps count."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, name: str) -> bytes:
        self.names.append(name)
        return b"-" + name.encode()


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "FOLDER", tmp_path)
    monkeypatch.setattr(ahead, "processes", 1)


def answers(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes other processes run a script instead of compiling."""
    monkeypatch.setattr(ahead, "COMMAND", ["-c", script])


def everything_arrives(kernels: int) -> None:
    """Waits until another process has compiled so many."""
    assert ahead._active is not None
    while len(ahead._active.orders) < kernels:
        time.sleep(0.001)
    for order in ahead._active.orders.values():
        order.arrived.wait()


def codes(names: list[str], here: Compiler) -> list[bytes]:
    with ahead.expecting(lambda: names):
        return [ahead.code_of(name, here) for name in names]


def test_other_processes_compile_for_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    echo = """
import sys
for line in sys.stdin:
    code = b"+" + line.strip().rpartition("-")[0].encode()
    sys.stdout.buffer.write(len(code).to_bytes(8, "little") + code)
    sys.stdout.flush()
"""
    answers(echo, monkeypatch)

    class Slow(Compiler):
        def __call__(self, name: str) -> bytes:
            if name == NAMES[0]:
                everything_arrives(len(NAMES) - 1)
            return super().__call__(name)

    here = Slow()
    assert codes(NAMES, here) == [f"{'+' if name in NAMES[1:] else '-'}{name}".encode() for name in NAMES]
    assert here.names == NAMES[:1]
    assert ahead._active is None


@pytest.mark.parametrize(
    "script",
    [
        "import sys; sys.exit(1)",
        OTHER_SOURCES,
        "import sys; sys.stdin.readline(); sys.stdout.buffer.write((100).to_bytes(8, 'little') + b'cut')",
    ],
    ids=["ends", "has other sources", "dies in an answer"],
)
def test_what_another_process_does_not_give_is_compiled_here(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(script, monkeypatch)
    assert codes(NAMES, Compiler()) == [b"-" + name.encode() for name in NAMES]


@pytest.mark.parametrize("kernel", ahead.CALLED)
def test_the_kernels_that_kernels_call_are_known(kernel: str) -> None:
    code = compiled(f"{kernel}-{KINDS[kernel.partition('.')[2]]}")
    called = code.partition(b"\n")[0].decode().split()
    assert set(ahead.with_called(called)) == set(ahead.CALLED[kernel])


def test_no_process_that_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert codes(NAMES, Compiler()) == [b"-" + name.encode() for name in NAMES]


def test_a_process_starts_at_once_if_nothing_is_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(OTHER_SOURCES, monkeypatch)
    ahead.prepare(1)
    (process,) = ahead._ready
    assert codes(NAMES, Compiler()) == [b"-" + name.encode() for name in NAMES]
    process.wait(60)
    assert not ahead._ready
    cache.write(NAMES[0], b"code")
    ahead.prepare(1)
    assert not ahead._ready


def test_few_kernels_or_none_expected_are_compiled_here(monkeypatch: pytest.MonkeyPatch) -> None:
    answers("raise SystemExit('not to be started')", monkeypatch)
    here = Compiler()
    codes(NAMES[:2], here)
    ahead.code_of(NAMES[2], here)
    assert here.names == NAMES[:3]


def test_the_other_process_makes_code(monkeypatch: pytest.MonkeyPatch) -> None:
    names = NAMES[:3]

    class Waits(Compiler):
        def __call__(self, name: str) -> bytes:
            everything_arrives(len(names) - 1)
            return super().__call__(name)

    first, *others = codes(names, Waits())
    assert first == b"-" + names[0].encode()
    assert [len(code) for code in others] == pytest.approx([len(compiled(name)) for name in names[1:]], rel=0.1)


def test_a_process_of_other_sources_says_so(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(sys, "stdin", [f"{NAMES[0]}-0123456789abcdef{cache.SUFFIX}\n"])
    worker.main()
    assert capfdbinary.readouterr().out == bytes(common.SIZE)
