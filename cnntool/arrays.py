"""The one reader of files of arrays: `.npy`, `.npz` and `.safetensors`.

Headers are read first and not trusted: each declared size is checked against the file's real size before memory is
allocated. The caller compares names, shapes and types with what it expects, then reads. Nothing is unpickled or
evaluated; NumPy is imported only when numbers are read.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import re
import stat
import zipfile
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

from cnntool.errors import CnntoolError, reason_of
from cnntool.late import np

PathLike = str | os.PathLike[str]

MAGIC = b"\x93NUMPY"
LARGEST_HEADER = 2**16  # bytes of the header of a .npy; for an array of numbers it has about 100
LARGEST_INDEX = 2**26  # bytes of the header of a .safetensors, which may hold a model's class names
PIECE = 2**20  # bytes read at a time

# The header of a .npy is a Python literal. Only that of an array of plain numbers is understood, by patterns: a few
# thousand brackets can exhaust Python's own parser.
ITEMS = {
    "descr": re.compile(r"""['"]descr['"]\s*:\s*(?:['"]([^'"\\]{1,64})['"]|(\[[^{}]*\]))"""),
    "fortran": re.compile(r"""['"]fortran_order['"]\s*:\s*(True|False)\b"""),
    "shape": re.compile(r"""['"]shape['"]\s*:\s*\(([\d\sL,]*)\)"""),
}
TYPE = re.compile(r"([<>|=]?)([a-zA-Z])(\d{0,9})(?:\[[a-z0-9]*\])?")
SIZES = {"f": (2, 4, 8, 12, 16), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "b": (1,), "c": (8, 16, 24, 32)}
NAMES = {"f": "float", "i": "int", "u": "uint", "c": "complex"}
OTHERS = {"b": "bool", "O": "object", "M": "datetime64", "m": "timedelta64"}
TENSORS = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1", "BF16": "<V2",
}  # fmt: skip
MOST_DIMENSIONS, LARGEST_SIZE = 32, 2**62  # numpy's own


class Header(NamedTuple):
    """The header of an array: its numbers begin at `offset` and have NumPy's type `descr`."""

    shape: tuple[int, ...]
    descr: str
    fortran: bool
    offset: int

    @property
    def kind(self) -> str:
        """`f`, `i`, `u`, `b` for real numbers, `U` for text, `V` for records."""
        return "V" if self.descr.startswith("[") else TYPE.fullmatch(self.descr)[2]  # type: ignore[index]

    @property
    def itemsize(self) -> int:
        """Bytes of a number; 0 for types that cannot be read."""
        match = TYPE.fullmatch(self.descr)
        return int(match[3] or 0) * (4 if match[2] == "U" else 1) if match else 0

    @property
    def type_name(self) -> str:
        """NumPy's name of the type, such as `float32`."""
        if self.kind in NAMES:
            return f"{NAMES[self.kind]}{8 * self.itemsize}"
        return OTHERS.get(self.kind, self.descr)

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.itemsize

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.descr)

    def require(self, kinds: str) -> None:
        """Raises ValueError unless the numbers are of one of these kinds."""
        if self.kind not in kinds or (self.kind != "U" and self.itemsize not in SIZES[self.kind]):
            raise ValueError(f"holds {self.type_name}")


class ArrayFile:
    """An open file of arrays. Methods raise ValueError, or whatever a damaged zip raises."""

    def __init__(self, file: IO[bytes], headers: dict[str, Header], metadata: dict[str, str] | None = None) -> None:
        """`metadata`: that of a .safetensors."""
        self._file, self._headers, self.metadata = file, headers, metadata or {}

    def names(self) -> list[str]:
        """The names of its arrays."""
        return list(self._headers)

    def header(self, name: str) -> Header:
        """The header of one array."""
        return self._headers[name]

    def read(self, name: str) -> np.ndarray:
        """One array of numbers or text, in the file's type and native byte order."""
        header = self._headers[name]
        header.require("fiubU")
        self._file.seek(header.offset)
        return _filled(self._file, header)

    def close(self) -> None:
        """Closes what was opened besides the file itself."""


@contextlib.contextmanager
def open_arrays(path: PathLike, *, inflate: int = 0) -> Iterator[ArrayFile]:
    """Opens a file of arrays by its suffix; a .npy has one, called `weight`.

    `inflate`: bytes that a compressed member of a .npz may grow to; 0 refuses compressed members, so that no array
    takes more memory than the file has bytes. A damaged file may raise anything: use it within `telling`.
    """
    with regular_file(path) as file:
        length = os.fstat(file.fileno()).st_size
        suffix = os.path.splitext(os.fspath(path))[1].lower()
        if suffix == ".npz":
            opened: ArrayFile = _Npz(file, length, inflate)
        elif suffix == ".safetensors":
            opened = ArrayFile(file, *_tensors(file, length))
        else:
            opened = ArrayFile(file, {"weight": _npy_header(file, length)})
        with contextlib.closing(opened):
            yield opened


@contextlib.contextmanager
def telling(
    what: str, expected: str, trouble: str = "damaged, or of another kind", damaged: type[CnntoolError] = CnntoolError
) -> Iterator[None]:
    """Turns whatever a missing or damaged file raises into a one-line error that begins with `what`, the file's name.

    A missing file raises CnntoolError; one that is damaged or cannot be read raises `damaged`.
    """
    try:
        yield
    except CnntoolError:
        raise
    except FileNotFoundError:
        raise CnntoolError(f"{what}: no such file: {expected}") from None
    except IsADirectoryError:
        raise CnntoolError(f"{what}: cannot be read: a folder, expected a file") from None
    except OSError as error:
        raise damaged(f"{what}: cannot be read: {error.strerror or error}") from None
    except Exception as error:  # zip, JSON, Unicode and memory errors of a damaged file are of many types
        raise damaged(f"{what}: {trouble} ({reason_of(error)}): {expected}") from None


def regular_file(path: PathLike) -> IO[bytes]:
    """Opens a file for reading; refuses devices and pipes, which may never end, without opening them."""
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise ValueError("it is no regular file")
    return open(path, "rb")


def npy_header(source: PathLike | bytes) -> Header:
    """The header of a .npy, given as a path or its bytes, checked against the real length."""
    if isinstance(source, bytes):
        return _npy_header(io.BytesIO(source), len(source))
    with regular_file(source) as file:
        return _npy_header(file, os.fstat(file.fileno()).st_size)


def npy_array(source: PathLike | bytes, header: Header) -> np.ndarray:
    """The numbers of a .npy whose header was read, in the file's type and order.

    A path is mapped copy-on-write: only used pages are read, and writing into the array does not change the file.
    """
    order: Any = "F" if header.fortran else "C"
    if isinstance(source, bytes):
        count = math.prod(header.shape)
        return np.frombuffer(source, header.dtype, count, header.offset).reshape(header.shape, order=order)
    return np.asarray(np.memmap(source, header.dtype, "c", header.offset, header.shape, order))


def _npy_header(file: IO[bytes], length: int, *, exact: bool = False) -> Header:
    """`length` of the file; `exact` refuses bytes after the numbers, as in a member of a .npz."""
    start = file.read(8)
    if len(start) < 8 or not start.startswith(MAGIC):
        raise ValueError("not in the format of .npy")
    version = start[6]
    if version not in (1, 2, 3) or start[7]:
        raise ValueError(f"format version {version}.{start[7]}")
    size_bytes = 2 if version == 1 else 4
    size = int.from_bytes(file.read(size_bytes), "little")
    if size > LARGEST_HEADER:
        raise ValueError(f"a header of {size} bytes: expected at most {LARGEST_HEADER}")
    text = file.read(size)
    if len(text) < size:
        raise ValueError("the header is cut off")
    header = _parsed(text.decode("latin-1"), 8 + size_bytes + size)
    missing = header.offset + header.bytes - length
    if exact and missing and header.itemsize:
        raise ValueError("not of the size that its header tells")
    if missing > 0 and header.itemsize:
        raise ValueError(f"truncated, {missing} bytes are missing")
    return header


def _parsed(text: str, offset: int) -> Header:
    found = {name: pattern.search(text) for name, pattern in ITEMS.items()}
    descr, fortran, shape = found["descr"], found["fortran"], found["shape"]
    if not (descr and fortran and shape):
        missing = ", ".join(name for name, match in found.items() if match is None)
        raise ValueError(f"a header without a plain {missing}: {text.strip()[:60]!r}")
    sizes = [size.strip().removesuffix("L") for size in shape[1].split(",") if size.strip()]
    if not all(size.isascii() and size.isdigit() and len(size) < 20 for size in sizes) or len(sizes) > MOST_DIMENSIONS:
        raise ValueError(f"a header with the shape ({shape[1][:60]})")
    typed = TYPE.fullmatch(descr[1]) if descr[1] else None
    if descr[1] and not typed:
        raise ValueError(f"numbers of type {descr[1]!r}")
    header = Header(tuple(map(int, sizes)), descr[1] or descr[2][:60], fortran[1] == "True", offset)
    if math.prod(header.shape) > LARGEST_SIZE:
        raise ValueError(f"an array of {header.shape}")
    return header


def _filled(file: IO[bytes], header: Header) -> np.ndarray:
    """Reads the numbers; a ValueError if the file ends before them."""
    content = np.empty(header.bytes, np.uint8)
    left = content.data
    while len(left):
        piece = file.read(min(PIECE, len(left)))
        if not piece:
            raise ValueError(f"truncated, {len(left)} bytes are missing")
        left[: len(piece)] = piece
        left = left[len(piece) :]
    dtype = header.dtype
    array = content.view(dtype).reshape(header.shape, order="F" if header.fortran else "C")
    return array.astype(dtype.newbyteorder("="), order="C", copy=False)


class _Npz(ArrayFile):
    """A `.npz`: a zip archive of `.npy` members."""

    def __init__(self, file: IO[bytes], length: int, inflate: int) -> None:
        super().__init__(file, {})
        self._archive = zipfile.ZipFile(file)
        self._members: dict[str, zipfile.ZipInfo] = {}
        for member in self._archive.infolist():
            name = member.filename.removesuffix(".npy")
            if name in self._members or name == member.filename:
                raise ValueError(f"a member {member.filename[:60]!r} is there twice, or is no .npy")
            self._members[name] = member
        if sum(member.compress_size for member in self._members.values()) > length:
            raise ValueError("its members overlap")
        self._inflate = inflate

    def names(self) -> list[str]:
        return list(self._members)

    def header(self, name: str) -> Header:
        if name not in self._headers:
            with self._open(name) as file:
                self._headers[name] = self._header(name, file)
        return self._headers[name]

    def read(self, name: str) -> np.ndarray:
        with self._open(name) as file:
            header = self._header(name, file)
            try:
                header.require("fiubU")
            except ValueError as error:
                raise ValueError(f"`{name}` {error}") from None
            member = self._members[name]
            if member.file_size > max(self._inflate, member.compress_size):
                raise ValueError(f"`{name}` grows to {member.file_size} bytes: expected at most {self._inflate}")
            return _filled(file, header)

    def close(self) -> None:
        self._archive.close()

    def _open(self, name: str) -> IO[bytes]:
        member = self._members[name]
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"`{name}` is compressed in another way than numpy does it")
        if not self._inflate and (member.compress_type or member.file_size != member.compress_size):
            raise ValueError(f"`{name}` is compressed: expected members as numpy.savez stores them")
        return self._archive.open(member)

    def _header(self, name: str, file: IO[bytes]) -> Header:
        try:
            return _npy_header(file, self._members[name].file_size, exact=True)
        except ValueError as error:
            raise ValueError(f"`{name}`: {error}") from None


def _tensors(file: IO[bytes], length: int) -> tuple[dict[str, Header], dict[str, str]]:
    """Headers and metadata of a `.safetensors`: the length of a JSON header, the header, and the numbers."""
    size = int.from_bytes(file.read(8), "little")
    if size > min(length - 8, LARGEST_INDEX):
        raise ValueError(f"a header of {size} bytes in a file of {length}")
    index = json.loads(file.read(size), object_pairs_hook=_unique_keys)
    if not isinstance(index, dict):
        raise ValueError("its header is no object")
    metadata = index.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError("its metadata are no texts")
    headers = {name: _tensor_header(name, entry, 8 + size) for name, entry in index.items()}
    end = 8 + size
    for header in sorted(headers.values(), key=lambda header: (header.offset, header.bytes)):
        if header.offset != end:
            raise ValueError("its arrays overlap, or leave gaps")
        end += header.bytes
    if end != length:
        raise ValueError(f"its arrays end at {end} of {length} bytes")
    return headers, metadata


def _tensor_header(name: str, entry: Any, start: int) -> Header:
    """The header of an array whose offsets count from `start`."""
    kind, shape, (first, last) = entry["dtype"], entry["shape"], entry["data_offsets"]
    numbers = [*shape, first, last]
    if not all(type(number) is int and 0 <= number < LARGEST_SIZE for number in numbers):
        raise ValueError(f"`{name}` has the shape {shape!r:.60} at {first!r:.30} to {last!r:.30}")
    if kind not in TENSORS:
        raise ValueError(f"`{name}` holds {kind!r:.30}")
    header = Header(tuple(shape), TENSORS[kind], False, start + first)
    if header.bytes != last - first:
        raise ValueError(f"`{name}` is not of the size that its header tells")
    return header


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is there twice in its header")
    return found
