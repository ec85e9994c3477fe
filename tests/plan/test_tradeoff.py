"""Trade-offs: outcomes one by one and in columns, and fronts that hold what they should."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulecast.errors import InputError, UnknownNameError
from joulecast.plan import tradeoff
from joulecast.plan.case import Case
from joulecast.plan.measures import QUALITY
from joulecast.plan.tradeoff import (
    Outcome,
    combinations,
    front,
    fronts,
    has_one_front,
    on_front,
    outcome,
    outcomes,
    possible_outcomes,
)
from joulecast.question.question import Question, ask
from joulecast.question.setting import Setting

SDXL = {"model": "sdxl", "gpu": "A100-SXM4-80GB", "precision": "fp16", "region": "PL"}
SAME = 1e-9  # of one law in columns and by itself


def test_measures_of_a_setting() -> None:
    found = outcome({**SDXL, "batch_size": 4, "price_per_kwh": 0.2})
    assert found.measures["latency_s"] == 4 * found.measures["seconds"]
    assert set(found.measures) == {"energy_j", "seconds", "latency_s", "carbon_g", "cost"}
    assert set(found.ranges) == set(found.measures)
    assert set(outcome({"model": "sdxl", "gpu": "L4", "precision": "fp16"}).measures) == {
        "energy_j", "seconds", "latency_s"
    }  # fmt: skip


@pytest.mark.parametrize(
    "extra",
    [
        {"batch_size": 4, "price_per_kwh": 0.2},
        {"price_per_gpu_hour": 2.5, "pue": "1.1:1.3", "transmission_loss": 0.05},
        {"guidance": 1.0, "size": "768x1024", "steps": 20},
        {"passes": 1, "width": 512, "height": 512, "law": "paper"},
        {"gpu": "H200", "model": "flux.1-dev", "precision": None},
        {"region": None, "hourly": "US-CAL-CISO", "at": "12:00"},
    ],
)
def test_columns_say_what_single_settings_say(extra: dict[str, object]) -> None:
    """`predict` and `footprint` of a unit, against `estimate` and `footprint_of`."""
    setting = {k: v for k, v in {**SDXL, **extra}.items() if v is not None}
    (found,), alone = outcomes([setting]), outcome(setting)
    assert dict(found.measures) == pytest.approx(dict(alone.measures), rel=SAME)
    assert set(found.ranges) == set(found.measures) == set(alone.ranges)
    for name, amount in alone.ranges.items():
        ends = (found.ranges[name].low, found.ranges[name].high)
        assert ends == pytest.approx((amount.low, amount.high), rel=SAME), name


def test_a_front_holds_what_nothing_beats() -> None:
    settings = [
        {**SDXL, "gpu": gpu, "batch_size": batch}
        for gpu, batch in itertools.product(("L4", "A100-SXM4-80GB", "H100-SXM5-80GB"), (1, 2, 4))
    ]
    by = ("energy_j", "latency_s")
    kept = front(settings, by)
    points = [tuple(found.measures[name] for name in by) for found in kept]
    for a, b in itertools.permutations(points, 2):
        assert not all(x <= y for x, y in zip(a, b, strict=True))
    for found in outcomes(settings):
        p = tuple(found.measures[name] for name in by)
        assert any(all(x <= y for x, y in zip(q, p, strict=True)) for q in points)
    assert points == sorted(points)


numbers = st.lists(st.tuples(*[st.integers(0, 5)] * 3), min_size=1, max_size=30)


@given(numbers)
def test_fronts_of_points_by_their_definition(points: list[tuple[int, int, int]]) -> None:
    by = ("energy_j", "latency_s", "carbon_g")
    found = [
        Outcome(Case.of({"model": "sdxl", "steps": i + 1}), dict(zip(by, map(float, p), strict=True)))
        for i, p in enumerate(points)
    ]
    kept = [(one.case.asked.steps or 0) - 1 for one in on_front(found, by)]

    def beats(a: tuple[int, int, int], b: tuple[int, int, int]) -> bool:
        return bool(np.all(np.array(a) <= b)) and a != b

    expected = {
        i for i, p in enumerate(points) if not any(beats(q, p) for q in points) and p not in points[:i]
    }
    assert set(kept) == expected
    assert [points[i] for i in kept] == sorted(points[i] for i in kept)


def test_a_front_of_all_is_one_of_a_model_or_of_a_quality() -> None:
    by = ("energy_j", "latency_s")
    points = {"sdxl": (2.0, 2.0), "sd2": (1.0, 1.0)}  # of which one beats the other
    found = [
        Outcome(Case.of({"model": model}), dict(zip((*by, QUALITY), (*point, point[0]), strict=True)))
        for model, point in points.items()
    ]
    assert not has_one_front(found, by)
    assert list(fronts(found, by)) == found
    assert has_one_front(found, (*by, QUALITY))
    assert has_one_front(found[:1], by)


def test_a_model_of_two_spellings_has_one_front() -> None:
    settings = [{"model": name, "gpu": "H100", "steps": n} for name, n in (("sdxl", 20), ("SDXL-1.0", 30))]
    found = outcomes([*settings, {"model": "sd1.5", "gpu": "H100"}])
    kept = fronts(found, ("energy_j", "latency_s"))
    assert [(one.setting["model"], one.setting.get("steps")) for one in kept] == [
        ("sdxl", 20),
        ("sd1.5", None),
    ]


def test_what_cannot_be() -> None:
    with pytest.raises(UnknownNameError, match="steps"):
        outcome({**SDXL, "step": 3})
    with pytest.raises(UnknownNameError, match="steps"):
        outcomes([{**SDXL, "step": 3}])
    with pytest.raises(UnknownNameError, match="energy_j"):
        front([SDXL], ("energy",))
    with pytest.raises(InputError, match="cost is not known of these settings: it needs a price of a kWh"):
        front([SDXL], ("cost",))
    with pytest.raises(InputError, match="T4"):
        outcomes([{**SDXL, "precision": "bf16", "gpu": "T4"}])
    with pytest.raises(InputError, match="pue without a place"):
        outcome({"model": "sdxl", "gpu": "L4", "pue": 1.2})
    with pytest.raises(InputError, match="two intensities"):
        outcome({**SDXL, "hourly": "US-CAL-CISO"})
    with pytest.raises(InputError, match="needs an hourly series"):
        outcome({**SDXL, "at": "12:00"})
    with pytest.raises(InputError, match="too many"):
        outcomes([SDXL] * 100_001)


def test_settings_that_cannot_run_are_left_out_and_the_others_asked_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Setting] = []

    def noting(setting: Setting) -> Question:
        asked.append(setting)
        return ask(setting)

    monkeypatch.setattr(tradeoff, "ask", noting)
    settings: list[dict[str, object]] = [
        {"model": "sdxl", "gpu": "L4", "batch_size": 64},
        {"model": "sdxl", "gpu": "T4", "precision": "bf16"},
        {"model": "sdxl", "gpu": "L4", "precision": "fp16", "steps": 20},
        {"model": "sdxl", "gpu": "L4", "precision": "fp16", "steps": 30},
    ]
    found, left_out = possible_outcomes(settings)
    assert len(asked) == 3
    assert found == outcomes(settings[2:])
    assert ["fp16 does not fit" in left_out[0], "bf16 does not run on T4" in left_out[1]] == [True, True]
    assert possible_outcomes(settings[:2]) == ((), left_out)


def test_settings_warn_of_carbon_of_the_hardware_that_nobody_published() -> None:
    """As one setting alone does, and as `plan` does."""
    given = {"model": "sdxl", "region": "FR"}
    settings = [{**given, "gpu": gpu} for gpu in ("RTX 4090", "T4", "L4", "A100-SXM4-80GB")]
    for found, setting in zip(outcomes(settings), settings, strict=True):
        alone = outcome(setting)
        assert sorted(found.warnings) == sorted(alone.warnings)
        assert any("embodied carbon" in words for words in found.warnings) == (
            setting["gpu"] in ("RTX 4090", "T4")
        )


def test_ways_to_share_work_are_combined_with_their_number_of_gpus() -> None:
    asked = {"model": "flux.1-dev", "gpu": "H100-SXM5-80GB", "gpus": [2, 4], "parallel": ["ring=2", "ring=4"]}
    assert [case.given["parallel"] for case in combinations(asked)] == ["ring=2", "ring=4"]
    alone = combinations({**asked, "gpus": [8]})  # none agrees: whoever asks it is told why
    assert len(alone) == 2
