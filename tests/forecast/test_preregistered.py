"""Predictions written before a campaign, and what they are held against afterwards."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest

from command import exit_status as run
from joulecast.errors import FileFormatError, InputError
from joulecast.forecast.estimate import resolve_law
from joulecast.forecast.predictor import Predictor
from joulecast.forecast.preregistered import COLUMNS, check_predictions, predict_plan, write_predictions
from joulecast.measure.campaign_plan import parse_plan
from joulecast.runs import MeasuredRun, RunTable

H200 = "H200-SXM-141GB"
PLAN = """
name = "small"
[[grid]]
model = "sd2"
size = ["256x256", "512x512"]
steps = [5, 10]
[[grid]]
model = "sd2"
steps = 10
runtime = "compiled"
[[grid]]
model = "flux.1-dev"
steps = 10
gpu = "A100"
"""


def measured(row: dict[str, str], energy_j: float, duration_s: float, boundary: str = "gross") -> MeasuredRun:
    return MeasuredRun(
        run_id=row["run_id"] + ("-gross" if boundary == "gross" else "-dynamic"),
        model=row["model"],
        gpu=row["gpu"],
        batch_size=int(row["batch_size"]),
        width=int(row["width"]),
        height=int(row["height"]),
        steps=int(row["steps"]),
        passes=int(row["passes"]),
        precision=row["precision"],
        energy_j=energy_j,
        boundary=boundary,
        duration_s=duration_s,
        compile=row["runtime"] == "compiled",
    )


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    plan = parse_plan(PLAN, "small")
    columns = predict_plan(plan.name, plan.tasks, "H200", resolve_law(None))
    write_predictions(columns, tmp_path / "p.csv")
    return tmp_path / "p.csv"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_plan_is_predicted_as_a_table_is(predictions: Path) -> None:
    rows = rows_of(predictions)
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 5  # not the task for an A100
    again = Predictor(resolve_law(None)).predict(
        {
            name: [row[name] for row in rows]
            for name in ("model", "gpu", "width", "height", "steps", "precision")
        }
        | {"passes": [int(row["passes"]) for row in rows], "compile": [row["compile"] for row in rows]}
    )
    assert [float(row["energy_j"]) for row in rows] == pytest.approx(list(again["energy_j"]), rel=1e-12)
    assert {row["gpu"] for row in rows} == {H200}
    compiled = [row for row in rows if row["runtime"] == "compiled"]
    assert len(compiled) == 1
    assert "laws are of" not in compiled[0]["warning"]
    assert compiled[0]["run_id"].endswith("-compiled")
    assert [row["compile"] for row in rows] == ["yes" if row is compiled[0] else "no" for row in rows]
    eager = next(row for row in rows if row["run_id"] == compiled[0]["run_id"].removesuffix("-compiled"))
    assert float(eager["duration_s"]) > float(compiled[0]["duration_s"])


def test_a_law_that_knows_no_runtimes_predicts_none() -> None:
    plan = parse_plan(PLAN, "small")
    found = predict_plan(plan.name, plan.tasks, "H200", resolve_law("paper"))
    for compiled, energy_j, error in zip(found["compile"], found["energy_j"], found["error"], strict=True):
        assert math.isnan(energy_j) == compiled
        assert ("not of diffusers, compiled; another law" in error) == compiled


def test_no_law_is_of_another_tf32() -> None:
    plan = parse_plan('[[grid]]\nmodel = "sd2"\nprecision = "fp32"\ntf32 = ["on", "default"]\n', "x")
    found = predict_plan("x", plan.tasks, "H200", resolve_law(None))
    told = ["tf32 on: laws are of torch's default" in words for words in found["warning"]]
    assert told == [True, False]


def test_errors_by_hand(predictions: Path) -> None:
    rows = rows_of(predictions)
    eager = [row for row in rows if row["runtime"] == "eager"]
    factors = (0.8, 1.0, 1.25, 2.0)  # predicted over measured
    runs = [
        measured(row, float(row["energy_j"]) / factor, 2 * float(row["duration_s"]))
        for row, factor in zip(eager, factors, strict=True)
    ]
    compiled = next(row for row in rows if row["runtime"] == "compiled")
    runs.append(measured({**compiled, "runtime": "eager"}, 1.0, 1.0))
    runs.append(measured({**eager[0], "run_id": "unknown"}, 1.0, 1.0))
    runs.append(measured(eager[1], 1.0, 1.0, "dynamic"))  # another boundary than predicted
    found = check_predictions(predictions, RunTable(runs))
    assert found.energy.runs == 4
    assert found.energy.worst == pytest.approx(100)
    assert found.energy.median == pytest.approx((20 + 25) / 2)
    assert found.energy.bias == pytest.approx(100 * math.log(0.8 * 1.25 * 2) / 4)
    inside = 0
    for row, one in zip(eager, runs, strict=False):
        assert one.energy_j is not None
        inside += float(row["energy_low_j"]) <= one.energy_j <= float(row["energy_high_j"])
    assert found.energy.coverage == pytest.approx(100 * inside / 4)
    assert found.score("duration_s").median == pytest.approx(50)
    assert (found.other_runtime, found.unmeasured, found.unpredicted) == (1, 0, 2)
    assert [name for name, _, _ in found.groups()] == ["all", "sd2", "fp16"]


def test_compiled_runs_are_held_against_compiled_predictions(predictions: Path, tmp_path: Path) -> None:
    """And against none of a file that predicts eager ones alone, as files without the column do."""
    rows = rows_of(predictions)
    runs = RunTable(measured(row, float(row["energy_j"]), float(row["duration_s"])) for row in rows)
    found = check_predictions(predictions, runs)
    assert (found.energy.runs, found.other_runtime) == (5, 0)
    assert found.energy.worst == pytest.approx(0)
    by_name = {name: energy.runs for name, energy, _ in found.groups()}
    assert by_name == {"all": 5, "sd2": 5, "fp16": 5, "diffusers": 4, "diffusers, compiled": 1}
    with (tmp_path / "old.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [name for name in COLUMNS if name != "compile"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    old = check_predictions(tmp_path / "old.csv", runs)
    assert (old.energy.runs, old.other_runtime) == (4, 1)


def test_what_cannot_be_checked(predictions: Path, tmp_path: Path) -> None:
    row = rows_of(predictions)[0]
    with pytest.raises(InputError, match="no run was predicted"):
        check_predictions(predictions, RunTable([measured({**row, "run_id": "else"}, 1.0, 1.0)]))
    runs = RunTable([measured(row, 1.0, 1.0)])
    for text, words in (
        ("a,b\n1,2\n", "has no column run_id"),
        ("", "has no column run_id"),
        (predictions.read_text().replace(row["energy_j"], "much", 1), "data row 1: 'much' is no number"),
        (predictions.read_text().replace(row["energy_j"], "-1", 1), "expected more than 0"),
    ):
        (tmp_path / "bad.csv").write_text(text)
        with pytest.raises(FileFormatError, match=words):
            check_predictions(tmp_path / "bad.csv", runs)
    with pytest.raises(InputError, match=r"no task of the plan is for A100"):
        predict_plan("x", parse_plan(PLAN, "x").tasks[:0], "A100", resolve_law(None))


def test_the_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small.toml").write_text(PLAN)
    assert run("campaign", "predict", "small.toml", "--gpu", "H200", "--out", "p.csv") == 0
    assert capsys.readouterr().out == "wrote p.csv: 5 of 5 runs predicted\n"
    assert (
        run("campaign", "run", "small.toml", "--dry-run", "--gpu", "H200", "--store", "s.db") == 1
    )  # the A100
    assert "1 task for a A100-SXM4-80GB; this is H200-SXM-141GB: left pending" in capsys.readouterr().err
    assert run("campaign", "export", "s.db", "--gpu", "H200", "--out", "runs.csv") == 0
    capsys.readouterr()
    assert run("campaign", "check", "p.csv", "--runs", "runs.csv") == 0
    told = capsys.readouterr().out
    assert "held: runs within the predicted 90 % interval" in told
    assert "left out" not in told
    assert "diffusers, compiled" in told
    assert "invented" in told  # they are of a dry run
    assert run("campaign", "check", "p.csv", "--runs", "runs.csv", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert len(answer["runs"]) == 5
    assert answer["groups"][0]["energy"]["runs"] == 5
    assert run("validate", "--runs", "runs.csv", "--law", "roofline") == 0
    assert "4 of the runs are of a dry run" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "calibrate"], "a prediction is of a GPU"),
        (["predict", "calibrate", "--gpu", "H200-SXMM"], "did you mean"),
        (["predict", "calibrate", "--gpu", "H200", "--out", "p.txt"], "predictions are written as CSV"),
        (["predict", "calibrate", "--gpu", "H200", "--boundary", "both"], "boundary"),
        (["predict", "calibrate", "--gpu", "H200", "--law", "none"], "unknown law"),
        (["predict", "nothing", "--gpu", "H200"], "unknown plan"),
        (["check", "p.csv"], "--runs FILE is missing"),
        (["check", "p.csv", "--runs", "none.csv"], "none.csv"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("campaign", *arguments) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
