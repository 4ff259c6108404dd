"""Files of every kind with random damage, through the commands that read them.

    python -m tests.fuzz.files 5000 --seed 1
    python -m tests.fuzz.files 5000 --images

The first damages models, tables, volumes and pipelines, the second images and archives of them. Each call must end with
0, 1 or 2: no traceback, no hang, and no memory that was not counted. What is wrong is printed.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import random
import resource
import sys
import tarfile
import tempfile
import time
import zipfile

import numpy as np
from PIL import Image, features

from cnntool import Pipeline
from cnntool.images import heif
from tests.fuzz.calls import Wrong, call, small_machine

# What stands in headers, and what could stand there instead.
PIECES = [
    b"True", b"False", b"-1", b"0", b"9" * 20, b"1e9", b"(", b")", b"[", b"]", b"{", b"}", b"'", b'"', b",", b"\0",
    b"L", b"\xff\xff\xff\xff", b"<f8", b"|O", b"<U1", b"shape", b"(" * 3000, b"F16", b"null", b"NaN", b"data_offsets",
    b"PK\1\2",
]  # fmt: skip
RUN = ["--overwrite", "--quiet"]
READERS = {
    "v.npy": [["run", "v.npy", "o.npy", *RUN, "relu"], ["shape", "v.npy", "relu"]],
    "b.npy": [["run", "whole.npy", "o.npy", *RUN, "bank", "b.npy"], ["shape", "9x9x1", "bank", "b.npy"]],
    "w.npy": [["run", "whole.npy", "o.npy", *RUN, "conv", "4", "3", "--weights", "w.npy"]],
    "w.npz": [["run", "whole.npy", "o.npy", *RUN, "conv", "4", "3", "--weights", "w.npz"]],
    "c.npz": [["run", "whole.npy", "o.npy", *RUN, "conv", "4", "3", "--weights", "c.npz"]],
    "m.npz": [["run", "whole.npy", "o.npy", *RUN, "-m", "m.npz"], ["shape", "6x5x3", "-m", "m.npz"]],
    "m.safetensors": [["run", "whole.npy", "o.npy", *RUN, "-m", "m.safetensors"]],
    "t.npz": [["train", "t.npz", "h.npz", *RUN]],
    "p.cnn": [["run", "whole.npy", "o.npy", *RUN, "-p", "p.cnn"], ["shape", "6x5x3", "-p", "p.cnn"]],
}


# File -> how Pillow saves a colour picture in it.
IMAGES: dict[str, dict[str, object]] = {
    "a.png": {}, "palette.png": {"mode": "P"}, "gray.png": {"mode": "I;16"}, "alpha.png": {"mode": "RGBA"},
    "a.jpg": {}, "progressive.jpg": {"progressive": True}, "ink.jpg": {"mode": "CMYK"}, "a.jp2": {},
    "a.tif": {}, "lzw.tif": {"compression": "tiff_lzw"}, "zip.tif": {"compression": "tiff_adobe_deflate"},
    "jpeg.tif": {"compression": "jpeg"}, "fax.tif": {"mode": "1", "compression": "group4"}, "float.tif": {"mode": "F"},
    "a.bmp": {}, "palette.bmp": {"mode": "P"}, "a.gif": {}, "a.webp": {}, "whole.webp": {"lossless": True},
    "a.ppm": {}, "a.tga": {}, "a.pcx": {}, "a.sgi": {}, "a.ico": {}, "a.dds": {}, "a.qoi": {},
}  # fmt: skip
READING = ["--overwrite", "--quiet", "relu", "maxpool", "2"]


def prepare_images() -> dict[str, bytes]:
    """The contents of images of all formats and of archives of them, to be damaged."""
    y, x = np.mgrid[:30, :40]
    picture = Image.fromarray(np.dstack([x * 6, y * 8, (x * y) % 256]).astype(np.uint8))
    more = {"a.avif": {}} if features.check("avif") else {}
    if heif.is_installed():
        importlib.import_module("pillow_heif").register_heif_opener()
        more["a.heic"] = {}
    found = {}
    for name, options in (IMAGES | more).items():
        stream, options = io.BytesIO(), dict(options)
        mode = str(options.pop("mode", "RGB"))
        image = picture.convert("L").convert("I;16") if mode == "I;16" else picture.convert(mode)
        image.save(stream, Image.registered_extensions()[os.path.splitext(name)[1]], **options)
        found[name] = stream.getvalue()
    for name, array in {"v.npy": np.asarray(picture), "f.npy": np.asarray(picture, np.float32)}.items():
        stream = io.BytesIO()
        np.save(stream, array)
        found[name] = stream.getvalue()
    return found | _archives(found)


def _archives(members: dict[str, bytes]) -> dict[str, bytes]:
    names = ("a.png", "progressive.jpg", "v.npy")
    found = {}
    for name, method in (("a.zip", zipfile.ZIP_DEFLATED), ("stored.zip", zipfile.ZIP_STORED)):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", method) as packed:
            for member in names:
                packed.writestr(f"cats/{member}", members[member])
        found[name] = stream.getvalue()
    for name, how in (("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tar.xz", "w:xz")):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode=how) as tar:  # type: ignore[call-overload]
            for member in names:
                info = tarfile.TarInfo(f"cats/{member}")
                info.size = len(members[member])
                tar.addfile(info, io.BytesIO(members[member]))
        found[name] = stream.getvalue()
    return found


def readers_of(name: str) -> list[list[str]]:
    """The command lines that read a file."""
    if name in READERS:
        return READERS[name]
    if name.endswith((".zip", ".tar", ".gz", ".xz")):
        return [["run", name, "o/", *READING], ["extract", name, "o.npz", *READING, "globalpool", "avg"]]
    return [
        ["run", name, "o.npy", *READING],
        ["run", name, "o.png", "--resize", "9", *READING],
        ["run", name, "o.npy", "--crop", "5", "--gray", *READING],
        ["shape", name, "relu"],
    ]


def prepare() -> dict[str, bytes]:
    """Writes the files that are read whole, in the present folder; gives the contents of those to be damaged."""
    dice = np.random.default_rng(0)
    volume, weight = dice.random((6, 5, 3), np.float32), dice.random((3, 3, 3, 4), np.float32)
    for name in ("v.npy", "whole.npy"):
        np.save(name, volume)
    np.save("w.npy", weight)
    np.save("b.npy", weight[:, :, 0])
    np.savez("w.npz", weight=weight, bias=np.ones(4))
    np.savez_compressed("c.npz", weight=weight)
    pipeline = Pipeline.parse("conv 4 3 relu batchnorm")
    pipeline.run(volume)
    for name in ("m.npz", "m.safetensors"):
        pipeline.save(name)
    np.savez(
        "t.npz",
        features=dice.random((6, 4), np.float32),
        paths=np.array(list("abcdef")),
        labels=np.array(list("xyxyxy")),
    )
    with open("p.cnn", "w") as file:
        file.write("conv 4 3 --padding same # a comment\nmark 'a b'\nrelu add 'a b' bank gabor --size 5\n")
    found = {}
    for name in READERS:
        with open(name, "rb") as whole:
            found[name] = whole.read()
    return found


def damaged(content: bytes, dice: random.Random) -> bytes:
    """The content with one to four changes, most of them in its first bytes, where headers are."""
    spoilt = bytearray(content)
    for _ in range(dice.randint(1, 4)):
        end = len(spoilt) if dice.random() < 0.4 else min(len(spoilt), 200)
        place = dice.randrange(max(1, end))
        how = dice.random()
        if how < 0.35:
            spoilt[place : place + 1] = bytes([dice.randrange(256)])
        elif how < 0.75:
            spoilt[place : place + dice.choice([0, 1, 4, 5])] = dice.choice(PIECES)
        elif how < 0.9:
            del spoilt[place : place + dice.choice([1, 2, 8, 100])]
        else:
            del spoilt[place:]
    return bytes(spoilt)


def check(seed: int, contents: dict[str, bytes]) -> int:
    """Damages a file as the seed has it and calls a command that reads it; the exit code."""
    dice = random.Random(seed)
    name = dice.choice(list(contents))
    with open(name, "wb") as file:
        file.write(damaged(contents[name], dice))
    return call(dice.choice(readers_of(name)))[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=int)
    parser.add_argument("--seed", type=int, default=0, help="the first")
    parser.add_argument("--images", action="store_true", help="images and archives, not models and pipelines")
    asked = parser.parse_args()
    codes, wrong, start = dict.fromkeys(range(3), 0), 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder, small_machine():
        os.chdir(folder)
        contents = prepare_images() if asked.images else prepare()
        for seed in range(asked.seed, asked.seed + asked.files):
            try:
                codes[check(seed, contents)] += 1
            except Wrong as error:
                wrong += 1
                print(f"seed {seed}: {error}", flush=True)
        os.chdir("/")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{asked.files} files: {codes}, {wrong} wrong; {time.monotonic() - start:.0f} s, at most {peak:.2f} GiB")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
