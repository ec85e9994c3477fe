"""A validation as data, text and a folder; an adaptation as data and text."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from joulecast.compute.profile_file import packaged_profile
from joulecast.errors import InputError
from joulecast.law.dataset import Dataset
from joulecast.law.hold_out import HeldOut, validate
from joulecast.law.law import FAMILIARITY
from joulecast.law.load import load_law
from joulecast.law.own_runs import usable
from joulecast.law.reproduction import reproduction
from joulecast.law.score_runs import on_runs
from joulecast.report.validation.findings import HeldOutReport, held_out_report, own_runs_report
from joulecast.report.validation.page import write_folder
from joulecast.report.validation.text import held_out_text, own_runs_text
from joulecast.runs import packaged_runs
from published_errors import published

pytestmark = pytest.mark.xdist_group("validation")

FORMS = ("paper", "joules_per_flop")  # quick to fit
RUNS, LEFT_OUT = usable(packaged_runs())


@pytest.fixture(scope="module")
def held() -> dict[str, dict[str, HeldOut]]:
    return validate(FORMS, RUNS, packaged_profile)


@pytest.fixture(scope="module")
def found(held: dict[str, dict[str, HeldOut]]) -> HeldOutReport:
    rows = reproduction(packaged_runs(), packaged_profile, load_law())
    return held_out_report(held, LEFT_OUT, load_law("paper"), packaged_profile, rows)


@pytest.fixture(scope="module")
def report(found: HeldOutReport) -> Any:
    return found.to_dict()


def test_the_report_is_json(report: dict[str, Any]) -> None:
    again = json.loads(json.dumps(report, allow_nan=False))
    assert set(again) == {
        "runs", "default_law", "laws", "breakdowns", "within_groups_r2", "reproduction",
    }  # fmt: skip


def test_the_report_holds_the_packaged_scores(report: dict[str, Any]) -> None:
    for form in FORMS:
        for holdout in FAMILIARITY:
            for label in ("energy", "duration"):
                for name, value in report["laws"][form][holdout][label].items():
                    packaged = published(form, holdout, label)[name]
                    assert value == (packaged and pytest.approx(packaged, rel=2e-3))


def test_the_report_counts_runs_and_those_left_out(report: dict[str, Any]) -> None:
    runs = report["runs"]
    assert runs["used"] == 148
    assert (runs["energies"], runs["times"]) == (107, 129)
    assert sum(runs["sources"].values()) == 148
    assert sum(entry["runs"] for entry in runs["left_out"]) == len(packaged_runs()) - 148
    assert all(entry["why"] for entry in runs["left_out"])


def test_breakdowns_cover_every_run_once(report: dict[str, Any]) -> None:
    for dimension in ("model", "gpu", "chip", "batch_size", "source"):
        for holdout in FAMILIARITY:
            rows = [b for b in report["breakdowns"] if (b["dimension"], b["holdout"]) == (dimension, holdout)]
            energies, times = (49, 49) if holdout == "seen" else (107, 129)  # on chips that two measured
            assert sum(row["energy"]["runs"] for row in rows) == energies
            assert sum(row["duration"]["runs"] for row in rows) == times


def test_the_text_shows_every_law_hold_out_and_dimension(found: HeldOutReport) -> None:
    text = held_out_text(found)
    for words in (
        *FORMS, "a fifth of the runs", "a model and a chip", "Spearman", "Kendall", "covered", "interval",
        "paper by model", "paper by batch", "paper by chip", "paper by GPU", "paper by source",
        "R2 of log E within", "flux.1-dev on A100", "cannot be checked",
        "left out: runtime compiled", "Rule:",
    ):  # fmt: skip
        assert words in text, words
    assert "nan" not in text
    assert all(line == line.rstrip() for line in text.splitlines())


@pytest.mark.slow
def test_the_folder_is_whole_and_needs_nothing_else(
    report: dict[str, Any], found: HeldOutReport, held: dict[str, dict[str, HeldOut]], tmp_path: Path
) -> None:
    written = write_folder(tmp_path / "new" / "report", found, held, load_law("paper"))
    names = {path.name for path in written}
    assert {"index.html", "validation.json", "held_out.csv", "reproduction.csv", "coverage.svg"} <= names
    page = (tmp_path / "new/report/index.html").read_text()
    assert page.count("<svg") == page.count("</svg>") == sum(name.endswith(".svg") for name in names)
    assert "<script" not in page
    assert "src=" not in page
    assert "<link" not in page
    assert json.loads((tmp_path / "new/report/validation.json").read_text()) == json.loads(json.dumps(report))
    with (tmp_path / "new/report/held_out.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(FORMS) * len(FAMILIARITY) * len(RUNS)
    with (tmp_path / "new/report/reproduction.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(report["reproduction"])


@pytest.mark.slow
def test_a_folder_that_cannot_be_made(
    found: HeldOutReport, held: dict[str, dict[str, HeldOut]], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write the report"):
        write_folder(tmp_path / "file" / "report", found, held, load_law("paper"))


def test_laws_on_runs_as_they_are() -> None:
    """The packaged law's own runs: every one was seen, and its errors are those of the fit."""
    runs = RUNS.filter(source="ML.ENERGY leaderboard v3")
    results = [
        on_runs(load_law(name), Dataset.build(runs, packaged_profile)) for name in ("roofline", "paper")
    ]
    assert set(results[0].familiarity) == {"seen"}
    told = own_runs_report(results, {"some reason": 2})
    found: Any = told.to_dict()
    json.dumps(found, allow_nan=False)
    assert found["laws"]["roofline"][0]["energy"]["runs"] == 21
    assert found["laws"]["roofline"][0]["energy"]["median"] < found["laws"]["paper"][0]["energy"]["median"]
    assert len(found["predictions"]["paper"]) == 21
    text = own_runs_text(told)
    assert "roofline, as it is" in text
    assert "2  left out: some reason" in text
