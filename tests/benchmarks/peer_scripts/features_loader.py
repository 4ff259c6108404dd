"""A vector an image with torch, Pillow and a DataLoader.

features_loader.py FOLDER|ARCHIVE.tar.gz OUTPUT.npz WEIGHTS.npz HEIGHTxWIDTH|- WORKERS
"""

import io
import sys
import tarfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

source, output, weights, size, workers = sys.argv[1:]
torch.set_num_threads(int(workers))


class Images(Dataset):
    """Files of a folder, or members of an archive; its bytes are read once, and shared with the workers."""

    def __init__(self) -> None:
        if source.endswith(".tar.gz"):
            with tarfile.open(source) as archive:
                members = [member for member in archive if member.name.endswith(".jpg")]
                self.images = [(member.name, archive.extractfile(member).read()) for member in members]
        else:
            self.images = [(path.name, path) for path in sorted(Path(source).iterdir())]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        _, image = self.images[index]
        pixels = Image.open(io.BytesIO(image) if isinstance(image, bytes) else image).convert("RGB")
        if size != "-":
            height, width = map(int, size.split("x"))
            pixels = pixels.resize((width, height), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.asarray(pixels).copy()).permute(2, 0, 1).float() / 255


if __name__ == "__main__":
    arrays = np.load(weights)
    weight, bias = torch.from_numpy(arrays["weight"]).permute(3, 2, 0, 1).contiguous(), torch.from_numpy(arrays["bias"])
    network = torch.nn.Sequential(torch.nn.ReLU(inplace=True), torch.nn.MaxPool2d(2), torch.nn.AdaptiveAvgPool2d(1))
    images = Images()
    vectors = []
    with torch.inference_mode():
        for batch in DataLoader(images, batch_size=64, num_workers=int(workers)):
            maps = torch.nn.functional.conv2d(batch, weight, bias, stride=2)
            vectors.append(network(maps).flatten(1).numpy())
    np.savez(output, features=np.concatenate(vectors), paths=[name for name, _ in images.images])
