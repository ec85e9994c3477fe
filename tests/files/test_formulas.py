"""Cells of CSV files as spreadsheets may have them."""

from __future__ import annotations

import pytest

from joulecast.files.tables import inert


@pytest.mark.parametrize("cell", ["=cmd|' /C calc'!A0", "@SUM(A1)", "+cmd", "-x", "--", "\t=1", "-1-1"])
def test_a_formula_is_text(cell: str) -> None:
    assert inert(cell) == "'" + cell


@pytest.mark.parametrize(
    "cell", ["-", "", "-1.5", "+3", "-1e-9", "-inf", "a=b", "'=x", 3, -2.5, None, "x" * 9]
)
def test_what_is_no_formula_stays(cell: object) -> None:
    assert inert(cell) is cell
