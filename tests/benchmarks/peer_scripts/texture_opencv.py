"""Gabor energies with OpenCV: texture_opencv.py FOLDER OUTPUT.npz FILTERS.npy THREADS

Pictures are made smaller by the mean over areas, which is not quite Pillow's triangle.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

folder, output, filters, threads = sys.argv[1:]
cv2.setNumThreads(int(threads))
bank = np.load(filters)

vectors, paths = [], sorted(Path(folder).iterdir())
for path in paths:
    image = cv2.resize(cv2.imread(str(path)), (512, 512), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    image = (image - image.mean((0, 1))) / image.std((0, 1))
    gray = image.mean(axis=2)
    most, mean = [], []
    for plane in bank:
        maps = np.abs(cv2.filter2D(gray, cv2.CV_32F, plane, borderType=cv2.BORDER_REFLECT))
        energy = cv2.blur(maps, (16, 16), anchor=(0, 0))[:497:8, :497:8]
        most.append(energy.max())
        mean.append(energy.mean())
    vectors.append(np.array(most + mean, np.float32))
np.savez(output, features=np.stack(vectors), paths=[path.name for path in paths])
