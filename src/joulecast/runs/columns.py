"""The columns of a table of runs, and what each accepts: ``data/runs/columns.csv``."""

from __future__ import annotations

import numbers
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from joulecast import data
from joulecast.errors import InputError, UnknownNameError, shown
from joulecast.files.fields import MOST_MEASURED

MOST_CELL_CHARACTERS: Final = 10_000
MOST_COUNT: Final = 1_000_000
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_BOOLEANS: Final = {"yes": True, "no": False}


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


def column_of(name: str) -> Column:
    """A column by its name. Raises UnknownNameError."""
    if name not in columns():
        raise UnknownNameError("column", name, columns(), "see data/runs/columns.csv")
    return columns()[name]


def check_value(column: Column, value: object) -> None:
    """Raise InputError unless `value` is what `column` accepts."""
    if value is None:
        if column.required or column.default:
            raise InputError(f"{column.name} is empty; expected {_expected(column)}")
        return
    checks = {"text": _is_text, "integer": _is_count, "number": _is_positive, "boolean": _is_boolean}
    if not checks[column.type](value) or (column.values and cell_of(value) not in column.values):
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


def read_cell(column: Column, cell: str) -> Any:
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


def cell_of(value: object) -> str:
    """The inverse of `read_cell`."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, numbers.Integral):
        return str(int(value))
    if isinstance(value, numbers.Real):
        return repr(float(value))
    return "" if value is None else str(value)
