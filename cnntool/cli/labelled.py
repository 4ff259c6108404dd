"""Labelled images from a folder or an archive into memory, for training and evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.batches.order import AHEAD
from cnntool.cli.work import Notices, Progress
from cnntool.engine.threads import prefetch
from cnntool.errors import BadInput, CnntoolError
from cnntool.late import np

if TYPE_CHECKING:
    from cnntool.images.items import Inputs, Item
    from cnntool.images.preparation import Preparation
    from cnntool.learning.data import ImageStore

SHARE_OF_MEMORY = 0.5


class Labelled(NamedTuple):
    """Images with their class indices, and the number of images that could not be read."""

    images: ImageStore
    labels: np.ndarray
    failures: int


def read_labelled(
    source: Inputs, classes: list[str], shape: tuple[int, int, int], preparation: Preparation, threads: int,
    notices: Notices,
) -> Labelled:  # fmt: skip
    """Decodes all images in a thread pool. A broken one is reported and left out; one of another size is an error."""
    from cnntool.learning.data import ImageStore

    check_memory_for(len(source), shape)
    images = ImageStore(len(source), shape)
    numbers = {name: number for number, name in enumerate(classes)}
    labels: list[int] = []
    failures = 0
    with Progress(len(source), notices, "read") as progress:
        for item, volume in decoded(source, preparation, threads, notices):
            progress.advance()
            if isinstance(volume, CnntoolError):
                failures += 1
                progress.complain(str(volume))
                continue
            if volume.shape != shape:
                raise CnntoolError(
                    f"{item.where} is {'x'.join(map(str, volume.shape))} and the first image "
                    f"{'x'.join(map(str, shape))}: expected images of one size; give --resize HEIGHTxWIDTH, --gray or "
                    "--rgb"
                )
            images.put(len(labels), volume)
            labels.append(numbers[item.label or ""])
    if not labels:
        raise BadInput(f"{source.text}: none of its {len(source)} images can be read")
    images.shorten(len(labels))
    return Labelled(images, np.array(labels), failures)


def decoded(source: Inputs, preparation: Preparation, threads: int, notices: Notices) -> Iterator[tuple[Item, Any]]:
    """Each item in order, with its volume or the error that reading it raised."""

    def read(item: Item) -> Any:
        try:
            return item.read(preparation, notices.say)
        except CnntoolError as error:
            return error

    for item, call in prefetch(read, source, threads, 8 * AHEAD * threads):
        yield item, call.result()


def check_memory_for(count: int, shape: tuple[int, int, int]) -> None:
    """Refuses images that would not fit into memory as float32."""
    import math

    from cnntool.limits import physical_memory

    needed, limit = 4 * count * math.prod(shape), SHARE_OF_MEMORY * physical_memory()
    if needed > limit:
        raise CnntoolError(
            f"{count} images of {'x'.join(map(str, shape))} need {needed / 2**30:.1f} GiB, and {limit / 2**30:.1f} GiB "
            "are used at most: give a smaller --resize, or `fit` and `extract` features and train on their table"
        )
