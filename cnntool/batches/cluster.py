"""Inputs through a pipeline by the workers of a Dask cluster, which write the same parts that threads do.

A worker needs cnntool and the same paths: for the inputs, and for `OUTPUT.parts/`, where it puts its rows. What comes
back are digests. A task is a run of inputs in their order; when its worker dies, another does it again.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.batches import parts
from cnntool.batches.compute import Notice, Row, Work, rows_of
from cnntool.batches.identity import Identity, with_absolute_files
from cnntool.errors import BadInput, CnntoolError, Failed
from cnntool.files import make_own_folder
from cnntool.images.items import Inputs, Item
from cnntool.images.remote import is_url

if TYPE_CHECKING:
    from cnntool.batches.extraction import Extraction, Outcome

TASK = 64  # inputs; small enough for a cluster's end to come at once for all, large enough to hide the scheduler
AHEAD = 4  # tasks for each thread of the cluster that wait in the scheduler
NEEDED = "--engine dask needs the package distributed: pip install 'cnntool[dask]'"


Sent = Item | tuple[str, str]  # an input on its way to a worker: a file or URL, or an archive and the name in it


class Answer(NamedTuple):
    """What comes back: the file name of the part that was written, if any, and the outcome of each input."""

    part: str
    outcomes: list[bytes | CnntoolError]


def rows_of_cluster(
    items: Inputs, work: Work, extraction: Extraction, scheduler: str | None, threads: int, notice: Notice
) -> Iterator[Outcome]:
    """(index, item, row or error) of each input, in order, as `compute.rows_of`; the rows are in the parts by then."""
    distributed = _distributed()
    with _client(distributed, scheduler, threads) as client:
        folder = extraction.parts.folder
        make_own_folder(folder, extraction.output)
        known = extraction.known_contents()
        sent = dataclasses.replace(work, pipeline=with_absolute_files(work.pipeline))
        common = client.scatter((sent, extraction.identity, str(folder), known), broadcast=True)
        ahead = AHEAD * max(1, sum(client.nthreads().values()))
        waiting: deque[tuple[int, list[Item], Any]] = deque()
        tasks = iter(_runs(items))
        while True:
            for first, run in itertools.islice(tasks, ahead - len(waiting)):
                waiting.append((first, run, client.submit(compute_task, _task(run), common, pure=False)))
            if not waiting:
                return
            first, run, future = waiting.popleft()
            found = _outcomes(client, future, run, common, extraction)
            yield from ((first + place, item, found[place]) for place, item in enumerate(run))


def _outcomes(
    client: Any, future: Any, run: list[Item], common: Any, extraction: Extraction
) -> list[Row | CnntoolError]:
    """What a task gave. If all of its workers died, its inputs are tried one by one, to find the one that kills."""
    from distributed.scheduler import KilledWorker

    try:
        answer = future.result()
    except KilledWorker:
        if len(run) == 1:
            text = f"{run[0].where}: the workers that computed it died, maybe for want of memory"
            return [Failed(text)]
        futures = [(item, client.submit(compute_task, _task([item]), common, pure=False)) for item in run]
        return [outcome for item, alone in futures for outcome in _outcomes(client, alone, [item], common, extraction)]
    if answer.part and not extraction.parts.has(answer.part):
        path = extraction.parts.folder / answer.part
        if not extraction.parts.adopt(path):
            raise BadInput(f"{path}: not found, or damaged: the workers and this process need the same folder")
    return [outcome if isinstance(outcome, CnntoolError) else Row(outcome) for outcome in answer.outcomes]


def compute_task(task: list[Sent], common: tuple[Work, Identity, str, frozenset[bytes]]) -> Answer:
    """Runs in a worker: computes what is not known, and writes a part of it."""
    work, identity, folder, known = common
    items = [item if isinstance(item, Item) else _members(item[0])[item[1]] for item in task]
    rows: dict[bytes, tuple[Any, Any]] = {}
    outcomes: list[bytes | CnntoolError] = []
    for _, _, row in rows_of(items, work, 1, known, lambda _: None):
        if isinstance(row, CnntoolError):
            outcomes.append(row)
            continue
        outcomes.append(row.content)
        if row.vectors is not None:
            rows[row.content] = row.shape, row.vectors.astype("<f4", copy=False)
    if not rows:
        return Answer("", outcomes)
    output = Path(folder).with_suffix("")
    path, _ = parts.write_part(
        Path(folder), output, identity, work.sides, [(content, *row) for content, row in rows.items()]
    )
    return Answer(path.name, outcomes)


def _runs(items: Sequence[Item]) -> Iterator[tuple[int, list[Item]]]:
    for first in range(0, len(items), TASK):
        yield first, list(items[first : first + TASK])


def _task(run: list[Item]) -> list[Sent]:
    return [_sent(item) for item in run]


def _sent(item: Item) -> Sent:
    """With absolute paths: a worker runs in a folder of its own."""
    if item.archive is not None:
        return _absolute(item.archive[0]), item.archive[1]
    return item if item.path is None else Item(item.name, _absolute(item.path), where=item.where)


def _absolute(path: str) -> str:
    return path if is_url(path) else os.path.abspath(path)


@functools.lru_cache(4)
def _members(archive: str) -> dict[str, Item]:
    """The inputs of an archive, which stays open in the worker."""
    from cnntool.images.sources import open_source

    return {item.name: item for item in open_source(archive)}


def _distributed() -> Any:
    try:
        import distributed
    except ImportError:
        raise CnntoolError(NEEDED) from None
    return distributed


def _client(distributed: Any, scheduler: str | None, threads: int) -> Any:
    """A client of the cluster at that address, or of one on this machine, of `threads` processes, that ends with it."""
    import dask

    dask.config.set({"distributed.scheduler.allowed-failures": 2, "logging.distributed": "critical"})
    try:
        if scheduler is not None:
            return distributed.Client(scheduler, set_as_default=False)
        cluster = distributed.LocalCluster(
            n_workers=threads, threads_per_worker=1, dashboard_address=None, silence_logs=50
        )
        return _Local(distributed, cluster)
    except (OSError, ValueError, TimeoutError) as error:
        where = f"--scheduler {scheduler}" if scheduler else "--engine dask"
        raise CnntoolError(f"{where}: no cluster: {' '.join(str(error).split())}") from None


class _Local:
    """A client with its own cluster; leaving it ends both."""

    def __init__(self, distributed: Any, cluster: Any) -> None:
        self._cluster = cluster
        self._client = distributed.Client(cluster, set_as_default=False)

    def __enter__(self) -> Any:
        return self._client

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._cluster.close()
