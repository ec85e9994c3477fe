"""Measured runs: the record of one, and tables of them.

The columns, their types, units, defaults and meaning are themselves a table,
``data/runs/columns.csv``; `MeasuredRun` has one field a column and validates itself against it, so
a run made in Python and a run read from a file obey the same rules.
"""

from joulecast.runs.columns import Column, columns
from joulecast.runs.rows import is_invented
from joulecast.runs.run import MODES, REFERENCE_ENGINE, MeasuredRun, shares
from joulecast.runs.table import RunTable, as_runs, packaged_runs, packaged_tables
from joulecast.runtime import DATA

__all__ = [
    "DATA",
    "MODES",
    "REFERENCE_ENGINE",
    "Column",
    "MeasuredRun",
    "RunTable",
    "as_runs",
    "columns",
    "is_invented",
    "packaged_runs",
    "packaged_tables",
    "shares",
]
