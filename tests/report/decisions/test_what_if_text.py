"""Changes in words: of a ratio, of its range, of what was and what is."""

from __future__ import annotations

import math

import pytest

from joulecast.plan.measures import MEASURES
from joulecast.plan.ratio import RatioError
from joulecast.plan.whatif import Basis, Delta, KeyChange, WhatIf
from joulecast.report.decisions.what_if_text import (
    delta_words,
    described,
    notes,
    ratio_words,
    what_if_data,
    what_if_sentence,
)
from joulecast.uncertainty import Interval


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (0.56, "falls by 44 %"),
        (0.0043, "falls by 99.5 %"),
        (0.0001, "falls by 99.9 %"),
        (1.2, "rises by 20 %"),
    ],
)
def test_nothing_falls_to_nothing(ratio: float, words: str) -> None:
    assert ratio_words(ratio) == words


def test_less_than_half_a_per_cent_is_no_change() -> None:
    assert ratio_words(1.0049) == ratio_words(0.9951) == "stays"
    assert ratio_words(1.0051) == "rises by 1 %"
    assert ratio_words(0.9949) == "falls by 1 %"


def test_twice_is_told_in_times() -> None:
    assert ratio_words(1.99) == "rises by 99 %"
    assert ratio_words(2.0) == "2.0 times as much"


def of(low: float, ratio: float, high: float) -> Delta:
    """Energy of 100 J, changed by a ratio."""
    between = Interval(low, ratio, high)
    difference = Interval(100 * (low - 1), 100 * (ratio - 1), 100 * (high - 1))
    return Delta("energy_j", Interval.exact(100), Interval.exact(100 * ratio), between, difference)


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        ((0.5, 0.5, 0.5), ("falls by 50 %", "")),
        ((1, 1, 1), ("stays", "")),
        ((0.9, 1, 1.2), ("is about the same", "10 % less to 20 % more")),
        ((0.5, 0.6, 0.7), ("falls by 40 %", "30 to 50 % less")),
        ((1.1, 1.2, 1.3), ("rises by 20 %", "10 to 30 % more")),
        ((2.0, 2.5, 3.0), ("2.5 times as much", "2.0 to 3.0 times")),
        ((0.0, 0.6, math.inf), ("falls by 40 %", "not known")),
    ],
)
def test_a_change_and_its_range(ratio: tuple[float, float, float], words: tuple[str, str]) -> None:
    assert delta_words(of(*ratio)) == words


def whatif(delta: Delta, basis: Basis) -> WhatIf:
    keys = (KeyChange("steps", 50, 28), KeyChange("batch_size", None, 4))
    return WhatIf({}, {"steps": 28}, keys, (delta,), basis, ("beware",))


def test_a_sentence() -> None:
    found = whatif(of(0.5, 0.6, 0.7), Basis((), RatioError(0.0), RatioError(0.0)))
    assert described(found) == "steps 50 to 28, batch size none to 4"
    assert what_if_sentence(found) == (
        "steps 50 to 28, batch size none to 4: GPU energy falls by 40 % (30 to 50 % less), 100 to 60.0 J."
    )


def test_where_ranges_come_from() -> None:
    known = RatioError(math.log(1.25), pairs=30, models=4, more=1)
    basis = Basis(("gpu", "batch_size"), known, None, ("combustion", "life-cycle"))
    energy, time, grids = notes(whatif(of(0.8, 1, 1.25), basis))
    assert energy == (
        "energy: nine in ten changes between two runs that the law had not seen were within a factor of 1.25 "
        "of what it predicts (30 pairs of runs of 4 models, which differ in GPU and batch size and in at "
        "most one more setting)"
    )
    assert time.startswith("time: too few pairs of runs that the law had not seen")
    assert "(combustion and life-cycle)" in grids
    assert len(notes(whatif(of(1, 1, 1), Basis((), RatioError(0.0), RatioError(0.0))))) == 1


@pytest.mark.parametrize(
    ("ratio", "narrower"),
    [((0.8, 1, 1.25), False), ((0.5, 1, 2), False), ((0.9, 1, 1.1), True), ((0, 1, 1), False)],
)
def test_a_range_that_is_not_that_of_the_factor_says_so(
    ratio: tuple[float, float, float], narrower: bool
) -> None:
    basis = Basis(("gpu",), RatioError(math.log(1.25), pairs=30, models=4), RatioError(math.log(9)))
    energy, time = notes(whatif(of(*ratio), basis))
    assert ("the range shown is narrower" in energy) is narrower
    assert "narrower" not in time  # no range of a time is shown


def test_a_change_as_data() -> None:
    found = what_if_data(whatif(of(0.0, 0.6, math.inf), Basis(None, None, None)))
    assert set(found) == {"change", "described", "output", "measures", "notes", "warnings"}
    assert found["measures"]["energy_j"]["ratio"] == {"value": 0.6, "low": 0.0, "high": None}
    assert set(found["measures"]["energy_j"]) == {"before", "after", "ratio", "difference"}
    assert (found["change"], found["warnings"], len(found["notes"])) == ({"steps": 28}, ["beware"], 2)


def test_measures_have_a_name_each() -> None:
    """Of every door one: keys of data, options of the command line, columns of tables."""
    for name in ("key", "option", "label", "column"):
        assert len({getattr(measure, name) for measure in MEASURES.values()}) == len(MEASURES)
    assert MEASURES["energy_j"].column == "energy [J]"
    assert MEASURES["cost"].column == "cost"
    assert [m.of_the_image for m in MEASURES.values()] == [
        "GPU energy", "GPU time", "time of a batch", "carbon", "cost", "quality"
    ]  # fmt: skip
