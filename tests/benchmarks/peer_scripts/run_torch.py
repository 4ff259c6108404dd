"""Feature maps of one image with torch: run_torch.py IMAGE OUTPUT.npy MODEL.npz THREADS"""

import sys

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

image, output, model, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
arrays = np.load(model)
weight = torch.from_numpy(arrays["1.weight"]).permute(3, 2, 0, 1).contiguous()
bias = torch.from_numpy(arrays["1.bias"])
pixels = np.asarray(Image.open(image).convert("RGB"), np.float32) / 255
x = torch.from_numpy(pixels).permute(2, 0, 1)[None]
with torch.inference_mode():
    maps = F.max_pool2d(F.relu(F.conv2d(x, weight, bias, stride=2, padding=3)), 2)
np.save(output, maps[0].permute(1, 2, 0).contiguous().numpy())
