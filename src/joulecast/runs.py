"""Measured runs: the record of one, and tables of them.

The columns, their types, units, defaults and meaning are themselves a table,
``data/runs/columns.csv``; `MeasuredRun` has one field a column and validates itself against it, so
a run made in Python and a run read from a file obey the same rules.
"""

from __future__ import annotations

import csv
import io
import math
import numbers
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, Final, overload

import numpy as np
from numpy.typing import NDArray

from joulecast import data
from joulecast.errors import FileFormatError, InputError, UnknownNameError, shown
from joulecast.files.documents import parse_csv
from joulecast.files.fields import MOST_MEASURED
from joulecast.files.paths import decoded, shown_path, user_text, write_whole
from joulecast.hardware import CATALOGUE
from joulecast.question.gpus import gpu

__all__ = ["Column", "MeasuredRun", "RunTable", "columns", "packaged_runs"]

MOST_FILE_BYTES: Final = 50_000_000
MOST_CELL_CHARACTERS: Final = 10_000
MOST_COUNT: Final = 1_000_000
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_BOOLEANS: Final = {"yes": True, "no": False}
_DRY_RUN: Final = "dry run"  # how the source of an invented run begins

_NOTHING_KNOWN: Final = "energy_j and duration_s are both unknown"


@dataclass(frozen=True)
class Column:
    """One row of ``data/runs/columns.csv``.

    Attributes
    ----------
    name : the column, and the field of MeasuredRun.
    type : ``"text"``, ``"integer"``, ``"number"`` or ``"boolean"``, yes or no.
    unit : e.g. ``"J"``; ``""`` for text.
    required : whether a file must have it, in every row.
    default : what an empty cell means, as text; ``""`` for unknown.
    values : the only values accepted, as text; empty when any is.
    description : what it holds.
    """

    name: str
    type: str
    unit: str
    required: bool
    default: str
    values: tuple[str, ...]
    description: str


@cache
def columns() -> Mapping[str, Column]:
    """The columns of a run table, by name, in file order."""
    return {
        row["column"]: Column(
            name=row["column"],
            type=row["type"],
            unit=row["unit"],
            required=row["required"] == "yes",
            default=row["default"],
            values=tuple(value for value in row["values"].split(";") if value),
            description=row["description"],
        )
        for row in data.read_table("runs/columns.csv")
    }


@dataclass(frozen=True, kw_only=True)
class MeasuredRun:
    """One measured generation of images. None is unknown; ``data/runs/columns.csv`` has the meanings.

    `energy_j` [J] is the GPU energy of one image inside `boundary` (``"gross"`` or ``"dynamic"``),
    `duration_s` [s] the time of one batch; at least one of them is known. A GPU alias becomes the
    catalogue's name, and `gpu_stated` keeps what was written.

    Raises InputError when a value is not what its column accepts.
    """

    run_id: str
    model: str
    checkpoint: str | None = None
    gpu: str
    gpu_stated: str | None = None
    gpu_count: int = 1
    batch_size: int
    width: int
    height: int
    frames: int = 1
    steps: int
    passes: int
    text_tokens: int | None = None
    precision: str
    energy_j: float | None = None
    boundary: str | None = None
    duration_s: float | None = None
    scope: str = "pipeline"
    runtime: str = "eager"
    attention: str | None = None
    software: str | None = None
    assumptions: str | None = None
    source: str | None = None
    source_url: str | None = None
    note: str | None = None
    is_invented: bool = False

    def __post_init__(self) -> None:
        for column in columns().values():
            _check_value(column, getattr(self, column.name))
        if self.energy_j is None and self.duration_s is None:
            raise InputError(f"{_NOTHING_KNOWN}; expected at least one of them")
        if self.energy_j is not None and self.boundary is None:
            raise InputError("boundary is unknown; expected gross or dynamic beside an energy_j")
        if self.energy_j is None and self.boundary is not None:
            raise InputError(f"boundary is {self.boundary} without an energy_j; expected both or neither")
        self._name_gpu()

    def _name_gpu(self) -> None:
        found = gpu(self.gpu)
        if found.origin == CATALOGUE and found.name != self.gpu:
            if self.gpu_stated is None:
                object.__setattr__(self, "gpu_stated", self.gpu)
            object.__setattr__(self, "gpu", found.name)


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
        column = _column(name)
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
        accepted = {_column(name).name: _accepted(name, value) for name, value in equal_to.items()}
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
        ignored = tuple(name for name in header if name not in columns())
        first_row: dict[str, int] = {}
        runs = []
        for number, cells in rows[1:]:
            run = _run(header, cells, f"{where}, row {number}", ignored)
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
        writer.writerows([_cell(getattr(run, name)) for name in columns()] for run in self._runs)
        write_whole(Path(path), text.getvalue())


def is_invented(row: Mapping[str, object]) -> bool:
    """Whether a row of a file, by column, is of an invented run: as it says, or, in files from before
    there was that column, as its source begins."""
    if "is_invented" in row:
        return str(row["is_invented"]).strip().casefold() in ("yes", "true")  # true: of a Parquet file
    return str(row.get("source", "")).startswith(_DRY_RUN)


@cache
def packaged_runs() -> RunTable:
    """Every measured run that ships with joulecast; ``data/README.md`` has their sources."""
    files = [name for name in data.names("runs", ".csv") if name != "runs/columns.csv"]
    tables = [RunTable.read(_named(data.read_bytes(name), name)) for name in files]
    return sum(tables, start=RunTable())


def _named(content: bytes, name: str) -> IO[bytes]:
    file = io.BytesIO(content)
    file.name = name
    return file


def _column(name: str) -> Column:
    if name not in columns():
        raise UnknownNameError("column", name, columns(), "see data/runs/columns.csv")
    return columns()[name]


def _accepted(name: str, value: object) -> list[object]:
    values = list(value) if isinstance(value, list | tuple | set | frozenset) else [value]
    return [_gpu_name(item) if name == "gpu" and isinstance(item, str) else item for item in values]


def _gpu_name(text: str) -> str:
    found = gpu(text)
    return found.name if found.origin == CATALOGUE else text


def _check_value(column: Column, value: object) -> None:
    """Raise InputError unless `value` is what `column` accepts."""
    if value is None:
        if column.required or column.default:
            raise InputError(f"{column.name} is empty; expected {_expected(column)}")
        return
    checks = {"text": _is_text, "integer": _is_count, "number": _is_positive, "boolean": _is_boolean}
    if not checks[column.type](value) or (column.values and _cell(value) not in column.values):
        raise InputError(f"{column.name} is {shown(value)}; expected {_expected(column)}")


def _expected(column: Column) -> str:
    if column.values:
        return " or ".join(column.values)
    unit = f" [{column.unit}]" if column.unit not in ("", "1") else ""
    return {
        "text": "one line of text without spaces around it",
        "integer": f"a whole number{unit} from 1 to {MOST_COUNT:,}",
        "number": f"a finite number{unit} above 0 and at most {MOST_MEASURED:g}",
    }[column.type]


def _is_text(value: object) -> bool:
    if not isinstance(value, str) or not 0 < len(value) <= MOST_CELL_CHARACTERS or value != value.strip():
        return False
    return value.isprintable() or not any(map(_is_refused, value))


def _is_refused(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs")  # control characters, half surrogate pairs


def _is_count(value: object) -> bool:
    return (
        isinstance(value, numbers.Integral) and not isinstance(value, bool) and 1 <= int(value) <= MOST_COUNT
    )


def _is_boolean(value: object) -> bool:
    return isinstance(value, bool)


def _is_positive(value: object) -> bool:
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return is_real and bool(0 < value <= MOST_MEASURED)  # type: ignore[operator]  # real numbers compare


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


def _run(header: Sequence[str], cells: Sequence[str], where: str, ignored: Sequence[str]) -> MeasuredRun:
    if len(cells) != len(header):
        raise FileFormatError(
            f"{where} has {len(cells)} cells, the header {len(header)}; is the row cut off?"
        )
    written = dict(zip(header, cells, strict=True))
    written.setdefault("is_invented", _cell(is_invented(written)))
    try:
        return MeasuredRun(**{name: _value(columns()[name], written.get(name, "")) for name in columns()})
    except (InputError, FileFormatError) as error:
        nothing_known = ignored and str(error).startswith(_NOTHING_KNOWN)
        hint = f"; ignored columns: {shown(', '.join(ignored))}" if nothing_known else ""
        raise FileFormatError(f"{where}: {error}{hint}") from error


def _value(column: Column, cell: str) -> Any:
    """A cell as its column's type; text that is no number is left for the run to refuse."""
    text = cell.strip() or column.default
    if not text:
        return None
    if column.type == "boolean":
        return _BOOLEANS.get(text, text)
    if column.type == "text" or not _NUMBER.fullmatch(text):
        return text
    number = float(text)
    return int(number) if column.type == "integer" and number.is_integer() else number


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, numbers.Integral):
        return str(int(value))
    if isinstance(value, numbers.Real):
        return repr(float(value))
    return "" if value is None else str(value)
