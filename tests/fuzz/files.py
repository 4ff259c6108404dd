"""Files of every kind with random damage, through the commands that read them.

    python -m tests.fuzz.files 5000 --seed 1

Each call must end with 0, 1 or 2: no traceback, no hang, and no memory that was not counted. What is wrong is printed.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile

import numpy as np

from cnntool import Pipeline
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
    return call(dice.choice(READERS[name]))[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=int)
    parser.add_argument("--seed", type=int, default=0, help="the first")
    asked = parser.parse_args()
    codes, wrong = dict.fromkeys(range(3), 0), 0
    with tempfile.TemporaryDirectory() as folder, small_machine():
        os.chdir(folder)
        contents = prepare()
        for seed in range(asked.seed, asked.seed + asked.files):
            try:
                codes[check(seed, contents)] += 1
            except Wrong as error:
                wrong += 1
                print(f"seed {seed}: {error}", flush=True)
        os.chdir("/")
    print(f"{asked.files} files: {codes}, {wrong} wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
