"""A law of one's own: written outside the package, registered in one place, and known to every door.

Its equations are simple enough for sums by hand: a GPU computes at a fitted share of its peak, and
draws a fitted share of its power limit, of which a tenth is drawn by whatever does no work.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import joulecast
from joulecast.cli import main
from joulecast.compute.profile_file import packaged_profile
from joulecast.errors import FitError, InputError, UnknownNameError
from joulecast.law import forms
from joulecast.law.calibration import held_out_rows, packaged_law
from joulecast.law.dataset import Dataset
from joulecast.law.fitted import FittedLaw, Gross, Parameters
from joulecast.law.forms import Form, fit_law, known_forms, register_form
from joulecast.law.hold_out import HeldOut, validate
from joulecast.law.law import FAMILIARITY, Breakdown, LawInput
from joulecast.law.law_file import write_law
from joulecast.law.load import load_law
from joulecast.law.own_runs import fitted_runs
from joulecast.law.paper import peak_flop_per_s
from joulecast.question.gpus import gpu
from joulecast.report import charts
from joulecast.report.decisions.pictures import estimate_chart
from joulecast.report.validation.findings import held_out_report
from joulecast.report.validation.page import EXAMPLES, waterfalls
from joulecast.report.validation.pictures import errors_by_law
from joulecast.report.validation.rows import held_out_points, law_errors
from joulecast.report.validation.text import held_out_text
from joulecast.runs import RunTable

pytestmark = pytest.mark.xdist_group("own_law")

IDLE_PART = 0.1
SAME = 1e-9  # the same sum in another order


# --- what somebody outside would write -----------------------------------------------------------


@dataclass(frozen=True)
class Shares(Parameters):
    """Of the peak, and of the power limit."""

    of_peak: float
    of_limit: float


class ConstantPowerLaw(FittedLaw):
    """Always the same share of the peak and of the power limit."""

    form = "own_constant_power"
    parameters: Shares

    @classmethod
    def parameters_of(cls, value: Mapping[str, Any]) -> Shares:
        return Shares(**value)

    def gross(self, asked: LawInput) -> Gross:
        rate = self.parameters.of_peak * asked.gpus.column(peak_flop_per_s)
        power = self.parameters.of_limit * asked.gpus.column(lambda one: one.tdp_w)
        seconds = {
            name: flop / rate for name, flop in asked.profile.flop(asked.workloads, asked.precision).items()
        }
        parts = {name: power * own / asked.workloads.batch_size for name, own in seconds.items()}
        none = np.zeros(len(asked.workloads))
        return Gross(parts, sum(seconds.values(), none), none, none, none)

    def breakdown(self, asked: LawInput) -> Breakdown:
        whole = self.gross(asked).component_energy_j
        return {
            name: {"useful_work": (1 - IDLE_PART) * energy, "no_work": IDLE_PART * energy}
            for name, energy in whole.items()
        }


def fit_constant_power(dataset: Dataset) -> ConstantPowerLaw:
    """Medians of what the runs show."""
    ideal = np.concatenate([_seconds_at_peak(group) for group in dataset.groups])
    rows = np.concatenate([group.rows for group in dataset.groups])
    duration = dataset.duration_s[rows]
    batch = np.array([run.batch_size for run in dataset.runs])[rows]
    limit = np.array([one.tdp_w for one in dataset.gpus])[rows]
    power = dataset.energy_j[rows] * batch / duration / limit
    shares = Shares(_median(ideal / duration), _median(power))
    return ConstantPowerLaw("own", shares, dataset.fitted_on())


def _median(values: Any) -> float:
    known = values[np.isfinite(values)]
    if not known.size:
        raise FitError("no run has both an energy and a time")
    return float(np.median(known))


def _seconds_at_peak(group: Any) -> Any:
    flop = group.profile.flop(group.workloads, group.precision)
    return sum(flop.values(), np.zeros(len(group.rows))) / group.gpus.column(peak_flop_per_s)


OWN = Form("own_power", "my constant power", ConstantPowerLaw, fit_constant_power)


# --- and what then works -------------------------------------------------------------------------


@pytest.fixture(autouse=True, scope="module")
def registered() -> Iterator[None]:
    """The one place; forgotten again after these tests."""
    before = dict(forms._FORMS)
    register_form(OWN)
    yield
    forms._FORMS.clear()
    forms._FORMS.update(before)


@pytest.fixture(scope="module")
def law(dataset: Dataset) -> FittedLaw:
    return fit_law("own_power", dataset)


@pytest.fixture(scope="module")
def few(eager: RunTable) -> RunTable:
    """Enough for every hold-out, and quick."""
    return eager.filter(model=("flux.1-dev", "sd3.5-large", "sdxl", "sd1.5"))


@pytest.fixture(scope="module")
def held(few: RunTable) -> dict[str, dict[str, HeldOut]]:
    return validate(("own_power", "joules_per_flop"), few, packaged_profile)


ASKED: dict[str, Any] = {"model": "sdxl", "gpu": "H100-SXM5-80GB", "precision": "fp16"}
SIZE: dict[str, Any] = {"width": 1024, "height": 1024, "steps": 25, "passes": 2, "batch_size": 4}


def test_estimate_is_the_law_s_equation(law: ConstantPowerLaw) -> None:
    found = joulecast.estimate(**ASKED, **SIZE, law=law)
    h100 = gpu("H100")
    seconds = found.flop * 4 / law.parameters.of_peak / 989.4e12
    assert found.duration_s == pytest.approx(seconds, rel=SAME)
    assert found.energy_j == pytest.approx(law.parameters.of_limit * h100.tdp_w * seconds / 4, rel=SAME)
    assert found.energy_high_j == pytest.approx(found.energy_j * np.exp(0.7), rel=SAME)  # not validated yet
    assert found.familiarity == "seen"


def test_its_file_is_written_and_read(law: FittedLaw, tmp_path: Path) -> None:
    write_law(law, tmp_path / "own.json")
    again = load_law(tmp_path / "own.json")
    assert type(again) is ConstantPowerLaw
    by_file = joulecast.estimate(**ASKED, **SIZE, law=tmp_path / "own.json")
    assert by_file.energy_j == pytest.approx(joulecast.estimate(**ASKED, **SIZE, law=law).energy_j, rel=1e-5)
    rows: dict[str, Any] = {name: [value] for name, value in (ASKED | SIZE).items()}
    table = joulecast.predict(rows, law=tmp_path / "own.json")
    assert table["error"].tolist() == [""]
    assert table["energy_j"][0] == by_file.energy_j
    assert table["law"].tolist() == ["own"]


def test_hold_outs_calibrate_it(held: dict[str, dict[str, HeldOut]]) -> None:
    found = packaged_law("own_power", held["own_power"])
    assert set(found.errors) == set(FAMILIARITY)
    for holdout in FAMILIARITY:
        score = found.errors[holdout].energy
        assert score is not None
        assert (score.runs > 0) == (holdout != "unseen_runtime")  # it knows no other
    assert found.runtimes == {}
    widths = [found.half_widths[known] for known in ("same_source", "seen", "unseen_gpu", "unseen_both")]
    assert widths == sorted(widths)
    known = joulecast.estimate(**ASKED, **SIZE, law=found).to_dict()["law"]
    assert known["held_out_error"]["energy"]["median"] == found.errors["seen"].to_dict()["energy"]["median"]  # type: ignore[index]


@pytest.mark.slow
def test_hold_outs_in_other_processes_are_the_same(
    held: dict[str, dict[str, HeldOut]], few: RunTable
) -> None:
    again = validate(("own_power",), few, packaged_profile, workers=2)
    for holdout in FAMILIARITY:
        np.testing.assert_array_equal(
            again["own_power"][holdout].energy_j, held["own_power"][holdout].energy_j
        )


@pytest.mark.slow
def test_the_report_of_a_validation_shows_it(held: dict[str, dict[str, HeldOut]], few: RunTable) -> None:
    """Its text and JSON; its pictures: every law's errors, and where the joules of typical images go."""
    found = packaged_law("own_power", held["own_power"])
    report = held_out_report(held, {}, found, packaged_profile, ())
    assert "own_power" in held_out_text(report)
    assert list(json.loads(json.dumps(report.to_dict()))["laws"]) == ["own_power", "joules_per_flop"]
    points = held_out_points(held_out_rows(held), few, found, packaged_profile)
    assert {point["launch_bound"] for point in points} == {0.0}
    assert OWN.title in charts.to_svg(errors_by_law(law_errors(points)))
    first, *others = waterfalls(found)
    assert "useful work" in first.svg()
    assert len(others) == len(EXAMPLES) - 1


def test_the_picture_of_an_estimate_shows_its_parts(law: FittedLaw) -> None:
    svg = charts.to_svg(estimate_chart(joulecast.estimate(**ASKED, **SIZE, law=law)))
    for words in ("unet: useful work", "unet: no work"):
        assert words in svg, words


def status(*arguments: str) -> int:
    with pytest.raises(SystemExit) as done:
        main(list(arguments))
    return int(done.value.code or 0)


def test_it_is_fitted_on_ones_own_runs_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The packaged law of the form is one that is fitted and calibrated on the packaged runs."""
    packaged, path = fitted_runs(OWN)[0], tmp_path / "runs.csv"
    mine = packaged.filter(source="ML.ENERGY leaderboard v3")[:6]
    RunTable(_renamed(run) for run in mine).write(path)
    out = tmp_path / "adapted.json"
    assert status("fit", str(path), "--law", "own_power", "--out", str(out)) == 0
    told = f"adapted, a law of the form own_power: fitted on {len(packaged) + 6} runs, 6 of them yours"
    assert told in capsys.readouterr().out
    assert isinstance(load_law(out), ConstantPowerLaw)


def _renamed(run: Any) -> Any:
    return dataclasses.replace(run, run_id=f"mine-{run.run_id}", energy_j=run.energy_j * 1.01, source="mine")


def test_the_commands_name_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("fit", "--help") == 0
    assert "own_power" in capsys.readouterr().out
    assert status("validate", "--law", "own_powr") != 0
    assert "did you mean own_power" in capsys.readouterr().err


# --- the registry itself -------------------------------------------------------------------------


def test_what_is_registered_again_changes_nothing() -> None:
    before = known_forms()
    register_form(OWN)
    assert known_forms() == before


class OtherLaw(ConstantPowerLaw):
    """Another class with the form of the first."""


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (
            Form("roofline", "mine", ConstantPowerLaw, fit_constant_power),
            "another form of law named roofline",
        ),
        (Form("other", "mine", OtherLaw, fit_constant_power), "another class of laws has the form"),
        (Form("my law", "mine", ConstantPowerLaw, fit_constant_power), "is named by a word"),
        (Form("law.json", "mine", ConstantPowerLaw, fit_constant_power), "is named by a word"),
    ],
)
def test_a_form_that_would_be_taken_for_another(form: Form, words: str) -> None:
    before = known_forms()
    with pytest.raises(InputError, match=words):
        register_form(form)
    assert known_forms() == before


def test_a_form_that_nobody_registered() -> None:
    with pytest.raises(UnknownNameError, match="known: roofline, paper"):
        packaged_law("crystal_ball")
