"""TIFF files of every kind, written by tifffile and imagecodecs, with the pixels that must come out."""

from __future__ import annotations

import dataclasses
import io
import itertools
import struct
import zlib
from collections.abc import Iterator

import imagecodecs
import numpy as np
import tifffile

HEIGHT, WIDTH = 37, 21
LOSSLESS = (None, "zlib", "lzw", "packbits", "zstd", "lzma")
LOSSY = ("jpeg", "webp", "jpeg2000", "lerc", "jpegxl")
DTYPES = ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8")
# name -> photometric, samples, extra samples
COLOURS: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "gray": ("minisblack", 1, ()),
    "inverted": ("miniswhite", 1, ()),
    "gray alpha": ("minisblack", 2, ("unassalpha",)),
    "gray premultiplied": ("minisblack", 2, ("assocalpha",)),
    "bands": ("minisblack", 5, ("unspecified",) * 4),
    "colour": ("rgb", 3, ()),
    "colour alpha": ("rgb", 4, ("unassalpha",)),
    "colour premultiplied": ("rgb", 4, ("assocalpha",)),
    "colour and more": ("rgb", 5, ("unspecified",) * 2),
    "four inks": ("separated", 4, ()),
    "palette": ("palette", 1, ()),
}
LAYOUTS = {"one strip": {}, "strips": {"rowsperstrip": 8}, "tiles": {"tile": (16, 16)}}


@dataclasses.dataclass(frozen=True)
class Case:
    """A file, and the volume that is in it; `tolerance` is that of what is packed with loss."""

    name: str
    content: bytes
    expected: np.ndarray
    tolerance: float = 0.0


def numbers_of(dtype: str, samples: int, seed: int = 0) -> np.ndarray:
    """H x W x samples over the whole range of a type; rows are alike in places."""
    random = np.random.default_rng(seed)
    shape = HEIGHT, WIDTH, samples
    if dtype[0] == "f":
        numbers = random.normal(size=shape).astype(dtype)
    else:
        limits = np.iinfo(dtype)
        numbers = random.integers(limits.min, limits.max, shape, dtype, endpoint=True)
        numbers[0, 0], numbers[0, 1] = limits.min, limits.max
    numbers[5:20] = numbers[4]
    return numbers


def scaled(numbers: np.ndarray, bits: int | None = None) -> np.ndarray:
    """The normalisation as the guide states it, in double precision."""
    if numbers.dtype.kind == "f":
        return numbers.astype(float)
    largest = 2**bits - 1 if bits else int(np.iinfo(numbers.dtype).max)
    return numbers.astype(float) / float(largest)


def seen(name: str, numbers: np.ndarray, colour_map: np.ndarray, bits: int | None = None) -> np.ndarray:
    """What a page of this kind shows."""
    values = scaled(numbers, bits)
    if name == "palette":
        return colour_map.T[numbers[:, :, 0]] / 65535
    if name == "inverted":
        return 1 - values
    if name == "four inks":
        return (1 - values[:, :, :3]) * (1 - values[:, :, 3:])
    if name.startswith("colour and"):
        return values[:, :, :3]
    if "alpha" in name or "premultiplied" in name:
        colours, alpha = values[:, :, :-1], values[:, :, -1:]
        if "alpha" in name:
            return colours * alpha + 1 - alpha
        return np.minimum(colours + 1 - alpha, np.maximum(colours, 1))
    return values


def turned(volume: np.ndarray, orientation: int) -> np.ndarray:
    """As the TIFF specification tells where row 0 and column 0 are."""
    flips = {2: "h", 3: "vh", 4: "v", 5: "t", 6: "th", 7: "tvh", 8: "tv"}.get(orientation, "")
    volume = volume.transpose(1, 0, 2) if "t" in flips else volume
    volume = volume[::-1] if "v" in flips else volume
    return volume[:, ::-1] if "h" in flips else volume


def written(numbers: np.ndarray, order: str, colour_map: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    if options["photometric"] == "palette":
        options["colormap"] = colour_map
    tifffile.imwrite(stream, numbers, byteorder=order, metadata=None, **options)
    return stream.getvalue()


def plain_kinds() -> Iterator[tuple[int, tuple[str, str, str, bool, str, str | None, bool]]]:
    """Types x byte orders x colours x planes x layouts x compressions x predictors, numbered, without what is none."""
    axes = itertools.product(DTYPES, "<>", COLOURS, (False, True), LAYOUTS, LOSSLESS, (False, True))
    for count, (dtype, order, colour, planar, layout, compression, predictor) in enumerate(axes):
        skip = (
            (planar and COLOURS[colour][1] == 1)
            or (predictor and (compression in (None, "packbits") or dtype in ("u8", "i8")))
            or (colour == "palette" and dtype not in ("u1", "u2"))
            or (colour in ("inverted", "four inks") and dtype[0] != "u")
            or (("alpha" in colour or "premultiplied" in colour) and dtype[0] == "i")
        )
        if not skip:
            yield count, (dtype, order, colour, planar, layout, compression, predictor)


def plain_tiffs(every: int = 1) -> Iterator[Case]:
    """A file of each of `plain_kinds`, or of every so many."""
    kinds = itertools.islice(plain_kinds(), 0, None, every)
    for count, (dtype, order, colour, planar, layout, compression, predictor) in kinds:
        photometric, samples, extra = COLOURS[colour]
        numbers = numbers_of(dtype, samples, count)
        if dtype[0] == "f" and ("alpha" in colour or "premultiplied" in colour):
            numbers = np.abs(numbers) / np.abs(numbers).max()
        colour_map = (
            np.random.default_rng(count).integers(0, 65536, (3, 2 ** (8 * numbers.itemsize)), np.uint16)
            if colour == "palette"
            else np.zeros(0)
        )
        stored = np.moveaxis(numbers, -1, 0) if planar else numbers[:, :, 0] if samples == 1 else numbers
        orientation, big = 1 + count % 8, count % 3 == 0
        options = dict(LAYOUTS[layout], photometric=photometric, compression=compression, bigtiff=big)
        if samples > 1:
            options["planarconfig"] = "separate" if planar else "contig"
        if extra:
            options["extrasamples"] = extra
        if predictor:
            options["predictor"] = True
        if orientation > 1:
            options["extratags"] = [(274, 3, 1, orientation, True)]
        expected = turned(seen(colour, numbers, colour_map), orientation)
        colour += " planes" * planar
        name = f"{order}{dtype} {colour} {layout} {compression}{' predictor' * predictor} {orientation}"
        rounded = dtype == "u1" and ("alpha" in colour or colour == "four inks")  # Pillow gives 256 levels
        yield Case(name, written(stored, order, colour_map, **options), expected, 1.5 / 255 if rounded else 0.0)


def tagged(order: str, tags: dict[int, int | tuple[int, ...]], data: bytes) -> bytes:
    """A TIFF of one strip, of what tifffile does not write; lists have numbers of 16 bits."""
    tags = {256: WIDTH, 257: HEIGHT, 259: 1, 273: 0, 277: 1, 278: HEIGHT, 279: len(data)} | tags
    head, lists = 8 + 2 + 12 * len(tags) + 4, b""
    strip = head + sum(2 * len(value) for value in tags.values() if isinstance(value, tuple) and len(value) > 2)
    fields = b""
    for tag, value in sorted((tags | {273: strip}).items()):
        if isinstance(value, int):
            fields += struct.pack(f"{order}HHII", tag, 4, 1, value)
            continue
        packed = struct.pack(f"{order}{len(value)}H", *value)
        fields += struct.pack(f"{order}HHI", tag, 3, len(value))
        fields += packed.ljust(4, b"\0") if len(value) < 3 else struct.pack(f"{order}I", head + len(lists))
        lists += packed if len(value) > 2 else b""
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(f"{order}IH", 8, len(tags)) + fields + bytes(4) + lists + data


def packed_bits(numbers: np.ndarray, bits: int) -> bytes:
    """H x W x samples bit by bit, the highest first; each row begins with a byte."""
    rows = numbers.reshape(len(numbers), -1)
    return b"".join(
        int("".join(f"{value:0{bits}b}" for value in row).ljust(-(-row.size * bits // 8) * 8, "0"), 2).to_bytes(
            -(-row.size * bits // 8), "big"
        )
        for row in rows
    )


def odd_tiffs() -> Iterator[Case]:
    """Bits that fill no bytes, the lowest bit first, palettes of few bits, subsampled colours."""
    reverse = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))
    for bits, order, samples in itertools.product(range(1, 17), "<>", (1, 3)):
        if bits in (8, 16):
            continue
        numbers = np.random.default_rng(bits).integers(0, 2**bits, (HEIGHT, WIDTH, samples), np.uint16)
        data = packed_bits(numbers, bits)
        for photometric, compression in itertools.product((0, 1) if samples == 1 else (2,), (1, 8, 5)):
            tags = {258: (bits,) * samples, 262: photometric, 277: samples, 259: compression}
            content = {1: bytes, 8: zlib.compress, 5: imagecodecs.lzw_encode}[compression](data)
            expected = scaled(numbers, bits) if photometric else 1 - scaled(numbers, bits)
            name = f"{order} {bits} bits of kind {photometric}, compression {compression}"
            yield Case(name, tagged(order, tags, content), expected)
            if compression == 1:
                yield Case(f"{name}, lowest first", tagged(order, tags | {266: 2}, data.translate(reverse)), expected)
        if bits <= 8 and samples == 1:
            colours = np.random.default_rng(bits).integers(0, 65536, (3, 2**bits), np.uint16)
            colours[0, 0], colours[0, 1] = 65535, 257
            tags = {258: (bits,), 262: 3, 320: tuple(colours.reshape(-1).tolist())}
            yield Case(
                f"{order} palette of {bits} bits", tagged(order, tags, data), colours.T[numbers[:, :, 0]] / 65535
            )
    for order in "<>":
        colours = np.random.default_rng(1).integers(0, 256, (3, 256), np.uint16)
        numbers = numbers_of("u1", 1)
        for factor, name in ((1, "lower"), (256, "upper"), (257, "both")):
            tags = {258: (8,), 262: 3, 320: tuple((colours * factor).reshape(-1).tolist())}
            expected = colours.T[numbers[:, :, 0]] / 255
            yield Case(f"{order} palette in its {name} bytes", tagged(order, tags, numbers.tobytes()), expected)
        inks = numbers_of("u1", 4)
        tags = {258: (8,) * 4, 262: 5, 277: 4}
        expected = seen("four inks", inks, np.zeros(0))
        yield Case(f"{order} four inks of 8 bits", tagged(order, tags, inks.tobytes()), expected, 1.5 / 255)
        yield Case(f"{order} other inks", tagged(order, tags | {332: 2}, inks.tobytes()), np.zeros(0))
        luma = numbers_of("u1", 3)
        tags = {258: (8,) * 3, 262: 6, 277: 3}
        yield Case(f"{order} YCbCr", tagged(order, tags | {530: (1, 1)}, luma.tobytes()), jfif(luma), 1.5 / 255)
        yield Case(f"{order} YCbCr, halved", tagged(order, tags | {530: (2, 2)}, luma.tobytes()), np.zeros(0))
        yield Case(
            f"{order} YCbCr, packed",
            tagged(order, tags | {530: (1, 1), 259: 8}, zlib.compress(luma.tobytes())),
            jfif(luma),
        )
        for kind in (4, 9, 10, 32803, 32844, 32845, 34892):
            yield Case(f"{order} kind {kind}", tagged(order, tags | {262: kind}, luma.tobytes()), np.zeros(0))
        for sample_format in (4, 5, 6):
            content = tagged(order, {258: (32,), 262: 1, 339: (sample_format,)}, numbers_of("u4", 1).tobytes())
            yield Case(f"{order} samples of type {sample_format}", content, np.zeros(0))
        mixed = {258: (8, 8, 16), 262: 2, 277: 3}
        yield Case(f"{order} bits that differ", tagged(order, mixed, bytes(HEIGHT * WIDTH * 4)), np.zeros(0))


def jfif(luma: np.ndarray) -> np.ndarray:
    """RGB of full range YCbCr, https://www.w3.org/Graphics/JPEG/jfif3.pdf"""
    y, cb, cr = (luma[:, :, c] / 255 for c in range(3))
    cb, cr = cb - 128 / 255, cr - 128 / 255
    return np.clip(np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=2), 0, 1)


def coded_tiffs() -> Iterator[Case]:
    """The same codecs in files that tifffile did not write: the oracle is each codec by itself, to the last bit."""
    codecs = {"jpeg8": (7, ("u1", "u2")), "webp": (50001, ("u1",)), "jpeg2k": (34712, ("u1", "u2")),
              "lerc": (34887, ("u1", "u2", "f4")), "jpegxl": (50002, ("u1", "u2", "f4"))}  # fmt: skip
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    for (name, (code, dtypes)), order in itertools.product(codecs.items(), "<>"):
        encode, decode = (getattr(imagecodecs, f"{name}_{way}code") for way in ("en", "de"))
        for dtype, colour in itertools.product(dtypes, ("gray", "inverted", "colour", "colour alpha")):
            photometric, samples = {"gray": 1, "inverted": 0}.get(colour, 2), COLOURS[colour][1]
            bits = 12 if (name, dtype) == ("jpeg8", "u2") else 8 * np.dtype(dtype).itemsize
            if name == "webp" and samples == 1:
                continue  # has colours only
            if (name == "jpeg8" and samples == 4) or (dtype == "f4" and colour == "inverted"):
                continue  # no codec, no meaning
            values = np.dstack([(x * (c + 1) + 2 * y) / 160 for c in range(samples)])
            numbers = values.astype(dtype) if dtype == "f4" else (values * (2**bits - 1)).astype(dtype)
            numbers = numbers if samples > 1 else numbers[:, :, 0]
            options: dict[str, object] = {"bitspersample": bits} if name == "jpeg8" else {}
            if name == "jpeg8" and samples == 3:
                options |= {"colorspace": "rgb", "outcolorspace": "rgb"}
            content = encode(numbers, **options)
            tags = {258: (bits,) * samples, 262: photometric, 277: samples, 259: code}
            tags |= {338: (2,)} if samples == 4 else {}
            tags |= {339: (3,) * samples} if dtype == "f4" else {}
            tags |= {50674: (4, 0)} if name == "lerc" else {}
            given = {"colorspace": "rgb", "outcolorspace": "rgb"} if options.get("colorspace") else {}
            decoded = np.asarray(decode(content, **given)).reshape(HEIGHT, WIDTH, samples)
            tolerance = 1.5 / 255 if (name, dtype) == ("jpeg8", "u1") else 0.0  # Pillow has a libjpeg of its own
            expected = seen(colour, decoded, np.zeros(0), bits)
            yield Case(f"{order}{dtype} {colour} {name} by itself", tagged(order, tags, content), expected, tolerance)


def lossy_tiffs() -> Iterator[Case]:
    """What decoders of their own are needed for, in all layouts: near what was written, by tifffile."""
    for compression, dtype, order in itertools.product(LOSSY, ("u1", "u2", "f4"), "<>"):
        for colour, layout in itertools.product(("gray", "inverted", "colour", "colour alpha"), LAYOUTS):
            photometric, samples, extra = COLOURS[colour]
            if compression == "jpeg2000" and order == ">" and dtype != "u1":
                continue  # written by tifffile with its bytes exchanged
            bits = 12 if compression == "jpeg" and dtype == "u2" else 8 * np.dtype(dtype).itemsize
            y, x = np.mgrid[:HEIGHT, :WIDTH]
            smooth = np.stack([(x * (c + 1) + 2 * y) / 160 for c in range(samples)], axis=2)
            numbers = smooth.astype(dtype) if dtype == "f4" else (smooth * (2**bits - 1)).astype(dtype)
            options = dict(LAYOUTS[layout], photometric=photometric, compression=compression)
            if extra:
                options["extrasamples"] = extra
            try:
                content = written(numbers if samples > 1 else numbers[:, :, 0], order, np.zeros(0), **options)
            except Exception:  # this codec has no such pixels
                continue
            tolerance = 0.11 if compression == "jpeg" else 0.03  # tiles are filled up with black, which JPEG blurs
            expected = seen(colour, numbers, np.zeros(0), bits)
            yield Case(f"{order}{dtype} {colour} {layout} {compression}", content, expected, tolerance)
