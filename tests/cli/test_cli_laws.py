"""The commands fit and validate: what they print and write, their exit status, their errors in one line."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from command import Command, refused
from joulecast.compute.profile_file import packaged_profile, write_profile
from joulecast.errors import FitError, InputError, UnknownNameError
from joulecast.files import signed_json
from joulecast.law.adapt import fit
from joulecast.law.dataset import Dataset
from joulecast.law.forms import find_form
from joulecast.law.law import FAMILIARITY
from joulecast.law.law_file import write_law
from joulecast.law.load import load_law
from joulecast.law.own_runs import fitted_runs, load_run_profile
from joulecast.law.score_runs import predict_runs
from joulecast.law.scores import Scores
from joulecast.question.gpus import gpu
from joulecast.runs import RunTable
from published_errors import published

CARD = """name = "My card"
tdp_w = 320
memory_gb = 48
bandwidth_gb_per_s = 900
fp16_tflops = 180
fp32_tflops = 45
boost_clock_mhz = 2200
year = 2023
"""
EAGER = fitted_runs(find_form("paper"))[0]
SOURCE = EAGER.filter(source="ML.ENERGY leaderboard v3", gpu="H100-SXM5-80GB")


def mine(runs: RunTable = SOURCE, energy: float = 1.15, time: float = 1.3, **values: Any) -> RunTable:
    """A user's runs on a card of their own: what the packaged law says of it, times constant factors."""
    Path("card.toml").write_text(CARD)
    card = RunTable(
        dataclasses.replace(one, run_id=f"my-{one.run_id}", gpu="./card.toml", gpu_stated=None, source=None)
        for one in runs
    )
    found, seconds, *_ = predict_runs(load_law("roofline"), Dataset.build(card, load_run_profile))
    return RunTable(
        dataclasses.replace(one, energy_j=energy * float(e), duration_s=time * float(t), **values)
        for one, e, t in zip(card, found, seconds, strict=True)
    )


# --- fit -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_handful_of_runs_adapts_the_packaged_law(run: Command) -> None:
    """Before, the law is 15 % off in energy and 30 % in time; after, it is not."""
    mine(SOURCE[::4]).write("runs.csv")
    done = run("fit", "runs.csv", "--law", "roofline", "--out", "my-law.json")
    assert done.status == 0, done.err
    assert "6 of them yours" in done.out
    assert "What moved" in done.out
    assert "cannot calibrate an interval" in done.out
    assert "joulecast estimate sana1.5-1.6b --gpu ./card.toml --law my-law.json" in done.out
    assert "fitting roofline on 6 runs of yours and 850 packaged ones" in done.err

    law, packaged = load_law("my-law.json"), load_law("roofline")
    assert law.name == "my-law"
    assert "My card" in law.fitted_on.gpus
    data = Dataset.build(mine(), load_run_profile)  # all 21, of which it saw 6
    for quantity, column in ((0, "energy_j"), (1, "duration_s")):
        measured = data.runs.column(column).astype(float)
        before, after = (
            np.abs(np.log(predict_runs(one, data)[quantity] / measured)) for one in (packaged, law)
        )
        assert np.median(after) < 0.05
        assert np.median(after) < 0.4 * np.median(before)
    assert law.half_widths["seen"] == packaged.half_widths["unseen_gpu"]  # 6 runs prove no narrower one
    assert law.errors["same_source"] == Scores(None, None)
    for known in FAMILIARITY:
        assert law.half_widths[known] >= packaged.half_widths[known]
        assert law.duration_half_widths[known] >= packaged.duration_half_widths[known]

    answer = json.loads(run("estimate", "sdxl", "--gpu", "./card.toml", "--law", "my-law.json", "--json").out)
    assert answer["law"]["familiarity"] == "seen"
    assert answer["law"]["held_out_error"] == {"energy": None, "duration": None}
    assert answer["energy_low_j"] < answer["energy_j"] < answer["energy_high_j"]


def test_enough_runs_calibrate_the_interval(run: Command) -> None:
    mine().write("runs.csv")
    done = run("fit", "runs.csv", "--law", "paper", "--out", "law.json", "--json")
    assert done.status == 0
    report, law, packaged = json.loads(done.out), load_law("law.json"), load_law("paper")
    held_out = report["errors_on_your_runs"]["energy"]["held_out"]
    assert held_out["runs"] == 21
    assert published(law, "same_source", "energy") == held_out
    assert law.half_widths["same_source"] >= packaged.half_widths["same_source"]
    assert law.errors["unseen_gpu"] == packaged.errors["unseen_gpu"]
    before, after = (
        report["errors_on_your_runs"]["energy"][k]["median"] for k in ("packaged_law", "this_law")
    )
    assert after < before
    assert report["moved"]["energy.beta_gpu.My card"]["packaged"] is None


def test_an_interval_of_ones_own_is_of_a_gpu_with_enough_runs(run: Command) -> None:
    """Twelve runs on one GPU say nothing of another with a single one."""
    many, one = mine(SOURCE[:12]), mine(SOURCE[12:13])
    on_a100 = (dataclasses.replace(of, gpu="A100-SXM4-80GB") for of in many)
    RunTable([*on_a100, *one]).write("runs.csv")
    done = run("fit", "runs.csv", "--law", "joules_per_flop", "--out", "law.json")
    assert done.status == 0, done.err
    law, packaged = load_law("law.json"), load_law("joules_per_flop")
    found = law.familiarity(
        packaged_profile(SOURCE[0].model), [gpu("A100-SXM4-80GB"), gpu("card.toml")], SOURCE[0].precision
    )
    assert found == ["same_source", "seen"]
    assert {device for _, device, *_ in law.fitted_on.own} == {"A100-SXM4-80GB"}
    assert law.half_widths["seen"] >= packaged.half_widths["unseen_gpu"]
    assert law.errors["seen"].energy is None
    assert published(law, "same_source", "energy")["runs"] == 13


def test_a_model_of_ones_own_is_fitted_from_its_profile_file(run: Command) -> None:
    write_profile(dataclasses.replace(packaged_profile("sdxl"), name="mine"), Path("mine.json"))
    mine(SOURCE[:12:2], model="./mine.json").write("runs.csv")
    done = run("fit", "runs.csv", "--law", "joules_per_flop", "--out", "law.json")
    assert done.status == 0, done.err
    law = load_law("law.json")
    assert "mine.json" in law.fitted_on.models
    card = gpu("card.toml")
    assert law.familiarity(load_run_profile("./mine.json"), [card], "fp16") == ["seen"]
    assert law.familiarity(
        dataclasses.replace(packaged_profile("sdxl"), origin="other.json"), [card], "fp16"
    ) == ["unseen_model"]


def test_alone_on_two_gpus(run: Command) -> None:
    runs = EAGER.filter(source="ML.ENERGY leaderboard v2")
    RunTable(dataclasses.replace(one, run_id=f"my-{one.run_id}", source=None) for one in runs).write(
        "runs.csv"
    )
    done = run("fit", "runs.csv", "--law", "paper", "--alone", "--out", "law.json")
    assert done.status == 0, done.err
    law = load_law("law.json")
    assert law.fitted_on.runs == 67
    assert law.fitted_on.sources == ("your runs",)
    assert law.half_widths["unseen_gpu"] >= load_law("paper").half_widths["unseen_gpu"]


def test_what_a_law_cannot_use_is_said(run: Command) -> None:
    runs = mine()
    compiled = dataclasses.replace(runs[0], engine="diffusers", compile=True)
    RunTable([compiled, *runs[1:]]).write("runs.csv")
    done = run("fit", "runs.csv", "--law", "joules_per_flop", "--out", "law.json")
    assert (
        "left out: 1 of yours, diffusers, compiled: such laws are of eager diffusers on one GPU" in done.out
    )


CASES: dict[str, tuple[Callable[[], RunTable], tuple[str, ...], str]] = {
    "too few": (lambda: mine(SOURCE[:2]), (), "2 runs that a law can use; expected at least 3"),
    "one workload": (
        lambda: RunTable(
            dataclasses.replace(mine(SOURCE[:1])[0], run_id=f"r{i}", energy_j=500.0 + i) for i in range(5)
        ),
        (),
        "all of one workload",
    ),
    "one GPU alone": (lambda: mine(), ("--alone",), "all runs are on My card"),
    "mixed boundaries": (
        lambda: RunTable([*mine()[:5], *(dataclasses.replace(r, boundary="dynamic") for r in mine()[5:8])]),
        (),
        "mix boundaries: 3 dynamic and 5 gross energies",
    ),
    "the same measurement twice": (
        lambda: RunTable([*mine(), dataclasses.replace(mine()[0], run_id="again")]),
        (),
        "and again are the same measurement; give it once",
    ),
    "a packaged measurement": (
        lambda: RunTable(dataclasses.replace(r, run_id=f"my-{r.run_id}") for r in SOURCE),
        (),
        "are the same measurement; give it once",
    ),
    "a packaged run": (lambda: SOURCE, (), "occurs twice; expected each run once"),
    "unknown model": (lambda: mine(model="sdxxl"), (), "unknown model 'sdxxl'"),
    "a size the pipeline refuses": (
        lambda: mine(SOURCE[:4], model="sdxl", width=1023),
        (),
        "refuses 1023x1024",
    ),
    "unknown form": (lambda: mine(), ("--law", "rooflin"), "did you mean roofline?"),
    "a law file as a form": (lambda: mine(), ("--law", "my.json"), "a law file cannot be held out"),
    "not a law file's name": (lambda: mine(), ("--out", "law.txt"), "a law file ends in .json"),
    "nowhere to write": (lambda: mine(), ("--out", "none/law.json"), "none"),
}


@pytest.mark.parametrize("name", CASES)
def test_runs_that_support_no_fit(name: str, run: Command) -> None:
    make, options, words = CASES[name]
    make().write("runs.csv")
    chosen = {"--law": "joules_per_flop", "--out": "law.json"} | dict(
        zip(options[::2], options[1::2], strict=False)
    )
    flags = [option for option in options if option == "--alone"]
    done = run("fit", "runs.csv", *(text for pair in chosen.items() for text in pair if text), *flags)
    last = done.err.splitlines(keepends=True)[-1:]  # before it, which runs are left out
    refused(done._replace(err="".join(last)), words)
    assert "Traceback" not in done.err
    assert not list(Path().glob("law.*"))  # nothing half made


@pytest.mark.parametrize("cell", ["nan", "-5", "0", "inf", "many"])
def test_energies_that_no_meter_gives(cell: str, run: Command) -> None:
    mine().write("runs.csv")
    with Path("runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    rows[2]["energy_j"] = cell
    with Path("runs.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    error = refused(run("fit", "runs.csv", "--out", "law.json"))
    assert "row 4" in error
    assert "energy_j is" in error


def test_a_run_id_twice(run: Command) -> None:
    mine(SOURCE[:3]).write("runs.csv")
    text = Path("runs.csv").read_text().splitlines()
    Path("runs.csv").write_text("\n".join([*text, text[-1]]) + "\n")
    refused(run("fit", "runs.csv", "--out", "law.json"), "expected each run once")


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "\x00"])
def test_files_that_are_no_runs(content: str, run: Command) -> None:
    Path("runs.csv").write_text(content)
    refused(run("fit", "runs.csv", "--out", "law.json"), "run table")


def test_adapt_takes_a_file_and_says_what_it_wants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own, path = mine(SOURCE[:6]), tmp_path / "runs.csv"
    own.write(path)
    laws = [fit(given, "joules_per_flop").law for given in (own, path, str(path))]
    assert laws[0] == laws[1] == laws[2]
    with pytest.raises(InputError, match=r"runs are a RunTable or the path of a CSV file, not \[\]"):
        fit([], "joules_per_flop")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="does not exist"):
        fit("none.csv", "joules_per_flop")


def test_adapt_asks_for_a_known_form() -> None:
    with pytest.raises(UnknownNameError, match="unknown form of law"):
        fit(SOURCE, "crystal ball", "x")


def test_energies_alone_cannot_make_the_paper_law_know_times(run: Command) -> None:
    """On its own it needs both; with the packaged runs it has the packaged times."""
    alone = RunTable(
        dataclasses.replace(one, run_id=f"my-{one.run_id}", duration_s=None, source=None)
        for one in EAGER.filter(source="ML.ENERGY leaderboard v2")
    )
    with pytest.raises(FitError, match="runs with"):
        fit(alone, "paper", "x", alone=True)
    law = fit(alone, "paper", "x").law
    assert law.duration_half_widths == load_law("paper").duration_half_widths


# --- validate ------------------------------------------------------------------------------------


def test_validate_prints_every_hold_out(run: Command) -> None:
    done = run("validate", "--law", "joules_per_flop", "--law", "tdp_time")
    assert done.status == 0
    assert "holding out sources, models, GPUs and runtimes of 183 runs, 2 laws" in done.err
    assert "tdp_time: unseen_both, 8 of 12" in done.err
    assert done.out.startswith("183 runs: 127 energies and 164 times of ")  # the same of both laws
    for words in ("joules_per_flop", "a model and a chip", "Spearman", "flux.1-dev on A100", "left out"):
        assert words in done.out


def test_validate_counts_one_law(run: Command) -> None:
    assert "183 runs, 1 law\n" in run("validate", "--law", "tdp_time").err


def test_validate_shows_the_paper_alone(run: Command) -> None:
    """Its fits, its three GPUs and what binds its models, without holding anything out."""
    done = run("validate", "--paper")
    assert done.status == 0
    for words in (
        "flux.1-dev on A100",
        "The paper's three GPUs",
        "ours RTX A4000",
        "What sets the time",
        "compute-bound",
    ):
        assert words in done.out
    found = json.loads(run("validate", "--paper", "--json").out)
    assert set(found) == {"reproduction", "three_gpus", "what_sets_the_time"}
    assert [one["model"] for one in found["three_gpus"]] == ["flux.1-dev", "sd3.5-large", "qwen-image", "sd2"]
    assert found["three_gpus"][0]["published"] == {"r2": 1.0, "alpha": 0.997, "beta_gpu": 0.45}
    for other in (("--law", "paper"), ("--runs", "r.csv"), ("--report", "folder")):
        refused(run("validate", "--paper", *other), f"leave {other[0]} out")


@pytest.mark.slow
def test_validate_as_json_is_what_ships(run: Command) -> None:
    report = json.loads(run("validate", "--law", "paper", "--json").out)
    assert set(report["laws"]) == {"paper"}
    for holdout in FAMILIARITY:
        found = report["laws"]["paper"][holdout]["energy"]["median"]
        ships = published("paper", holdout, "energy")["median"]
        assert found == (ships and pytest.approx(ships, rel=1e-3))  # None of runtimes: it knows no other
    assert (
        report["default_law"]["form"] == "paper"
    )  # whose errors are broken down: the one that was asked for
    assert report["reproduction"]


@pytest.mark.slow
def test_validate_writes_a_report(run: Command) -> None:
    done = run("validate", "--law", "paper", "--law", "joules_per_flop", "--report", "out")
    assert done.status == 0
    assert Path("out/index.html").read_text().count("<svg") >= 5
    assert "more files beside it" in done.err


def test_validate_refuses_before_the_long_work(run: Command) -> None:
    Path("file").write_text("")
    refused(run("validate", "--report", "file"), "is a file; give a folder")
    refused(run("validate", "--law", "my-law.json"), "cannot be held out")
    refused(run("validate", "--law", "papper"), "did you mean paper?")
    refused(run("validate", "--runs", "x.csv", "--report", "out"), "cannot go with --runs")


def test_validate_on_ones_own_runs(run: Command) -> None:
    mine().write("runs.csv")
    write_law(dataclasses.replace(load_law("paper"), name="copy"), Path("copy.json"))
    done = run("validate", "--runs", "runs.csv", "--law", "roofline", "--law", "copy.json")
    assert done.status == 0
    assert "roofline, as it is" in done.out
    assert "copy, as it is" in done.out
    report = json.loads(run("validate", "--runs", "runs.csv", "--json").out)
    assert set(report["laws"]) == {"roofline", "paper", "tdp_time", "joules_per_flop", "parameters_steps"}
    energy = next(row for row in report["laws"]["roofline"] if row["value"] == "all")["energy"]
    assert energy["median"] == pytest.approx(100 * (1 - 1 / 1.15), rel=1e-3)  # as `mine` made them
    assert {row["value"] for row in report["laws"]["roofline"] if row["dimension"] == "familiarity"} == {
        "all", "unseen_gpu",
    }  # fmt: skip
    assert report["predictions"]["roofline"][0]["measured_energy_j"] > 0


def test_validate_on_runs_of_other_runtimes(run: Command) -> None:
    """A law of the reference runtime alone is not asked of the others, and where it has none, says so."""
    runs = mine()
    compiled = [dataclasses.replace(one, engine="diffusers", compile=True) for one in runs[:5]]
    RunTable([*compiled, *runs[5:]]).write("runs.csv")
    asked = "validate", "--runs", "runs.csv", "--law", "roofline", "--law", "paper"
    report = json.loads(run(*asked, "--json").out)
    assert {law: used["used"] for law, used in report["runs"].items()} == {"roofline": 21, "paper": 16}
    assert {law: len(rows) for law, rows in report["predictions"].items()} == {"roofline": 21, "paper": 16}
    done = run(*asked)
    assert "roofline: 21 runs" in done.out
    assert "paper: 16 runs" in done.out
    assert "5  left out: diffusers, compiled" in done.out
    RunTable(compiled).write("runs.csv")
    done = run(*asked)
    assert "paper: 0 runs" in done.out
    assert "roofline, as it is" in done.out
    assert "paper, as it is" not in done.out
    refused(run("validate", "--runs", "runs.csv", "--law", "paper"), "no runs that these laws are made for")


def test_validate_on_one_run_and_on_mixed_boundaries(run: Command) -> None:
    """No fit is made: each run stands against its own prediction, in its own boundary."""
    EAGER.filter(model="sd3.5-large").write("runs.csv")
    done = run("validate", "--runs", "runs.csv", "--law", "roofline")
    assert done.status == 0
    mine(SOURCE[:1]).write("runs.csv")
    assert run("validate", "--runs", "runs.csv", "--law", "roofline").status == 0
    assert "nan" not in done.out


def test_validate_on_bad_runs_and_laws(run: Command) -> None:
    mine(model="sdxxl").write("runs.csv")
    refused(run("validate", "--runs", "runs.csv"), "unknown model")
    RunTable().write("runs.csv")
    refused(run("validate", "--runs", "runs.csv"), "there are no runs")
    mine().write("runs.csv")
    write_law(load_law("paper"), Path("law.json"))
    content = json.loads(Path("law.json").read_text()) | {"version": 99}
    content.pop("sha256")
    Path("law.json").write_text(json.dumps(content | {"sha256": signed_json.checksum(content)}))
    refused(run("validate", "--runs", "runs.csv", "--law", "law.json"), "is a law of version 99")
    refused(
        run("validate", "--runs", "runs.csv", "--law", "paper", "--law", copy_of("paper")),
        "two laws are named 'paper'",
    )


def copy_of(name: str) -> str:
    write_law(load_law(name), Path("again.json"))
    return "again.json"


def test_every_option_is_explained(run: Command) -> None:
    for command in ("fit", "validate"):
        done = run(command, "--help")
        assert done.status == 0
        assert "--law" in done.out
