"""A network as ncnn's files, by its converter pnnx."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.graph import Network
from tests.benchmarks.onnx_network import model_of


class Files:
    """The files of one network, in a folder that goes when they are no longer needed."""

    def __init__(self, network: Network) -> None:
        import pnnx

        self.folder = TemporaryDirectory()
        folder = Path(self.folder.name)
        (folder / "model.onnx").write_bytes(model_of(network))
        height, width, channels = network.case.shape
        command = [pnnx.EXEC_PATH, "model.onnx", f"inputshape=[1,{channels},{height},{width}]", "fp16=0"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        self.param, self.weights = folder / "model.ncnn.param", folder / "model.ncnn.bin"
        if done.returncode or not self.param.exists():
            raise RuntimeError(f"pnnx failed:\n{done.stdout}{done.stderr}")


made = functools.lru_cache(maxsize=1)(Files)  # for the next number of threads


def files_of(network: Network) -> tuple[Path, Path]:
    """What `Net.load_param` and `Net.load_model` read, with blobs `in0` and `out0`."""
    files = made(network)
    return files.param, files.weights
