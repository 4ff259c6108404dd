"""docs/tables.md: what it says other programs do with a table, done by them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from docs.examples import DOCS, ROOT, blocks
from tests.cli.conftest import Tool, cnntool

__all__ = ["cnntool"]
CHAIN = ("--gray", "--resize", "64x64", "bank", "gabor", "--scales", "2", "abs", "globalpool", "avg")
CODE = [block.text for block in blocks((DOCS / "tables.md").read_text()) if block.language == "python"]


@pytest.fixture
def tables(cnntool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    for suffix in ("npz", "csv", "parquet", "npy"):
        assert cnntool("extract", ROOT / "samples/images", f"features.{suffix}", *CHAIN).code == 0
    return np.load("features.npz")["features"]


def test_the_blocks_give_the_rows_of_the_table(tables: np.ndarray) -> None:
    for name in ("pandas", "polars", "duckdb", "sklearn", "pyarrow"):
        pytest.importorskip(name)
    names = np.load("features.npz")["columns"].tolist()
    paths = np.load("features.npz")["paths"].tolist()
    assert names[2] == "gabor_0_45deg"
    by_csv, by_pyarrow, by_polars, by_duckdb, by_sklearn, mapped = CODE
    found: dict = {}
    exec(by_csv, found)
    assert found["table"].columns.tolist() == names
    assert found["table"].index.tolist() == paths
    np.testing.assert_array_equal(found["table"].to_numpy(np.float32), tables)
    exec(by_pyarrow, found)
    assert (found["table"].columns.tolist(), found["table"].index.tolist()) == (names, paths)
    np.testing.assert_array_equal(found["table"].to_numpy(), tables)
    exec(by_polars, found)
    np.testing.assert_array_equal(found["features"], tables)
    assert found["by_name"].columns == ["path", *names]
    np.testing.assert_array_equal(found["by_name"]["gabor_0_45deg"].to_numpy(), tables[:, 2])
    exec(by_duckdb, found)
    unit = tables / np.linalg.norm(tables, axis=1)[:, None]
    cosines = unit @ unit[paths.index("grass.png")]
    order = [paths[row] for row in np.argsort(-cosines) if paths[row] != "grass.png"]
    assert [path for path, _ in found["nearest"]] == order[:3]
    exec(by_sklearn, found)
    assert found["plane"].shape == (len(paths), 2)
    exec(mapped, found)
    assert found["paths"] == paths
    np.testing.assert_array_equal(found["features"], tables)
