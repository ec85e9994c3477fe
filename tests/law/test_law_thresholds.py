"""Every threshold of the laws: nothing just inside it, and what it is for just outside."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import cast

import numpy as np
import pytest
from scipy import stats

from joulecast.architecture.workload import Workload
from joulecast.compute.profile_file import packaged_profile
from joulecast.errors import FitError
from joulecast.law.adapt import FEWEST_FOR_INTERVAL, _well_measured, moved
from joulecast.law.calibration import choose_default
from joulecast.law.dataset import Dataset
from joulecast.law.fit_paper import fit_paper
from joulecast.law.fit_roofline import fit_roofline
from joulecast.law.fitted import NORMAL_90, FittedLaw, widened
from joulecast.law.hold_out import HeldOut, conformal_quantile
from joulecast.law.law import GpuColumns, LawInput
from joulecast.law.load import load_law
from joulecast.law.own_runs import check
from joulecast.law.reproduction import AGREES, DIFFERS, Fit, _verdict
from joulecast.law.roofline import RooflineLaw
from joulecast.law.score_runs import within_groups
from joulecast.law.scores import Score
from joulecast.law.traits import assumed
from joulecast.question.gpus import gpu
from joulecast.report.waterfall import waterfall_steps
from joulecast.runs import MeasuredRun, RunTable
from joulecast.runtime import REFERENCE

SDXL = packaged_profile("sdxl")
WORK = Workload(1024, 1024, 30, passes=2, batch_size=8)
VALUES = {
    "flop": sum(float(flop[0]) for flop in SDXL.flop(WORK.columns(), "fp16").values()) / 8,
    "pixels": 1024.0 * 1024.0,
    "steps": 30.0,
    "batch_size": 8.0,
}


def warnings_of(law: FittedLaw, ranges: Mapping[str, tuple[float, float]]) -> list[str]:
    """Ways in which WORK lies outside of what a law was fitted on, did it have these ranges."""
    found = dataclasses.replace(law, fitted_on=dataclasses.replace(law.fitted_on, ranges=ranges))
    outside = found.outside(LawInput(SDXL, WORK.columns(), "fp16", GpuColumns.of(gpu("H100"), 1)))
    return [words for words, holds in outside.items() if holds[0]]


@pytest.mark.parametrize("name", ["roofline", "paper", "tdp_time"])
@pytest.mark.parametrize(
    ("measure", "size", "words"),
    [
        ("flop", 1e12, "compute per image"),
        ("pixels", 1.0, "image size"),
        ("steps", 1.0, "steps"),
        ("batch_size", 1.0, "batch size"),
    ],
)
def test_a_tenth_beyond_the_fitted_range_counts_as_inside(
    name: str, measure: str, size: float, words: str
) -> None:
    law, value = load_law(name), VALUES[measure]
    for factor, count in ((1.0, 0), (1.09, 0), (1.11, 1), (1 / 1.09, 0), (1 / 1.11, 1)):
        end = value / factor
        found = warnings_of(law, {one: (v, v) for one, v in VALUES.items()} | {measure: (end, end)})
        assert len(found) == count, factor
        told = f"{end / size:,.0f}" if end / size >= 1000 else f"{end / size:.4g}"
        assert all(one.startswith(f"{words} outside the fitted {told} to {told}") for one in found)
        assert all(one.endswith(", so the range is wider") and "e+" not in one for one in found)


def test_an_interval_of_nine_in_ten() -> None:
    assert pytest.approx(stats.norm.ppf(0.95), abs=5e-4) == NORMAL_90
    assert widened(0.3, np.array([0.0]))[0] == pytest.approx(0.3)
    assert widened(0.3, np.array([0.4 / NORMAL_90]))[0] == pytest.approx(0.5)  # 3, 4, 5


# --- what is enough for a fit --------------------------------------------------------------------


def run(number: int, **values: object) -> MeasuredRun:
    """20 steps and more of SDXL on an H100, at 200 W."""
    given: dict[str, object] = {
        "run_id": f"r{number}", "model": "sdxl", "gpu": "H100", "batch_size": 1, "width": 1024,
        "height": 1024,
        "steps": 20 + number, "passes": 2, "precision": "fp16", "energy_j": 400.0, "boundary": "gross",
        "duration_s": 2.0,
    }  # fmt: skip
    return MeasuredRun(**(given | values))  # type: ignore[arg-type]


def checked(*runs: MeasuredRun) -> None:
    check(RunTable(runs), RunTable(), alone=False)


@pytest.mark.parametrize(("inside_w", "outside_w"), [(14.1, 13.9), (1049.0, 1051.0)])
def test_a_power_that_a_board_may_have(inside_w: float, outside_w: float) -> None:
    """From a fiftieth of 700 W to one and a half times as much."""
    checked(run(1), run(2), run(3, energy_j=2 * inside_w))
    with pytest.raises(FitError, match=r"run r3: .* on a board limited to 700 W"):
        checked(run(1), run(2), run(3, energy_j=2 * outside_w))


def test_three_runs_of_two_workloads_may_adapt_a_law() -> None:
    checked(run(1), run(2), run(3, steps=22, energy_j=401.0))
    with pytest.raises(FitError, match="2 runs that a law can use; expected at least 3"):
        checked(run(1), run(2))
    with pytest.raises(FitError, match="all of one workload"):
        checked(*(run(number, steps=22, energy_j=400.0 + number) for number in range(3)))


def fitted(*runs: MeasuredRun) -> Dataset:
    return Dataset.build(RunTable(runs), packaged_profile)


def test_four_runs_of_three_workloads_make_a_roofline_law() -> None:
    fit_roofline(fitted(run(0), run(1), run(2), run(3, steps=22, energy_j=401.0)))
    with pytest.raises(FitError, match="3 runs; the roofline law needs at least 4"):
        fit_roofline(fitted(run(0), run(1), run(2)))
    with pytest.raises(FitError, match="all of the same workload"):
        fit_roofline(fitted(*(run(n, steps=21 + n % 2, energy_j=400.0 + n) for n in range(4))))


def test_six_runs_make_a_law_of_the_paper() -> None:
    six = [run(number, width=512 + 256 * (number % 3), energy_j=400.0 + number) for number in range(6)]
    fit_paper(fitted(*six))
    with pytest.raises(FitError, match="5 runs with energy; the paper's law needs at least 6"):
        fit_paper(fitted(*six[:5]))


def test_nine_runs_calibrate_an_interval() -> None:
    """As many as there must be for a 90 % quantile of their errors to exist."""
    nine = RunTable(run(number) for number in range(9))
    assert _well_measured(nine, "energy_j") == {"H100-SXM5-80GB"}
    assert _well_measured(nine[:8], "energy_j") == set()
    ranks = np.arange(1.0, FEWEST_FOR_INTERVAL + 1)
    assert (len(ranks) + 1) * 0.9 <= len(ranks) < (len(ranks)) * 0.9 + 1
    assert conformal_quantile(ranks) == ranks[-1]


def test_four_settings_make_a_group() -> None:
    """R2 within a model and chip."""
    four = RunTable(run(number, batch_size=number + 1) for number in range(4))
    assert len(within_groups(load_law(), four, packaged_profile)) == 1
    assert within_groups(load_law(), four[:3], packaged_profile) == {}


# --- what is said of a fit -----------------------------------------------------------------------


@pytest.mark.parametrize(("factor", "names"), [(1.0009, set()), (1.0011, {"shared.launch_time_s"})])
def test_parameters_that_moved_by_more_than_a_thousandth(factor: float, names: set[str]) -> None:
    law = load_law("roofline")
    assert isinstance(law, RooflineLaw)
    shared = {**law.parameters.shared, "launch_time_s": factor * law.parameters.shared["launch_time_s"]}
    after = dataclasses.replace(law, parameters=dataclasses.replace(law.parameters, shared=shared))
    assert set(moved(law, after)) == names


@pytest.mark.parametrize(
    ("quantity", "inside", "outside"),
    [("r2", 0.991, 0.989), ("alpha", 1.049, 1.051), ("beta_dtype", 0.851, 0.849), ("beta_gpu", 1.149, 1.151)],
)
def test_what_agrees_with_the_paper(quantity: str, inside: float, outside: float) -> None:
    fit = Fit("a fit", "traced", 5, 1, 1.0, {}, {}, ())
    assert _verdict(quantity, 1.0, inside, None, fit)[0] == AGREES
    assert _verdict(quantity, 1.0, outside, None, fit)[0] == DIFFERS


class Scored:
    """Hold-outs of a law with one score."""

    def __init__(self, p90: float, coverage: float) -> None:
        self._score = Score(100, 0.9, 5.0, p90, 50.0, 0.0, 0.9, 0.9, coverage, 1.2)

    def in_stratum(self, stratum: str) -> str:
        return stratum

    def score(self, quantity: str, rows: str) -> Score:
        assert (quantity, rows) == ("energy_j", "reference")
        return self._score


@pytest.mark.parametrize(
    ("coverage", "best"), [((85.0, 90.0), "close"), ((84.9, 90.0), "honest"), ((84.9, 84.0), "close")]
)
def test_the_default_law_covers_85_per_cent(coverage: tuple[float, float], best: str) -> None:
    """The law with the smaller errors, unless its intervals hold too seldom, and another's do not."""
    laws = {"close": Scored(10.0, coverage[0]), "honest": Scored(20.0, coverage[1])}
    unseen = ("unseen_model", "unseen_gpu", "unseen_both")
    held = {form: dict.fromkeys(unseen, scored) for form, scored in laws.items()}
    assert choose_default(cast(Mapping[str, Mapping[str, HeldOut]], held)) == best


def test_parts_below_a_hundredth_are_shown_as_one() -> None:
    def labels(small: float) -> list[str]:
        energies = {"arithmetic": np.array([1 - small]), "memory_traffic": np.array([small])}
        return [one["label"] for one in waterfall_steps({"unet": energies})]

    assert labels(0.0101) == [
        "unet: arithmetic", "unet: memory traffic", "all smaller parts", "total",
    ]  # fmt: skip
    assert labels(0.0099) == ["unet: arithmetic", "all smaller parts", "total"]


@pytest.mark.parametrize(
    ("year", "process"), [(2019, "TSMC 12FFN"), (2020, "TSMC N7"), (2021, "TSMC N7"), (2022, "TSMC 4N")]
)
def test_the_process_of_a_gpu_that_does_not_say(year: int, process: str) -> None:
    silent = dataclasses.replace(gpu("H100"), process=None, year=year)
    assert assumed(silent, "fp16", REFERENCE).endswith(f"taken as {process}")
