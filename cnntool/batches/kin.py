"""Whether the vectors of two inputs are comparable: of equal length, and computed with the same weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnntool.errors import Unfit

if TYPE_CHECKING:
    from cnntool.images.items import Item
    from cnntool.pipeline import Pipeline

Shape = tuple[int, ...]


class OtherChannels(Unfit):
    """An image whose number of channels differs from the first's."""


class Kin:
    """Compares inputs with the first, whose shape is `shape`."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.shape: Shape | None = None
        self._name, self._length = "", 0
        self._checked: dict[Shape, bool] = {}

    def check(self, item: Item, shape: Shape, length: int) -> None:
        """Raises Unfit for an input whose vector of this length is not comparable with the first."""
        if self.shape is None:
            self.shape, self._name, self._length = shape, item.where, length
        if shape == self.shape or (self.has_weights_of_first(shape) and length == self._length):
            return
        if shape[2] != self.shape[2]:
            raise OtherChannels(channels_text(item.where, shape, self._name, self.shape))
        if not self.has_weights_of_first(shape):
            raise Unfit(
                f"{item.where} is {_text(shape)} and {self._name} {_text(self.shape)}: images of another size get "
                "other weights from the seed, and their rows cannot be compared; give --resize HEIGHTxWIDTH"
            )

    def has_weights_of_first(self, shape: Shape) -> bool:
        """Whether an input of this shape is computed with the weights of the first one."""
        self.shape = self.shape or shape
        if shape not in self._checked:
            first, other = (self._pipeline.drawn_shapes(s) for s in (self.shape, shape))  # type: ignore[arg-type]
            self._checked[shape] = first == other
        return self._checked[shape]


def channels_text(name: str, shape: Shape, first_name: str, first_shape: Shape) -> str:
    """The message for two inputs whose numbers of channels differ."""
    return (
        f"{name} has {shape[2]} channel(s) and {first_name} has {first_shape[2]}, so that they cannot be compared: "
        "give --rgb or --gray for all of them"
    )


def _text(shape: Shape) -> str:
    return f"{shape[0]}x{shape[1]}"
