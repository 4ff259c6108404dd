from __future__ import annotations

import json
import os

import pytest

from cnntool.errors import BadInput, CnntoolError, Missing
from cnntool.images.failures import ErrorsFile


def test_errors_file(tmp_path):
    path = tmp_path / "t.npz.errors.jsonl"
    with ErrorsFile(tmp_path / "t.npz") as errors:
        errors.add("a.png", BadInput("a.png: two\nlines"))
        errors.add("ü\udcff.png", Missing("text"))
        assert not path.exists()
    first, second = path.read_text().splitlines()
    assert first == '{"path": "a.png", "kind": "unreadable", "message": "a.png: two lines"}'
    assert json.loads(second) == {"path": "ü\udcff.png", "kind": "missing", "message": "text"}
    assert errors.count == 2
    assert os.listdir(tmp_path) == [path.name]


def test_older_errors_are_replaced_by_the_end_of_a_run_that_may(tmp_path):
    path = tmp_path / "t.npz.errors.jsonl"
    path.write_text("old")
    with pytest.raises(CnntoolError, match=r"t.npz.errors.jsonl: is there already: give --overwrite"):
        ErrorsFile(tmp_path / "t.npz")

    def stopped():
        with ErrorsFile(tmp_path / "t.npz", overwrite=True) as errors:
            errors.add("a.png", BadInput("text"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert path.read_text() == "old"
    with ErrorsFile(tmp_path / "t.npz", overwrite=True):
        assert path.read_text() == "old"
    assert os.listdir(tmp_path) == []
    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert '"a.png"' in path.read_text()
    assert os.listdir(tmp_path) == [path.name]


def test_a_list_of_an_earlier_run_is_replaced(tmp_path):
    path = tmp_path / "t.npz.errors.jsonl"
    for name in ("a.png", "b.png"):
        with ErrorsFile(tmp_path / "t.npz") as errors:
            errors.add(name, BadInput("text"))
    assert [json.loads(line)["path"] for line in path.read_text().splitlines()] == ["b.png"]
    with ErrorsFile(tmp_path / "t.npz"):
        pass
    assert os.listdir(tmp_path) == []
