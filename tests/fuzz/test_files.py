from __future__ import annotations

import pytest

from tests.fuzz import calls
from tests.fuzz.calls import Wrong, call, small_machine
from tests.fuzz.files import READERS, check, prepare, prepare_images, readers_of


def test_damaged_files_are_read_or_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with small_machine():
        contents = prepare()
        codes = [check(seed, contents) for seed in range(400)]
    assert {0, 2} <= set(codes)


def test_damaged_images_and_archives_are_read_or_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with small_machine():
        contents = prepare_images()
        codes = [check(seed, contents) for seed in range(300)]
    assert {0, 1} <= set(codes)


def test_whole_images_and_archives_are_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, content in prepare_images().items():
        (tmp_path / name).write_bytes(content)
        for words in readers_of(name):
            if "--resize" not in words or not name.endswith(".npy"):
                assert call(words) == (0, ""), words


def test_whole_files_are_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prepare()
    for lines in READERS.values():
        for words in lines:
            assert call(words) == (0, "") or words[0] in ("shape", "train")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda words: 1 // 0, "ZeroDivisionError"),
        (lambda words: 3, "exit code 3"),
        (lambda words: 2, "without a word"),
        (lambda words: print("x" * 1001, file=calls.sys.stderr) or 0, "a message of 1002"),
        (lambda words: print("out of memory", file=calls.sys.stderr) or 1, "not refused"),
    ],
)
def test_what_is_wrong_is_found(monkeypatch, answer, message):
    monkeypatch.setattr(calls, "main", answer)
    with pytest.raises(Wrong, match=message):
        call(["run"])
