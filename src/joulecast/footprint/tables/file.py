"""Footprints of a table in a file: each row with energies, as `joulecast predict` writes it.

The columns read are those of `row`, and those of regions and times; `columns` has those added.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO

import numpy as np

from joulecast.errors import InputError, near_matches, shown
from joulecast.files.columns import Columns, text_of
from joulecast.files.paths import guarding_inputs
from joulecast.files.tables import blocks_of, values_of, write_blocks
from joulecast.footprint.tables.columns import OUTPUTS, Sites, footprint_columns
from joulecast.footprint.tables.row import Row

EXPECTED = "runs or predictions"
REQUIRED = ("energy_j", "duration_s")


@dataclass
class Summary:
    """What became of a table: rows, rows without a footprint, the first one's reason, boundaries met."""

    rows: int = 0
    failed: int = 0
    first_failure: str = ""
    boundaries: set[str] = field(default_factory=set)

    def add(self, answers: Columns) -> None:
        """Count one block's output columns."""
        error = answers["footprint_error"]
        bad = np.flatnonzero(error != "")
        if len(bad) and not self.failed:
            self.first_failure = f"data row {self.rows + int(bad[0]) + 1}: {error[bad[0]]}"
        self.rows += len(error)
        self.failed += len(bad)
        self.boundaries |= set(answers["grid_boundary"].tolist()) - {""}


def footprint_file(
    source: str | os.PathLike[str], target: str | os.PathLike[str] | IO[str] | None, sites: Sites
) -> Summary:
    """Write a table, CSV or Parquet, with its footprints; None writes CSV to standard output.

    Raises InputError where a column is missing or an output's name is taken, or the target cannot be
    written; FileFormatError where the file is not what its name says.
    """
    place = Path(target) if isinstance(target, str | os.PathLike) else None
    summary = Summary()

    def answered() -> Iterator[Columns]:
        for block in blocks_of(
            Path(source), lambda names, where: check_columns(names, where, sites), EXPECTED
        ):
            answers = footprint_columns(block, sites)
            summary.add(answers)
            yield {**block, **answers}

    with guarding_inputs():
        write_blocks(answered(), place or target)  # type: ignore[arg-type]  # a path, a file or None
    return summary


def read_rows(source: str | os.PathLike[str], required: Sequence[str] = REQUIRED) -> list[Row]:
    """The rows of a CSV or Parquet file, cells by column. Raises InputError or FileFormatError."""

    def check(names: list[str], where: str) -> None:
        _require(names, where, required)

    def rows_of(block: Columns) -> Iterator[Row]:
        columns = [map(text_of, values_of(column)) for column in block.values()]
        return (dict(zip(block, cells, strict=True)) for cells in zip(*columns, strict=True))

    return list(chain.from_iterable(map(rows_of, blocks_of(Path(source), check, EXPECTED))))


def check_columns(names: list[str], where: str, sites: Sites) -> None:
    """Raise InputError where a column is missing or an output's name is taken."""
    _require(names, where, (*REQUIRED, *sites.columns.values()))
    taken = [name for name in OUTPUTS if name in names]
    if taken:
        raise InputError(f"{where} already has {', '.join(taken)}; rename or drop it first")


def _require(names: list[str], where: str, required: Sequence[str]) -> None:
    missing = [name for name in required if name not in names]
    if missing:
        near = near_matches(missing[0], names, most=1)
        better = f"; is it {shown(near[0])}?" if near else f"; found: {', '.join(map(shown, names[:8]))}"
        raise InputError(f"{where} has no column {', '.join(missing)}{better}")
