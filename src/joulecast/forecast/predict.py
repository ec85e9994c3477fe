"""Tables of workloads, predicted: in memory, or in files (CSV or Parquet) block by block.

Columns read: the keys of a `joulecast.question.setting.Setting` or their aliases. ``model`` and ``gpu`` are
needed; what else a row does not give takes its default, and the column ``assumed`` says which and what.
Every other column is kept as it is. Columns added: `joulecast.forecast.predictor.OUTPUTS`. An input that has
one of these already is refused: measured values are never overwritten.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from joulecast.errors import InputError, shown
from joulecast.files.columns import Columns
from joulecast.files.paths import guarding_inputs
from joulecast.files.tables import blocks_of, values_of, write_blocks
from joulecast.forecast.estimate import LawChoice, resolve_law
from joulecast.forecast.predictor import Predictor, check_columns
from joulecast.law.law import Law

EXPECTED = "workloads"
Writer = Callable[[Iterator[Columns], Path | None], None]


@dataclass
class Summary:
    """What became of a file: rows read, rows with an error, the first such row and its error.

    `warned` counts the rows that are predicted and deserve doubt.
    """

    rows: int = 0
    failed: int = 0
    warned: int = 0
    first_failure: str = ""

    def add(self, answers: Mapping[str, Any]) -> None:
        """Count one block's output columns."""
        bad = (answers["error"] != "").nonzero()[0]
        if len(bad) and not self.failed:
            self.first_failure = f"data row {self.rows + int(bad[0]) + 1}: {answers['error'][bad[0]]}"
        self.rows += len(answers["error"])
        self.failed += len(bad)
        self.warned += int(((answers["warning"] != "") & (answers["error"] == "")).sum())


def predict(table: Mapping[str, Any] | str | os.PathLike[str], *, law: LawChoice = None) -> Columns:
    """Energy, time and compute of every workload of a table.

    Parameters
    ----------
    table : columns by name (lists or one-dimensional arrays, all of the same length), or the path of
        a CSV or Parquet file; see this module's docstring for the columns.
    law : name of a packaged law, path of a law file, or a law; None for the default law.

    Returns
    -------
    The input's columns as they were (a CSV file's as text), and arrays of shape (rows,):
    ``energy_j``, ``energy_low_j``, ``energy_high_j`` [J, of one image or clip, 90 % interval],
    ``duration_s``, ``duration_low_s``, ``duration_high_s`` [s, of one batch, 90 % interval], ``flop`` [FLOP,
    of one image or clip], ``peak_memory_bytes`` [byte, the most that a batch holds of the GPU's memory, nan
    where it is not known], nan where a row cannot be predicted; of clips ``rendered_frames`` (the frames that
    are made), ``clip_s`` [s, how long it is played], ``energy_per_second_of_video_j``,
    ``energy_per_second_of_video_low_j``, ``energy_per_second_of_video_high_j`` [J, 90 % interval], masked or
    nan of images, and nan where no frame rate is known; ``law`` (its name), ``assumed`` (what a row did not
    give, and what was taken), ``warning`` (where the number deserves doubt), ``error`` (why there is none),
    text.

    Raises
    ------
    InputError
        A required column is missing, columns differ in length, or an output's name is taken.
    FileFormatError
        The file is no CSV or Parquet file, is cut, or its rows are ragged.
    UnknownNameError
        There is no such law.
    """
    columns = read_table(table) if isinstance(table, str | os.PathLike) else columns_of(table)
    return {**columns, **Predictor(resolve_law(law)).predict(columns)}


def columns_of(table: Any) -> Columns:
    """The columns of a mapping or a data frame by name; InputError when it is neither."""
    names = table.keys() if hasattr(table, "keys") else getattr(table, "columns", None)
    if names is None or isinstance(names, Callable):  # type: ignore[arg-type]
        raise InputError(
            "a table is a mapping of columns, e.g. {'model': ['sdxl'], 'gpu': ['L4']}, a data frame or "
            f"the path of a file, not {shown(table)}"
        )
    return {str(name): table[name] for name in names}


def predict_file(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str] | None,
    law: Law,
    write: Writer = write_blocks,
) -> Summary:
    """Predict a file of workloads into another; None writes CSV to standard output.

    The target is Parquet when its name ends in ``.parquet`` or ``.pq``, else CSV, UTF-8, with numbers
    in full precision and empty cells where there is none. Parameters and errors otherwise as of
    `predict`; InputError also when the target cannot be written, and nothing is left of it then.
    """
    source = Path(source)
    predictor, summary = Predictor(law), Summary()

    def answered() -> Iterator[Columns]:
        for block in blocks_of(source, check_columns, EXPECTED):
            answers = predictor.predict(block)
            summary.add(answers)
            yield {**block, **answers}

    with guarding_inputs():
        write(answered(), None if target is None else Path(target))
    return summary


def read_table(source: str | os.PathLike[str]) -> Columns:
    """All columns of a CSV file (lists of text) or a Parquet file (arrays); errors as of `predict`."""
    parts = list(blocks_of(Path(source), check_columns, EXPECTED))
    if len(parts) == 1:
        return {name: values_of(column) for name, column in parts[0].items()}
    return {name: list(chain.from_iterable(values_of(part[name]) for part in parts)) for name in parts[0]}
