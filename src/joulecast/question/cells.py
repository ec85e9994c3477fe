"""The cells of a table's columns as numbers: of names, of whole numbers, and of what else has few values."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulecast.errors import InputError, JoulecastError, shown
from joulecast.files.columns import Column, Words, is_missing, look_up, text_of
from joulecast.question.numbers import whole_numbers
from joulecast.question.questions import NOT_GIVEN, Rows
from joulecast.question.setting import SIDES, read_input_height, read_input_width, read_size

MOST_EXPLAINED = 300  # unknown names for which near matches are sought; that takes a while for each
SIDE = 2**20  # more than any side: a size is one number, width x SIDE + height
MOST_KEY = 2**62  # a combination of numbers is one number, below what 64 bits hold


@dataclass
class Names:
    """What cells of a kind stand for: records, looked up once for each distinct cell."""

    kind: str
    find: Callable[[Any], Any]
    is_listed: Callable[[str], bool]
    records: list[Any] = field(default_factory=list)
    unknown: int = 0

    def __call__(self, value: object) -> int:
        """The place of a cell's record; JoulecastError when there is none."""
        if is_missing(value):
            raise InputError(f"{self.kind} is missing")
        name = text_of(value)
        if not isinstance(name, str):
            raise InputError(f"{self.kind} must be a name, not {shown(name)}")
        if self.unknown > MOST_EXPLAINED and not self.is_listed(name):
            raise InputError(f"unknown {self.kind} {shown(name)}; see `joulecast {self.kind.lower()}s`")
        try:
            record = self.find(name)
        except JoulecastError:
            self.unknown += 1
            raise
        self.records.append(record)
        return len(self.records) - 1


class Cells:
    """One block's columns, by key, read one after the other; what is wrong first with a row is its error.

    Columns come as numbers, NOT_GIVEN where a cell or the column is missing. Keys of `labels` are of columns
    whose names may be the user's own.
    """

    def __init__(self, columns: Mapping[str, Any], rows: int, labels: Collection[str] = ()) -> None:
        self.columns, self.rows, self.labels = columns, rows, labels
        self.error = np.full(rows, "", dtype=object)

    def names(self, key: str, names: Names) -> Rows:
        """Places of a column's names among the records. Raises InputError where there is no such column."""
        if key not in self.columns:
            raise InputError(f"the table has no column {key}")
        return self.checked(look_up(self.columns[key], names))

    def named(self, key: str, find: Callable[[Any], int]) -> Rows:
        """The numbers that `find` gives for each value that the column has."""
        if key not in self.columns:
            return np.full(self.rows, NOT_GIVEN, dtype=np.int64)
        return self.checked(
            look_up(self.columns[key], lambda cell: NOT_GIVEN if is_missing(cell) else find(text_of(cell)))
        )

    def whole(self, key: str, default: int = NOT_GIVEN) -> Rows:
        """Whole numbers within the limits of a workload; a missing cell or column takes `default`."""
        if key not in self.columns:
            return np.full(self.rows, default, dtype=np.int64)
        return self.checked(whole_numbers(key, self.columns[key], default))

    def checked(self, column: Column) -> Rows:
        """A column's values; its problems are noted."""
        if column.problem is not None:
            self.refuse(column.problem != "", column.problem)
        return column.values

    def refuse(self, bad: NDArray[np.bool_], words: Words | str) -> None:
        """Note what is wrong with rows that have no error yet."""
        first = bad & (self.error == "")
        self.error[first] = words if isinstance(words, str) else words[first]

    def sizes(self) -> tuple[Rows, Rows]:
        """Widths and heights of what is made [pixels], from columns of their own or from one of sizes."""
        if "size" in self.columns:
            return self._sides_of("size")
        return self._paired("size", self.whole("width"), self.whole("height"))

    def input_sizes(self) -> tuple[Rows, Rows]:
        """The same of the image that a pipeline is given."""
        if "input_image" in self.columns:
            return self._sides_of("input_image")
        sides = self.named("input_width", read_input_width), self.named("input_height", read_input_height)
        return self._paired("input_image", *sides)

    def _sides_of(self, key: str) -> tuple[Rows, Rows]:
        """Widths and heights of a column of sizes."""
        size = self.named(key, _size)
        width, height = divmod(size, SIDE)
        return np.where(size == NOT_GIVEN, NOT_GIVEN, width), np.where(size == NOT_GIVEN, size, height)

    def _paired(self, size: str, width: Rows, height: Rows) -> tuple[Rows, Rows]:
        """Both sides of a size; a row with one of them alone is refused."""
        for side, one, other in zip(SIDES[size], (width, height), (height, width), strict=True):
            lone = (one == NOT_GIVEN) & (other != NOT_GIVEN)
            if lone.any():
                self.refuse(lone, f"{side} is missing; give both, or {size}, or neither")
        return width, height

    def placed(self, key: str, read: Callable[[Any], Any], met: dict[Any, int]) -> Rows:
        """Places of a column's values among all that were met."""
        return self.named(key, lambda cell: met.setdefault(read(cell), len(met)))


def distinct(*columns: Rows) -> tuple[list[list[int]], Rows]:
    """The combinations of numbers that occur, in order, and which of them each row is."""
    key, span = np.zeros(len(columns[0]), dtype=np.int64), 1
    if not len(key):
        return [], key
    for column in columns:
        least = int(column.min())
        size = int(column.max()) - least + 1
        if span * size > MOST_KEY:
            key = np.unique(key, return_inverse=True)[1]
            span = int(key.max()) + 1
        key, span = key * size + (column - least), span * size
    _, first, index = np.unique(key, return_index=True, return_inverse=True)
    return np.stack([column[first] for column in columns], axis=1).tolist(), index


def rows_of(index: Rows, count: int) -> list[Rows]:
    """Of so many kinds the rows that are of each, where `index` says of which one each row is."""
    ends = np.cumsum(np.bincount(index, minlength=count))[:-1]
    return np.split(np.argsort(index, kind="stable"), ends)


def _size(cell: object) -> int:
    width, height = read_size(cell)
    return width * SIDE + height


def kinds(columns: Sequence[Rows], sizes: Sequence[int]) -> tuple[list[tuple[int, ...]], Rows]:
    """The combinations of places that occur, and which of them each row is."""
    key = np.zeros(len(columns[0]), dtype=np.int64)
    for column, size in zip(columns, sizes, strict=True):
        key = key * size + column
    occurs = np.zeros(math.prod(sizes), dtype=bool)
    occurs[key] = True
    codes = np.flatnonzero(occurs)
    place = np.zeros(len(occurs), dtype=np.int64)
    place[codes] = np.arange(len(codes))
    met = zip(*(part.tolist() for part in np.unravel_index(codes, sizes)), strict=True)
    return list(met), place[key]
