"""The commands that choose: what they print, what they write, their exit status, their errors."""

from __future__ import annotations

import csv
import json
import os
import sys
from pathlib import Path

import pytest

from command import Command, exit_status, refused
from joulecast import gpus, load_profile, outcomes
from joulecast.architecture.workload import Workload
from joulecast.cli.options import WORKLOAD
from joulecast.cli.pareto import FLAGS, VARIED
from joulecast.forecast.memory import NO, memory_estimate
from joulecast.plan.possible import cannot_run
from joulecast.report.decisions.tradeoff_text import outcome_columns
from joulecast.runtime import REFERENCE

WHAT_IF = ("what-if", "sdxl", "--gpu", "A100-SXM4-80GB", "--precision", "fp16")
PARETO = ("pareto", "sdxl", "--gpu", "A100-SXM4-80GB,L4", "--precision", "fp16", "--batch", "1,4")


def test_what_if(run: Command) -> None:
    done = run(*WHAT_IF, "--steps", "50", "--region", "PL", "--to", "steps=28", "--to", "region=FR")
    assert done.status == 0
    assert done.out.startswith("sdxl on A100-SXM4-80GB: 1024x1024, 50 steps x 2 passes, fp16, in PL")
    told = [line.strip() for line in done.out.splitlines() if "Change:" in line]
    assert told == [
        "Change: steps 50 to 28", "Change: region PL to FR", "Change: steps 50 to 28, region PL to FR"
    ]  # fmt: skip
    assert "models, which differ in steps" in " ".join(done.out.split())
    assert max(map(len, done.out.splitlines())) < 130


def test_what_if_as_json(run: Command) -> None:
    answer = json.loads(run(*WHAT_IF, "--region", "PL", "--to", "batch=4", "--json").out)
    assert answer["setting"]["model"] == "sdxl"
    (change,) = answer["changes"]
    assert change["change"] == {"batch_size": 4}
    assert set(change["measures"]) == {"energy_j", "latency_s", "carbon_g"}
    ratio = change["measures"]["energy_j"]["ratio"]
    assert ratio["low"] < ratio["value"] < ratio["high"]


def test_what_if_by_the_hour(run: Command) -> None:
    done = run(*WHAT_IF, "--hourly", "US-CAL-CISO", "--at", "12:00", "--timezone", "America/Los_Angeles",
               "--to", "at=20:00")  # fmt: skip
    assert done.status == 0
    assert "at 12:00 to 20:00" in done.out
    assert "rises by" in done.out
    assert "combustion alone" in done.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "say what changes"),
        (("--to", "steps"), "not KEY=VALUE"),
        (("--to", "step=3"), "did you mean steps"),
        (("--to", "steps=many"), "steps"),
        (("--to", "negative-prompt=2"), "yes or no"),
        (("--to", "gpu=h100-sxm9"), "H100"),
        (("--to", "foo=1"), "known: model, gpu, size, steps"),
        (("--to", "frames=16"), "makes images; frames must be 1"),
        (("--to", "denoise=0.5"), "image-to-image"),
        (("--to", "frames=1"), "nothing changes"),
        (("--to", "year=soon", "--region", "FR"), "whole number"),
        (("--to", "at=12:00"), "hourly series"),
        (("--hourly", "US-CIS", "--to", "steps=3"), "CISO"),
        (("--hourly", "US-CAL-CISO", "--at", "noon", "--to", "steps=3"), "is no time"),
        (("--pue", "1.2", "--to", "steps=3"), "without a place"),
        (("--live", "--to", "steps=3"), "--live needs --region"),
        (("--to", "precision=fp16"), "nothing changes"),
        (("--to", "region=FR"), "compared with none"),
        (("--to", "law=paper"), "unknown change"),
    ],
)
def test_bad_changes(run: Command, arguments: tuple[str, ...], words: str) -> None:
    refused(run(*WHAT_IF, *arguments), words)


def test_pareto(run: Command) -> None:
    done = run(*PARETO, "--region", "FR,PL", "--by", "energy,latency,carbon", "--out", "all.csv")
    assert done.status == 0
    assert "of 8 settings" in done.out
    rows = list(csv.DictReader(Path("all.csv").read_text().splitlines()))
    assert len(rows) == 8
    front = [row for row in rows if row["on_front"] == "1"]
    assert len(front) == int(done.out.split(" of 8 settings")[0].split()[-1])
    assert {row["region"] for row in front} == {"FR"}
    assert all(
        float(row["energy_low_j"]) < float(row["energy_j"]) < float(row["energy_high_j"]) for row in rows
    )
    every = run(*PARETO, "--all")
    assert every.out.count("\n  *  ") + every.out.count("\n     ") >= 4


def test_pareto_writes_parquet_where_its_name_says_so(run: Command) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    for name in ("all.csv", "all.parquet"):
        assert run(*PARETO, "--region", "FR,PL", "--price-per-gpu-hour", "2", "--out", name).status == 0
    rows = list(csv.DictReader(Path("all.csv").read_text().splitlines()))
    table = parquet.read_table("all.parquet")
    assert [{k: "" if v is None else str(v) for k, v in row.items()} for row in table.to_pylist()] == rows
    kinds = {field.name: str(field.type) for field in table.schema}
    assert (kinds["batch_size"], kinds["energy_low_j"], kinds["on_front"]) == ("int64", "double", "int64")
    assert (kinds["gpu"], kinds["warning"]) == ("string", "string")


def test_a_column_that_some_settings_lack() -> None:
    """In Python settings may differ in what they give: what one does not say is an empty cell."""
    found = outcomes([{"model": "sdxl", "gpu": "L4"}, {"model": "sdxl", "gpu": "L4", "steps": 9, "pue": 1.2}
                      | {"region": "FR"}])  # fmt: skip
    columns = outcome_columns(found, found[:1])
    assert columns["steps"].tolist() == [None, 9]
    assert columns["region"].tolist() == [None, "FR"]
    assert [value > 1 for value in columns["pue"]] == [False, True]
    assert [value > 0 for value in columns["carbon_low_g"]] == [False, True]
    assert columns["on_front"].tolist() == [1, 0]


@pytest.mark.parametrize("command", [PARETO, ("predict", "w.csv"), ("footprint", "p.csv", "--region", "FR")])
def test_parquet_without_its_extra_is_refused_before_any_work(
    command: tuple[str, ...], run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("joulecast.extras.missing", lambda extras: tuple(extras))
    monkeypatch.setattr("joulecast.plan.tradeoff.possible_outcomes", None)  # the work: it would be called
    for name in ("w.csv", "p.csv"):
        Path(name).write_text("made")
    refused(run(*command, "--out", "all.parquet"), "needs the extra `parquet`")


@pytest.mark.parametrize(
    ("models", "gpus", "told"),
    [
        (("sdxl",), "H100,L4", "Warning: H100-SXM5-80GB: the host, not the GPU, sets the time"),
        (("sd2",), "H100,A100", "Warning: H100-SXM5-80GB and A100-SXM4-80GB: the host, not the GPU, sets"),
        (("sdxl", "sd2"), "H100,A100", "Warning: sd2 on H100-SXM5-80GB and A100-SXM4-80GB: the host, not"),
        (("sdxl",), "H100", "Warning: the host, not the GPU, sets the time"),
    ],
)
def test_pareto_says_on_which_gpu_the_host_sets_the_time(
    run: Command, models: tuple[str, ...], gpus: str, told: str
) -> None:
    done = run("pareto", *models, "--gpu", gpus, "--precision", "fp16", "--batch", "1,16", "--all")
    text = " ".join(done.out.split())
    assert told in text
    assert text.count("the host, not the GPU") == len(models)


def test_pareto_names_the_gpu_where_no_other_can_run(run: Command) -> None:
    """Nothing tells GPUs apart then: the GPU has no column."""
    told = run("pareto", "flux.1-dev", "--gpu", "H100-SXM5-80GB,L4", "--steps", "20,28").out
    assert "gpu" not in told.splitlines()[0]
    assert "  In all: model flux.1-dev, gpu H100-SXM5-80GB\n" in told
    assert "In all" not in run("pareto", "sdxl", "--gpu", "L4").out


def test_pareto_as_json(run: Command) -> None:
    answer = json.loads(run(*PARETO, "--steps", "20,30", "--json").out)
    assert answer["by"] == ["energy_j", "latency_s"]
    assert len(answer["settings"]) == 8
    kept = [one for one in answer["settings"] if one["on_front"]]
    assert {one["steps"] for one in kept} == {20}


def fronts_of(run: Command, *arguments: str) -> list[dict[str, object]]:
    """The settings of the front, as JSON has them."""
    done = run("pareto", *arguments, "--json")
    assert done.status == 0, done.err
    return [one for one in json.loads(done.out)["settings"] if one["on_front"]]


THREE_MODELS = ("sd1.5", "sdxl", "sd3.5-medium", "--gpu", "L40S", "--steps", "20,30", "--precision", "fp16")


def test_each_model_has_its_own_front_without_a_quality(run: Command) -> None:
    kept = fronts_of(run, *THREE_MODELS)
    assert [(one["model"], one["steps"]) for one in kept] == [
        ("sd1.5", 20), ("sdxl", 20), ("sd3.5-medium", 20)
    ]  # fmt: skip
    told = " ".join(run("pareto", *THREE_MODELS).out.split())
    assert "no other of the same model is as good" in told
    assert (
        "would favour the smallest model, so each model has its own; a front favours the fewest steps" in told
    )
    one_model = " ".join(run(*PARETO, "--size", "768x768,1024x1024", "--steps", "20,30").out.split())
    assert "a front favours the smallest size and the fewest steps" in one_model
    assert "Quality" not in run(*PARETO).out


SD15, SDXL20, SDXL30, SD35 = ("sd1.5", 20), ("sdxl", 20), ("sdxl", 30), ("sd3.5-medium", 20)


@pytest.mark.parametrize(
    ("figures", "kept"),
    [
        ("sd1.5=1 sdxl=1 sd3.5-medium=1", {SD15}),
        ("sd1.5=3 sdxl=2 sd3.5-medium=1", {SD15}),
        ("sd1.5=-3 sdxl=1 sd3.5-medium=2", {SD15, SDXL20, SD35}),
        ("sd1.5=-3 sdxl=1 sdxl,steps=30=1.1 sd3.5-medium=-9", {SD15, SDXL20, SDXL30}),
        ("sd-1.5=3 sdxl=2 sd3.5-medium,num_inference_steps=20=9 sd3.5-medium=1", {SD15, SD35}),
    ],
)
def test_a_quality_of_ones_own(run: Command, figures: str, kept: set[tuple[str, int]]) -> None:
    given = [word for figure in figures.split() for word in ("--quality", figure)]
    assert {(one["model"], one["steps"]) for one in fronts_of(run, *THREE_MODELS, *given)} == kept
    text = run("pareto", *THREE_MODELS, *given).out
    assert "quality" in text.splitlines()[0]
    assert "Quality:" not in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--quality", "sdxl=0.7"), "sd1.5 at 512x512, 20 steps, fp16 has no quality"),
        (("--quality", "sdxl"), "is not MODEL=FIGURE"),
        (("--quality", "sdxl=good"), "is not MODEL=FIGURE"),
        (("--quality", "sdxl=nan"), "is not MODEL=FIGURE"),
        (("--quality", "=1"), "is not MODEL=FIGURE"),
        (("--quality", "sdxl,stepz=20=1"), "'stepz=20' is not KEY=VALUE"),
        (("--quality", "sdxll=1"), "did you mean sdxl"),
        (("--quality", "sdxl=1", "--quality", "sd1.5=1", "--quality", "sd2=1"), "sd2 is of no setting"),
        (("--quality", "sdxl=1", "--quality", "sd1.5=1", "--quality", "sdxl=2"), "two qualities"),
        (("--by", "energy,quality"), "--quality MODEL=FIGURE"),
        (("--steps", "30-20"), "holds no number"),
        (("--steps", "20-30:0"), "holds no number"),
        (("--gpu", "all", "--steps", "1-999999"), "too many"),
    ],
)
def test_bad_qualities(run: Command, arguments: tuple[str, ...], words: str) -> None:
    refused(
        run("pareto", "sdxl", "sd1.5", "--gpu", "L4", "--steps", "20", "--precision", "fp16", *arguments),
        words,
    )


@pytest.mark.parametrize(
    ("model", "gpus", "precision", "reason"),
    [
        ("flux.1-dev", "L4,A100-SXM4-80GB", "bf16", "L4 (24 GB): its weights alone are 33.8 GB"),
        ("flux.1-dev", "T4,H100", "fp16", "T4 (16 GB): its weights alone are"),
        ("qwen-image", "RTX 4090,H200", "bf16", "RTX 4090 (24 GB): its weights alone are"),
        ("sdxl", "T4,L4", "bf16", "T4, for want of bf16 arithmetic"),
        ("sdxl", "V100-SXM2,H100", "bf16", "V100-SXM2, for want of bf16"),
    ],
)
def test_what_cannot_run_is_on_no_front(
    run: Command, model: str, gpus: str, precision: str, reason: str
) -> None:
    asked = ("pareto", model, "--gpu", gpus, "--precision", precision, "--batch", "1,4")
    answer = json.loads(run(*asked, "--json").out)
    assert {one["gpu"] for one in answer["settings"]} == {
        gpus.split(",")[1].replace("H100", "H100-SXM5-80GB").replace("H200", "H200-SXM-141GB")
    }
    assert [reason in told for told in answer["left_out"]] == [True]
    assert f"Left out: {model} in {precision} does not run on" in run(*asked, "--all", "--out", "a.csv").out
    assert "T4" not in Path("a.csv").read_text()
    alone = run("pareto", model, "--gpu", gpus.split(",")[0], "--precision", precision)
    assert (alone.status, alone.err.count("\n")) == (2, 1)
    assert reason in alone.err


def test_names_of_models_and_gpus_are_given_in_full(run: Command) -> None:
    asked = ("pareto", "SDXL 1.0", "--gpu", "a100,RTX4090,A100-SXM4-80GB", "--precision", "fp16")
    answer = json.loads(run(*asked, "--json").out)
    assert [(one["model"], one["gpu"]) for one in answer["settings"]] == [
        ("sdxl", "A100-SXM4-80GB"), ("sdxl", "RTX 4090")
    ]  # fmt: skip
    assert any("'a100' was taken as A100-SXM4-80GB" in told for told in answer["warnings"])
    assert "Warning: GPU 'a100' was taken" in run(*asked).out


def test_every_gpu_and_a_range_of_steps(run: Command) -> None:
    done = run("pareto", "sdxl", "--gpu", "all", "--steps", "20-40:10", "--precision", "fp16", "--json")
    settings = json.loads(done.out)["settings"]
    sdxl, asked = load_profile("sdxl"), Workload(1024, 1024, 20, precision="fp16")
    assert {one["gpu"] for one in settings} == {
        gpu.name
        for gpu in gpus()
        if not cannot_run(sdxl, gpu, "fp16") and memory_estimate(sdxl, asked, gpu, REFERENCE).fits != NO
    }
    assert {one["steps"] for one in settings} == {20, 30, 40}


def test_what_an_estimate_takes_is_compared_too() -> None:
    """But the boundary: what is compared is all that a board draws."""
    assert {*VARIED, *FLAGS} == {*WORKLOAD} - {"boundary"}


def test_settings_that_are_not_compared_reach_the_answer(run: Command) -> None:
    asked = ("pareto", "sdxl", "--gpu", "A100-SXM4-80GB", "--steps", "20,30", "--all", "--json")

    def energies(*more: str) -> list[float]:
        return [one["energy_j"] for one in json.loads(run(*asked, *more).out)["settings"]]

    plain = energies()
    assert energies("--lora", "1", "--lora-fused") == plain
    assert energies("--lora", "1", "--no-lora-fused")[0] > plain[0]
    assert energies("--guidance", "1")[0] < 0.7 * plain[0]
    with_scales = ("--guidance", "1,5", "--passes", "1,2")
    assert len(energies(*with_scales)) == 8


def test_ways_to_share_work_meet_their_number_of_gpus(run: Command) -> None:
    ways = ("--parallel", "ulysses=2,ring=2", "--parallel", "ring=2")
    asked = ("pareto", "flux.1-dev", "--all", "--json", *ways)
    for boards in (
        ("--gpu", "H100-SXM5-80GB", "--gpus", "2,4"),
        ("--gpu", "2xH100-SXM5-80GB,4xH100-SXM5-80GB"),
    ):
        found = json.loads(run(*asked, *boards).out)["settings"]
        assert sorted((one["parallel"], one.get("gpus") or int(one["gpu"][0])) for one in found) == [
            ("ring=2", 2), ("ring=2,ulysses=2", 4)
        ]  # fmt: skip
    refused(run(*asked, "--gpu", "H100-SXM5-80GB", "--gpus", "8"), "gpus is 8, but parallel ring=2,ulysses=2")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--by", "energy"), "needs two"),
        (("--by", "energy,speed"), "unknown measure"),
        (("--by", "energy,carbon"), "carbon is not known of these settings: it needs a place (a region"),
        (("--by", "energy,cost", "--region", "FR"), "it needs a price of a kWh or of a GPU-hour"),
        (("--by", "energy,cost"), "hourly series) and a price of a kWh"),
        (("--by", "energy,cost", "--price-per-kwh", "1"), "price_per_kwh without a place: carbon and cost"),
        (("--steps", "20,,30"), "--steps '20,,30' has an empty value"),
        (("--power-limit", "300,,"), "--power-limit '300,,' has an empty value"),
        (("--batch", "9-3"), "--batch '9-3' holds no number"),
        (("--steps", "0"), "steps"),
        (("--size", "big"), "size"),
        (("--gpu", "A100,H1000"), "H100"),
        (("--region", "FR,Frnace"), "France"),
        (("--chart", "a.pdf"), ".svg or .png"),
        (("--out", "nowhere/all.csv"), "no folder"),
        (
            (
                "--steps",
                ",".join(map(str, range(1, 2000))),
                "--region",
                ",".join(f"r{i}" for i in range(200)),
            ),
            "too many",
        ),
    ],
)
def test_bad_alternatives(run: Command, arguments: tuple[str, ...], words: str) -> None:
    refused(run(*PARETO, *arguments), words)


@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", "none.csv", "--out", "a.parquet"),
        ("footprint", "none.csv", "--region", "FR", "--out", "a.parquet"),
        ("estimate", "none.json", "--gpu", "L4", "--chart", "a.svg"),
        ("pareto", "none.json", "--gpu", "L4", "--chart", "a.svg"),
        ("pareto", "none.json", "--gpu", "L4", "--out", "a.parquet"),
        ("grid", "none.csv", "--chart", "a.svg"),
        ("plan", "none.toml"),
        ("fit", "none.csv", "--out", "law.json"),
        ("profile", "none", "--out", "mine.json"),
    ],
)
def test_an_input_that_is_not_there_is_told_before_a_missing_extra(
    run: Command, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setattr("joulecast.extras.missing", lambda extras: tuple(extras))
    for module in ("altair", "torch", "scipy", "pyarrow", "joulecast.compute.profiler"):
        monkeypatch.setitem(sys.modules, module, None)
    assert "extra" not in refused(run(*arguments), "'none" if arguments[0] != "grid" else "none.csv")


def test_without_the_extras(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "altair", None)
    refused(run(*PARETO, "--chart", "a.svg"), "[plot]'")
    assert run(*PARETO).status == 0


ESTIMATE = ("estimate", "sdxl", "--gpu", "A100-SXM4-80GB")


@pytest.mark.parametrize(
    "arguments", [ESTIMATE, (*ESTIMATE, "--region", "FR"), (*ESTIMATE, "--law", "paper"), PARETO]
)
def test_pictures(run: Command, arguments: tuple[str, ...]) -> None:
    plain, drawn = run(*arguments), run(*arguments, "--chart", "a.svg")
    assert drawn.out == plain.out
    assert drawn.err == "wrote a.svg\n"
    assert Path("a.svg").read_text().startswith("<svg")
    assert run(*arguments, "--json", "--chart", "a.png").out == run(*arguments, "--json").out
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("chart", "words"), [("a.pdf", ".svg or .png"), ("nowhere/a.svg", "no folder"), ("a", ".svg or .png")]
)
def test_pictures_that_cannot_be(run: Command, chart: str, words: str) -> None:
    refused(run(*ESTIMATE, "--chart", chart), words)
    assert not list(Path().glob("*a*"))


def test_grid(run: Command) -> None:
    done = run("grid", "US-CAL-CISO", "US-NW-BPAT", "--timezone", "America/Los_Angeles", "--chart", "a.svg")
    assert done.status == 0
    assert sum(":00" in line.split()[0] for line in done.out.splitlines() if line.strip()) == 24
    assert "US-CAL-CISO: cleanest at 13:00" in done.out
    assert "combustion alone" in done.out
    assert Path("a.svg").read_text().count("US-NW-BPAT") >= 1
    answer = json.loads(run("grid", "US-CAL-CISO", "--json").out)
    assert [row["hour"] for row in answer["hours"]] == list(range(24))
    Path("fr.csv").write_text(
        "\n".join(["datetime_utc,g", *(f"2022-06-01T{h:02}:00,{100 + h}" for h in range(24))])
    )
    mine = json.loads(run("grid", "fr.csv", "--json").out)
    assert [row["mean"] for row in mine["hours"]] == [100.0 + h for h in range(24)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("US-CAL-CIS",), "US-CAL-CISO"),
        (("no.csv",), "no.csv"),
        (("US-CAL-CISO", "--timezone", "Mars/Olympus"), "time zone"),
        (("US-CAL-CISO", "CISO"), "of one region"),
        (("US-CAL-CISO", "--chart", "a.gif"), ".svg or .png"),
    ],
)
def test_bad_grids(run: Command, arguments: tuple[str, ...], words: str) -> None:
    refused(run("grid", *arguments), words)


DEMAND = """
[[services]]
images_per_day = 24000
[[services.configurations]]
model = "sdxl"
precision = "fp16"
[[gpus]]
name = "H100-SXM5-80GB"
[[regions]]
name = "FR"
"""


def test_a_plans_report(run: Command) -> None:
    Path("demand.toml").write_text(DEMAND)
    done = run("plan", "demand.toml", "--report", "out")
    assert done.status == 0
    assert done.err == "wrote out/index.html and 8 more files beside it\n"
    assert done.out == run("plan", "demand.toml").out
    assert Path("out/demand.toml").read_text() == DEMAND
    answer = json.loads(run("plan", "demand.toml", "--json", "--report", "out").out)
    assert answer["totals"] == json.loads(Path("out/plan.json").read_text())["totals"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--report", "demand.toml"), "is a file"),
        (("--gap", "none"), "--gap must be a positive number"),
        (("--gap", "1.5"), "of at most 1"),
        (("--time-limit", "-1"), "--time-limit must be a positive number"),
    ],
)
def test_bad_plans(run: Command, arguments: tuple[str, ...], words: str) -> None:
    Path("demand.toml").write_text(DEMAND)
    refused(run("plan", "demand.toml", *arguments), words)


def test_plans_without_the_extras(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("demand.toml").write_text(DEMAND)
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    refused(run("plan", "demand.toml", "--report", "out"), "[plot]'")
    assert not Path("out").exists()
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    refused(run("plan", "demand.toml"), "[plan]'")


FAR_APART = """
[[services]]
name = "a"
images_per_day = 1e{many}
configurations = [{{model = "flux.1-dev"}}]
[[services]]
name = "b"
images_per_day = {few}
deadline_hours = 5
configurations = [{{model = "sdxl"}}]
[[gpus]]
name = "H100"
[[gpus]]
name = "L4"
[[regions]]
name = "FR"
"""


@pytest.mark.parametrize(("many", "few"), [("10", 3e5), ("11", 100000), ("12", 1000), ("15", 10)])
def test_standard_output_holds_the_answer_alone(
    many: str, few: float, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Where numbers lie far apart the solver's C++ prints lines of its own, past `sys.stdout`."""
    file = tmp_path / "demand.toml"
    file.write_text(FAR_APART.format(many=many, few=few))
    assert exit_status("plan", str(file), "--json") == 0
    answer = json.loads(capfd.readouterr().out)
    made = {one["service"]: one["images"] for one in answer["assignments"]}
    assert made == {"a": pytest.approx(float(f"1e{many}")), "b": pytest.approx(few)}


def test_what_is_printed_after_a_plan_is_seen(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "demand.toml"
    file.write_text(FAR_APART.format(many="5", few=10))
    os.write(1, b"before\n")
    assert exit_status("plan", str(file)) == 0
    os.write(1, b"after\n")
    out = capfd.readouterr().out
    assert out.startswith("before\n")
    assert "H100-SXM5-80GB" in out
    assert out.endswith("after\n")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("negative-prompt=yes", "Change: negative prompt no to yes"),
        ("gpu=H100-SXM5-80GB", "Change: GPU A100-SXM4-80GB to H100-SXM5-80GB"),
        ("batch=4", "Change: batch size 1 to 4"),
    ],
)
def test_a_change_is_told_in_words(run: Command, change: str, words: str) -> None:
    assert words in run("what-if", "flux.1-dev", "--gpu", "A100-SXM4-80GB", "--to", change).out
