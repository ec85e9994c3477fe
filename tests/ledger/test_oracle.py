"""A ledger against the same sums in SQL, by DuckDB, of one estimate for each question."""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl
import pytest

import joulecast
from joulecast.ledger.synthetic import synthetic_log

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from ledger_sql import COLUMNS, answers, summed


def test_a_ledger_has_the_sums_that_sql_finds(tmp_path: Path) -> None:
    log, path = synthetic_log(20_000, seed=5, days=3), str(tmp_path / "log.parquet")
    log.write_parquet(path)
    ledger = joulecast.make_ledger([path], tmp_path / "ledger", by=["day", "model"])
    expected = summed([path], answers([path]))
    cells = ledger.cells.group_by("day", "model").agg(pl.col("requests", *COLUMNS).sum()).sort("day", "model")
    found = cells.select("day", "model", "requests", *COLUMNS).rows()
    assert len(found) == len(expected) > 20
    for ours, theirs in zip(found, expected, strict=True):
        assert ours[:3] == theirs[:3]
        assert ours[3:] == pytest.approx(theirs[3:], rel=1e-12)
    assert ledger.aside == log.height - sum(row[2] for row in found) > 0
