"""Members of a tar, by the header that is read here and by the standard library's."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from cnntool.images import tars
from cnntool.images.tars import Tar

RANDOM = np.random.default_rng(0)
FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def made(path: Path, form: int, mode: str = "w") -> Path:
    """Files, also empty ones and with long names, among all other kinds of members."""
    with tarfile.open(path, mode, format=form, pax_headers={"comment": "x"}) as archive:  # type: ignore[call-overload]
        for number in range(12):
            names = f"{number}.png", f"é{number}.png", f"{'d' * 60}/{'n' * 60}{number}.png"
            for name in names:
                info = tarfile.TarInfo(name)
                info.size, info.mtime = 300 * (number % 4), number
                archive.addfile(info, io.BytesIO(RANDOM.bytes(info.size)))
            for kind in (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
                info = tarfile.TarInfo(f"other{number}")
                info.type, info.linkname = kind, "0.png"
                archive.addfile(info)
    return path


def listed(path: Path) -> object:
    """Members with their places, or what is wrong."""
    archive = Tar(str(path))
    try:
        return archive.members(), archive._found
    except Exception as error:
        return type(error), str(error)


def listed_by_library(path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    with monkeypatch.context() as patch:
        patch.setattr(tars, "_plain", lambda *_: None)
        return listed(path)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_members_are_those_of_the_library(
    tmp_path: Path, form: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made(tmp_path / "a.tar", FORMATS[form], mode)
    expected = listed_by_library(path, monkeypatch)
    assert listed(path) == expected
    assert isinstance(expected, tuple)
    assert len(expected[0]) == 12 * 7


@pytest.mark.parametrize("form", ["ustar", "gnu"])
def test_plain_members_need_no_library(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=FORMATS[form]) as archive:
        for number in range(50):
            info = tarfile.TarInfo(f"{number}.png")
            info.size = number
            archive.addfile(info, io.BytesIO(bytes(number)))
    calls: list[int] = []
    frombuf = tarfile.TarInfo.frombuf
    monkeypatch.setattr(tarfile.TarInfo, "frombuf", lambda *words: calls.append(1) or frombuf(*words))
    assert len(Tar(str(tmp_path / "a.tar")).members()) == 50
    assert len(calls) == 2  # the first, and the end


@pytest.mark.parametrize("form", FORMATS)
def test_damage_is_found_as_by_the_library(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = made(tmp_path / "a.tar", FORMATS[form]).read_bytes()
    path = tmp_path / "b.tar"
    for number in range(150):
        changed = bytearray(content)
        header = 512 * int(RANDOM.integers(len(content) // 512))
        changed[header + int(RANDOM.integers(512))] = int(RANDOM.integers(256))
        path.write_bytes(bytes(changed)[: None if number % 3 else int(RANDOM.integers(len(content)))])
        assert listed(path) == listed_by_library(path, monkeypatch)
