"""Trade-offs: deltas in words, and fronts that hold what they should."""

from __future__ import annotations

import itertools

import pytest

from joulecast.errors import UnknownNameError
from joulecast.plan.tradeoff import front, outcome, table_text, what_if

SDXL = {"model": "sdxl", "gpu": "A100-SXM4-80GB", "precision": "fp16", "region": "PL"}


def test_from_poland_to_france() -> None:
    words = what_if(SDXL, {"region": "FR"})
    assert words.startswith("region PL to FR: GPU energy stays")
    assert "carbon falls by" in words


def test_fewer_steps_and_fp32() -> None:
    fewer = what_if({**SDXL, "steps": 50}, {"steps": 28})
    assert "steps 50 to 28: GPU energy falls by 4" in fewer
    assert "times as much" in what_if(SDXL, {"precision": "fp32"})


def test_measures_of_a_setting() -> None:
    found = outcome({**SDXL, "batch_size": 4, "price_per_kwh": 0.2}).measures
    assert found["latency_s"] == 4 * found["seconds"]
    assert set(found) == {"energy_j", "seconds", "latency_s", "carbon_g", "cost"}
    assert set(outcome({"model": "sdxl", "gpu": "L4", "precision": "fp16"}).measures) == {
        "energy_j", "seconds", "latency_s"
    }  # fmt: skip


def test_a_front_holds_what_nothing_beats() -> None:
    settings = [
        {**SDXL, "gpu": gpu, "batch_size": batch}
        for gpu, batch in itertools.product(("L4", "A100-SXM4-80GB", "H100-SXM5-80GB"), (1, 4, 16))
    ]
    by = ("energy_j", "latency_s")
    kept = front(settings, by)
    points = [tuple(found.measures[name] for name in by) for found in kept]
    for a, b in itertools.permutations(points, 2):
        assert not all(x <= y for x, y in zip(a, b, strict=True))
    for setting in settings:
        p = tuple(outcome(setting).measures[name] for name in by)
        assert any(all(x <= y for x, y in zip(q, p, strict=True)) for q in points)
    assert points == sorted(points)
    assert "energy_j" in table_text(kept)


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match="steps"):
        outcome({**SDXL, "step": 3})
    with pytest.raises(UnknownNameError, match="energy_j"):
        front([SDXL], ("energy",))
    with pytest.raises(UnknownNameError, match="cost a price"):
        front([SDXL], ("cost",))
