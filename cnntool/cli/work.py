"""From inputs through a pipeline to results, for one image or a hundred thousand: threads, progress, failures."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol, Self

from cnntool.batches.compute import naming, resizer_of_kernel
from cnntool.batches.content import content_of
from cnntool.batches.order import in_order, one_by_one
from cnntool.cli.streams import printable, tell, telling
from cnntool.errors import BadInput, CnntoolError
from cnntool.pipeline import Pipeline

if TYPE_CHECKING:
    import numpy as np

    from cnntool.batches.journal import Kept
    from cnntool.images.failures import ErrorsFile
    from cnntool.images.items import Inputs, Item
    from cnntool.images.preparation import Preparation
    from cnntool.images.printed import Failures


SECONDS_OF_SILENCE = 60  # between two lines on the progress in a log


class Notices:
    """Notices on stderr besides errors, each once."""

    def __init__(self, quiet: bool, verbose: bool) -> None:
        self.quiet = quiet
        self.shows_table = not quiet and (verbose or sys.stderr.isatty())
        self._said: set[str] = set()

    def say(self, text: str, key: str | None = None) -> None:
        if not self.quiet and (key or text) not in self._said:
            self._said.add(key or text)
            tell(f"cnntool: {text}")

    def watching_compiler(self) -> AbstractContextManager:
        """Within the block, says once when kernels are being compiled, which makes a first run slow."""
        from cnntool import kernels
        from cnntool.engine.threads import available_threads

        kernels.common.undivided = True
        kernels.ahead.prepare(available_threads() - 1)

        def compiling(_: str) -> None:
            if problem := kernels.cache.problem():
                text = f"in memory, since {problem} (CNNTOOL_CACHE_DIR names another)"
            else:
                text = "for this processor; they are kept for the next time"
            self.say(f"compiling kernels {text}", key="compiling kernels")

        return kernels.on_compile(compiling)

    def failures(self, errors: ErrorsFile | Failures, total: int) -> None:
        listed = f"; they are listed in {errors.path}" if errors.path else ""
        self.say(f"{errors.count} of {total} images failed{listed}")

    def source(self, source: Inputs, labels: bool = False) -> None:
        """What a folder or an archive held that is not read; with `labels`, also classes without an image."""
        for line in source.notes(labels):
            self.say(line)

    def table(self, pipeline: Pipeline, shape: tuple[int, ...]) -> None:
        if self.shows_table:
            from cnntool.cli.report import print_table

            with telling():
                print_table(sys.stderr, pipeline.shape(shape), pipeline)  # type: ignore[arg-type]

    def plan(self, pipeline: Pipeline, shape: tuple[int, ...], threads: int) -> None:
        """How an input of this shape is computed."""
        from cnntool.cli.report import console_of, rows_as_table

        with telling():
            console_of(sys.stderr).print(rows_as_table(pipeline.plan(shape).explain(threads)))


class Runner(Protocol):
    """Computes something from one volume, as a pipeline does."""

    def run(self, volume: np.ndarray, threads: int | None = None) -> np.ndarray: ...


def volumes(
    source: Inputs,
    pipeline: Runner,
    preparation: Preparation,
    threads: int,
    notices: Notices,
    result_of: Callable[[int, np.ndarray], Any],
    failed: Callable[[Item, CnntoolError], None],
    kept: Kept | None = None,
) -> Iterator[tuple[int, Item, Any, Any]]:
    """Runs all inputs; yields (number, item, result of `result_of(number, volume)`, input's shape) in their order.

    Several images: each thread reads and computes one image at a time. One image: all threads share its bands. An input
    that fails goes to `failed` and the run continues; a single input raises. So do a full disk, and a mistake in the
    words: neither the first input fits, nor one of any other shape. With `kept`,
    an input whose result is there already gives (number, item, None, None).
    """
    several = len(source) > 1
    spread = 1 if several else threads
    resizer = resizer_of_kernel() if several and preparation.resize is not None else None

    def compute(number: int, item: Item) -> tuple[Any, tuple[int, ...] | None]:
        content, data = content_of(item) if kept is not None else (b"", None)
        if kept is not None and kept.has(number, content):
            return None, None
        volume = item.read(preparation, notices.say, resizer, data)
        with naming(item) if several else nullcontext():
            result = result_of(number, pipeline.run(volume, threads=spread))
        if kept is not None:
            kept.record(number, content)
        return result, volume.shape

    for number, item, result in in_order(source, one_by_one(compute), preparation, threads):
        if not isinstance(result, CnntoolError):
            yield number, item, *result
        elif source.single and not isinstance(result, BadInput):
            raise result
        else:
            failed(item, result)


class Display:
    """Starts and stops `_bar`, if there is one. A context manager."""

    _bar: Any = None

    def __enter__(self) -> Self:
        if self._bar:
            with telling():
                self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            with telling():
                self._bar.stop()

    def print(self, text: str) -> None:
        """A line above the bar."""
        with telling():
            self._bar.console.print(printable(text), markup=False, highlight=False, soft_wrap=True)


class Progress(Display):
    """How far the work on several images is: a bar if stderr is a terminal, else a line every so often, for logs."""

    def __init__(self, total: int, notices: Notices, doing: str) -> None:
        self._notices, self._total, self._doing = notices, total, doing
        self._done = self._failures = 0
        self._began = self._told = time.monotonic()
        if total > 1 and sys.stderr.isatty() and not notices.quiet:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn(doing), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[pace]}"),
                TimeRemainingColumn(), console=Console(file=sys.stderr), transient=True,
            )  # fmt: skip
            self._task = self._bar.add_task("", total=total, pace="")

    def advance(self, failed: bool = False) -> None:
        self._done += 1
        self._failures += failed
        if self._bar:
            with telling():
                self._bar.update(self._task, advance=1, pace=self._pace())
        elif self._done < self._total and time.monotonic() - self._told > SECONDS_OF_SILENCE:
            self._told = time.monotonic()
            left = (self._told - self._began) / self._done * (self._total - self._done)
            self._notices.say(
                f"{self._doing}: {self._done} of {self._total} images, {self._pace()}, about {left / 60:.0f} min left"
            )

    def _pace(self) -> str:
        """Images a second since the beginning, and how many failed."""
        rate = self._done / max(1e-9, time.monotonic() - self._began)
        failures = f", {self._failures} failed" if self._failures else ""
        return f"{rate:.{0 if rate >= 10 else 1}f}/s{failures}"

    def complain(self, text: str) -> None:
        """An error, on a line above the bar."""
        if self._bar:
            self.print(text)
        else:
            tell(text)
