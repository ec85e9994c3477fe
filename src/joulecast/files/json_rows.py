"""Rows of a table as JSON: numbers as numbers, null where there is none."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import IO, Any

import numpy as np

from joulecast.files.columns import Columns
from joulecast.files.plain import Json, plain
from joulecast.files.tables import values_of

# A number as JSON writes it, of as many digits as it keeps; a longer one, or 007, is a name.
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d+)?(?:[eE][+-]?\d{1,2})?")


def json_cell(cell: object) -> Json:
    """A cell as JSON has it: text that is a number as that number, an empty cell as null."""
    if isinstance(cell, str):
        words = cell.strip()
        if _NUMBER.fullmatch(words):
            return float(words) if set(words) & set(".eE") else int(words)
        return cell or None
    value = cell.item() if isinstance(cell, np.generic) else cell
    try:
        return plain(value)
    except TypeError:  # a date of a Parquet file
        return str(value)


def json_rows(block: Columns) -> Iterator[dict[str, Json]]:
    """The rows of a block of columns."""
    columns = [_cells(column) for column in block.values()]
    return (dict(zip(block, map(json_cell, cells), strict=True)) for cells in zip(*columns, strict=True))


def write_json(blocks: Iterator[Columns], file: IO[str]) -> None:
    """Write blocks as one object, ``{"rows": [...]}``, a row a line."""
    first = next(blocks)  # an unreadable input fails here, before anything is written
    file.write('{"rows": [')
    mark = "\n"
    for block in chain([first], blocks):
        for row in json_rows(block):
            file.write(f"{mark}{json.dumps(row, allow_nan=False)}")
            mark = ",\n"
    file.write("\n]}\n")


def _cells(column: Any) -> Any:
    return column.tolist() if isinstance(column, np.ndarray) else values_of(column)
