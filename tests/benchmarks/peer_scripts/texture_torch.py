"""Gabor energies with torch and Pillow: texture_torch.py FOLDER OUTPUT.npz FILTERS.npy THREADS"""

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

folder, output, filters, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
bank = torch.from_numpy(np.load(filters))[:, None]
side = bank.shape[2] - 1
rows = torch.from_numpy(np.pad(np.arange(512), (side // 2, side - side // 2), "symmetric"))  # F.pad has no such mode

vectors, paths = [], sorted(Path(folder).iterdir())
with torch.inference_mode():
    for path in paths:
        image = Image.open(path).convert("RGB").resize((512, 512), Image.Resampling.BILINEAR)
        x = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None].float() / 255
        x = (x - x.mean((2, 3), keepdim=True)) / x.std((2, 3), correction=0, keepdim=True)
        maps = F.conv2d(x.mean(1, keepdim=True)[:, :, rows][:, :, :, rows], bank)
        energy = F.avg_pool2d(maps.abs(), 16, 8)[0]
        vectors.append(torch.cat([energy.amax((1, 2)), energy.mean((1, 2))]).numpy())
np.savez(output, features=np.stack(vectors), paths=[path.name for path in paths])
