"""Chains as one string, and as files of words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnntool.chain.grammar import parse_words
from cnntool.chain.text import parse_file, split_text
from cnntool.errors import CnntoolError
from cnntool.limits import LARGEST_PIPELINE


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("conv 64 3 relu", ["conv", "64", "3", "relu"]),
        ("  conv\t64\n3\r\n\nrelu  ", ["conv", "64", "3", "relu"]),
        ("relu # all that follows\nabs", ["relu", "abs"]),
        ("# nothing but words about words", []),
        ("relu#2", ["relu"]),
        ("""mark 'a name' add "a name" """, ["mark", "a name", "add", "a name"]),
        ("mark 'a # b'", ["mark", "a # b"]),
        (r"bank my\ file.npy", ["bank", "my file.npy"]),
        ("", []),
    ],
)
def test_texts_are_split_as_a_shell_does(text: str, words: list[str]) -> None:
    assert split_text(text) == words


def test_an_open_quote_is_an_error() -> None:
    with pytest.raises(CnntoolError, match="every quote to be closed"):
        split_text("mark 'x")


def test_a_file_holds_the_words_of_the_shell(tmp_path: Path) -> None:
    path = tmp_path / "net.cnn"
    path.write_text("# a network\nconv 8 3 --stride 2  # halves\n\trelu\nmark 'the end'\n")
    assert parse_file(path) == parse_words(["conv", "8", "3", "--stride", "2", "relu", "mark", "the end"])
    assert parse_file(str(path)) == parse_file(path)


def test_names_in_a_file_are_relative_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nets").mkdir()
    np.save(tmp_path / "nets" / "filters.npy", np.ones((3, 3, 2), np.float32))
    (tmp_path / "nets" / "net.cnn").write_text("bank filters.npy bank file filters.npy conv 2 3 --weights w.npy")
    monkeypatch.chdir(tmp_path)
    for path in ("nets/net.cnn", tmp_path / "nets" / "net.cnn"):
        first, second, conv = parse_file(path)
        assert first == second
        assert Path(first.options()["path"]) == Path(path).parent / "filters.npy"
        assert Path(conv.options()["weights"]) == Path(path).parent / "w.npy"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"conv 64", "missing argument 'KERNEL_SIZE'"),
        (b"mark 'x", "every quote to be closed"),
        (b"\x89PNG\r\n", "not a pipeline file that can be read"),
        (b"relu\n" * (LARGEST_PIPELINE // 5 + 1), "over 1 MiB"),
        (None, "no such file"),
    ],
)
def test_errors_name_the_file(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "net.cnn"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CnntoolError) as caught:
        parse_file(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_pipeline_file(tmp_path: Path) -> None:
    with pytest.raises(CnntoolError, match="not a pipeline file that can be read"):
        parse_file(tmp_path)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no such device")
def test_a_device_without_an_end_is_read_no_further_than_the_limit():
    with pytest.raises(CnntoolError, match=r"^/dev/zero: a pipeline file of over 1 MiB"):
        parse_file("/dev/zero")
