"""Numbers as people type them: one rule for every option, cell and setting."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulecast.errors import InputError
from joulecast.files.numbers import MOST_WHOLE, positive, whole, whole_within


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (10, 10), ("10", 10), ("10.0", 10), ("1e1", 10), (" 10 ", 10), (10.0, 10), (np.int64(10), 10),
        ("2_024", 2024), ("1,000", 1000), ("12,345,678", 12345678), ("1,000.0", 1000), ("+1,000", 1000),
    ],
)  # fmt: skip
def test_ways_to_write_a_whole_number(value: object, number: int) -> None:
    found = whole(value, "steps")
    assert (found, type(found)) == (number, int)


@pytest.mark.parametrize(
    "value", ["1,5", "1,0000", ",100", "1,00", "100,", "1,,000", "2__0", "10.5", "", "nan", "ten", None, True]
)
def test_what_is_no_whole_number(value: object) -> None:
    """A comma is of groups of three digits: in 1,5 it may be a decimal one."""
    with pytest.raises(InputError, match="--images must be a whole number, not"):
        whole(value, "--images")


@given(st.integers(0, MOST_WHOLE))
def test_grouped_digits_are_the_number(number: int) -> None:
    for text in (f"{number:,}", f"{number:_}", str(number), f"{number}.0"):
        assert whole(text, "n", least=0) == number


def test_limits_are_named() -> None:
    assert (whole(1, "--row"), whole(7, "n", 1, 7), whole(MOST_WHOLE, "n")) == (1, 7, MOST_WHOLE)
    for value, least, most, words in (
        ("0", 1, None, "--row must be a whole number of at least 1, not '0'"),
        (8, 1, 7, "--row must be between 1 and 7, not 8"),
        (MOST_WHOLE + 1, 1, None, r"--row must be a whole number of at most 1e\+15, not"),
    ):
        with pytest.raises(InputError, match=words):
            whole(value, "--row", least, most)


@pytest.mark.parametrize("value", ["0", "-1", "inf", "nan", "much", None, True, math.inf])
def test_what_is_not_positive(value: object) -> None:
    with pytest.raises(InputError, match="--gap must be a positive number, not"):
        positive(value, "--gap")


def test_positive_numbers_end_somewhere() -> None:
    assert positive("1", "--gap", most=1) == 1
    with pytest.raises(InputError, match=r"--gap must be a positive number of at most 1, not '1\.01'"):
        positive("1.01", "--gap", most=1)


def test_whole_numbers_of_files_are_no_text() -> None:
    assert whole_within(3, "n", 0, 5) == whole_within(3.0, "n", 0, 5) == 3
    for value, words in (
        ("3", "n is '3'; expected a number from 0 to 5"),
        (True, "n is True"),
        (6, "n is 6"),
    ):
        with pytest.raises(InputError, match=words):
            whole_within(value, "n", 0, 5)
    with pytest.raises(InputError, match=r"n must be a whole number, not 2\.5"):
        whole_within(2.5, "n", 0, 5)
