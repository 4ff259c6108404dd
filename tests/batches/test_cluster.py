"""A Dask cluster on loopback writes the same bytes, whatever becomes of its workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cnntool.batches import cluster
from tests.cli.conftest import Tool, pixels, save
from tests.images.test_webdataset import sample, shard

distributed = pytest.importorskip("distributed")


CHAIN = ("bank", "gabor", "--scales", 2, "relu", "globalpool", "avg")
ROOT = str(Path(__file__).parents[2])


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A scheduler and three workers, as processes."""
    environment = os.environ | {"PYTHONPATH": ROOT}
    scheduler = distributed.LocalCluster(n_workers=0, dashboard_address=None, silence_logs=50)
    command = [
        sys.executable,
        "-m",
        "distributed.cli.dask_worker",
        scheduler.scheduler_address,
        "--nthreads",
        "1",
        "--no-dashboard",
    ]
    workers = [subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) for _ in range(3)]
    with distributed.Client(scheduler, set_as_default=False) as client:
        client.wait_for_workers(3, timeout=120)
    yield scheduler.scheduler_address
    for worker in workers:
        worker.terminate()
        worker.wait()
    scheduler.close()


def make_folder(count: int) -> None:
    for number in range(count):
        save(f"f/{number % 3}/{number:03}.png", pixels(32, 32, seed=number))
    Path("f/0/bad.png").write_text("no picture")


@pytest.mark.parametrize("suffix", ["npz", "parquet"])
def test_a_cluster_writes_the_bytes_of_one_process(
    cnntool: Tool,
    here: Path,
    address: str,
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
) -> None:
    monkeypatch.setattr(cluster, "TASK", 5)
    make_folder(40)
    one = cnntool("extract", "f", f"one.{suffix}", "--labels", *CHAIN)
    many = cnntool("extract", "f", f"many.{suffix}", "--labels", "--engine", "dask", "--scheduler", address, *CHAIN)
    assert (many.code, many.err) == (1, one.err.replace("one.", "many."))
    assert Path(f"one.{suffix}").read_bytes() == Path(f"many.{suffix}").read_bytes()
    save("f/1/new.png", pixels(seed=100))
    again = cnntool("extract", "f", f"many.{suffix}", "--labels", "--engine", "dask", "--scheduler", address, *CHAIN)
    assert "1 images computed, 40 known from before" in again.err
    cnntool("extract", "f", f"one.{suffix}", "--labels", *CHAIN)
    assert Path(f"one.{suffix}").read_bytes() == Path(f"many.{suffix}").read_bytes()


def test_members_of_archives(cnntool: Tool, here: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import tarfile

    monkeypatch.setattr(cluster, "TASK", 5)
    make_folder(12)
    with tarfile.open("f.tar", "w") as archive:
        archive.add("f")
    cnntool("extract", here / "f.tar", "one.csv", *CHAIN)
    cnntool("extract", here / "f.tar", here / "many.csv", "--engine", "dask", "--scheduler", address, *CHAIN)
    assert Path("one.csv").read_bytes() == Path("many.csv").read_bytes()


def test_a_worker_that_is_killed(cnntool: Tool, here: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "TASK", 5)
    make_folder(60)
    killed = []

    def kill() -> None:
        with distributed.Client(address, set_as_default=False) as client:
            while not list(here.glob("many.npz.parts/*.rows")):
                time.sleep(0.01)
            pids = client.run(os.getpid)
            os.kill(next(iter(pids.values())), signal.SIGKILL)
            killed.append(True)

    killer = threading.Thread(target=kill)
    killer.start()
    result = cnntool("extract", here / "f", here / "many.npz", "--engine", "dask", "--scheduler", address, *CHAIN)
    killer.join()
    assert (result.code, killed) == (1, [True])
    cnntool("extract", here / "f", "one.npz", *CHAIN)
    assert Path("one.npz").read_bytes() == Path("many.npz").read_bytes()


def test_weights_of_a_relative_path(cnntool: Tool, here: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers run in another folder than the one that the path is relative to."""
    monkeypatch.setattr(cluster, "TASK", 5)
    make_folder(12)
    np.save("w.npy", np.ones((3, 3, 3, 2), np.float32))
    words = ("conv", 2, 3, "--weights", "w.npy", "globalpool", "avg")
    cnntool("extract", "f", "one.npz", *words)
    assert cnntool("extract", "f", "many.npz", "--engine", "dask", "--scheduler", address, *words).code == 1
    assert Path("one.npz").read_bytes() == Path("many.npz").read_bytes()
    assert len(np.load("many.npz")["paths"]) == 12


def test_shards_of_tars(cnntool: Tool, here: Path, address: str) -> None:
    for number in range(2):
        shard(f"s/{number}.tar", sample(number, cls=b"x") | sample(number + 10, cls=b"y"))
    cnntool("extract", "s", "one.csv", "--labels", *CHAIN)
    assert cnntool("extract", "s", "many.csv", "--labels", "--engine", "dask", "--scheduler", address, *CHAIN).code == 0
    assert Path("one.csv").read_bytes() == Path("many.csv").read_bytes()


def test_urls(cnntool: Tool, here: Path, address: str) -> None:
    pytest.importorskip("fsspec")
    make_folder(6)
    cnntool("extract", "f", "one.npz", *CHAIN)
    assert (
        cnntool("extract", f"file://{here}/f", "many.npz", "--engine", "dask", "--scheduler", address, *CHAIN).code == 1
    )
    assert Path("one.npz").read_bytes() == Path("many.npz").read_bytes()
    assert "no standard input" in cnntool("extract", "-", "t.npz", "--engine", "dask", "relu").refused()


def test_no_cluster(cnntool: Tool, here: Path) -> None:
    save("a.png")
    assert (
        "expected --engine dask" in cnntool("extract", "a.png", "t.npz", "--scheduler", "tcp://x:1", "relu").refused()
    )
    words = ("--engine", "dask", "--scheduler", "nonsense://127.0.0.1:1", "relu")
    assert "no cluster" in cnntool("extract", "a.png", "t.npz", *words).refused()
