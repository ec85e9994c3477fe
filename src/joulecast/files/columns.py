"""Columns a user gave (lists, arrays, text of a CSV file) as arrays, and what is wrong with which row.

Nothing here works row by row in Python: numbers are checked as arrays, and text is looked at once
for each distinct value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulecast.errors import InputError, JoulecastError

BLOCK = 16_384  # cells looked at together
MIXER = 0x9E3779B97F4A7C15  # odd, its bits well mixed: 2**64 over the golden ratio

Words = NDArray[np.object_]
Columns = dict[str, Any]  # a table: its columns by name
Check = Callable[[list[str], str], None]  # raises what is wrong with a table's names


@dataclass(frozen=True)
class Column:
    """One column, checked: `values` of shape (rows,), meaningless where `problem` has words.

    `problem` is what is wrong with each cell, empty where nothing is; None when nothing is anywhere.
    """

    values: NDArray[np.int64]
    problem: Words | None = None


@dataclass(frozen=True)
class Distinct:
    """A column of few values: each once, and the index of every row's."""

    values: list[Any]
    index: NDArray[np.int32]


def length(column: Any) -> int:
    """Cells of a column; InputError when it is none."""
    if not hasattr(column, "__len__") or isinstance(column, str | bytes) or getattr(column, "ndim", 1) != 1:
        raise InputError("a column must be a list or a one-dimensional array with a value for each row")
    return len(column)


def distinct(column: Any) -> Distinct:
    """Each distinct value once, in order of appearance."""
    found = _distinct_text(column) if getattr(getattr(column, "dtype", None), "kind", "") == "U" else None
    return _distinct_cells(column) if found is None else found


def _distinct_cells(column: Any) -> Distinct:
    code: dict[Any, int] = {}
    index = np.empty(len(column), dtype=np.int32)
    for start in range(0, len(column), BLOCK):
        cells = _cells(column, start)
        for value in dict.fromkeys(cells):
            code.setdefault(value, len(code))
        index[start : start + len(cells)] = np.fromiter(map(code.__getitem__, cells), np.int32, len(cells))
    return Distinct(list(code), index)


def _distinct_text(column: NDArray[np.str_]) -> Distinct | None:
    """The same of an array of text, without a Python object for each cell.

    Cells are told apart by a number made of their characters, and then compared in full; None where two
    texts have the same number.
    """
    if not column.dtype.itemsize:
        return None
    characters = np.ascontiguousarray(column).view(np.uint32).reshape(len(column), -1)
    weights = np.array([pow(MIXER, power, 2**64) for power in range(characters.shape[1])], dtype=np.uint64)
    index = np.empty(len(column), dtype=np.int32)
    known, code = np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int32)  # rising, and the place of each
    rows: list[int] = []
    for start in range(0, len(column), BLOCK):
        block = slice(start, start + BLOCK)
        numbers = characters[block] @ weights | np.uint64(1)  # never 0
        place = known.searchsorted(numbers)
        fresh = np.flatnonzero(np.append(known, np.uint64(0))[place] != numbers)
        if fresh.size:
            first = fresh[_first_places(numbers[fresh])]
            code = np.append(code, np.arange(len(rows), len(rows) + len(first), dtype=np.int32))
            known = np.append(known, numbers[first])
            order = np.argsort(known)
            known, code = known[order], code[order]
            rows += (start + first).tolist()
            place = known.searchsorted(numbers)
        index[block] = code[place]
        if (characters[rows][index[block]] != characters[block]).any():
            return None
    return Distinct(column[rows].tolist(), index)


def _first_places(numbers: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Where each distinct number is first, in order of appearance."""
    order = np.argsort(numbers, kind="stable")
    is_first = np.append(True, numbers[order][1:] != numbers[order][:-1])
    return np.sort(order[is_first])


def look_up(column: Any, find: Callable[[Any], int]) -> Column:
    """A column of names as the numbers `find` gives for each; what `find` raises is the cell's problem."""
    known = distinct(column)
    found = [_attempt(find, value) for value in known.values]
    numbers = np.array([number for number, _ in found], dtype=np.int64)
    words = np.array([problem for _, problem in found], dtype=object)
    has_problem = any(problem for _, problem in found)
    return Column(numbers[known.index], words[known.index] if has_problem else None)


def is_missing(value: object) -> bool:
    """Whether a cell holds nothing: None, nan, blank text, or the NA of a data-frame library."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return True
    if isinstance(value, float):
        return math.isnan(value)
    return type(value).__name__ in ("NAType", "NaTType")


def text_of(value: object) -> object:
    """A cell's text without surrounding blanks; other values as they are."""
    return value.strip() if isinstance(value, str) else value


def _attempt(find: Callable[[Any], int], value: Any) -> tuple[int, str]:
    try:
        return find(value), ""
    except JoulecastError as error:
        return 0, str(error)


def _cells(column: Any, start: int) -> Sequence[Any]:
    """Hashable cells from `start` on, at most BLOCK."""
    part = column[start : start + BLOCK]
    cells: list[Any] = part.tolist() if hasattr(part, "tolist") else list(part)
    kinds = set(map(type, cells))
    if bytes in kinds:
        cells = [cell.decode(errors="replace") if isinstance(cell, bytes) else cell for cell in cells]
    if kinds <= {str, bytes, int, float, type(None)}:
        return cells
    # True equals 1 as a key, and lists are no keys: such cells are told apart by their text.
    return [repr(cell) if isinstance(cell, bool) or cell.__hash__ is None else cell for cell in cells]
