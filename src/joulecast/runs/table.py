"""Tables of runs: what may be asked of one, its file, and those that ship."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any, Final, overload

import numpy as np
from numpy.typing import NDArray

from joulecast import data
from joulecast.errors import FileFormatError, InputError, shown
from joulecast.files.documents import parse_csv
from joulecast.files.paths import decoded, shown_path, user_text, write_whole
from joulecast.hardware import CATALOGUE
from joulecast.question.gpus import gpu
from joulecast.runs.columns import cell_of, column_of, columns
from joulecast.runs.rows import OLD_RUNTIME, run_of
from joulecast.runs.run import MeasuredRun

MOST_FILE_BYTES: Final = 50_000_000


class RunTable(Sequence[MeasuredRun]):
    """An immutable sequence of runs, each `run_id` once.

    Attributes
    ----------
    ignored_columns : columns of the file it was read from that no run table has.

    Raises InputError when two runs share a `run_id`.
    """

    __slots__ = ("_runs", "ignored_columns")

    def __init__(self, runs: Iterable[MeasuredRun] = (), ignored_columns: Iterable[str] = ()) -> None:
        self._runs = tuple(runs)
        self.ignored_columns = tuple(ignored_columns)
        seen: set[str] = set()
        for run in self._runs:
            if run.run_id in seen:
                raise InputError(f"run_id {shown(run.run_id)} occurs twice; expected each run once")
            seen.add(run.run_id)

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[MeasuredRun]:
        return iter(self._runs)

    @overload
    def __getitem__(self, index: int) -> MeasuredRun: ...
    @overload
    def __getitem__(self, index: slice) -> RunTable: ...
    def __getitem__(self, index: int | slice) -> MeasuredRun | RunTable:
        if isinstance(index, slice):
            return RunTable(self._runs[index], self.ignored_columns)
        return self._runs[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RunTable) and self._runs == other._runs

    def __hash__(self) -> int:
        return hash(self._runs)

    def __add__(self, other: RunTable) -> RunTable:
        """Both tables' runs, in order. Raises InputError when they share a `run_id`."""
        if not isinstance(other, RunTable):
            return NotImplemented
        ignored = dict.fromkeys(self.ignored_columns + other.ignored_columns)
        return RunTable(self._runs + other._runs, ignored)

    def __repr__(self) -> str:
        return f"<RunTable of {len(self)} runs>"

    def column(self, name: str) -> NDArray[Any]:
        """One column, shape (runs,): float64 with NaN for unknown, objects (str, None) for text, or bool.

        Raises UnknownNameError for a name that is no column.
        """
        column = column_of(name)
        values = [getattr(run, name) for run in self._runs]
        if column.type == "text":
            return np.array(values, dtype=object)
        if column.type == "boolean":
            return np.array(values, dtype=bool)
        return np.array([math.nan if value is None else value for value in values], dtype=float)

    def filter(self, predicate: Callable[[MeasuredRun], bool] | None = None, **equal_to: object) -> RunTable:
        """The runs for which `predicate` holds and every named column equals the given value.

        A list, tuple or set accepts any of its values; None accepts unknown. A GPU may be an alias.

        >>> packaged_runs().filter(gpu="a100 40gb", boundary="gross", batch_size=(1, 2))
        <RunTable of 12 runs>

        Raises UnknownNameError for a name that is no column, or a GPU the catalogue does not list.
        """
        accepted = {column_of(name).name: _accepted(name, value) for name, value in equal_to.items()}
        return RunTable(
            (
                run
                for run in self._runs
                if all(getattr(run, name) in values for name, values in accepted.items())
                and (predicate is None or predicate(run))
            ),
            self.ignored_columns,
        )

    @classmethod
    def read(cls, file: str | os.PathLike[str] | IO[Any]) -> RunTable:
        """Read a CSV file of runs: a path, or an open text or binary file.

        Columns may come in any order; ``data/runs/columns.csv`` says which are required. Others
        are ignored, and named in `ignored_columns`.

        Raises InputError when there is no such file, FileFormatError, naming file, row (the header
        is row 1) and column, when its content is not a table of runs.
        """
        text, where = _content(file)
        rows = parse_csv(text, where)
        if not rows:
            raise FileFormatError(f"{where} is empty; expected a header line: {','.join(columns())}")
        header = _header(rows[0][1], where)
        ignored = tuple(name for name in header if name not in columns() and name != OLD_RUNTIME)
        first_row: dict[str, int] = {}
        runs = []
        for number, cells in rows[1:]:
            run = run_of(header, cells, f"{where}, row {number}", ignored)
            if run.run_id in first_row:
                raise FileFormatError(
                    f"{where}, row {number}: run_id {shown(run.run_id)} is that of row "
                    f"{first_row[run.run_id]}; expected each run once"
                )
            first_row[run.run_id] = number
            runs.append(run)
        return cls(runs, ignored)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write a CSV file (UTF-8) that `read` turns into an equal table, whole or not at all.

        Raises InputError when the file cannot be written.
        """
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns())
        writer.writerows([cell_of(getattr(run, name)) for name in columns()] for run in self._runs)
        write_whole(Path(path), text.getvalue())


def as_runs(given: RunTable | str | os.PathLike[str]) -> RunTable:
    """Runs as they were given: a table as it is, a path as the table in its file.

    Raises InputError for anything else, and what `RunTable.read` raises.
    """
    if isinstance(given, RunTable):
        return given
    if isinstance(given, str | os.PathLike):
        return RunTable.read(given)
    raise InputError(f"runs are a RunTable or the path of a CSV file, not {shown(given)}; e.g. 'my-runs.csv'")


@cache
def packaged_tables() -> Mapping[str, RunTable]:
    """The packaged run tables by file, e.g. ``"runs/mlenergy_v2.csv"``, in order of names."""
    files = [name for name in data.names("runs", ".csv") if name != "runs/columns.csv"]
    return {name: RunTable.read(_named(data.read_bytes(name), name)) for name in files}


@cache
def packaged_runs() -> RunTable:
    """Every measured run that ships with joulecast; ``data/README.md`` has their sources."""
    return RunTable(run for table in packaged_tables().values() for run in table)


def _named(content: bytes, name: str) -> IO[bytes]:
    file = io.BytesIO(content)
    file.name = name
    return file


def _accepted(name: str, value: object) -> list[object]:
    values = list(value) if isinstance(value, list | tuple | set | frozenset) else [value]
    return [_gpu_name(item) if name == "gpu" and isinstance(item, str) else item for item in values]


def _gpu_name(text: str) -> str:
    found = gpu(text)
    return found.name if found.origin == CATALOGUE else text


def _content(file: str | os.PathLike[str] | IO[Any]) -> tuple[str, str]:
    """The text of the file, and what to call it in a message."""
    if isinstance(file, str | os.PathLike):
        return user_text(file, "run table", MOST_FILE_BYTES), f"run table {shown_path(file)}"
    where = f"run table {shown_path(str(getattr(file, 'name', 'from an open file')))}"
    content = file.read()
    if isinstance(content, str):
        content = content.encode("utf-8", errors="surrogatepass")
    return decoded(content, where), where


def _header(cells: Sequence[str], where: str) -> list[str]:
    header = [cell.strip() for cell in cells]
    missing = [name for name, column in columns().items() if column.required and name not in header]
    if missing:
        raise FileFormatError(
            f"{where} lacks the column {', '.join(missing)}; its header: {shown(','.join(header))}"
        )
    twice = [name for name in columns() if header.count(name) > 1]
    if twice:
        raise FileFormatError(f"{where} has the column {twice[0]} twice; expected each once")
    return header
