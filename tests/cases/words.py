"""The words of a chain cut into layers: a second, independent reading of the grammar, for valid chains only."""

from __future__ import annotations

from dataclasses import dataclass, field

from cnntool.layers.table import LAYERS

ACTIVATIONS = [word for word, (module, _) in LAYERS.items() if module.endswith(".activations")]
DIRECTIVES = ("mark", "from")
WHITENINGS = ("std", "pca", "zca")

# How many arguments follow a word; `whiten` has an optional one besides.
ARGUMENTS = {
    "conv": 2,
    **dict.fromkeys(("maxpool", "avgpool", "l2pool", "globalpool", "dropout", "fc"), 1),
    **dict.fromkeys(("mark", "from", "add", "concat"), 1),
    **dict.fromkeys(("center", "standardize", "whiten", "decorrelate", "batchnorm", "lrn", "flatten", "softmax"), 0),
    **dict.fromkeys(ACTIVATIONS, 0),
}
FLAGS = ("--no-bias", "--ceil", "--count-padding", "--per-channel")


@dataclass(frozen=True)
class Layer:
    """One layer, or directive, as it was typed; a flag's value is the empty word."""

    word: str
    arguments: list[str] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)

    def pair(self, option: str, default: tuple[int, int]) -> tuple[int, int]:
        return pair(self.options[option]) if option in self.options else default


def parse(words: str) -> list[Layer]:
    """The layers of a chain. Options stand anywhere between the layer's word and the next one's."""
    left = words.split()
    layers = []
    while left:
        layer = Layer(left.pop(0))
        wanted = ARGUMENTS[layer.word]
        if layer.word == "whiten" and left and left[0] in WHITENINGS:
            wanted = 1
        while left and (len(layer.arguments) < wanted or left[0].startswith("--")):
            word = left.pop(0)
            if not word.startswith("--"):
                layer.arguments.append(word)
            else:
                layer.options[word] = "" if word in FLAGS else left.pop(0)
        layers.append(layer)
    return layers


def pair(word: str) -> tuple[int, int]:
    """`3` or `3x5` as (height, width)."""
    numbers = [int(number) for number in word.split("x")]
    return numbers[0], numbers[-1]


def sides(word: str) -> tuple[int, int, int, int]:
    """`3`, `1x2` (rows x columns) or `top,left,bottom,right`."""
    if "," in word:
        top, left, bottom, right = (int(number) for number in word.split(","))
        return top, left, bottom, right
    rows, columns = pair(word)
    return rows, columns, rows, columns
