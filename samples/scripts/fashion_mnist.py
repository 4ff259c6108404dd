"""Turns Debian's package dataset-fashion-mnist into folders of images, one a class: OUT/train/ and OUT/test/.

    apt-get install dataset-fashion-mnist
    python samples/scripts/fashion_mnist.py fashion
    sh samples/scripts/fashion_mnist.sh fashion

Fashion-MNIST: 60,000 + 10,000 gray pictures of 28x28 pixels (H. Xiao, K. Rasul, R. Vollgraf 2017; licence Expat).
"""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path

import numpy as np
from PIL import Image

SOURCE = Path("/usr/share/datasets/fashion-mnist")
CLASSES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
PARTS = {"train": "train", "test": "t10k"}


def read_idx(path: Path) -> np.ndarray:
    """The bytes of a gzipped IDX file: two zeros, the type (8 is a byte), the number of axes, their sizes."""
    content = gzip.decompress(path.read_bytes())
    assert content[:3] == b"\0\0\x08", f"{path} is no IDX file of bytes"
    axes = content[3]
    shape = np.frombuffer(content, ">u4", axes, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--source", type=Path, default=SOURCE, help="the folder of the four .gz files")
    arguments = parser.parse_args()
    for part, prefix in PARTS.items():
        images = read_idx(arguments.source / f"{prefix}-images-idx3-ubyte.gz")
        labels = read_idx(arguments.source / f"{prefix}-labels-idx1-ubyte.gz")
        for name in CLASSES:
            (arguments.out / part / name).mkdir(parents=True, exist_ok=True)
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            Image.fromarray(image).save(arguments.out / part / CLASSES[label] / f"{number:05}.png", compress_level=1)


if __name__ == "__main__":
    main()
