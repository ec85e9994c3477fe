"""Changes: what moves, how sure that is, and what is shared by before and after."""

from __future__ import annotations

import itertools
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from joulecast import data
from joulecast.errors import InputError, UnknownNameError
from joulecast.footprint.account import footprint_of_energy, site
from joulecast.footprint.factors import packaged
from joulecast.footprint.grid.hours import by_hour_of_day, intensity_at
from joulecast.footprint.grid.reading import HourlySeries, hourly_series
from joulecast.law.law import FAMILIARITY
from joulecast.law.load import load_law
from joulecast.plan import ratio
from joulecast.plan.case import Case
from joulecast.plan.ratio import FEWEST, Pair, held, lesser, pairs, ratio_error
from joulecast.plan.tradeoff import outcome, outcomes
from joulecast.plan.whatif import Delta, WhatIf, what_if
from joulecast.report.decisions.what_if_text import notes, what_if_data, what_if_sentence
from joulecast.runs import packaged_runs
from joulecast.runtime import Runtime
from joulecast.uncertainty import Interval

SDXL = {"model": "sdxl", "gpu": "A100-SXM4-80GB", "precision": "fp16", "region": "PL"}
EXACT = 1e-12


def delta(found: WhatIf, measure: str) -> Delta:
    return next(one for one in found.deltas if one.measure == measure)


def test_from_poland_to_france() -> None:
    """The same joules twice: only the grid differs, and what the hardware adds."""
    found = what_if(SDXL, {"region": "FR"})
    energy, carbon = delta(found, "energy_j"), delta(found, "carbon_g")
    assert (energy.ratio.low, energy.ratio.value, energy.ratio.high) == (1, 1, 1)
    assert what_if_sentence(found).startswith("region PL to FR: GPU energy stays")
    assert 0.05 < carbon.ratio.value < 0.2
    assert carbon.after.high < carbon.before.low
    # with no hardware to speak of, the ratio is that of the grids and has no range at all
    alone = what_if(
        {**SDXL, "region": None, "intensity": 600, "life_years": 20, "utilisation": 1}, {"intensity": 300}
    )
    assert 0.5 <= delta(alone, "carbon_g").ratio.low < delta(alone, "carbon_g").ratio.high < 0.6


def test_a_price_scales_the_cost_and_nothing_else() -> None:
    found = what_if({**SDXL, "price_per_kwh": 0.2}, {"price_per_kwh": 0.3})
    cost = delta(found, "cost")
    assert (cost.ratio.low, cost.ratio.high) == pytest.approx((1.5, 1.5), rel=EXACT)
    assert delta(found, "carbon_g").ratio.is_exact
    rent = what_if({**SDXL, "price_per_gpu_hour": 2}, {"price_per_kwh": 0.2})
    assert delta(rent, "cost").ratio.value < 0.5


@pytest.mark.parametrize(
    ("change", "at_least", "at_most"),
    [({"steps": 28}, 0.5, 0.65), ({"size": "768x768"}, 0.4, 0.8), ({"gpu": "H200"}, 0.5, 1.5)],
)
def test_fewer_joules(change: dict[str, object], at_least: float, at_most: float) -> None:
    found = what_if({**SDXL, "steps": 50}, change)
    energy = delta(found, "energy_j")
    assert at_least < energy.ratio.value < at_most
    assert energy.ratio.low < energy.ratio.value < energy.ratio.high
    assert found.basis.energy is not None
    assert any("nine in ten changes between two runs" in note for note in notes(found))


def test_fp32_to_bf16() -> None:
    found = what_if({**SDXL, "precision": "fp32"}, {"precision": "bf16"})
    assert "falls by 8" in what_if_sentence(found)
    assert "times as much" in what_if_sentence(what_if(SDXL, {"precision": "fp32"}))


def test_carbon_is_that_of_footprints() -> None:
    """Before and after are a footprint's own; the change lies where its corners, redone here, lie."""
    setting = {**SDXL, "steps": 50, "pue": "1.1:1.4", "price_per_kwh": 0.2, "transmission_loss": 0.06}
    found = what_if(setting, {"steps": 28, "region": "FR"})
    at = [Case.of({**setting, "region": name}).place.site() for name in ("PL", "FR")]
    energy, latency = delta(found, "energy_j"), delta(found, "latency_s")
    for side, place in zip(("before", "after"), at, strict=True):
        assert place is not None
        one = footprint_of_energy(getattr(energy, side), getattr(latency, side), place, gpu="A100-SXM4-80GB")
        for measure, expected in (("carbon_g", one.carbon), ("cost", one.money)):
            assert expected is not None
            for end in ("low", "value", "high"):
                made = getattr(getattr(delta(found, measure), side), end)
                assert made == pytest.approx(getattr(expected.amount, end), rel=1e-9), (measure, side, end)


def test_the_range_of_a_change_holds_every_case() -> None:
    """Footprints of drawn factors, each factor the same before and after: all ratios lie in the range."""
    found = what_if({**SDXL, "steps": 50}, {"steps": 28, "region": "FR"})
    energy, latency, carbon = (delta(found, name) for name in ("energy_j", "latency_s", "carbon_g"))
    factors = {"host_overhead": packaged()["host_overhead"], "pue": packaged()["pue"],
               "life_years": packaged()["life"], "utilisation": packaged()["utilisation"]}  # fmt: skip
    draw = np.random.default_rng(7)

    def within(amount: Interval) -> float:
        return float(draw.choice((amount.low, amount.high, draw.uniform(amount.low, amount.high))))

    ratios = []
    for _ in range(300):
        known: dict[str, Any] = {name: within(factor.quantity.amount) for name, factor in factors.items()}
        joules, seconds = within(energy.before), within(latency.before)
        grams = [
            footprint_of_energy(j, s, site(name, **known), gpu="A100-SXM4-80GB").carbon.amount.value
            for name, j, s in (
                ("PL", joules, seconds),
                ("FR", joules * within(energy.ratio), seconds * within(latency.ratio)),
            )
        ]
        ratios.append(grams[1] / grams[0])
    assert all(carbon.ratio.holds(ratio) for ratio in ratios)
    assert max(ratios) - min(ratios) > 0.2 * (carbon.ratio.high - carbon.ratio.low)


def test_ranges_hold_what_they_come_from() -> None:
    found = what_if({**SDXL, "steps": 50}, {"steps": 28, "gpu": "H100"})
    for one in found.deltas:
        assert one.ratio.holds(one.after.value / one.before.value)
        assert one.difference.holds(one.after.value - one.before.value)
        assert one.ratio.high <= one.after.high / one.before.low * (1 + EXACT)
        assert one.ratio.low >= one.after.low / one.before.high * (1 - EXACT)
    low = what_if_data(found)["measures"]["energy_j"]["ratio"]["low"]
    assert low is not None
    assert low < 1


def test_a_gpu_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "gpu.toml"
    path.write_text(
        'name = "Mine"\ntdp_w = 300\nmemory_gb = 80\nbandwidth_gb_per_s = 2000\nfp16_tflops = 300\n'
    )
    found = what_if({**SDXL, "gpu": str(path)}, {"steps": 20})
    assert delta(found, "carbon_g").ratio.value < 0.6
    alone, (one,) = outcome({**SDXL, "gpu": str(path)}), outcomes([{**SDXL, "gpu": str(path)}])
    assert one.measures["carbon_g"] == pytest.approx(alone.measures["carbon_g"])


def test_what_no_pair_of_runs_tells() -> None:
    """The errors are independent then, as far as anyone knows, and it says so."""
    setting = {**SDXL, "model": "sd3.5-large"}
    found = what_if(setting, {"text_tokens": 100})
    energy = delta(found, "energy_j")
    assert energy.ratio.high == pytest.approx(energy.after.high / energy.before.low, rel=EXACT)
    assert (found.basis.kinds, found.basis.energy, found.basis.duration) == (None, None, None)
    assert any("independent" in note for note in notes(found))
    open_ended = what_if({**SDXL, "law": "tdp_time"}, {"steps": 20})
    assert delta(open_ended, "energy_j").ratio.value < 1


def test_from_noon_to_night() -> None:
    setting = {"model": "sdxl", "gpu": "A100-SXM4-80GB", "hourly": "US-CAL-CISO", "at": "12:00",
               "timezone": "America/Los_Angeles"}  # fmt: skip
    found = what_if(setting, {"at": "20:00"})
    assert delta(found, "carbon_g").ratio.value > 1.3
    assert delta(found, "energy_j").ratio.is_exact
    abroad = what_if(setting, {"region": "FR"})
    assert abroad.basis.intensities == ("combustion", "life-cycle")
    assert notes(abroad)[-1].startswith("the two grid intensities count different")


def test_an_hour_of_the_day_by_hand() -> None:
    values = np.arange(72.0)  # hour h of day d has 24 d + h
    known = HourlySeries(
        "here", datetime(2022, 1, 1, tzinfo=UTC), values, "location-based", "life-cycle", "test"
    )
    assert intensity_at(known, "05:00").intensity.amount.value == 5 + 24
    assert intensity_at(known, "2022-01-02T05:00Z").intensity.amount.value == 29
    assert intensity_at(known, "2022-01-02", "UTC").intensity.amount.value == np.arange(24, 48).mean()
    hours = by_hour_of_day(known, "America/Los_Angeles")  # 8 h behind
    assert hours[21].tolist() == [5.0, 29.0, 53.0]
    assert intensity_at(known).intensity.amount.value == values.mean()
    series = hourly_series("US-CAL-CISO")
    noon = intensity_at(series, "12:00", "America/Los_Angeles").intensity.amount
    assert noon.low < noon.value < noon.high


@pytest.mark.parametrize(
    ("at", "zone", "words"),
    [
        ("noon", None, "is no time"),
        ("12:30", None, "is no time"),
        ("2022-06-01T12:00", None, "no time zone"),
        ("25:00", None, "is no time"),
        ("12:00", "Mars/Olympus", "time zone"),
        ("2022-06-01T12:00Z", "Europe/Paris", "not in the time zone"),
        ("2031-06-01T12:00Z", None, "not in it"),
    ],
)
def test_bad_times(at: str | None, zone: str | None, words: str) -> None:
    with pytest.raises(InputError, match=words):
        intensity_at(hourly_series("US-CAL-CISO"), at, zone)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "at least one change"),
        ({"step": 3}, "did you mean steps"),
        ({"precision": "fp16"}, "nothing changes"),
        ({"batch_size": 1}, "batch_size=1 is what the setting has already"),
        ({"size": "1024x1024", "steps": 50}, "nothing changes"),
        ({"gpu": "A100 SXM"}, "nothing changes"),
        ({"boundary": "dynamic", "region": None}, "compared with none"),
        ({"law": "paper"}, "two laws"),
        ({"accounting": "marginal"}, "location-based"),
        ({"intensity": 100, "accounting": "marginal"}, "cannot be compared"),
        ({"steps": 0}, "steps"),
        ({"gpu": "H1000"}, "H100"),
    ],
)
def test_bad_changes(change: dict[str, object], words: str) -> None:
    with pytest.raises((InputError, UnknownNameError), match=words):
        what_if(SDXL, change)


# --- the law's error on a ratio ------------------------------------------------------------------


def test_pairs_by_hand() -> None:
    """One pair, worked out from the two rows of the packaged table."""
    found = [p for p in pairs("roofline", "unseen_model", "energy_j") if p.kinds == {"steps"}]
    assert 1 <= len(found) < FEWEST
    assert all(len(p.models) == 1 for p in found)
    none = ratio_error("roofline", "seen", "energy_j", ())
    assert none is not None
    assert none.factor == 1
    assert ratio_error("roofline", "seen", "energy_j", ("text_tokens",)) is None
    assert ratio_error("no such law", "seen", "energy_j", ("steps",)) is None
    error = ratio_error("roofline", "seen", "energy_j", ("batch_size",))
    assert error is not None
    exact = [p for p in pairs("roofline", "seen", "energy_j") if p.kinds == {"batch_size"}]
    assert (error.pairs, error.more) == (len(exact), 0)
    assert error.models == len({model for p in exact for model in p.models})


def test_models_count_the_same_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ninety small errors of one model and seven of each of three others: a quarter of the weight each."""
    steps = frozenset({"steps"})
    many = [Pair(steps, frozenset({"a"}), 0.01)] * 90
    few = [Pair(steps, frozenset({name}), size) for name, size in (("b", 0.1), ("c", 0.2), ("d", 0.3))] * 7
    other = [Pair(steps | {"size"}, frozenset({"e"}), 0.9)]
    monkeypatch.setattr(ratio, "pairs", lambda law, familiarity, quantity: (*many, *few, *other))
    found = ratio_error("any", "seen", "energy_j", ("steps",))
    assert found is not None
    assert (found.pairs, found.models, found.more) == (111, 4, 0)
    assert found.log_half_width == pytest.approx(0.3 * math.sqrt(1 + 1 / 4))  # of all pairs alike it were 0.1
    assert ratio_error("any", "seen", "energy_j", ("steps", "size")) is None
    # without d the width is 0.2 x sqrt(4/3): all of d's pairs are outside, all others inside theirs
    assert held("any", "seen", "energy_j", ("steps",)) == (0.75, 4)


def test_a_ratio_is_known_better_than_its_ends() -> None:
    """What the held-out runs say of a batch size, against what independent errors would give."""
    error = ratio_error("roofline", "unseen_model", "energy_j", ("batch_size",))
    law = load_law("roofline")
    assert error is not None
    assert error.log_half_width < math.sqrt(2) * law.half_widths["unseen_model"]


@pytest.mark.parametrize("kinds", [("batch_size",), ("gpu",), ("model", "batch_size")])
def test_ratios_hold_on_models_that_did_not_set_them(kinds: tuple[str, ...]) -> None:
    """Each model's pairs within the width that the other models' pairs give: 90 %, less what few tell."""
    share, models = held("roofline", "unseen_model", "energy_j", kinds)
    assert models >= 3
    assert share > 0.8, (share, models)


def test_the_lesser_familiarity() -> None:
    order = dict(zip(FAMILIARITY, range(len(FAMILIARITY)), strict=True))
    for a, b in itertools.product(FAMILIARITY, repeat=2):
        assert order[lesser(a, b)] >= max(order[a], order[b])
    assert lesser("unseen_gpu", "unseen_model") == "unseen_both"


def test_two_boundaries_are_no_change() -> None:
    setting = {key: value for key, value in SDXL.items() if key != "region"}
    with pytest.raises(InputError, match="two quantities"):
        what_if(setting, {"boundary": "dynamic"})
    assert what_if({**setting, "boundary": "dynamic"}, {"steps": 20}).deltas[0].ratio.value < 0.6


def test_pairs_tell_clips_and_runtimes_apart() -> None:
    """Of two runs that differ in their frames, or in how they were run, nothing is told of other changes."""
    runs = {run.run_id: run for run in packaged_runs()}
    rows = data.read_table("held_out.csv")
    frames = {runs[row["run_id"]].frames for row in rows if row["run_id"] in runs}
    assert len(frames) > 1
    for kinds in (frozenset({"runtime"}), frozenset({"frames", "model"})):
        assert any(kinds <= pair.kinds for pair in ratio.pairs("roofline", "unseen_model", "duration_s"))
    limited = Runtime(power_limit_w=400.0)
    assert limited.lowered_limit_w(700.0) == 400.0
    changed = what_if({"model": "flux.1-dev", "gpu": "H100-SXM5-80GB"}, {"power_limit_w": 400})
    assert changed.basis.kinds == ("power_limit_w",)
    shared = what_if({"model": "flux.1-dev", "gpu": "H100-SXM5-80GB"}, {"gpus": 2})
    assert shared.basis.kinds == ("runtime",)
