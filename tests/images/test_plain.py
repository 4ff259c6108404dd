"""Plain files are read as by the usual way, and files that are not plain go the usual way."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from cnntool.errors import BadInput
from cnntool.images import read
from cnntool.images.plain import LARGEST, plain
from cnntool.images.preparation import Preparation
from cnntool.images.read import read_image

NOISE = np.random.default_rng(1).integers(0, 256, (33, 47, 3), np.uint8)
COLOUR = Image.fromarray(NOISE)
EXIF = Image.Exif()
EXIF[0x0112] = 6

PLAIN = {
    "JPEG": (COLOUR, "JPEG", {}),
    "progressive": (COLOUR, "JPEG", {"progressive": True}),
    "gray JPEG": (COLOUR.convert("L"), "JPEG", {}),
    "restart intervals": (COLOUR, "JPEG", {"restart_marker_blocks": 2}),
    "comment": (COLOUR, "JPEG", {"comment": "x"}),
    "full chroma": (COLOUR, "JPEG", {"subsampling": 0, "quality": 100}),
    "PNG": (COLOUR, "PNG", {}),
    "gray PNG": (COLOUR.convert("L"), "PNG", {}),
    "resolution": (COLOUR, "PNG", {"dpi": (72, 72)}),
    "one pixel": (COLOUR.crop((0, 0, 1, 1)), "PNG", {}),
}
UNUSUAL = {
    "turned": (COLOUR, "JPEG", {"exif": EXIF}),
    "CMYK": (COLOUR.convert("CMYK"), "JPEG", {}),
    "RGB in JPEG": (COLOUR, "JPEG", {"keep_rgb": True}),
    "palette": (COLOUR.quantize(16), "PNG", {}),
    "alpha": (COLOUR.convert("RGBA"), "PNG", {}),
    "transparent colour": (COLOUR, "PNG", {"transparency": (1, 2, 3)}),
    "turned PNG": (COLOUR, "PNG", {"exif": EXIF}),
    "bits": (COLOUR.convert("1"), "PNG", {}),
    "deep": (Image.fromarray(NOISE[:, :, 0].astype(np.uint16) * 257), "PNG", {}),
    "animated": (COLOUR, "PNG", {"save_all": True, "append_images": [COLOUR.convert("L").convert("RGB")]}),
    "another format": (COLOUR, "BMP", {}),
}


def file(image: Image.Image, form: str, options: dict) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def usual(content: bytes, preparation: Preparation, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    with monkeypatch.context() as patch:
        patch.setattr(read, "plain", lambda _: None)
        return read_image(content, preparation)


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize(
    "preparation",
    [
        Preparation(), Preparation(gray=True), Preparation(rgb=True), Preparation(resize=20), Preparation(resize=4),
        Preparation(crop=(1, 1)), Preparation(resize=(40, 30), crop=(31, 30)), Preparation(normalize=((0.5,), (0.25,))),
    ],
    ids=str,
)  # fmt: skip
def test_plain_files_are_read_as_usual(name: str, preparation: Preparation, monkeypatch: pytest.MonkeyPatch) -> None:
    content = file(*PLAIN[name])
    assert plain(content) is not None
    expected = usual(content, preparation, monkeypatch)
    found = read_image(content, preparation)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    assert (found == expected).all()
    assert found.flags.c_contiguous


def test_plain_files_need_no_header_read_by_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Image, "open")
    for name, made in PLAIN.items():
        assert read_image(file(*made)).shape[:2] == made[0].size[::-1], name


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_files_are_not_plain(name: str) -> None:
    assert plain(file(*UNUSUAL[name])) is None


def test_texts_may_hold_the_orientation() -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Raw profile type exif", "x")
    assert plain(file(COLOUR, "PNG", {"pnginfo": texts})) is None


def test_large_files_are_not_plain() -> None:
    large = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8))
    content = file(large, "PNG", {})
    assert len(content) > LARGEST
    assert plain(content) is None


@pytest.mark.parametrize("name", ["JPEG", "progressive", "PNG"])
def test_what_is_cut_off_is_refused_as_usual(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = file(*PLAIN[name])
    for length in range(3, len(content) - 1, 41):
        try:
            expected = usual(content[:length], Preparation(), monkeypatch).tobytes()
        except BadInput as error:
            expected = str(error)
        try:
            found = read_image(content[:length]).tobytes()
        except BadInput as error:
            found = str(error)
        is_same = found == expected
        assert is_same, length


@pytest.mark.parametrize("name", ["JPEG", "progressive", "gray JPEG", "PNG", "gray PNG", "resolution"])
def test_any_changed_byte_gives_what_the_usual_way_gives(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pixels, or the message."""

    def result(reader, content):  # type: ignore[no-untyped-def]
        try:
            return reader(content).tobytes()
        except BadInput as error:
            return str(error)

    content, rng = file(*PLAIN[name]), np.random.default_rng(3)
    for number in range(400):
        place = number % 200 if number < 300 else int(rng.integers(len(content)))
        changed = bytearray(content)
        changed[place] = int(rng.integers(256))
        given = bytes(changed)
        is_same = result(read_image, given) == result(lambda file: usual(file, Preparation(), monkeypatch), given)
        assert is_same, (place, changed[place])


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, content in chunks:
        parts.append(struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content)))
    return b"".join(parts)


def test_pixels_in_several_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = b"".join(b"\0" + NOISE[y].tobytes() for y in range(len(NOISE)))
    packed = zlib.compress(rows)
    header = b"IHDR", struct.pack(">IIBBBBB", 47, 33, 8, 2, 0, 0, 0)
    pieces = [(b"IDAT", packed[first : first + 999]) for first in range(0, len(packed), 999)]
    content = png(header, *pieces, (b"IEND", b""))
    assert plain(content) is not None
    assert (read_image(content) == usual(content, Preparation(), monkeypatch)).all()
    assert plain(png(header, pieces[0], (b"tIME", bytes(7)), *pieces[1:], (b"IEND", b""))) is None
    assert plain(png(*pieces, (b"IEND", b""))) is None


def test_more_pixels_than_allowed_are_refused() -> None:
    content = file(*PLAIN["JPEG"])
    with pytest.raises(BadInput, match="33 x 47 pixels are too many"):
        read_image(content, Preparation(max_pixels=100))


def test_a_reduced_jpeg_goes_the_usual_way(monkeypatch: pytest.MonkeyPatch) -> None:
    content = file(COLOUR.resize((200, 150)), "JPEG", {})
    assert plain(content) is not None
    found = read_image(content, Preparation(resize=(20, 20)))
    assert (found == usual(content, Preparation(resize=(20, 20)), monkeypatch)).all()
