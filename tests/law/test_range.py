"""Intervals widen beyond the fitted range, as far as packaged runs beyond a narrower range ask for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from joulecast import estimate
from joulecast.architecture.workload import WorkloadColumns
from joulecast.compute.profile_file import packaged_profile
from joulecast.law.dataset import Dataset
from joulecast.law.fitted import BEYOND_RANGE, SAME_RANGE, FittedLaw
from joulecast.law.forms import fit_law
from joulecast.law.law import GpuColumns, LawInput
from joulecast.law.load import law_names, load_law
from joulecast.law.score_runs import on_runs
from joulecast.question.gpus import gpu
from joulecast.runs import MeasuredRun, RunTable
from joulecast.runtime import Runtime

A100 = "A100-SXM4-80GB"
OF: Mapping[str, Callable[[MeasuredRun], float]] = {
    "pixels": lambda run: run.width * run.height,
    "steps": lambda run: run.steps,
    "batch_size": lambda run: run.batch_size,
}
# A cut through the runs; those above it, or below, are predicted from the others.
CUTS = (
    ("pixels", 262_144, True), ("pixels", 600_000, True), ("pixels", 600_000, False), ("steps", 25, True),
    ("steps", 30, True), ("steps", 30, False), ("batch_size", 1, True), ("batch_size", 4, True),
    ("batch_size", 4, False), ("batch_size", 8, False),
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("quantity", ["energy_j", "duration_s"])
def test_runs_beyond_the_range_are_within_the_intervals(quantity: str, eager: RunTable) -> None:
    """Nine in ten of a cut's runs in the mean, seven in ten of the worst; at the usual width fewer."""
    held, usual = zip(*(_covered(eager, quantity, *cut) for cut in CUTS), strict=True)
    assert np.mean(held) >= 0.9
    assert min(held) >= 0.7
    assert np.mean(usual) < np.mean(held)
    assert min(usual) < 0.8


def _covered(runs: RunTable, quantity: str, label: str, cut: float, above: bool) -> tuple[float, float]:
    """Shares of runs on one side of a cut that the other side's law covers, and at the usual width."""
    beyond = [(OF[label](run) > cut * 1.1) == above for run in runs]
    inside = RunTable(run for run, out in zip(runs, beyond, strict=True) if not out)
    outside = RunTable(run for run, out in zip(runs, beyond, strict=True) if out)
    fitted, packaged = fit_law("roofline", Dataset.build(inside, packaged_profile)), load_law("roofline")
    law = dataclasses.replace(
        fitted, half_widths=packaged.half_widths, duration_half_widths=packaged.duration_half_widths
    )
    everywhere = dataclasses.replace(law, fitted_on=packaged.fitted_on)
    data = Dataset.build(outside, packaged_profile)
    held, usual = (float(np.nanmean(on_runs(one, data).covered(quantity))) for one in (law, everywhere))
    return held, usual


def half_widths(law: FittedLaw, **values: int) -> tuple[float, float]:
    asked = {"width": 512, "height": 512, "steps": 25, "passes": 2, "batch_size": 64, **values}
    columns = WorkloadColumns.from_values(asked)
    found = law.predict(LawInput(packaged_profile("sd1.5"), columns, "fp16", GpuColumns.of(gpu(A100), 1)))
    return float(found.log_half_width[0]), float(found.duration_log_half_width[0])


@pytest.mark.parametrize("name", law_names())
def test_by_hand(name: str) -> None:
    """5,000 steps are 100 times the most: ln(100 / 1.1) = 4.51, times 0.25, in quadrature."""
    law = load_law(name)
    assert law.fitted_on.ranges["steps"][1] == 50
    inside, outside = half_widths(law, steps=50), half_widths(law, steps=5000)
    for narrow, wide in zip(inside, outside, strict=True):
        assert wide**2 - narrow**2 == pytest.approx((0.25 * 4.51) ** 2, rel=0.02)


@pytest.mark.parametrize("values", [{"steps": 55}, {"steps": 10}, {"batch_size": 70}, {"width": 544}])
def test_just_beyond_is_inside(values: dict[str, int]) -> None:
    law = load_law("roofline")
    for narrow, same in zip(half_widths(law), half_widths(law, **values), strict=True):
        assert same == pytest.approx(narrow, rel=0.01)


@pytest.mark.parametrize(
    ("more", "most"),
    [
        ({"size": "2048x2048"}, {"size": "4096x4096"}),
        ({"steps": 100}, {"steps": 10_000}),
        ({"steps": 4}, {"steps": 1}),
        ({"batch_size": 128}, {"batch_size": 4096}),
        ({"size": "192x192"}, {"size": "64x64"}),
    ],
)
def test_the_further_the_wider(more: dict[str, object], most: dict[str, object]) -> None:
    usual: dict[str, Any] = {"size": "512x512", "batch_size": 8}
    of = [estimate("sd1.5", A100, **{**usual, **given}) for given in ({}, more, most)]
    energy = [one.energy_high_j / one.energy_j for one in of]
    time = [one.duration_high_s / one.duration_s for one in of]
    assert energy == sorted(energy)
    assert energy[2] > 1.15 * energy[0]
    if most == {"steps": 1}:  # times of one step were measured, energies were not
        assert time[2] == pytest.approx(time[0], rel=0.01)
    else:
        assert time[2] > 1.1 * time[0]
    assert any("so the range is wider" in words for words in of[1].warnings)


@pytest.mark.parametrize("name", law_names())
def test_energies_and_times_have_each_the_range_of_their_own_runs(name: str) -> None:
    """Times of 2048x2048 and of one step were measured, energies of neither."""
    law = load_law(name)
    usual, large = half_widths(law), half_widths(law, width=2048, height=2048, batch_size=1)
    assert large[0] ** 2 - usual[0] ** 2 == pytest.approx((0.25 * np.log(4 / 1.1)) ** 2, rel=0.05)
    assert large[1] == pytest.approx(usual[1], rel=0.02)
    for words, asked in (
        ("image size outside the fitted 65,536 to 1,048,580 pixels (of energies)", {"size": "2048x2048"}),
        ("steps outside the fitted 10 to 50 (of energies)", {"steps": 1}),
        ("image size outside the fitted 262,144 to 4,194,300 pixels (of times)", {"size": "256x256"}),
        ("steps outside the fitted 1 to 50", {"steps": 100}),
    ):
        warnings = estimate("sd1.5", A100, law=name, **asked).warnings
        assert f"{words}, so the range is wider" in warnings


def test_the_size_that_is_generated_counts() -> None:
    """sana resizes what it made at one of its own sizes."""
    asked = estimate("sana1.5-1.6b", "H100-SXM5-80GB", size="4096x4096")
    assert not any("image size" in words for words in asked.warnings)
    made = estimate("sana1.5-1.6b", "H100-SXM5-80GB", size="1024x1024")
    assert asked.energy_high_j == pytest.approx(made.energy_high_j)


# --- power limits --------------------------------------------------------------------------------


def widths_under(limit_w: float | None) -> tuple[float, float]:
    """Half-widths (log) of energy and time of FLUX on an H100 of 700 W."""
    runtime = Runtime(power_limit_w=limit_w)
    work = WorkloadColumns.from_values({"width": 1024, "height": 1024, "steps": 28})
    on = GpuColumns.of(gpu("H100-SXM5-80GB"), 1)
    found = load_law("roofline").predict(LawInput(packaged_profile("flux.1-dev"), work, "bf16", on, runtime))
    return float(found.log_half_width[0]), float(found.duration_log_half_width[0])


def test_a_power_limit_outside_what_runs_had_widens() -> None:
    """Times were measured down to half of a board's limit, energies under its own alone."""
    own, (energy, time) = widths_under(None), widths_under(350.0)
    assert widths_under(700.0) == own
    assert time == pytest.approx(own[1], rel=1e-3)  # the host's part changes a little
    further = BEYOND_RANGE * np.log(1 / 0.5 / SAME_RANGE)
    assert energy == pytest.approx(np.hypot(own[0], further), rel=1e-3)
    (low_energy, low_time), lowest = widths_under(240.0), widths_under(175.0)
    assert own[1] < low_time < lowest[1]
    assert energy < low_energy < lowest[0]


def test_a_power_limit_outside_is_told() -> None:
    below = " ".join(estimate("flux.1-dev", "H100-SXM5-80GB", power_limit_w=200).warnings)
    assert "a power limit outside the fitted 50 to 100 % of the board's own, so the range is wider" in below
    within = " ".join(estimate("flux.1-dev", "H100-SXM5-80GB", power_limit_w=400).warnings)
    assert "no run with energies under a power limit that was set, so the range is wider" in within
    assert "a power limit outside" not in within
