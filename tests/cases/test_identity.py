"""A pipeline whose output is the input itself: it runs everywhere, and there is nothing to learn or to save."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cnntool import Pipeline
from cnntool.cli.main import main
from cnntool.errors import CnntoolError

CHAINS = [["mark", "a", "relu", "from", "a"], ["--until", "a", "mark", "a", "conv", "4", "3"]]
VOLUME = np.random.default_rng(0).random((4, 5, 1), np.float32) - 0.5


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("v.npy", VOLUME)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_output_is_a_copy(threads):
    pipeline = Pipeline.parse("mark a relu from a")
    batch = np.stack([VOLUME, -VOLUME])
    for _ in range(3):  # at the second a plan is recorded
        for x in (VOLUME, batch):
            found = pipeline.run(x, threads)
            np.testing.assert_array_equal(found, x)
            assert not np.shares_memory(found, x)
    np.testing.assert_array_equal(Pipeline.parse("mark a relu").until("a").run(VOLUME), VOLUME)


@pytest.mark.parametrize("words", CHAINS)
@pytest.mark.parametrize("output", ["o.npy", "o.png", "o/", "%s.o.npy"])
@pytest.mark.parametrize("options", [[], ["--verbose", "--explain-plan"]])
def test_run(words, output, options, capsys):
    assert main(["run", *options, "v.npy", output, *words]) == 0
    assert ("copy of the input" in capsys.readouterr().err) == bool(options)
    for name in {"o.npy": ["o.npy"], "o/": ["o/v.npy"], "%s.o.npy": ["v.o.npy"]}.get(output, []):
        np.testing.assert_array_equal(np.load(name), VOLUME)


@pytest.mark.parametrize("words", CHAINS)
def test_extract(words):
    assert main(["extract", "v.npy", "t.npz", "--quiet", *words]) == 0
    np.testing.assert_array_equal(np.load("t.npz")["features"], VOLUME.reshape(1, -1))


@pytest.mark.parametrize("words", CHAINS)
@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"], ["--markdown"], ["--as-fc"], ["--without-sharing"]])
def test_shape(words, form, capsys):
    assert main(["shape", *form, "9x8x1", *words]) == 0
    out = capsys.readouterr().out
    if form == ["--json"]:
        found = json.loads(out)
        assert (found["layers"], found["totals"]["parameters"], found["totals"]["macs"]) == ([], 0, 0)
    else:
        assert "total" in out or form == ["--csv"]


def test_nothing_can_be_learned_or_saved(capsys):
    assert main(["fit", "v.npy", "m.npz", "mark", "a", "whiten", "from", "a"]) == 2
    assert "the output is the input itself" in capsys.readouterr().err
    pipeline = Pipeline.parse("mark a relu from a").fit([VOLUME])
    with pytest.raises(CnntoolError, match="nothing to learn or to save"):
        pipeline.save("m.npz")
    for folder in ("p/a", "p/b"):
        Path(folder).mkdir(parents=True)
        np.save(f"{folder}/v.npy", VOLUME[:1, :2])
    assert main(["train", "p", "m.npz", "mark", "a", "fc", "2", "softmax", "from", "a"]) == 2
    assert "no layer has anything to train" in capsys.readouterr().err
    assert not Path("m.npz").exists()
