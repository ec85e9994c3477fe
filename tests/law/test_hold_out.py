"""Hold-outs hold whole groups out, and the packaged results are reproduced.

The last part asserts the numbers that the project set itself to reach, on the packaged predictions.
"""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import numpy as np
import pytest

from joulecast import data
from joulecast.compute.profile_file import packaged_profile
from joulecast.errors import MissingExtraError, UnknownNameError
from joulecast.law import hold_out as validation
from joulecast.law.calibration import calibrated, held_out_rows
from joulecast.law.dataset import Dataset
from joulecast.law.fit_baseline import fit_baseline
from joulecast.law.fitted import FittedLaw
from joulecast.law.forms import find_form, fit_law, known_forms
from joulecast.law.groups import chip, publisher, runtime_group
from joulecast.law.hold_out import HeldOut, conformal_quantile, hold_out, with_floors
from joulecast.law.law import FAMILIARITY, Array
from joulecast.law.load import default_law, law_names, load_law
from joulecast.law.own_runs import fitted_runs
from joulecast.law.score_runs import predict_runs, within_groups
from joulecast.runs import MeasuredRun, RunTable
from joulecast.runtime import REFERENCE_STRATUM
from published_errors import published

# A fit repeated on another machine: its last digits depend on the order of sums.
SAME_FIT = 2e-3
ROUNDED = 1e-3  # held_out.csv has 5 digits, laws 6, scores 4
CHEAP = [name for name, form in known_forms().items() if not form.is_slow]
QUANTITIES = {"energy": "energy_j", "duration": "duration_s"}


# --- statistics ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "expected"), [(1, 1), (5, 5), (9, 9), (10, 10), (19, 18), (20, 19), (99, 90), (107, 98)]
)
def test_conformal_quantile_by_hand(count: int, expected: int) -> None:
    """The ceil((n + 1) * 0.9)-th smallest (split conformal, Lei et al. 2018); the largest when n < 9."""
    rng = np.random.default_rng(0)
    errors = rng.permutation(np.arange(1.0, count + 1))
    assert conformal_quantile(errors) == expected
    assert conformal_quantile(np.append(errors, np.nan)) == expected


def test_conformal_quantile_covers_nine_in_ten_of_new_errors() -> None:
    """Its definition: an exchangeable new error is covered nine times in ten, or a little more."""
    rng = np.random.default_rng(1)
    covered = [e[-1] <= conformal_quantile(e[:-1]) for e in rng.exponential(size=(4000, 20))]
    assert 0.89 < np.mean(covered) < 0.96


def test_nothing_known_covers_nothing() -> None:
    assert conformal_quantile(np.array([np.nan])) == float("inf")


def held_of(holdout: str, runs: RunTable, energy: Any, duration: Any = 1.0) -> HeldOut:
    """Runs predicted with errors (log) of energies and times, each run a group."""
    none, groups = np.zeros(len(runs)), tuple(map(str, range(len(runs))))
    measured = (runs.column("energy_j").astype(float), runs.column("duration_s").astype(float))
    off = (np.broadcast_to(one, len(runs)) for one in (energy, duration))
    joules, seconds = (of * np.exp(by) for of, by in zip(measured, off, strict=True))
    return HeldOut("x", holdout, runs, groups, joules, seconds, none, none)


def test_intervals_of_strata_are_their_own_and_rise_with_what_is_not_known() -> None:
    """Errors of 10 % on the reference, of 30 % on several GPUs; of other engines times alone are known."""
    every = fitted_runs()[0]
    several = every.filter(engine="xdit", gpu_count=2)[:20]
    runs = RunTable(
        [
            *every.filter(engine="xdit", gpu_count=1)[:20],
            *several,
            *every.filter(engine="sglang", gpu_count=1)[:8],
        ]
    )
    stratum = np.array([run.runtime.stratum for run in runs])
    energy = np.where(stratum == "reference", 0.1, 0.3)
    held = {name: held_of(name, runs, energy, 0.2) for name in FAMILIARITY}
    held["seen"] = held_of("seen", runs, np.nan, np.nan)
    found = with_floors(held)
    met = dict.fromkeys(stratum)
    widths = {(name, s): found[name].half_width("energy_j", s) for name in FAMILIARITY for s in met}
    assert widths["same_source", "reference"] == pytest.approx(0.1)
    assert widths["same_source", "several_gpus"] == pytest.approx(0.3)
    assert widths["same_source", "one_gpu"] == pytest.approx(0.2)  # as its times
    for s in met:
        rising = [widths[name, s] for name in FAMILIARITY]
        assert rising == sorted(rising)
        assert all(widths[name, s] >= widths[name, "reference"] for name in FAMILIARITY)
        assert widths["seen", s] == widths["unseen_model", s]  # nothing was held out so: what tells more
    assert np.isinf(held_of("seen", runs, np.nan).half_width("energy_j"))


def test_a_floor_widens_what_is_covered() -> None:
    runs = fitted_runs(find_form("paper"))[0].filter(gpu="H100", batch_size=1)[:4]
    held = held_of("unseen_gpu", runs, [0.01, 0.01, 0.01, 0.2])
    assert held.covered("energy_j").tolist() == [1, 1, 1, 0]
    raised = dataclasses.replace(held, floors={("energy_j", "reference"): 0.25})
    assert raised.covered("energy_j").tolist() == [1, 1, 1, 1]
    assert raised.half_width("energy_j") == 0.25


# --- hold-outs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("holdout", FAMILIARITY[:-1])
def test_no_run_of_a_held_out_group_is_in_its_fit(
    holdout: str, eager: RunTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[RunTable] = []

    def spy(form: str, dataset: Dataset, near: FittedLaw | None = None) -> FittedLaw:
        seen.append(dataset.runs)
        return fit_baseline(dataset, form)

    monkeypatch.setattr(validation, "fit_law", spy)
    held = hold_out("joules_per_flop", holdout, eager, packaged_profile)
    groups = dict.fromkeys(held.group)
    assert len(seen) == len(groups) > 1
    for group, fitted in zip(groups, seen, strict=True):
        out = [run for run, name in zip(eager, held.group, strict=True) if name == group]
        ids = {run.run_id for run in fitted}
        assert not ids & {run.run_id for run in out}
        models, chips = {run.model for run in out}, {chip(run) for run in out}
        if holdout in ("unseen_model", "unseen_both"):
            assert len(models) == 1
            assert models.isdisjoint(run.model for run in fitted)
        if holdout == "seen":
            assert {publisher(run) for run in out}.isdisjoint(map(publisher, fitted))
        if holdout in ("unseen_gpu", "unseen_both"):
            assert len(chips) == 1
            assert chips.isdisjoint(chip(run) for run in fitted)
        if holdout != "unseen_both":
            assert len(fitted) == len(eager) - len(out)
    if holdout != "seen":  # fp32 was measured on one chip alone
        none_left = [chip(run) == "Ampere GA100" and run.precision == "fp32" for run in eager]
        is_gone = np.array(none_left) & (holdout in ("unseen_gpu", "unseen_both"))
        assert (np.isfinite(held.energy_j) == ~is_gone).all()
    measured = {(chip(run), publisher(run)) for run in eager if run.energy_j is not None}
    for run, energy in zip(eager, held.energy_j, strict=True):
        elsewhere = any(of == chip(run) and by != publisher(run) for of, by in measured)
        assert elsewhere or holdout != "seen" or np.isnan(energy), run.run_id


def test_a_runtime_is_held_out_whole_and_the_reference_never(monkeypatch: pytest.MonkeyPatch) -> None:
    runs, seen = fitted_runs()[0], []

    def spy(form: str, dataset: Dataset, near: FittedLaw | None = None) -> FittedLaw:
        seen.append(dataset.runs)
        return fit_baseline(dataset, form)

    monkeypatch.setattr(validation, "fit_law", spy)
    held = hold_out("joules_per_flop", "unseen_runtime", runs, packaged_profile)
    groups = dict.fromkeys(name for name in held.group if name != "diffusers")
    assert len(seen) == len(groups) > 20
    for group, fitted in zip(groups, seen, strict=True):
        assert group not in set(map(runtime_group, fitted))
    is_reference = np.array([run.runtime.is_reference for run in runs])
    assert (np.isfinite(held.energy_j) == ~is_reference).all()
    assert {"2 GPUs", "sglang", "diffusers, compiled, fp8"} < set(groups)


def test_versions_of_a_source_are_one_publisher(eager: RunTable) -> None:
    assert len({publisher(run) for run in eager}) == len({run.source for run in eager}) - 1
    assert "ML.ENERGY leaderboard" in {publisher(run) for run in eager}


def test_both_a100_boards_are_one_chip(eager: RunTable) -> None:
    chips = {run.gpu: chip(run) for run in eager}
    assert chips["A100-SXM4-40GB"] == chips["A100-SXM4-80GB"] != chips["H100-SXM5-80GB"]


def test_a_group_is_covered_by_the_errors_of_the_others() -> None:
    """Two models with errors of 1 and 10 %: neither interval fits the other."""
    runs = fitted_runs(find_form("paper"))[0].filter(
        gpu="H100", batch_size=1, source="ML.ENERGY leaderboard v3"
    )[:2]
    measured = runs.column("energy_j").astype(float)
    none = np.zeros(2)
    held = HeldOut(
        "x", "unseen_model", runs, ("a", "b"), measured * np.exp([0.01, 0.1]), measured, none, none
    )
    assert held.covered("energy_j").tolist() == [1.0, 0.0]
    assert held.half_width("energy_j") == pytest.approx(0.1 * np.sqrt(1.5))


@pytest.mark.slow
def test_hold_outs_are_deterministic_also_in_processes(eager: RunTable) -> None:
    form = "joules_per_flop"
    said: list[str] = []
    once = validation.validate((form,), eager, packaged_profile, say=said.append)
    again = validation.validate((form,), eager, packaged_profile, workers=2)
    assert list(held_out_rows(once)) == list(held_out_rows(again))
    assert len(said) == len(FAMILIARITY)


def test_a_missing_scipy_is_an_error_not_an_empty_hold_out(
    eager: RunTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(MissingExtraError, match=r"pip install .*\[fit\]"):
        hold_out("roofline", "unseen_gpu", eager, packaged_profile)


def test_an_unknown_form(dataset: Dataset) -> None:
    with pytest.raises(UnknownNameError, match="did you mean paper"):
        fit_law("papper", dataset)


# --- what ships is what the tool makes ---------------------------------------------------------------


def shipped_rows(form: str, holdout: str) -> list[dict[str, str]]:
    rows = data.read_table("held_out.csv")
    return [row for row in rows if (row["law"], row["holdout"]) == (form, holdout)]


def assert_shipped(held: HeldOut) -> None:
    made = list(held_out_rows({held.law: {held.holdout: held}}))
    for row, expected in zip(made, shipped_rows(held.law, held.holdout), strict=True):
        for name, text in expected.items():
            if name in QUANTITIES.values() and text:
                assert float(str(row[name])) == pytest.approx(float(text), rel=SAME_FIT), expected
            else:
                assert str(row[name]) == text, expected


@pytest.mark.parametrize("form", CHEAP)
def test_simple_laws_are_what_the_runs_give(form: str, eager: RunTable, dataset: Dataset) -> None:
    """Fit, hold-outs, intervals and published errors, all over."""
    held = with_floors({h: hold_out(form, h, eager, packaged_profile) for h in FAMILIARITY})
    for one in held.values():
        assert_shipped(one)
    made, shipped = calibrated(fit_law(form, dataset), held), load_law(form)
    assert_same(dataclasses.asdict(made.parameters), dataclasses.asdict(shipped.parameters))
    assert_same(made.half_widths, shipped.half_widths)
    assert_same(made.duration_half_widths, shipped.duration_half_widths)
    assert_same(*({h: s.to_dict() for h, s in law.errors.items()} for law in (made, shipped)))
    assert made.fitted_on.models == shipped.fitted_on.models
    assert made.fitted_on.runs == shipped.fitted_on.runs == len(eager)


def assert_same(a: object, b: object) -> None:
    if isinstance(a, Mapping):
        assert isinstance(b, Mapping)
        assert set(a) == set(b)
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert isinstance(b, type(a))
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    elif isinstance(a, float):
        assert a == pytest.approx(b, rel=SAME_FIT, abs=1e-6)
    else:
        assert a == b


def test_the_roofline_law_is_what_the_runs_give() -> None:
    dataset = Dataset.build(fitted_runs()[0], packaged_profile)
    made, shipped = fit_law("roofline", dataset), load_law("roofline")
    for mine, theirs in zip(predict_runs(made, dataset)[:2], predict_runs(shipped, dataset)[:2], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=SAME_FIT)
    assert made.fitted_on.models == shipped.fitted_on.models


@pytest.mark.slow
def test_the_roofline_law_without_a_chip_is_what_the_runs_give() -> None:
    """Predictions alone: whether intervals hold them is of all hold-outs together."""
    runs, near = fitted_runs()[0], load_law("roofline")
    held = hold_out("roofline", "unseen_gpu", runs, packaged_profile, near)
    shipped_groups = [(row["group"], row["run_id"]) for row in shipped_rows("roofline", "unseen_gpu")]
    assert list(zip(held.group, [run.run_id for run in runs], strict=True)) == shipped_groups
    for quantity in QUANTITIES.values():
        shipped = [float(row[quantity] or "nan") for row in shipped_rows("roofline", "unseen_gpu")]
        measured = runs.column(quantity).astype(float)
        made = np.where(np.isfinite(measured), getattr(held, quantity), np.nan)
        np.testing.assert_allclose(made, shipped, rtol=SAME_FIT)


def test_every_law_ships_with_its_hold_outs() -> None:
    assert set(law_names()) == set(known_forms())
    for form in known_forms():
        for holdout in FAMILIARITY:
            rows = shipped_rows(form, holdout)
            assert [row["run_id"] for row in rows] == [
                run.run_id for run in fitted_runs(known_forms()[form])[0]
            ]


def test_published_errors_are_those_of_the_packaged_predictions() -> None:
    for form in known_forms():
        for holdout in FAMILIARITY[:-1]:  # the reference runtime is never held out
            for label, quantity in QUANTITIES.items():
                errors_of = published(form, holdout, label)
                errors, _ = packaged_errors(form, holdout, quantity)
                assert errors_of["runs"] == len(errors)
                percent = np.abs(np.expm1(errors)) * 100
                assert errors_of["median"] == pytest.approx(np.median(percent), rel=2e-2)
                assert errors_of["worst"] == pytest.approx(percent.max(), rel=2e-2)


# --- the numbers to reach ---------------------------------------------------------------------------


@cache
def by_run() -> Mapping[str, MeasuredRun]:
    return {run.run_id: run for run in fitted_runs()[0]}


Which = Callable[[MeasuredRun], bool]


def stratum(name: str) -> Which:
    return lambda run: run.runtime.stratum == name


def images(run: MeasuredRun) -> bool:
    return run.runtime.stratum == REFERENCE_STRATUM and run.frames == 1


def videos(run: MeasuredRun) -> bool:
    return run.runtime.stratum == REFERENCE_STRATUM and run.frames > 1


REFERENCE_RUNS = stratum(REFERENCE_STRATUM)


def packaged_errors(
    form: str, holdout: str, quantity: str, which: Which = REFERENCE_RUNS
) -> tuple[Array, Array]:
    """Log errors and whether the interval held, of the packaged predictions of some runs."""
    label = next(name for name, column in QUANTITIES.items() if column == quantity)
    errors, covered = [], []
    for row in shipped_rows(form, holdout):
        run = by_run()[row["run_id"]]
        if row[quantity] and which(run):
            errors.append(np.log(float(row[quantity]) / getattr(run, quantity)))
            covered.append(float(row[f"{label}_covered"] or "nan"))
    return np.array(errors), np.array(covered)


def percent(form: str, holdout: str, quantity: str, which: Which = REFERENCE_RUNS) -> Array:
    log_errors, _ = packaged_errors(form, holdout, quantity, which)
    return np.asarray(np.abs(np.expm1(log_errors)) * 100)


default_errors = partial(percent, default_law())


def test_energy_and_time_that_somebody_else_measured() -> None:
    """A source held out: its software, host and meter are new, as a user's are."""
    for quantity, count in (("energy_j", 46), ("duration_s", 159)):
        errors = default_errors("seen", quantity)
        assert len(errors) == count
        assert np.median(errors) <= 8
        assert np.quantile(errors, 0.9) <= 20


def test_energy_of_a_model_nobody_measured() -> None:
    errors = default_errors("unseen_model", "energy_j")
    assert len(errors) == 138
    assert np.median(errors) <= 8
    assert np.quantile(errors, 0.9) <= 20
    assert published(load_law(), "unseen_model", "energy")["spearman"] >= 0.98


@pytest.mark.parametrize(
    ("of_chip", "count"), [("Ampere GA100", 46), ("Hopper GH100", 69), ("Blackwell GB100", 20)]
)
def test_energy_of_a_gpu_nobody_measured(of_chip: str, count: int) -> None:
    """Each chip with many energies alone."""

    def mine(run: MeasuredRun) -> bool:
        return REFERENCE_RUNS(run) and chip(run) == of_chip

    errors = default_errors("unseen_gpu", "energy_j", mine)
    assert len(errors) == count
    assert np.median(errors) <= 15
    assert np.quantile(errors, 0.9) <= 30


def test_time_of_a_gpu_nobody_measured() -> None:
    errors = default_errors("unseen_gpu", "duration_s")
    assert len(errors) == 185
    assert np.median(errors) <= 20


def test_time_of_a_model_nobody_measured() -> None:
    assert np.median(default_errors("unseen_model", "duration_s")) <= 10


@pytest.mark.parametrize(
    ("holdout", "quantity"),
    [*itertools.product(("seen", "unseen_model", "unseen_gpu"), QUANTITIES.values())],
)
def test_the_interval_covers_what_it_says(holdout: str, quantity: str) -> None:
    _, covered = packaged_errors(default_law(), holdout, quantity)
    assert 85 <= 100 * covered.mean() <= 95


def missed(*values: object, by: str) -> object:
    """A case whose number is not reached."""
    return pytest.param(*values, marks=pytest.mark.xfail(strict=True, reason=by))


@pytest.mark.parametrize(
    ("holdout", "which", "quantity", "middle", "tail", "found"),
    [
        ("unseen_model", images, "energy_j", 4, 12, (5.1, 13.0)),
        ("unseen_model", images, "duration_s", 5, 14, (7.1, 18.9)),
        ("unseen_gpu", images, "energy_j", 8, 20, None),
        ("unseen_gpu", images, "duration_s", 9, 22, None),
        ("seen", images, "energy_j", 5, 15, None),
        ("seen", images, "duration_s", 7, 20, None),
        ("unseen_runtime", stratum("one_gpu"), "duration_s", 12, 30, (12.7, 36.6)),
        ("unseen_runtime", stratum("several_gpus"), "energy_j", 8, 20, (6.7, 24.2)),
        ("unseen_runtime", stratum("several_gpus"), "duration_s", 10, 25, (12.1, 26.5)),
        ("unseen_model", videos, "energy_j", 6, 15, (4.5, 28.1)),
        ("unseen_model", videos, "duration_s", 8, 18, (4.5, 29.7)),
    ],
)
def test_errors_that_the_project_set_itself(
    holdout: str, which: Which, quantity: str, middle: float, tail: float, found: tuple[float, float] | None
) -> None:
    """Median and nine in ten [%]; those not reached say how far off they are, and must be told when they are.

    Of videos CogVideoX1.5-5B is the one that is far off.
    """
    errors = default_errors(holdout, quantity, which)
    reached = float(np.median(errors)), float(np.quantile(errors, 0.9))
    if found is None:
        assert reached[0] <= middle
        assert reached[1] <= tail
    else:
        assert reached == pytest.approx(found, abs=0.06)
        assert reached[0] > middle or reached[1] > tail, "it is reached: say so"


@pytest.mark.parametrize("holdout", FAMILIARITY)
@pytest.mark.parametrize(
    ("which", "quantity"),
    [
        (stratum("one_gpu"), "duration_s"),
        (stratum("several_gpus"), "energy_j"),
        (stratum("several_gpus"), "duration_s"),
    ],
)
def test_intervals_of_other_runtimes_hold_often_enough(holdout: str, which: Which, quantity: str) -> None:
    """Too often where few groups were held out: then the width rests on the largest errors."""
    _, covered = packaged_errors(default_law(), holdout, quantity, which)
    assert (len(covered) > 0) == ((holdout, quantity) != ("seen", "energy_j"))
    if len(covered):
        assert 100 * covered.mean() >= 85


@pytest.mark.parametrize(
    ("holdout", "quantity"),
    [
        missed("unseen_model", "energy_j", by="8 of 11: CogVideoX1.5-5B"),
        ("unseen_model", "duration_s"),
        ("unseen_gpu", "energy_j"),
        missed("unseen_gpu", "duration_s", by="16 of 21: CogVideoX1.5-5B and CogVideoX-5B"),
    ],
)
def test_intervals_of_videos_hold_often_enough(holdout: str, quantity: str) -> None:
    _, covered = packaged_errors(default_law(), holdout, quantity, videos)
    assert 100 * covered.mean() >= 85


def test_r2_within_one_model_and_gpu(eager: RunTable) -> None:
    found = within_groups(load_law(), eager, packaged_profile)
    assert len(found) >= 20
    assert min(found.values()) > 0.95


def test_a_score_of_shipped_rows_is_what_the_law_publishes(eager: RunTable) -> None:
    """The same numbers by the library's own way, for one law: no figure is typed by hand."""
    every = with_floors({h: hold_out("paper", h, eager, packaged_profile) for h in FAMILIARITY})
    held = every["unseen_model"]
    for label, quantity in QUANTITIES.items():
        assert_same(held.score(quantity).to_dict(), published("paper", "unseen_model", label))
