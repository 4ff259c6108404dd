"""A vector an image with OpenCV and numpy: features_opencv.py FOLDER OUTPUT.npz MODEL.npz THREADS

OpenCV's filters have no stride, so the convolution is a product of patches and filters, with numpy's BLAS. Pictures are
made smaller by the mean over areas, which is not quite Pillow's triangle.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

folder, output, model, threads = sys.argv[1:]
cv2.setNumThreads(int(threads))
arrays = np.load(model)
scale = arrays["2.gamma"] / np.sqrt(arrays["2.running_var"] + 1e-5)
shift = (arrays["1.bias"] - arrays["2.running_mean"]) * scale + arrays["2.beta"]
matrix = (arrays["1.weight"] * scale).reshape(-1, 64)

vectors, paths = [], sorted(Path(folder).iterdir())
for path in paths:
    image = cv2.resize(cv2.imread(str(path)), (512, 512), interpolation=cv2.INTER_AREA)
    pixels = cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.float32) / 255
    padded = cv2.copyMakeBorder(pixels, 3, 3, 3, 3, cv2.BORDER_CONSTANT)
    patches = np.lib.stride_tricks.sliding_window_view(padded, (7, 7), (0, 1))[::2, ::2]
    columns = patches.transpose(0, 1, 3, 4, 2).reshape(-1, len(matrix))
    maps = np.maximum(columns @ matrix + shift, 0).reshape(128, 2, 128, 2, 64)
    vectors.append(maps.max(axis=(1, 3)).mean(axis=(0, 1)))
np.savez(output, features=np.stack(vectors), paths=[path.name for path in paths])
