"""Combinations of numbers that occur in columns, and the rows that are of each."""

from __future__ import annotations

import numpy as np
import pytest

from joulecast.question.cells import MOST_KEY, distinct, rows_of
from joulecast.question.questions import Rows

RNG = np.random.default_rng(5)
FEW = [RNG.integers(-1, 3, 500) for _ in range(4)]
WIDE = [RNG.integers(0, 2**40, 500), RNG.integers(-(2**40), 2**40, 500), RNG.integers(0, 7, 500)]


@pytest.mark.parametrize("columns", [FEW, WIDE, FEW[:1]], ids=["few", "wide", "one"])
def test_each_row_is_of_its_own_combination_and_each_occurs_once_and_in_order(columns: list[Rows]) -> None:
    found, index = distinct(*columns)
    assert found == sorted(map(list, {tuple(row) for row in np.stack(columns, axis=1).tolist()}))
    assert np.array_equal(np.array(found)[index], np.stack(columns, axis=1))


def test_combinations_of_more_than_a_number_holds_are_told_apart() -> None:
    assert np.prod([float(np.ptp(column)) for column in WIDE]) > MOST_KEY
    twice = [np.concatenate((column, column[::-1])) for column in WIDE]
    assert len(distinct(*twice)[0]) == len(distinct(*WIDE)[0]) == 500


def test_no_rows_have_no_combinations() -> None:
    found, index = distinct(np.array([], dtype=np.int64), np.array([], dtype=np.int64))
    assert found == []
    assert index.tolist() == []


def test_the_rows_of_each_kind_are_told_in_order() -> None:
    assert [rows.tolist() for rows in rows_of(np.array([2, 0, 2, 0]), 3)] == [[1, 3], [], [0, 2]]
