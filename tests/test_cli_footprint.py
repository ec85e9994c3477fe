"""The commands from joules to decisions: what they print, their exit status, their errors."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import NamedTuple

import pytest

from joulecast.cli import main

WORKLOADS = """model,gpu,width,height,steps,precision,batch_size,where
flux.1-dev,H100-SXM5-80GB,1024,1024,50,bf16,1,FR
sd3.5-large,A100-SXM4-80GB,768,1024,28,fp16,4,PL
"""


class Done(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    Path("w.csv").write_text(WORKLOADS)
    Path("bad.csv").write_text("energy_j,duration_s\nmuch,1\n")

    def running(*arguments: str) -> Done:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        captured = capsys.readouterr()
        return Done(int(ended.value.code or 0), captured.out, captured.err)

    return running


ESTIMATE = ("estimate", "flux.1-dev", "--gpu", "H100-SXM5-80GB")


def test_estimate_in_a_region(run) -> None:  # type: ignore[no-untyped-def]
    done = run(*ESTIMATE, "--region", "FR", "--pue", "1.2", "--images", "1000000")
    assert done.status == 0
    assert "1,000,000 images in France, location-based, 2024" in done.out
    assert "Ember" in done.out
    assert "energy per image" in done.out
    explained = run(*ESTIMATE, "--region", "FR", "--explain")
    assert "operational_carbon_g [g] = facility_energy_kwh * intensity" in explained.out


def test_a_live_intensity_that_cannot_be_had_is_said(run, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.delenv("ELECTRICITYMAPS_API_KEY", raising=False)
    done = run(*ESTIMATE, "--region", "FR", "--live")
    assert done.status == 0
    assert "no live intensity of France" in done.out
    assert run(*ESTIMATE, "--live", "--region", "FR", "--intensity", "3").status == 2


def test_estimate_as_json(run) -> None:  # type: ignore[no-untyped-def]
    plain = json.loads(run(*ESTIMATE, "--json").out)
    answer = json.loads(run(*ESTIMATE, "--region", "PL", "--json").out)
    assert "footprint" not in plain
    found = answer.pop("footprint")
    assert answer == plain
    assert found["carbon_g"]["low"] < found["carbon_g"]["value"] < found["carbon_g"]["high"]
    assert found["grid"]["year"] == 2024
    assert found["images"] == 1


def test_a_table(run) -> None:  # type: ignore[no-untyped-def]
    assert run("predict", "w.csv", "--out", "p.csv").status == 0
    assert run("footprint", "p.csv", "--region-column", "where", "--out", "f.csv").status == 0
    rows = list(csv.DictReader(Path("f.csv").read_text().splitlines()))
    assert [row["grid_region"] for row in rows] == ["France", "Poland"]
    assert float(rows[0]["carbon_low_g"]) < float(rows[0]["carbon_g"]) < float(rows[0]["carbon_high_g"])
    assert run("footprint", "f.csv", "--region", "FR").status == 2
    Path("p.csv").write_text(Path("p.csv").read_text().replace(",PL,", ",Polnd,"))
    done = run("footprint", "p.csv", "--region-column", "where")
    assert done.status == 1
    assert "data row 2: unknown region 'Polnd'; did you mean Poland" in done.err
    assert "footprints of 1 of 2 rows" in done.err


def test_a_budget(run) -> None:  # type: ignore[no-untyped-def]
    strict = run("budget", "check", "w.csv", "--max-g-per-image", "0.2", "--region", "FR")
    assert strict.status == 1
    assert "1 of 2 over the budget" in strict.out
    assert strict.out.count("OVER") == 1
    assert run("budget", "check", "w.csv", "--max-g-per-image", "2", "--region-column", "where").status == 0
    worst = ("--max-g-per-image", "2", "--region-column", "where", "--bound", "high")
    assert run("budget", "check", "w.csv", *worst).status == 1
    assert run("budget", "check", "w.csv", "--max-wh-per-image", "1.5").status == 1
    assert run("budget", "check", "w.csv", "--max-wh-per-image", "3").status == 0


@pytest.mark.parametrize("form", ["markdown", "json", "huggingface"])
def test_cards(run, form: str) -> None:  # type: ignore[no-untyped-def]
    run("predict", "w.csv", "--out", "p.csv")
    done = run("card", "p.csv", "--format", form, "--region", "FR")
    assert done.status == 0
    assert "France" in done.out
    if form == "json":
        assert len(json.loads(done.out)["entries"]) == 2
    if form == "huggingface":
        assert "co2_eq_emissions:" in done.out
    assert run("card", "p.csv", "--format", "markdown", "--out", "card.md").status == 0
    assert "gross GPU energy" in Path("card.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*ESTIMATE, "--region", "Frnace"), "France"),
        ((*ESTIMATE, "--pue", "1.2"), "needs a region"),
        ((*ESTIMATE, "--region", "FR", "--pue", "0.5"), "PUE"),
        ((*ESTIMATE, "--region", "FR", "--images", "many"), "--images"),
        ((*ESTIMATE, "--region", "FR", "--boundary", "dynamic"), "gross"),
        ((*ESTIMATE, "--region", "FR", "--year", "1990"), "packaged table has 2024"),
        (("budget", "check", "w.csv"), "give a budget"),
        (("budget", "check", "w.csv", "--max-g-per-image", "2"), "needs a region"),
        (("budget", "check", "w.csv", "--max-g-per-image", "-2"), "positive"),
        (("budget", "look", "w.csv"), "invalid choice"),
        (("footprint", "w.csv", "--region", "FR"), "no column energy_j"),
        (("footprint", "none.csv", "--region", "FR"), "does not exist"),
        (("card", "w.csv"), "no column energy_j"),
        (("card", "bad.csv"), "energy_j must be a positive number, not 'much'"),
        (("budget", "check", "bad.csv", "--max-wh-per-image", "1"), "energy_j must be a positive number"),
    ],
)
def test_errors_are_one_line(run, arguments: tuple[str, ...], words: str) -> None:  # type: ignore[no-untyped-def]
    done = run(*arguments)
    assert done.status == 2
    assert words in done.err
    assert done.err.count("\n") == 1
