"""Tables of workloads in files, CSV or Parquet, predicted block by block."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from joulecast.files.tables import Columns, blocks_of, existing, refuse_same, values_of, write_blocks
from joulecast.forecast.predict import Predictor, check_columns
from joulecast.law.law import Law

EXPECTED = "workloads"


@dataclass
class Summary:
    """What became of a file: rows read, rows with an error, the first such row and its error."""

    rows: int = 0
    failed: int = 0
    first_failure: str = ""

    def add(self, answers: Mapping[str, Any]) -> None:
        """Count one block's output columns."""
        bad = (answers["error"] != "").nonzero()[0]
        if len(bad) and not self.failed:
            self.first_failure = f"data row {self.rows + int(bad[0]) + 1}: {answers['error'][bad[0]]}"
        self.rows += len(answers["error"])
        self.failed += len(bad)


def predict_file(source: str | os.PathLike[str], target: str | os.PathLike[str] | None, law: Law) -> Summary:
    """Predict a file of workloads into another; None writes CSV to standard output.

    The target is Parquet when its name ends in ``.parquet`` or ``.pq``, else CSV, UTF-8, with numbers
    in full precision and empty cells where there is none. Parameters and errors otherwise as of
    `predict`; InputError also when the target cannot be written, and nothing is left of it then.
    """
    source = existing(Path(source), EXPECTED)
    refuse_same(source, None if target is None else Path(target))
    predictor, summary = Predictor(law), Summary()

    def answered() -> Iterator[Columns]:
        for block in blocks_of(source, check_columns, EXPECTED):
            answers = predictor.predict(block)
            summary.add(answers)
            yield {**block, **answers}

    write_blocks(answered(), None if target is None else Path(target))
    return summary


def read_table(source: str | os.PathLike[str]) -> Columns:
    """All columns of a CSV file (lists of text) or a Parquet file (arrays); errors as of `predict`."""
    parts = list(blocks_of(Path(source), check_columns, EXPECTED))
    if len(parts) == 1:
        return {name: values_of(column) for name, column in parts[0].items()}
    return {name: list(chain.from_iterable(values_of(part[name]) for part in parts)) for name in parts[0]}
