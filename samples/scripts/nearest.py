#!/usr/bin/env python3
"""The images of a table whose features are nearest to those of one of them, by cosine.

For example:

    cnntool extract samples/images/ features.npz -p samples/pipelines/texture.cnn
    python samples/scripts/nearest.py features.npz grass.png
"""

import argparse

import numpy as np


def cosines(features, row):
    """Cosine of every row of `features` (N x D) with row `row`, each column standardised first."""
    x = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    deviation = x.std(axis=0)
    x = x[:, deviation > 0] / deviation[deviation > 0]
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return x @ x[row]


def main():
    parser = argparse.ArgumentParser(description="Print the nearest images of a table of features, by cosine.")
    parser.add_argument("table", help="an .npz file written by `cnntool extract`")
    parser.add_argument("image", help="a path of the table, or the end of one")
    parser.add_argument("-n", type=int, default=5, help="how many images to print (default: 5)")
    options = parser.parse_args()

    with np.load(options.table, allow_pickle=False) as table:
        features, paths = table["features"], table["paths"].tolist()
    matches = [row for row, path in enumerate(paths) if path == options.image]
    matches = matches or [row for row, path in enumerate(paths) if path.endswith(options.image)]
    if len(matches) != 1:
        parser.error(f"{options.image}: {len(matches)} paths of the table end so; expected one")

    likeness = cosines(features, matches[0])
    nearest = [row for row in np.argsort(-likeness, kind="stable") if row != matches[0]]
    for row in nearest[: options.n]:
        print(f"{likeness[row]:6.3f}  {paths[row]}")


if __name__ == "__main__":
    main()
