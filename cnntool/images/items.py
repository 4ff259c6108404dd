"""One input, and all inputs of a command in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

from cnntool.errors import BadInput, CnntoolError, Missing
from cnntool.images.leftout import OUTPUT, LeftOut
from cnntool.images.names import composed
from cnntool.images.preparation import AS_IT_IS, Preparation

if TYPE_CHECKING:
    import numpy as np

    from cnntool.images.resizing import Resizer


class Item:
    """One input: `name` in tables and output names, `label` (a folder's name or None), and how to read it.

    `path` is the file, or None for an archive's member, a URL and standard input. `archive` is the file of an archive
    and the member's name in it. `where` names the input in messages.
    """

    __slots__ = ("_content", "archive", "label", "name", "path", "where")

    def __init__(
        self,
        name: str,
        path: str | None = None,
        content: Callable[[], bytes] | None = None,
        label: str | None = None,
        where: str | None = None,
        archive: tuple[str, str] | None = None,
    ) -> None:
        self.name, self.path, self.label, self.archive = name, path, label, archive
        self.where = where or path or name
        self._content = content

    def __repr__(self) -> str:
        return f"Item({self.name!r}, label={self.label!r})"

    def read(
        self,
        preparation: Preparation = AS_IT_IS,
        notice: Callable[[str], None] | None = None,
        resizer: Resizer | None = None,
        source: str | bytes | None = None,
    ) -> np.ndarray:
        """float32 H x W x C as `read_volume` gives it; may be called by several threads. Raises BadInput.

        `source` is what `source()` gave, where that was asked for before.
        """
        from cnntool.images.read import read_volume

        return read_volume(
            self.source() if source is None else source, preparation, notice, name=self.where, resizer=resizer
        )

    def shape(self, preparation: Preparation = AS_IT_IS) -> tuple[int, int, int]:
        """(height, width, channels) that `read` would give, from the header. Raises BadInput."""
        from cnntool.images.read import image_shape

        return image_shape(self.source(), preparation, name=self.where)

    def source(self) -> str | bytes:
        """What the input is read from: a path, or the bytes of an archive's member. Raises BadInput."""
        if self._content is not None:
            return self._content()
        assert self.path is not None
        if not os.path.isfile(self.path):
            # A list may name missing files; only those inputs fail.
            there = os.path.exists(self.path)
            raise Missing(
                f"{self.where}: {'not a file' if there else 'no such file'}: expected an image or a .npy volume"
            )
        return self.path


class OnDemand(Sequence[Item]):
    """Items that are made when they are asked for, anew each time, so that millions need not be held."""

    def __init__(self, count: int, item: Callable[[int], Item], labels: Callable[[], Iterable[str | None]]) -> None:
        """`labels` gives those of all items, without making any."""
        self._count, self._item, self.labels = count, item, labels

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        numbers = range(self._count)[index]
        return self._item(numbers) if isinstance(numbers, int) else list(map(self._item, numbers))


class Inputs(Sequence[Item]):
    """The inputs in order. `single` means one image by its form: a file or standard input, not a folder of one.

    An item may be another object each time that it is asked for. `left_out` counts what is not read, `empty` are
    folders that would be classes but hold no input. A context manager; leaving it closes an archive.
    """

    def __init__(
        self,
        items: Sequence[Item],
        text: str,
        *,
        single: bool = False,
        close: Callable[[], None] | None = None,
        left_out: LeftOut | None = None,
        folders: Iterable[str] = (),
    ) -> None:
        """`folders`: the names of all folders that would be classes."""
        self.items, self.text, self.single = items, text, single
        self.left_out = left_out or LeftOut()
        classes = {composed(name) for name in folders}
        self.empty = sorted(classes - set(self.labels)) if classes else []
        self._close = close

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        return list(self.items[index]) if isinstance(index, slice) else self.items[index]

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def __enter__(self) -> Inputs:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._close is not None:
            self._close()

    def first_shape(self, preparation: Preparation) -> tuple[Item, tuple[int, int, int]]:
        """The first input whose shape can be read, with its shape; the first error if there is none."""
        first_error: CnntoolError | None = None
        for item in self.items:
            try:
                return item, item.shape(preparation)
            except BadInput as error:
                first_error = first_error or error
        assert first_error is not None
        raise first_error

    @property
    def labels(self) -> list[str]:
        """The different labels, sorted."""
        items = self.items
        labels = items.labels() if isinstance(items, OnDemand) else (item.label for item in items)
        return sorted({label for label in labels if label is not None})

    def notes(self, labels: bool = False) -> list[str]:
        """Lines for a command's summary on what was not read; with `labels`, also on classes without an image."""
        lines = self.left_out.lines()
        if labels and self.empty:
            named = ", ".join(self.empty[:10]) + (", ..." if len(self.empty) > 10 else "")
            lines.append(
                f"no image in {'the folder' if len(self.empty) == 1 else 'the folders'} {named}: no such class"
            )
        return lines

    def without_outputs(self, paths: Sequence[Path]) -> None:
        """Removes inputs that are outputs of other inputs; `paths` are the outputs of the items, in order."""
        items = list(self.items)
        makers: dict[str, Item] = {}
        for item, path in zip(items, paths, strict=True):
            makers.setdefault(os.path.abspath(path), item)
        kept = []
        for item in items:
            maker = makers.get(os.path.abspath(item.path), item) if item.path is not None else item
            if maker is item:
                kept.append(item)
            else:
                self.left_out.other(OUTPUT, item.name)
        self.items = kept
