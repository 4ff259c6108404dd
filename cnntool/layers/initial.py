"""Initial parameters of a layer: from a file, or random with a suitable variance."""

from __future__ import annotations

import math

from cnntool.arrays import LARGEST_HEADER, open_arrays, telling
from cnntool.errors import CnntoolError
from cnntool.late import np
from cnntool.layers.base import Arrays

EXPECTED = "expected arrays that numpy.save or numpy.savez wrote"
TROUBLE = "not a file of arrays that can be read"

# The variance of a weight, given the numbers of inputs and outputs that it connects. He: K. He et al., "Delving deep
# into rectifiers", 2015; Glorot: X. Glorot and Y. Bengio, 2010; LeCun: Y. LeCun et al., "Efficient BackProp", 1998.
VARIANCE = {
    "he": lambda fan_in, fan_out: 2 / fan_in,
    "glorot": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "lecun": lambda fan_in, fan_out: 1 / fan_in,
    "zeros": lambda fan_in, fan_out: 0.0,
}


def random_weights(shapes: dict[str, tuple[int, ...]], how: str, rectified: bool, rng: np.random.Generator) -> Arrays:
    """Normal weights (..., in, out) with zero bias; `auto` is He before a rectifier and Glorot elsewhere."""
    shape = shapes["weight"]
    taps = math.prod(shape[:-2])
    how = ("he" if rectified else "glorot") if how == "auto" else how
    deviation = math.sqrt(VARIANCE[how](taps * shape[-2], taps * shape[-1]))
    weight = rng.standard_normal(shape, np.float32)
    weight *= np.float32(deviation)
    return {"weight": weight} | {name: np.zeros(s, np.float32) for name, s in shapes.items() if name == "bias"}


def load_weights(path: str, shapes: dict[str, tuple[int, ...]]) -> Arrays:
    """The `weight` of a .npy, or `weight` and `bias` of a .npz, read once their shapes are those of the layer."""
    where = f"--weights {path}"
    found: Arrays = {}
    largest = 16 * max(map(math.prod, shapes.values())) + LARGEST_HEADER  # bytes: up to 16 a number
    with telling(where, EXPECTED, TROUBLE), open_arrays(path, inflate=largest) as file:
        names = file.names()
        if "weight" not in names:
            raise CnntoolError(f"{where}: no array `weight` in it, only {', '.join(names) or 'nothing'}")
        for name, shape in shapes.items():
            if name not in names:
                found[name] = np.zeros(shape, np.float32)  # a missing bias is zero
                continue
            header = file.header(name)
            if header.shape != shape or header.kind not in "fiu":
                raise CnntoolError(
                    f"{where}: `{name}` is {header.type_name} of shape {header.shape}, expected real numbers of {shape}"
                    + (" (kernel height, kernel width, input channels / groups, OUT_CHANNELS)" * (name == "weight"))
                )
            found[name] = np.ascontiguousarray(file.read(name), np.float32)
    return found
