from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

SCRIPT = Path(__file__).parents[2] / "samples/scripts/fashion_mnist.py"


def write_idx(path: Path, array: np.ndarray) -> None:
    head = b"\0\0\x08" + bytes([array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    path.write_bytes(gzip.compress(head + array.tobytes()))


def test_every_picture_lies_in_the_folder_of_its_class(tmp_path: Path):
    rng = np.random.default_rng(0)
    for prefix, count in (("train", 6), ("t10k", 3)):
        write_idx(tmp_path / f"{prefix}-images-idx3-ubyte.gz", rng.integers(0, 256, (count, 28, 28), np.uint8))
        write_idx(tmp_path / f"{prefix}-labels-idx1-ubyte.gz", np.arange(count, dtype=np.uint8))
    subprocess.run([sys.executable, SCRIPT, tmp_path / "out", "--source", tmp_path], check=True)
    found = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png"))
    assert len(found) == 9
    assert "train/sandal/00005.png" in found
    assert "test/trouser/00001.png" in found
    image = np.asarray(Image.open(tmp_path / "out/train/t-shirt/00000.png"))
    assert image.shape == (28, 28)
    assert image.dtype == np.uint8
