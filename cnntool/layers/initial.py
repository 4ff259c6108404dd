"""Where a layer's parameters come from when no model was loaded: a file, or random numbers of a fitting size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cnntool.errors import CnntoolError
from cnntool.layers.base import Arrays

if TYPE_CHECKING:
    import numpy as np

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
    import numpy as np

    shape = shapes["weight"]
    taps = math.prod(shape[:-2])
    how = ("he" if rectified else "glorot") if how == "auto" else how
    deviation = math.sqrt(VARIANCE[how](taps * shape[-2], taps * shape[-1]))
    weight = rng.standard_normal(shape, np.float32)
    weight *= np.float32(deviation)
    return {"weight": weight} | {name: np.zeros(s, np.float32) for name, s in shapes.items() if name == "bias"}


def load_weights(path: str, shapes: dict[str, tuple[int, ...]]) -> Arrays:
    """The `weight` of a .npy, or `weight` and `bias` of a .npz, checked against the shapes that the layer needs."""
    import numpy as np

    try:
        loaded = np.load(path, allow_pickle=False)
        arrays = dict(loaded) if path.lower().endswith(".npz") else {"weight": loaded}
    except FileNotFoundError:
        raise CnntoolError(f"--weights {path}: no such file") from None
    except Exception as error:  # zip, header and memory errors of a damaged file are of many types
        raise CnntoolError(f"--weights {path}: not a file of arrays that can be read ({error})") from None
    if "weight" not in arrays:
        raise CnntoolError(f"--weights {path}: no array `weight` in it, only {', '.join(arrays) or 'nothing'}")
    found: Arrays = {}
    for name, shape in shapes.items():
        array = arrays.get(name, np.zeros(shape, np.float32))  # a missing bias is zero
        if array.shape != shape or array.dtype.kind not in "fiu":
            raise CnntoolError(
                f"--weights {path}: `{name}` is {array.dtype} of shape {array.shape}, expected real numbers of {shape}"
                + (" (kernel height, kernel width, input channels / groups, OUT_CHANNELS)" if name == "weight" else "")
            )
        found[name] = np.ascontiguousarray(array, np.float32)
    return found
