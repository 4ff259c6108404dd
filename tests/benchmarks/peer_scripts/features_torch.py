"""A vector an image with torch and Pillow: features_torch.py FOLDER OUTPUT.npz MODEL.npz THREADS"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

folder, output, model, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
arrays = {name: torch.from_numpy(array) for name, array in np.load(model).items() if array.dtype == np.float32}
conv = torch.nn.Conv2d(3, 64, 7, stride=2, padding=3)
norm = torch.nn.BatchNorm2d(64)
conv.load_state_dict({"weight": arrays["1.weight"].permute(3, 2, 0, 1), "bias": arrays["1.bias"]})
names = {"weight": "gamma", "bias": "beta", "running_mean": "running_mean", "running_var": "running_var"}
norm.load_state_dict({ours: arrays[f"2.{name}"] for ours, name in names.items()}, strict=False)
network = torch.nn.Sequential(
    conv, norm, torch.nn.ReLU(inplace=True), torch.nn.MaxPool2d(2), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
).eval()

vectors, paths = [], sorted(Path(folder).iterdir())
with torch.inference_mode():
    for path in paths:
        image = Image.open(path).convert("RGB").resize((512, 512), Image.Resampling.BILINEAR)
        x = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None].float() / 255
        vectors.append(network(x)[0].numpy())
np.savez(output, features=np.stack(vectors), paths=[path.name for path in paths])
