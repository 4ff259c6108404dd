"""What is meant by a word that is no layer here: one of another framework, the bare name of a bank, a misspelling."""

from __future__ import annotations

import re

from cnntool.banks.table import BANKS, LEARNED
from cnntool.declare import did_you_mean

# Names in PyTorch, Keras, ONNX, Caffe and papers, as `plain` writes them -> what they are called here.
ELSEWHERE = {
    "fc": ("dense", "linear", "fullyconnected", "innerproduct", "gemm", "matmul"),
    "conv": ("convolution", "convolutional"),
    "conv C SIZE --groups C": ("depthwise", "depthwiseconv", "dwconv"),
    "conv C 1": ("pointwise", "pointwiseconv"),
    "silu": ("swish",),
    "sigmoid": ("logistic",),
    "leaky-relu": ("lrelu",),
    "maxpool or avgpool": ("pool", "pooling", "subsample", "subsampling"),
    "maxpool": ("maxpooling",),
    "avgpool": ("averagepool", "averagepooling", "avgpooling", "meanpool", "meanpooling"),
    "l2pool": ("lppool", "l2pooling"),
    "globalpool avg": ("globalaveragepool", "globalaveragepooling", "globalavgpool", "adaptiveavgpool", "gap"),
    "globalpool max": ("globalmaxpool", "globalmaxpooling", "adaptivemaxpool", "gmp"),
    "batchnorm": ("bn", "batchnormalization", "batchnormalisation"),
    "lrn": ("localresponsenorm", "localresponsenormalization"),
    "standardize": ("standardise", "normalize", "normalise", "instancenorm", "zscore"),
    "center": ("centre", "centering", "centring"),
    "whiten zca": ("zca", "whitening"),
    "whiten pca": ("pcawhitening",),
    "add": ("sum", "plus", "residual", "shortcut", "skip"),
    "concat": ("concatenate", "cat", "merge"),
    "flatten": ("reshape", "view", "ravel"),
    "dropout": ("drop", "spatialdropout"),
    "--padding of the layer that follows": ("pad", "padding", "zeropad", "zeropadding"),
}
MEANT = {name: here for here, names in ELSEWHERE.items() for name in names}


def plain(word: str) -> str:
    """A word without what frameworks write differently: capitals, hyphens, `2d`, `layer`."""
    return re.sub(r"(layer|[123]d)+$", "", re.sub(r"[-_ ]", "", word.lower()))


def meant(word: str, layers: list[str]) -> str:
    """`; did you mean A or B?` for a word that is none of `layers`, or nothing."""
    banks = {name: f"bank {name}" for name in (*BANKS, *LEARNED)}
    exact = {plain(name): words for name, words in (banks | {name: name for name in layers}).items()} | MEANT
    if found := exact.get(plain(word)):
        return f"; did you mean {found}?"
    return did_you_mean(word.lower(), layers) or did_you_mean(f"bank {word.lower()}", banks.values())
