from __future__ import annotations

from pathlib import Path

import pytest

from cnntool.errors import CnntoolError
from cnntool.images.names import clean_name, composed, is_for_many, on_disk, output_paths


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("cats/1.jpg", "cats/1.jpg"),
        ("./a//b.png", "a/b.png"),
        ("../../etc/x.png", "etc/x.png"),
        ("/etc/x.png", "etc/x.png"),
        ("C:\\users\\..\\x.png", "users/x.png"),
        ("a\0b.png", "ab.png"),
        ("..", "_"),
        ("", "_"),
        ("a..b/...png", "a..b/...png"),
    ],
)
def test_clean_name(name, clean):
    assert clean_name(name) == clean


def test_forms():
    assert is_for_many("maps/")
    assert is_for_many("x_%s.npy")
    assert not is_for_many("maps.npy")


def test_folder_and_template():
    names = ["cats/1.jpg", "dogs/a.b.png", "plain", ".odd", "../up.png"]
    folder = [Path(path) for path in ("m/cats/1.npy", "m/dogs/a.b.npy", "m/plain.npy", "m/.odd.npy", "m/up.npy")]
    assert output_paths(names, "m/") == folder
    assert output_paths(["cats/1.jpg"], "m/", ".png") == [Path("m/cats/1.png")]
    assert output_paths(["cats/1.jpg", "%s.jpg"], "m/%s-%s.npy") == [Path("m/cats/1-cats/1.npy"), Path("m/%s-%s.npy")]


def test_two_inputs_with_one_output_are_refused():
    for names in (["a.png", "b.png", "a.jpg"], ["a.png", "../a.png"], ["x/a.png", "x//a.png"]):
        with pytest.raises(CnntoolError, match=r"a\..* and .*a\..* would both be written to m/.*a\.npy"):
            output_paths(names, "m/")


def test_one_output_for_many_is_refused():
    with pytest.raises(CnntoolError, match=r"maps.npy: one output for many"):
        output_paths(["a.png"], "maps.npy")


def test_composed_names():
    assert composed("cafe\u0301/a") == "caf\u00e9/a"
    assert composed("a/b.png") == "a/b.png"


def test_a_name_as_the_disk_has_it(tmp_path):
    (tmp_path / "cafe\u0301").write_bytes(b"")
    assert on_disk(str(tmp_path / "caf\u00e9")) == str(tmp_path / "cafe\u0301")
    assert on_disk("n\u00f6ne") == "n\u00f6ne"
    (tmp_path / "m\u00fcller").mkdir()
    (tmp_path / "m\u00fcller" / "cafe\u0301").write_bytes(b"")  # unpacked from elsewhere into a folder of this system
    for typed in ("m\u00fcller/caf\u00e9", "mu\u0308ller/cafe\u0301", "mu\u0308ller/caf\u00e9"):
        assert on_disk(str(tmp_path / typed)) == str(tmp_path / "m\u00fcller" / "cafe\u0301")
