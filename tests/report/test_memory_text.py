"""Computed peaks of memory beside published ones: a line each, and what is aimed for."""

from __future__ import annotations

import dataclasses

from joulecast.forecast.memory_comparison import AIM, PUBLISHED_DIGITS, compared
from joulecast.report.memory_text import comparison_text


def test_the_aim_is_printed_and_what_is_beyond_it_marked() -> None:
    known = compared()[0]
    share = {
        "within": AIM / 2,
        "at the edge": AIM - 1e-9,
        "beyond": AIM + 1e-9,
        "below": -2 * PUBLISHED_DIGITS,
    }
    rows = [
        dataclasses.replace(known, model=name, computed_bytes=known.published_bytes * (1 + off))
        for name, off in share.items()
    ]
    header, *lines = comparison_text(rows).splitlines()
    assert header.split()[:3] == ["model", "size", "batch"]
    assert [line.endswith("*") for line in lines[:4]] == [False, False, True, True]
    assert "aim: at most 10 % above what was published, never below" in lines[-1]


def test_every_published_peak_of_a_known_model_has_a_line() -> None:
    rows = compared()
    told = comparison_text(rows)
    assert all(f"{one.off:+.2%}" in told for one in rows)
