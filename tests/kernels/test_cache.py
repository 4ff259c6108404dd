"""Files of machine code: who may have written them, what is deleted, many processes at once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cnntool.kernels import cache

NAME = "activations.relu_forward-f2iif2iiii"
posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="folders have owners on POSIX only")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache in use."""
    monkeypatch.setenv("CNNTOOL_CACHE_DIR", str(tmp_path / "a" / "b"))
    found = cache._writable_folder()
    assert found is not None
    monkeypatch.setattr(cache, "FOLDER", found)
    monkeypatch.setattr(cache, "_pruned", False)
    return found


def test_what_is_written_is_read(folder: Path) -> None:
    assert cache.read(NAME) is None
    cache.write(NAME, b"code")
    cache.write(NAME, b"other code")
    assert cache.read(NAME) == b"other code"
    assert cache.read("activations.relu_forward-f3") is None
    assert cache.kept_kernels() == [NAME]
    assert cache.FOLDER is not None
    for stale in (f"{NAME}-0123456789abcdef", "of_no_source.kernel-f2-0123456789abcdef"):
        (cache.FOLDER / f"{stale}.code").write_bytes(b"of another source")
    assert cache.kept_kernels() == [NAME]
    assert cache.problem() == ""


@posix
def test_folders_and_files_are_the_user_s_alone(folder: Path) -> None:
    before = os.umask(0)
    try:
        os.environ["CNNTOOL_CACHE_DIR"] += "/c/d"
        made = cache._writable_folder()
        cache.write(NAME, b"code")
    finally:
        os.umask(before)
    assert made is not None
    assert [path.stat().st_mode & 0o777 for path in (made, made.parent, made.parents[1])] == [0o700] * 3
    (file,) = folder.glob("*.code")
    assert file.stat().st_mode & 0o777 == 0o600


@posix
@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777, 0o1777])
def test_a_folder_that_others_may_write_to_is_not_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    folder.chmod(mode)
    assert cache._writable_folder() is None
    monkeypatch.setattr(cache, "FOLDER", None)
    assert cache.problem() == f"others may write to {folder}"


@posix
@pytest.mark.parametrize(("mode", "used"), [(0o755, True), (0o1777, True), (0o757, False), (0o775, False)])
def test_a_folder_above_it_that_others_may_write_to(
    folder: Path, monkeypatch: pytest.MonkeyPatch, mode: int, used: bool
) -> None:
    monkeypatch.setattr(cache, "_is_private", lambda group: False)
    folder.parent.chmod(mode)
    assert (cache._writable_folder() is not None) == used
    assert cache.open_to_others(folder) == ("" if used else f"others may write to {folder.parent}")


@posix
def test_a_group_of_one_user_may_write_above_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_is_private", lambda group: group == folder.stat().st_gid)
    folder.parent.chmod(0o775)
    assert cache._writable_folder() is not None
    folder.chmod(0o770)
    assert cache._writable_folder() is None


@posix
def test_the_folder_of_another_user_is_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    assert cache._writable_folder() is None
    assert cache.open_to_others(folder) == f"{folder} belongs to another user"


@posix
@pytest.mark.parametrize("how", ["others may write", "a link", "a folder", "another user's", "a pipe"])
def test_a_file_that_others_may_have_written_is_not_run_and_replaced(
    folder: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    cache.write(NAME, b"planted")
    (file,) = folder.glob("*.code")
    with monkeypatch.context() as patch:
        if how == "others may write":
            file.chmod(0o622)
        elif how == "a link":
            file.rename(folder / "elsewhere")
            file.symlink_to(folder / "elsewhere")
        elif how == "another user's":
            user = os.geteuid()
            patch.setattr(os, "geteuid", lambda: user + 1)
        else:
            file.unlink()
            file.mkdir() if how == "a folder" else os.mkfifo(file)
        assert cache.read(NAME) is None
    if how != "a folder":
        cache.write(NAME, b"mine")
        assert cache.read(NAME) == b"mine"


@pytest.mark.parametrize("damage", ["cut", "empty", "a bit", "another kernel's", "another state's"])
def test_a_damaged_or_exchanged_file_counts_as_missing(folder: Path, damage: str) -> None:
    cache.write(NAME, b"some code")
    (file,) = folder.glob("*.code")
    content = file.read_bytes()
    if damage == "another kernel's":
        cache.write("activations.elu_forward-f2", b"some code")
        content = next(folder.glob("activations.elu*")).read_bytes()
    elif damage == "another state's":
        content = cache.digest(file.name.replace(file.name[-10:-5], "00000"), b"some code") + b"some code"
    file.write_bytes({"cut": content[:20], "empty": b"", "a bit": content[:-1] + b"f"}.get(damage, content))
    assert cache.read(NAME) is None
    cache.write(NAME, b"some code")
    assert cache.read(NAME) == b"some code"


def test_nothing_is_deleted_but_old_code_and_what_was_left_unfinished(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, hour = folder / "dense.old-f1-0123456789abcdef.code", time.time() - 2 * cache.HOUR
    left = folder / "dense.old-f1-0123456789abcdef-abc_1234.unfinished"
    fresh = folder / "dense.old-f1-0123456789abcdef-abc_1235.unfinished"
    for file in (old, left, fresh):
        file.write_bytes(b"123456789")
    os.utime(old, (hour, hour))
    os.utime(left, (hour, hour))
    monkeypatch.setattr(cache, "BYTES_KEPT", 60)
    cache.write(NAME, b"code")
    assert (folder / cache.TAG).is_file()
    assert {path.name for path in folder.glob("dense*")} == {old.name, fresh.name}
    strangers = [folder / "thesis.code", folder / "notes.unfinished", folder / "kernels-paper"]
    for path in strangers:
        path.write_text("mine")
    monkeypatch.setattr(cache, "BYTES_KEPT", 30)
    cache.prune(folder)
    assert not old.exists()
    assert cache.read(NAME) == b"code"
    assert all(path.read_text() == "mine" for path in strangers)


def test_nothing_is_deleted_in_a_folder_that_somebody_else_has_filled(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = folder / "dense.old-f1-0123456789abcdef.code"
    for path in (old, folder / "thesis.txt"):
        path.write_text("mine")
    monkeypatch.setattr(cache, "BYTES_KEPT", 0)
    cache.write(NAME, b"code")
    assert old.exists()
    assert not (folder / cache.TAG).exists()


def test_code_in_use_is_not_the_oldest(folder: Path) -> None:
    cache.write(NAME, b"code")
    (file,) = folder.glob("*.code")
    os.utime(file, (1e9, 1e9))
    assert cache.read(NAME) == b"code"
    assert file.stat().st_mtime > time.time() - cache.HOUR


def test_folders_of_the_user_beside_it_stay(folder: Path) -> None:
    others = [folder.with_name(f"kernels-{number}") for number in range(9)]
    for other in others:
        other.mkdir()
    cache.write(NAME, b"code")
    assert all(other.is_dir() for other in others)


def test_another_process_that_makes_the_folders_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = Path.mkdir

    def too_late(path: Path, **options: int) -> None:
        make(path, mode=0o700)
        make(path, **options)

    monkeypatch.setenv("CNNTOOL_CACHE_DIR", str(tmp_path / "c" / "d"))
    monkeypatch.setattr(Path, "mkdir", too_late)
    assert cache._writable_folder() is not None


RACE = """
import os, sys, time
from cnntool.kernels import cache
for round in range(30):
    while time.time() < float(sys.argv[1]) + 0.03 * round:
        pass
    os.environ["CNNTOOL_CACHE_DIR"] = f"{sys.argv[2]}/{round}/a/b"
    cache.FOLDER = cache._writable_folder()
    assert cache.FOLDER is not None
    cache.write("activations.relu_forward-f1", b"code" * 9999)
    assert cache.read("activations.relu_forward-f1") == b"code" * 9999
"""


def test_processes_that_begin_on_no_cache_at_once_all_find_one(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RACE, str(time.time() + 1), str(tmp_path / "race")]
    started = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(5)]
    errors = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0] * 5, errors
    left = {path.suffix for path in (tmp_path / "race").rglob("*") if path.is_file()}
    assert left == {".code", ".TAG"}
