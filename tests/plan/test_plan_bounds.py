"""Bounds of changes and plans: just within them one thing holds, just beyond it another."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from joulecast.errors import InputError
from joulecast.plan import ratio, solve, tradeoff, whatif
from joulecast.plan.milp import Program
from joulecast.plan.problem import GpuType, Limit, Option, Place, Problem, Service
from joulecast.plan.ratio import Pair, RatioError, ratio_error
from joulecast.plan.solve import LimitUse
from joulecast.plan.tradeoff import outcomes
from joulecast.plan.whatif import what_if
from joulecast.uncertainty import Interval

SDXL = {"model": "sdxl", "gpu": "A100-SXM4-80GB", "precision": "fp16", "region": "PL", "steps": 50}

# --- changes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", ["energy_j", "latency_s"])
def test_a_ratio_is_never_less_sure_than_of_independent_predictions(
    measure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that is too large leaves the ratio between the ends; a smaller one sets its own range."""

    def change(factor: float) -> whatif.Delta:
        error = RatioError(math.log(factor), 30, 4)
        monkeypatch.setattr(whatif, "known_ratio_error", lambda *_: error)
        return next(delta for delta in what_if(SDXL, {"steps": 28}).deltas if delta.measure == measure)

    wide, narrow = change(10.0), change(1.01)
    before, after = wide.before, wide.after
    assert (wide.ratio.low, wide.ratio.high) == pytest.approx(
        (after.low / before.high, after.high / before.low)
    )
    central = after.value / before.value
    assert (narrow.ratio.low, narrow.ratio.high) == pytest.approx((central / 1.01, central * 1.01))


def made_up(monkeypatch: pytest.MonkeyPatch, counts: Mapping[str, int]) -> None:
    """As many pairs of each model that differ in steps, their errors 1, 2, 3, ..."""
    names = [name for name, count in counts.items() for _ in range(count)]
    found = tuple(
        Pair(frozenset({"steps"}), frozenset({name}), float(place)) for place, name in enumerate(names, 1)
    )
    monkeypatch.setattr(ratio, "pairs", lambda *_: found)


@pytest.mark.parametrize(
    ("counts", "is_known"),
    [
        ({"a": 7, "b": 7, "c": 6}, True),
        ({"a": 7, "b": 7, "c": 5}, False),
        ({"a": 30, "b": 30}, False),
        ({"a": 30, "b": 30, "c": 1}, True),
    ],
)
def test_twenty_pairs_of_three_models_tell_an_error(
    counts: dict[str, int], is_known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_up(monkeypatch, counts)
    assert (ratio_error("any", "seen", "energy_j", ("steps",)) is not None) == is_known


def test_nine_pairs_in_ten_are_within_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    made_up(monkeypatch, {"a": 5, "b": 5, "c": 5, "d": 5})
    found = ratio_error("any", "seen", "energy_j", ("steps",))
    assert found is not None
    assert found.log_half_width == pytest.approx(18 * math.sqrt(1 + 1 / 4))  # 18 of the errors 1 to 20


def test_the_most_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tradeoff, "MOST_SETTINGS", 3)
    assert len(outcomes([SDXL] * 3)) == 3
    with pytest.raises(InputError, match="4 settings are too many to compare; at most 3"):
        outcomes([SDXL] * 4)


# --- plans ---------------------------------------------------------------------------------------


def problem(max_energy_kwh: float | None = None) -> Problem:
    """One GPU that is always busy: 900 images of 1,000 J in each of four hours, 1 kWh in all."""
    return Problem(
        services=(Service("svc", np.full(4, 900.0)),),
        options=(Option(0, 0, "only", 1, Interval.exact(1000), 4, 4),),
        gpus=(GpuType("gpu", 50, 400),),
        places=(Place("here", np.full(4, 100.0), Interval.exact(1.0)),),
        max_energy_kwh=max_energy_kwh,
    )


@pytest.mark.parametrize(("share", "binds"), [(0.9985, False), (0.9995, True)])
def test_a_limit_is_full_within_a_thousandth(
    share: float, binds: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(solve._Costs, "of", lambda self, use, looser: replace(use, is_binding=True))
    plan = solve.solve(problem(max_energy_kwh=1 / share))
    (use,) = plan.limits
    assert use.used == pytest.approx(1)
    assert use.is_binding == binds


@pytest.mark.parametrize(("saved", "binds"), [(0.9e-6, False), (1.1e-6, True)])
def test_a_millionth_of_the_objective_is_worth_nothing(
    saved: float, binds: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = {frozenset({Limit("energy_kwh")}): 100 * (1 - saved)}
    monkeypatch.setattr(solve._Costs, "_best", lambda self, program, scale: best.get(program.skip, 100.0))
    costs = solve._Costs(Program(problem(max_energy_kwh=1.0)), 1.0)
    assert costs.of(LimitUse(Limit("energy_kwh"), 1.0, 1.0), None).is_binding == binds


def test_limits_say_what_they_are_on() -> None:
    """By name as the demand file has them; a place and a GPU of one name stay apart."""
    limits = [
        Limit("gpus"), Limit("min_quality", service="studio"), Limit("max_count", gpu="H100"),
        Limit("max_power_kw", place="FR"), Limit("gpus", gpu="H100", place="FR"),
    ]  # fmt: skip
    assert [limit.name for limit in limits] == [
        "limits.gpus", "studio.min_quality", "H100.max_count", "FR.max_power_kw", "FR.H100"
    ]  # fmt: skip
    assert Limit("max_count", gpu="x") != Limit("max_count", place="x")
