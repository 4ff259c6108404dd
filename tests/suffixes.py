"""Suffixes of tables as parameters of tests, skipped where the package that writes them is not installed."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

NEEDS = {"parquet": "pyarrow", "safetensors": "safetensors"}


def tables(*suffixes: str) -> list:
    return [
        pytest.param(suffix, marks=pytest.mark.skipif(not is_written(suffix), reason=f"{suffix} needs a package"))
        if suffix.rstrip("/") in NEEDS
        else suffix
        for suffix in suffixes
    ]


def is_written(suffix: str) -> bool:
    return suffix.rstrip("/") not in NEEDS or find_spec(NEEDS[suffix.rstrip("/")]) is not None
