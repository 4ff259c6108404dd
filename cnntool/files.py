"""Writing a file: all of it or nothing."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from cnntool.errors import CnntoolError

PathLike = str | os.PathLike[str]


@contextlib.contextmanager
def atomic(path: PathLike, *, make_folders: bool = False) -> Iterator[Path]:
    """Gives a new empty file in the folder of `path`, to be filled; it becomes `path` when the block ends well.

    On any exception, KeyboardInterrupt too, it is removed and `path` stays as it was. Permissions follow the umask. A
    link is written through; a device or a pipe is given as it is, since it cannot be replaced. Raises CnntoolError for
    a folder that is missing (made with `make_folders`) or cannot be written, and for a `path` that is a folder.
    """
    with writing(path):
        target = Path(os.path.realpath(path))
        if target.is_dir() or os.fspath(path).endswith(("/", os.sep)):
            raise CnntoolError(f"{os.fspath(path)}: a folder, expected the name of a file")
        if target.exists() and not stat.S_ISREG(target.stat().st_mode):
            temporary = None
        else:
            if make_folders:
                target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.parent / f".{secrets.token_hex(8)}.tmp{target.suffix[:16]}"
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    if temporary is None:
        yield target
        return
    try:
        yield temporary
        with writing(path):
            os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


@contextlib.contextmanager
def writing(path: PathLike) -> Iterator[None]:
    """Turns an OSError of the block into a CnntoolError that names `path`."""
    try:
        yield
    except BrokenPipeError:
        raise
    except FileNotFoundError:
        folder = os.path.dirname(os.fspath(path)) or os.curdir
        raise CnntoolError(f"{os.fspath(path)}: there is no folder {folder}: make it first") from None
    except (OSError, ValueError) as error:
        if isinstance(error, CnntoolError):
            raise
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CnntoolError(f"{os.fspath(path)}: cannot be written: {reason}") from None
