"""Each row of the guide's table "What is read": files of that row are read by what it says, or refused."""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from PIL import Image, features

from cnntool.errors import BadInput
from cnntool.images.read import read_volume

pytest.importorskip("imagecodecs")
pytest.importorskip("tifffile")

import imagecodecs
import tifffile

from tests.images.png_combinations import pngs
from tests.images.tiff_combinations import (
    COLOURS,
    DTYPES,
    HEIGHT,
    LOSSLESS,
    WIDTH,
    lossy_tiffs,
    numbers_of,
    odd_tiffs,
    tagged,
)

GUIDE = Path(__file__).parents[2] / "docs" / "guide.md"
ROWS = {  # those of the table, by their first cells
    (cells[0], cells[1]): cells[3]
    for line in GUIDE.read_text(encoding="utf-8").partition("\n## What is read\n")[2].partition("\n## ")[0].splitlines()
    if line.startswith("| ") and "---" not in line
    for cells in [[cell.strip() for cell in line.strip("|").split("|")]]
    if cells[0] != "format"
}
Files = Iterator[tuple[str, bytes]]
MAKERS: dict[str, Callable[[], Files]] = {}
y, x = np.mgrid[:HEIGHT, :WIDTH]
GRAY = (x * 6 + y * 3).astype(np.uint8)
COLOUR = np.dstack([GRAY, 255 - GRAY, (y * 6).astype(np.uint8)])


def of(start: str) -> Callable[[Callable[[], Files]], Callable[[], Files]]:
    """Says which row a maker of files belongs to: the one whose first two cells begin so."""

    def keep(maker: Callable[[], Files]) -> Callable[[], Files]:
        MAKERS[start] = maker
        return maker

    return keep


def by_pillow(pixels: np.ndarray, form: str, mode: str = "", **options: object) -> bytes:
    stream = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(stream, form, **options)
    return stream.getvalue()


def by_tifffile(pixels: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, **options)
    return stream.getvalue()


def by_numpy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def codestream(content: bytes, at: int, value: int) -> bytes:
    """A JPEG 2000 file with another byte in the header of its codestream."""
    place = content.index(b"\xff\x4f\xff\x51") + at
    return content[:place] + bytes([value]) + content[place + 1 :]


@of("PNG, APNG | gray of 1, 2, 4, 8, 16 bits")
def _() -> Files:
    for case in itertools.islice(pngs(), 0, None, 7):
        yield "a.png", case.content
    yield "a.apng", by_pillow(COLOUR, "PNG", save_all=True, append_images=[Image.fromarray(255 - COLOUR)])


@of("JPEG, MPO | gray, YCbCr, RGB, CMYK")
def _() -> Files:
    for mode, progressive in itertools.product(("L", "RGB", "CMYK"), (False, True)):
        yield "a.jpg", by_pillow(COLOUR, "JPEG", mode, progressive=progressive)
    yield "a.jpg", by_pillow(COLOUR, "JPEG", keep_rgb=True)
    yield "a.mpo", by_pillow(COLOUR, "MPO", save_all=True, append_images=[Image.fromarray(COLOUR)])


@of("JPEG | of 12 bits")
def _() -> Files:
    yield "a.jpg", imagecodecs.jpeg8_encode(GRAY.astype(np.uint16) * 16, bitspersample=12)


@of("TIFF, BigTIFF | integers of 1 to 16")
def _() -> Files:
    kinds = zip(itertools.cycle(DTYPES), itertools.cycle(COLOURS), itertools.cycle("<>"), range(60))
    for dtype, colour, order, number in kinds:
        photometric, samples, extra = COLOURS[colour]
        signed_alpha = dtype[0] == "i" and any("alpha" in kind for kind in extra)
        if signed_alpha or (dtype[0] != "u" and colour in ("inverted", "four inks", "palette")):
            continue  # has no agreed meaning
        numbers = numbers_of("u1" if colour == "palette" else dtype, samples)
        options = {"photometric": photometric, "compression": LOSSLESS[number % 6], "byteorder": order}
        options |= {"planarconfig": "contig"} if samples > 1 else {"tile": (16, 16)}
        options |= {"extrasamples": extra} if extra else {}
        options |= {"colormap": numbers_of("u2", 256)[:3, 0]} if colour == "palette" else {}
        yield "a.tif", by_tifffile(numbers if samples > 1 else numbers[:, :, 0], bigtiff=number % 5 == 0, **options)
    for case in odd_tiffs():
        if " bits of kind" in case.name and ", compression 8" in case.name:
            yield "a.tif", case.content


@of("TIFF | 1 bit")
def _() -> Files:
    for compression in ("group3", "group4", "tiff_ccitt"):
        yield "a.tif", by_pillow(GRAY > 99, "TIFF", compression=compression)


@of("TIFF | gray, RGB, YCbCr of 8 bits")
def _() -> Files:
    for mode in ("L", "RGB", "YCbCr"):
        yield "a.tif", by_pillow(COLOUR, "TIFF", mode, compression="jpeg")


@of("TIFF | YCbCr of 8 bits, not subsampled")
def _() -> Files:
    yield "a.tif", by_pillow(COLOUR, "TIFF", "YCbCr")


@of("TIFF | L\\*a\\*b\\* of 8 bits")
def _() -> Files:
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        yield "a.tif", by_pillow(COLOUR, "TIFF", "LAB", compression=compression)


@of("TIFF | 12 bits; CMYK; transparency; planes")
def _() -> Files:
    for case in lossy_tiffs():
        if case.name.endswith("jpeg") and ("u2" in case.name or "alpha" in case.name):
            yield "a.tif", case.content
    inks = np.dstack([COLOUR, GRAY])
    yield "a.tif", by_tifffile(inks, photometric="separated", compression="jpeg")
    planes = np.ascontiguousarray(np.moveaxis(COLOUR, 2, 0))
    yield "a.tif", by_tifffile(planes, photometric="rgb", planarconfig="separate", compression="jpeg")


@of("TIFF | gray, RGB, bands, transparency")
def _() -> Files:
    for case in lossy_tiffs():
        mixed = case.name.endswith("lerc") and case.name[:3] in (">u2", ">f4")
        if not (mixed or case.name.endswith("jpeg") or ("inverted" in case.name and "f4" in case.name)):
            yield "a.tif", case.content
    bands = np.dstack([COLOUR, COLOUR])
    yield "a.tif", by_tifffile(bands, photometric="minisblack", planarconfig="contig", compression="jpegxl")


@of("TIFF | subsampled or packed YCbCr")
def _() -> Files:
    samples = numbers_of("u1", 3)
    tags = {258: (8,) * 3, 262: 6, 277: 3}
    yield "a.tif", tagged("<", tags | {530: (2, 2)}, samples.tobytes())
    yield "a.tif", tagged("<", tags | {530: (1, 1), 259: 8}, zlib.compress(samples.tobytes()))
    for kind in (4, 32803, 32844, 32845, 34892):
        yield "a.tif", tagged("<", tags | {262: kind}, samples.tobytes())
    yield "a.tif", tagged("<", tags | {258: (8, 8, 16), 262: 2}, bytes(HEIGHT * WIDTH * 4))
    yield "a.tif", by_tifffile(GRAY.astype(np.complex64))
    lerc = imagecodecs.lerc_encode(numbers_of("u2", 1)[:, :, 0])
    yield "a.tif", tagged(">", {258: (16,), 262: 1, 259: 34887, 50674: (4, 0)}, lerc)


@of("JPEG 2000 | 8 bits; gray of 16")
def _() -> Files:
    for codec in ("jp2", "j2k"):
        for pixels in (GRAY, COLOUR, np.dstack([COLOUR, GRAY]), GRAY.astype(np.uint16) << 8):
            yield f"a.{codec}", imagecodecs.jpeg2k_encode(pixels, codecformat=codec)


@of("JPEG 2000 | gray, RGB, transparency of 1 to 16")
def _() -> Files:
    for bits, samples in itertools.product((1, 4, 7, 9, 12, 16), (1, 2, 3, 4)):
        if (bits, samples) != (16, 1):
            pixels = numbers_of("u2", samples) >> (16 - bits)
            pixels = pixels.astype(np.uint8) if bits < 8 else pixels
            yield "a.jp2", imagecodecs.jpeg2k_encode(np.squeeze(pixels), bitspersample=bits, reversible=True)


@of("JPEG 2000 | signed")
def _() -> Files:
    whole = imagecodecs.jpeg2k_encode(COLOUR)
    yield "a.jp2", imagecodecs.jpeg2k_encode(GRAY.astype(np.int8))
    for at, value in ((43, 2), (42, 9), (42, 7 + 128)):
        yield "a.jp2", codestream(whole, at, value)
    yield "a.jp2", codestream(imagecodecs.jpeg2k_encode(GRAY), 42, 23)


@of("WebP | colour")
def _() -> Files:
    for pixels, lossless in itertools.product((COLOUR, np.dstack([COLOUR, GRAY])), (False, True)):
        yield "a.webp", by_pillow(pixels, "WEBP", lossless=lossless)


@of("GIF | palette")
def _() -> Files:
    yield "a.gif", by_pillow(COLOUR, "GIF")
    yield "a.gif", by_pillow(GRAY, "GIF", transparency=7)


@of("BMP, DIB | 1, 4, 8, 24, 32")
def _() -> Files:
    for pixels, mode in ((GRAY > 99, ""), (GRAY, ""), (COLOUR, "P"), (COLOUR, ""), (COLOUR, "RGBA")):
        yield "a.bmp", by_pillow(pixels, "BMP", mode)
    yield "a.dib", by_pillow(COLOUR, "DIB")
    colours = COLOUR[0, :16].ravel()
    header = struct.pack("<IiiHHIIiiII", 40, 16, 1, 1, 4, 0, 0, 0, 0, 16, 0)
    table = b"".join(bytes(colours[3 * i : 3 * i + 3]) + b"\0" for i in range(16))
    yield "a.bmp", b"BM" + struct.pack("<IHHI", 126, 0, 0, 118) + header + table + bytes(range(0, 256, 32))
    runs = b"".join(bytes([WIDTH, row, 0, 0]) for row in range(HEIGHT)) + b"\0\1"
    header = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, 8, 1, len(runs), 0, 0, 256, 0)
    yield "a.bmp", b"BM" + struct.pack("<IHHI", 1078 + len(runs), 0, 0, 1078) + header + bytes(1024) + runs


@of("PBM, PGM, PPM | 1 to 16 bits")
def _() -> Files:
    yield "a.pbm", b"P1 2 2 0 1 1 0"
    yield "a.pbm", b"P4 8 1\n\x55"
    for largest in (1, 255, 999, 65535):
        yield "a.pgm", f"P2 2 2 {largest} 0 1 1 {largest}".encode()
        yield "a.ppm", f"P3 1 1 {largest} 0 1 {largest}".encode()
        yield "a.pgm", f"P5 2 1 {largest}\n".encode() + bytes(4 if largest > 255 else 2)
        yield "a.ppm", f"P6 2 1 {largest}\n".encode() + bytes(12 if largest > 255 else 6)


@of("PFM | floats")
def _() -> Files:
    for order, sign in ("<-", ">+"):
        yield "a.pfm", b"Pf\n2 1\n" + f"{sign}1.0\n".encode() + np.array([1.5, -2], f"{order}f4").tobytes()


@of("AVIF | 8 bits")
def _() -> Files:
    yield "a.avif", by_pillow(COLOUR, "AVIF")
    for bits in (10, 12):
        yield "a.avif", imagecodecs.avif_encode(COLOUR.astype(np.uint16) << (bits - 8), bitspersample=bits)


@of("HEIC, HEIF | gray")
def _() -> Files:
    heif = pytest.importorskip("pillow_heif")
    for mode, pixels in (("L", GRAY), ("RGB", COLOUR), ("RGBA", np.dstack([COLOUR, GRAY]))):
        stream = io.BytesIO()
        heif.from_bytes(mode, (WIDTH, HEIGHT), pixels.tobytes()).save(stream)
        yield "a.heic", stream.getvalue()
    for twelve, mode in itertools.product((False, True), ("I;16", "RGB;16")):
        with mock.patch.object(heif.options, "SAVE_HDR_TO_12_BIT", twelve):
            stream = io.BytesIO()
            pixels = (GRAY if mode == "I;16" else COLOUR).astype(np.uint16) << 8
            heif.from_bytes(mode, (WIDTH, HEIGHT), pixels.tobytes()).save(stream)
            yield "a.hif", stream.getvalue()


@of("TGA, ICO, ICNS")
def _() -> Files:
    for form in ("TGA", "ICO", "ICNS", "PCX", "SGI", "DDS", "QOI"):
        yield f"a.{form.lower()}", by_pillow(COLOUR, form)
    yield "a.xbm", by_pillow(GRAY > 99, "XBM")
    yield "a.xpm", b'/* XPM */\nstatic char *a[] = {\n"2 1 2 1",\n"a c #ff0000",\n"b c #00ff00",\n"ab"\n};\n'
    yield "a.psd", b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 1, 1, 4, 8, 1) + bytes(12) + b"\0\0" + bytes(4)


@of("`.npy` | integers")
def _() -> Files:
    for dtype in ("u1", "i2", "<u8", ">i4", "f2", "<f4", ">f8", "?"):
        yield "a.npy", by_numpy(GRAY.astype(dtype))
        yield "a.npy", by_numpy(np.asfortranarray(COLOUR.astype(dtype)))


@of("`.npy` | complex")
def _() -> Files:
    for array in (GRAY + 1j, np.array([["a"]]), np.array([[None]]), np.zeros(3), np.zeros((2, 2, 2, 2))):
        yield "a.npy", by_numpy(array)


@of("SVG, PDF, EPS")
def _() -> Files:
    yield "a.svg", b'<svg xmlns="http://www.w3.org/2000/svg"/>'
    yield "a.pdf", b"%PDF-1.4\n" + bytes(99)
    yield "a.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    yield "a.exr", b"v/1\x01\x02\0\0\0" + bytes(200)
    yield "a.hdr", b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1 +X 1\n" + bytes(4)
    yield "a.fits", b"SIMPLE  =                    T".ljust(2880)
    yield "a.dcm", bytes(128) + b"DICM" + bytes(200)
    yield "a.jxl", imagecodecs.jpegxl_encode(COLOUR)
    yield "a.mp4", b"\0\0\0\x18ftypisom" + bytes(99)


def outcome(name: str, content: bytes) -> str:
    try:
        volume = read_volume(content, name=name)
    except BadInput as error:
        found = [extra for extra in ("tiff", "heif") if f"cnntool[{extra}]" in str(error)]
        return f"needs {found[0]}" if found else "refused"
    assert volume.ndim == 3
    return "read"


def row_of(start: str) -> str:
    """The cell "read by" of the only row that begins so."""
    found = [by for cells, by in ROWS.items() if f"{cells[0]} | {cells[1]}".startswith(start)]
    assert len(found) == 1, f"{len(found)} rows begin with {start}"
    return found[0]


def test_every_row_has_files():
    rows = [f"{first} | {second}" for first, second in ROWS]
    assert len(rows) == len(MAKERS) >= 25
    assert [row for row in rows if not any(row.startswith(start) for start in MAKERS)] == []


@pytest.mark.parametrize("start", MAKERS)
def test_files_of_a_row(start):
    by = row_of(start)
    if "AVIF" in start and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    present, absent = {
        "itself": ("read", "read"),
        "`tiff`": ("read", "needs tiff"),
        "`heif`": ("read", "needs heif"),
        "refused": ("refused", "refused"),
    }[by.partition(",")[0]]
    made = list(MAKERS[start]())
    assert made
    assert [(number, name, outcome(name, content)) for number, (name, content) in enumerate(made)] == [
        (number, name, present) for number, (name, _) in enumerate(made)
    ]
    find = __import__("importlib.util").util.find_spec
    lost = ("tifffile", "imagecodecs", "pillow_heif")
    with mock.patch("importlib.util.find_spec", lambda name, *rest: None if name in lost else find(name, *rest)):
        found = [outcome(name, content) for name, content in made]
    assert found == [absent] * len(made)
