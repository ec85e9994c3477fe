"""Numbers of a workload as people and programs write them, one or a column."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulecast.architecture.workload import LIMITS, whole_number
from joulecast.errors import InputError
from joulecast.files.columns import Column, is_missing, look_up


def whole_numbers(name: str, column: Any, default: int | None) -> Column:
    """A column of whole numbers within the limits of the workload field `name`.

    A missing cell (empty, None, nan) takes `default`; None makes that a problem of the cell.
    """
    numbers = np.asarray(column) if not isinstance(column, list) else _array_of_numbers(column)
    if numbers is None or numbers.dtype.kind not in "iuf":
        return look_up(column, lambda value: _whole_number(name, value, default))
    low, high = LIMITS[name]
    missing = np.isnan(numbers) if numbers.dtype.kind == "f" else np.zeros(len(numbers), dtype=bool)
    with np.errstate(invalid="ignore"):
        bad = ~((numbers >= low) & (numbers <= high) & (numbers == np.floor(numbers)))
    bad = bad & ~missing if default is not None else bad
    usable = np.where(bad | missing, low if default is None else default, numbers).astype(np.int64)
    if not bad.any():
        return Column(usable)
    problem = np.full(len(numbers), "", dtype=object)
    told = look_up(numbers[bad].tolist(), lambda value: _whole_number(name, value, default))
    problem[bad] = told.problem
    return Column(usable, problem)


def _whole_number(name: str, value: object, default: int | None) -> int:
    if not is_missing(value):
        return whole_number(name, value)
    if default is None:
        raise InputError(f"{name.replace('_', ' ')} is missing")
    return default


def _array_of_numbers(column: list[Any]) -> NDArray[Any] | None:
    """A list of plain numbers as an array; None when it holds anything else."""
    if not set(map(type, column)) <= {int, float}:
        return None
    try:
        return np.array(column)
    except OverflowError:  # pragma: no cover - numpy makes objects of whole numbers beyond 64 bits
        return None
