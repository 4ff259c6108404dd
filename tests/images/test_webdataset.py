"""Tars in the WebDataset convention: labels beside images, and several shards as one INPUT."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnntool.errors import BadInput, CnntoolError
from cnntool.images import webdataset
from cnntool.images.sources import open_source
from cnntool.images.webdataset import expanded, label_in


def png(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (4, 3), value).save(buffer, "PNG")
    return buffer.getvalue()


def shard(path: str, members: dict[str, bytes]) -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if path.endswith("gz") else "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def sample(number: int, **sides: bytes) -> dict[str, bytes]:
    return {f"{number:04}.{side}": content for side, content in ({"png": png(number)} | sides).items()}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_labels_lie_beside_images(suffix: str) -> None:
    members = (
        sample(1, cls=b"cat\n")
        | sample(2, json=json.dumps({"label": 7, "text": "x"}).encode(), txt=b"other")
        | sample(3, txt=b"a dog")
        | sample(4, cls=b"bird", json=b'{"label": "no"}')
    )
    members = dict(sorted(members.items())) | {"0005.cls": b"early", "0005.left.png": png(5), "0005.right.png": png(6)}
    members |= {"readme.txt": b"beside no image"}
    with open_source(shard(f"a{suffix}", members), labels=True) as source:
        found = {item.name: item.label for item in source}
        values = [round(float(item.read()[0, 0, 0]) * 255) for item in source]
        assert source.notes(labels=True) == ["not read: 1 .txt"]
    assert found == {
        "0001.png": "cat", "0002.png": "7", "0003.png": "a dog", "0004.png": "bird", "0005.left.png": "early",
        "0005.right.png": "early",
    }  # fmt: skip
    assert values == [1, 2, 3, 4, 5, 6]
    with open_source(f"a{suffix}") as source:  # nothing but images was asked for
        assert {item.label for item in source} == {None}
        assert source.notes() == ["not read: 3 .cls, 3 .txt, 2 .json"]


def test_folders_are_labels_where_nothing_lies_beside() -> None:
    members = {"x/cats/1.png": png(1), "x/dogs/2.png": png(2), "x/dogs/2.txt": b"a text\nof two lines"}
    with open_source(shard("a.tar", members), labels=True) as source:
        assert [item.label for item in source] == ["cats", "dogs"]
    with (
        pytest.raises(CnntoolError, match=r"a.tar/2.png: no label"),
        open_source(shard("a.tar", sample(1, cls=b"a") | {"2.png": png(2)}), labels=True),
    ):
        pass


@pytest.mark.parametrize(
    ("side", "content", "label"),
    [
        ("cls", b" 12\n", "12"),
        ("cls", b"", None),
        ("cls", b"\xff", None),
        ("txt", b"x" * 201, None),
        ("txt", "\ufeffé".encode(), "é"),
        ("json", b"3", "3"),
        ("json", b'{"class": "cat"}', "cat"),
        ("json", b'{"label": {"a": 1}}', None),
        ("json", b"[" * 10**5, None),
        ("json", b'{"caption": "x"}', None),
        ("json", b"{", None),
    ],
)
def test_what_is_a_label(side: str, content: bytes, label: str | None) -> None:
    assert label_in(side, content) == label


def test_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    assert expanded("s-{08..11}.tar") == ["s-08.tar", "s-09.tar", "s-10.tar", "s-11.tar"]
    assert expanded("{1..2}/{0..1}") == ["1/0", "1/1", "2/0", "2/1"]
    for wrong in ("{3..1}.tar", "{0..999999999}.tar", "{0..9999}{0..9999}.tar"):
        with pytest.raises(CnntoolError, match="expected a range of at most 100,000 numbers"):
            expanded(wrong)


def three_shards() -> None:
    for number in range(3):
        members = sample(10 * number, cls=b"cat") | sample(10 * number + 1, cls=b"dog")
        shard(f"s/shard-{number:03}.tar{'.gz' if number == 1 else ''}", members)


@pytest.mark.parametrize("text", ["s", "s/", "s/shard-{000..002}.tar", "s/*.tar"])
def test_several_shards(text: str) -> None:
    three_shards()
    if "." in text:
        shard("s/shard-001.tar", sample(10, cls=b"cat") | sample(11, cls=b"dog"))
        Path("s/shard-001.tar.gz").unlink()
    with open_source(text, labels=True) as source:
        assert [(item.name, item.label) for item in source] == [
            (f"shard-{number:03}/{10 * number + place:04}.png", label)
            for number in range(3)
            for place, label in enumerate(("cat", "dog"))
        ]
        values = [round(float(item.read()[0, 0, 0]) * 255) for item in reversed(source)]
        assert values == [21, 20, 11, 10, 1, 0]


def test_folders_of_classes_are_told_from_all_shards() -> None:
    """A shard that holds one class only does not hide that its folder is a class."""
    shard("s/0.tar", {"train/cats/1.png": png(1)})
    shard("s/1.tar", {"train/dogs/1.png": png(2)})
    with open_source("s", labels=True) as source:
        assert [(item.name, item.label) for item in source] == [
            ("0/train/cats/1.png", "cats"), ("1/train/dogs/1.png", "dogs")
        ]  # fmt: skip


def test_shards_of_one_name_in_two_folders() -> None:
    shard("s/a/0.tar", {"1.png": png(1)})
    shard("s/b/0.tar", {"1.png": png(2)})
    with open_source("s") as source:
        assert [item.name for item in source] == ["s/a/0/1.png", "s/b/0/1.png"]


def test_a_broken_shard_is_one_failure_and_a_missing_one_a_mistake() -> None:
    three_shards()
    Path("s/shard-002.tar").write_bytes(b"no archive" * 100)
    with open_source("s") as source:
        assert [item.name for item in source][-1] == "shard-002.tar"
        assert source[3].read().shape == (3, 4, 1)
        with pytest.raises(BadInput, match=r"s/shard-002.tar: not an archive that can be read"):
            source[4].read()
    with pytest.raises(CnntoolError, match=r"s/shard-003.tar: no such file") as caught:
        open_source("s/shard-{002..003}.tar")
    assert caught.value.exit_code == 2


def test_a_folder_of_images_and_tars_is_one_of_images() -> None:
    three_shards()
    Path("s/a.png").write_bytes(png(1))
    with open_source("s") as source:
        assert [item.name for item in source] == ["a.png"]
        assert source.notes() == ["not read: 2 .tar, 1 .tar.gz"]


def test_many_shards_need_few_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand shards are more than a process may have open."""
    resource = pytest.importorskip("resource")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    for number in range(40):
        shard(f"s/{number:03}.tar{'.gz' if number % 4 else ''}", {"a.png": png(number), "b.png": png(number)})
    used = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").is_dir() else 100
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 20, limit[1]))
    try:
        with open_source("s") as source:
            assert np.array_equal([round(float(i.read()[0, 0, 0]) * 255) for i in source], np.repeat(range(40), 2))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)


def test_labels_of_long_members_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webdataset, "LARGEST_SIDE", 10)
    with pytest.raises(CnntoolError, match="no label"):
        open_source(shard("a.tar", sample(1, cls=b"x" * 11)), labels=True)
