"""A validation as data, text and a folder; an adaptation as data and text."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from joulecast.compute.profile_file import packaged_profile
from joulecast.errors import InputError
from joulecast.law.calibration import held_out_rows
from joulecast.law.dataset import Dataset
from joulecast.law.forms import find_form
from joulecast.law.groups import groups_of
from joulecast.law.hold_out import HeldOut, validate
from joulecast.law.law import FAMILIARITY
from joulecast.law.load import load_law
from joulecast.law.own_runs import fitted_runs
from joulecast.law.reproduction import reproduction
from joulecast.law.score_runs import on_runs
from joulecast.report.validation.findings import HeldOutReport, every_run, held_out_report, own_runs_report
from joulecast.report.validation.page import write_folder
from joulecast.report.validation.text import held_out_text, own_runs_text
from joulecast.runs import packaged_runs
from published_errors import published

pytestmark = pytest.mark.xdist_group("validation")

FORMS = ("paper", "joules_per_flop")  # quick to fit
RUNS, LEFT_OUT = fitted_runs(find_form("paper"))  # those of both
MIXED = ("roofline", "paper")  # of which the first knows runtimes and videos


@pytest.fixture(scope="module")
def held() -> dict[str, dict[str, HeldOut]]:
    return validate(FORMS, load=packaged_profile)


@pytest.fixture(scope="module")
def found(held: dict[str, dict[str, HeldOut]]) -> HeldOutReport:
    rows = reproduction(RUNS, packaged_profile, load_law())
    return held_out_report(held, dict.fromkeys(FORMS, LEFT_OUT), load_law("paper"), packaged_profile, rows)


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
    assert set(report["runs"]) == set(FORMS)
    for runs in report["runs"].values():
        assert runs["used"] == 183
        assert (runs["energies"], runs["times"]) == (127, 164)
        assert sum(runs["sources"].values()) == 183
        assert sum(entry["runs"] for entry in runs["left_out"]) == len(packaged_runs()) - 183
        assert all(entry["why"] for entry in runs["left_out"])


# Energies and times where not all have a prediction: of sources, those on chips that two measured; of chips,
# those in number formats that another chip has; the reference runtime is never held out.
TESTED = {"seen": (46, 120), "unseen_gpu": (124, 164), "unseen_both": (124, 164), "unseen_runtime": (0, 0)}


def test_breakdowns_cover_every_run_once(report: dict[str, Any]) -> None:
    for dimension in ("model", "gpu", "chip", "batch_size", "source", "runtime", "stratum"):
        for holdout in FAMILIARITY:
            rows = [b for b in report["breakdowns"] if (b["dimension"], b["holdout"]) == (dimension, holdout)]
            energies, times = TESTED.get(holdout, (127, 164))
            assert sum(row["energy"]["runs"] for row in rows) == energies
            assert sum(row["duration"]["runs"] for row in rows) == times


def test_the_text_shows_every_law_hold_out_and_dimension(found: HeldOutReport) -> None:
    text = held_out_text(found)
    for words in (
        *FORMS, "a fifth of the runs", "a model and a chip", "Spearman", "Kendall", "covered", "interval",
        "paper by model", "paper by batch", "paper by chip", "paper by GPU", "paper by source",
        "R2 of log E within", "flux.1-dev on A100", "cannot be checked",
        "left out: a video: such laws are of images", "183 runs: 127 energies and 164 times",
        "by eager diffusers on one GPU: errors on what was held out", "Rule:",
    ):  # fmt: skip
        assert words in text, words
    assert "nan" not in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_many_reasons_alike_are_one_line(found: HeldOutReport) -> None:
    """There are dozens of runtimes; together the lines still count every run."""
    text = held_out_text(found)
    counts = [int(count) for count in re.findall(r"^ +(\d+)  left out: ", text, re.MULTILINE)]
    assert sum(counts) == sum(LEFT_OUT.values())
    assert len(counts) < 10 < len(LEFT_OUT)
    assert re.search(r"left out: .* and \d+ other kinds: such laws are of eager diffusers on one GPU", text)


@pytest.fixture(scope="module")
def held_mixed() -> dict[str, dict[str, HeldOut]]:
    """Of laws with different runs, without the fits: predictions as measured, under one hold-out."""
    held = {}
    for form in MIXED:
        runs = fitted_runs(find_form(form))[0]
        none = np.full(len(runs), np.nan)
        held[form] = {
            holdout: HeldOut(form, holdout, runs, groups_of(holdout, runs), none, none, none, none)
            for holdout in FAMILIARITY
        }
        exact = dataclasses.replace(
            held[form]["same_source"],
            energy_j=runs.column("energy_j").astype(float),
            duration_s=runs.column("duration_s").astype(float),
            energy_spread=np.zeros(len(runs)),
            duration_spread=np.zeros(len(runs)),
        )
        held[form]["same_source"] = exact
    return held


@pytest.fixture(scope="module")
def mixed(held_mixed: dict[str, dict[str, HeldOut]]) -> HeldOutReport:
    held, left_out = held_mixed, {form: fitted_runs(find_form(form))[1] for form in MIXED}
    return held_out_report(held, left_out, load_law("roofline"), packaged_profile, ())


def test_laws_are_told_with_their_own_runs(mixed: HeldOutReport) -> None:
    told = held_out_text(mixed).split("\n\n")[:2]
    for form, lines in zip(MIXED, told, strict=True):
        runs, left_out = fitted_runs(find_form(form))
        assert lines.startswith(f"{form}: {len(runs)} runs: ")
        counts = [int(count) for count in re.findall(r"^ +(\d+)  ", lines, re.MULTILINE)]
        assert sum(counts) == len(runs) + sum(left_out.values()) == len(packaged_runs())
        assert mixed.runs[form].used == len(runs)


def test_a_folder_has_the_runs_of_every_law(held_mixed: dict[str, dict[str, HeldOut]]) -> None:
    """Whichever law comes first: predictions are drawn beside what was measured of them."""
    backwards = {form: held_mixed[form] for form in reversed(MIXED)}
    ids = {str(row["run_id"]) for row in held_out_rows(backwards)}
    assert {run.run_id for run in every_run(backwards)} == ids
    assert len(ids) == len(fitted_runs(find_form("roofline"))[0])


def test_laws_are_compared_on_the_reference_runtime(mixed: HeldOutReport) -> None:
    """Others of one that knows them are in its breakdowns."""
    for form in MIXED:
        runs = fitted_runs(find_form(form))[0]
        energies = [run for run in runs if run.energy_j is not None]
        score = mixed.laws[form]["same_source"].energy
        assert score is not None
        assert score.runs == sum(run.runtime.is_reference for run in energies)
    by_stratum = [
        row for row in mixed.breakdowns if (row.dimension, row.holdout) == ("stratum", "same_source")
    ]
    assert len(by_stratum) == 6  # of images and of videos
    runs = fitted_runs(find_form("roofline"))[0]
    timed = [row.scores.duration.runs for row in by_stratum if row.scores.duration]
    assert sum(timed) == sum(run.duration_s is not None for run in runs)
    assert "a runtime" not in held_out_text(mixed).partition("Default law")[0]


@pytest.mark.parametrize("width", [60, 100])
def test_sentences_are_as_wide_as_the_terminal(
    width: int, found: HeldOutReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = held_out_text(found).splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("Default law: "))
    told = lines[first : lines.index("", first)]
    assert "Best here: " in " ".join(told)
    assert width - 20 < max(map(len, told)) <= width


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
    assert not re.findall(r"<th[^>]*>\s*</th>", page)
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
    runs = RUNS.filter(source="ML.ENERGY leaderboard v3", gpu="H100-SXM5-80GB")
    results = [
        on_runs(load_law(name), Dataset.build(runs, packaged_profile)) for name in ("roofline", "paper")
    ]
    assert set(results[0].familiarity) == {"seen"}
    told = own_runs_report(
        results, {"roofline": {}, "paper": {"some reason": 2}, "tdp_time": {"another": 23}}
    )
    found: Any = told.to_dict()
    json.dumps(found, allow_nan=False)
    assert found["laws"]["roofline"][0]["energy"]["runs"] == 21
    assert found["laws"]["roofline"][0]["energy"]["median"] < found["laws"]["paper"][0]["energy"]["median"]
    assert len(found["predictions"]["paper"]) == 21
    text = own_runs_text(told)
    assert "roofline, as it is" in text
    assert "2  left out: some reason" in text
    assert "roofline: 21 runs: 21 energies" in text
    assert "tdp_time: 0 runs" in text  # made for none of them
    assert set(found["laws"]) == {"roofline", "paper"}
