"""How it runs, at the command line: options, what answers say of it, what cannot be, what is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import joulecast
from command import Command, refused
from joulecast.forecast.caveats import FROM_PARTS
from joulecast.forecast.memory import BOUND_IS_TOO_LARGE
from joulecast.forecast.runtimes import known_parts
from joulecast.law.law import FittedOn, Kind
from joulecast.question.runtimes import KEYS
from joulecast.runtime import Runtime, parts

FLUX = ("estimate", "flux.1-dev", "--gpu", "H100-SXM5-80GB")
OPTIONS = (
    "--engine", "sglang", "--compile", "--quantization", "fp8", "--cache", "cache-dit", "--offload", "none",
    "--gpus", "4", "--parallel", "ulysses=2,ring=2", "--power-limit", "450",
)  # fmt: skip


def test_options_keywords_and_columns_ask_the_same(run: Command) -> None:
    told = json.loads(run(*FLUX, *OPTIONS, "--json").out)
    keys = {
        "engine": "sglang", "compile": True, "quantization": "fp8", "cache": "cache-dit", "offload": "none",
        "gpus": 4, "parallel": "ring=2,ulysses=2", "power_limit_w": 450,
    }  # fmt: skip
    label = "sglang, compiled, fp8, cache-dit, 4 GPUs (ring=2,ulysses=2), at 450 W"
    assert told["runtime"] == {**keys, "label": label}
    assert tuple(told["runtime"]) == (*KEYS, "label")
    assert joulecast.estimate("flux.1-dev", "H100-SXM5-80GB", **keys).energy_j == told["energy_j"]  # type: ignore[arg-type]
    table = {name: [value] for name, value in keys.items()}
    answers = joulecast.predict({"model": ["flux.1-dev"], "gpu": ["H100-SXM5-80GB"], **table})
    assert answers["energy_j"][0] == told["energy_j"]
    assert f"runtime: {label}" in answers["assumed"][0]


def test_every_answer_says_its_runtime(run: Command) -> None:
    plain, fast = run(*FLUX).out, run(*FLUX, *OPTIONS).out
    assert plain.startswith("flux.1-dev on H100-SXM5-80GB: 1024x1024")
    assert "Runtime: diffusers (eager).\n" in plain
    head = "flux.1-dev on 4 x H100-SXM5-80GB, sglang, compiled, fp8, cache-dit, at 450 W: 1024x1024"
    assert fast.startswith(head)
    assert "power limit 4 x 450 W" in fast
    assert "Runtime: SGLang diffusion (sglang), compiled, fp8, cache-dit, 4 GPUs" in fast
    assert "the GPU boards, 4 of them, draw, idle power included" in " ".join(fast.split())
    shown = joulecast.estimate("flux.1-dev", "2xH100-SXM5-80GB", compile=True)._repr_html_()
    assert "diffusers (compiled), 2 GPUs (ulysses=2)" in shown
    assert json.loads(run(*FLUX, "--json").out)["runtime"]["label"] == "diffusers"


def test_a_gpus_name_may_say_how_many(run: Command) -> None:
    by_name = run("estimate", "flux.1-dev", "--gpu", "8xH100-SXM5-80GB").out
    assert by_name == run(*FLUX, "--gpus", "8").out
    assert by_name.startswith("flux.1-dev on 8 x H100-SXM5-80GB: ")
    assert "how 8 GPUs share the work was not given: parallel ulysses=8" in by_name


def test_quantised_weights_and_several_gpus_never_surely_do_not_fit(run: Command) -> None:
    big = ("estimate", "flux.1-dev", "--gpu", "RTX 4090", "--batch", "64")
    assert "do not fit the 24 GB of RTX 4090" in " ".join(run(*big).out.split())
    for how, words in (
        (("--gpus", "4"), "of one GPU"),
        (("--quantization", "nf4-weights"), "not quantised"),
        (("--gpus", "2", "--quantization", "fp8"), "of one GPU and not quantised"),
    ):
        told = " ".join(run(*big, *how).out.split())
        assert "may not fit the 24 GB of RTX 4090" in told
        assert f"Memory: of each board, as if it were {words}, an upper bound." in told
        memory = json.loads(run(*big, *how, "--json").out)["memory"]
        assert (memory["fits"], memory["largest_batch_perhaps"]) == ("perhaps", None)
        assert memory["is_upper_bound"]
    row = {"model": ["flux.1-dev"], "gpu": ["RTX 4090"], "batch_size": [64], "gpus": [4]}
    assert BOUND_IS_TOO_LARGE in joulecast.predict(row)["warning"][0]
    small = json.loads(run(*FLUX, "--gpus", "2", "--json").out)["memory"]
    assert (small["fits"], small["largest_batch"] > 1) == ("yes", True)
    assert "fit, and more may (an upper bound)" in " ".join(run(*FLUX, "--gpus", "2").out.split())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--engine", "sglangg"], "unknown engine 'sglangg'; did you mean sglang?"),
        (["--quantization", "fp9"], "did you mean fp8?"),
        (["--cache", "teecache"], "did you mean teacache"),
        (["--gpus", "2", "--parallel", "ulises=2"], "did you mean ulysses?"),
        (["--gpus", "3", "--parallel", "ulysses=2"], "gpus is 3, but parallel ulysses=2 is for 2"),
        (["--gpu", "8xH100", "--gpus", "4"], "gpus is 4, and the name of the GPU says 8"),
        (["--parallel", "cfg=2"], "makes one a step here"),
        (["--quantization", "fp8", "--precision", "fp32"], "give precision bf16 or fp16 with it"),
        (["--power-limit", "701"], "expected 175 to 700"),
        (["--power-limit", "100"], "expected 175 to 700"),
        (["--law", "paper", "--engine", "sglang"], "the law paper is of diffusers on one GPU, not of sglang"),
        (["--law", "tdp_time", "--gpus", "2"], "not of diffusers, 2 GPUs (ulysses=2)"),
        (["--gpus", "two"], "gpus must be a positive number"),
        (["--parallel", "ulysses"], "no way=degree, e.g. ulysses=2"),
        (["--num-gpus", "2"], "did you mean --gpus?"),
        (["--tp", "2"], "parallel tensor=2"),
        (["--precision", "int8"], "give precision bf16 or fp16 and quantization int8"),
    ],
)
def test_what_cannot_be_is_one_line(run: Command, options: list[str], words: str) -> None:
    refused(run(*FLUX, *options), words)


def test_a_u_net_does_not_share_its_sequence(run: Command) -> None:
    refused(
        run("estimate", "sdxl", "--gpu", "H100", "--parallel", "ulysses=2"), "sdxl is a U-Net; cfg=2 would"
    )
    assert run("estimate", "sdxl", "--gpu", "H100", "--parallel", "cfg=2").status == 0


def test_an_engine_may_be_compiled_and_a_gpu_may_lack_an_arithmetic(run: Command) -> None:
    assert run(*FLUX, "--compile", "--engine", "sglang").status == 0
    done = run("estimate", "flux.1-dev", "--gpu", "A100-SXM4-80GB", "--quantization", "fp8")
    assert done.out.startswith("flux.1-dev on A100-SXM4-80GB, fp8-weights: ")
    assert "A100-SXM4-80GB has no fp8 arithmetic that its datasheet states" in " ".join(done.out.split())


def test_what_changes_may_be_how_it_runs(run: Command) -> None:
    changes = ("engine=sglang", "quantization=fp8", "gpus=2", "power-limit=450", "engine=diffusers-compiled")
    done = run("what-if", *FLUX[1:], *(word for one in changes for word in ("--to", one)))
    assert done.status == 0, done.err
    for words in (
        "Change: engine diffusers to sglang",
        "Change: quantization none to fp8",
        "Change: GPUs 1 to 2",
        "Change: power limit 700 to 450",
        "Change: engine diffusers to diffusers-compiled",
    ):
        assert words in done.out
    assert "is one number each" not in done.out  # a change of the runtime changes the work
    named = run("what-if", *FLUX[1:], "--to", "gpu=2xH100-SXM5-80GB")
    assert "Change: GPU H100-SXM5-80GB to 2 x H100-SXM5-80GB" in named.out
    shared = run("what-if", *FLUX[1:], "--gpus", "4", "--parallel", "ring=4", "--to", "gpus=2")
    assert "GPUs 4 to 2" in shared.out
    refused(run("what-if", *FLUX[1:], "--to", "engine=diffusers"), "nothing changes")


def test_runtimes_are_compared(run: Command) -> None:
    done = run(
        "pareto", "flux.1-dev", "sdxl", "--gpu", "H100-SXM5-80GB", "--engine", "diffusers,sglang", "--gpus",
        "1,2,4", "--quantization", "none,fp8", "--all",
    )  # fmt: skip
    assert done.status == 0, done.err
    assert "engine     quantization  gpus" in done.out
    assert "of 20 settings" in done.out
    assert "Left out: sdxl on H100-SXM5-80GB: 4 GPUs cannot share the work" in done.out
    refused(
        run("pareto", "sdxl", "--gpu", "H100", "--gpus", "4"),
        "no setting can run: sdxl on H100-SXM5-80GB: 4 GPUs cannot share",
    )
    named = run("pareto", "flux.1-dev", "--gpu", "H100-SXM5-80GB,2xH100-SXM5-80GB", "--all")
    assert "2xH100-SXM5-80GB" in named.out


def test_a_quality_may_be_of_a_runtime(run: Command) -> None:
    done = run(
        "pareto", "flux.1-dev", "--gpu", "H100-SXM5-80GB", "--quantization", "none,fp8", "--all", "--json",
        "--quality", "flux.1-dev=0.8", "--quality", "flux.1-dev,quantization=fp8=0.7",
    )  # fmt: skip
    found = {one["quantization"]: one["quality"] for one in json.loads(done.out)["settings"]}
    assert found == {"none": 0.8, "fp8": 0.7}


def test_cards_reports_and_budgets_say_the_runtime(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    header = "model,gpu,engine,quantization,gpus,parallel,power_limit_w"
    row = "flux.1-dev,H100-SXM5-80GB,sglang,none,2,ulysses=2,450"
    Path("w.csv").write_text(f"{header}\n{row}\n")
    assert run("predict", "w.csv", "--out", "p.csv").status == 0
    told = "sglang, 2 GPUs (ulysses=2), at 450 W"
    assert f"| H100-SXM5-80GB | {told} |" in run("card", "p.csv").out
    entry = json.loads(run("card", "p.csv", "--format", "json").out)["entries"][0]
    assert (entry["runtime"], entry["engine"], entry["gpu_count"]) == (told, "sglang", 2)
    report = json.loads(run("card", "p.csv", "--format", "boamps", "--infrastructure", "other").out)
    assert report["infrastructure"]["components"][0]["nbComponent"] == 2
    assert "each board limited to 450 W" in report["task"]["taskDescription"]
    budget = ("budget", "check", "w.csv", "--max-wh-per-image", "1000")
    assert "sglang, 2 GPUs" in run(*budget).out
    assert json.loads(run(*budget, "--json").out)["rows"][0]["runtime"].startswith("sglang, 2 GPUs")
    Path("plain.csv").write_text("model,gpu\nflux.1-dev,H100-SXM5-80GB\n")
    assert "runtime" not in run("budget", "check", "plain.csv", "--max-wh-per-image", "1000").out


def test_what_is_known_by_name_is_listed(run: Command) -> None:
    done = run("runtimes")
    assert done.status == 0, done.err
    for kind in ("engine", "quantization", "cache", "split"):
        for name, part in parts(kind).items():
            assert f"  {name} " in done.out
            assert part.title in done.out
    listed = json.loads(run("runtimes", "--json").out)
    by_name = {(one["kind"], one["name"]): one for one in listed}
    assert len(by_name) == len(listed) == len(known_parts())
    reference = by_name["engine", "diffusers"]
    assert reference["is_fitted"]
    assert {"H100-SXM5-80GB", "A100-SXM4-80GB"} <= set(reference["gpus"])
    assert all(one["is_fitted"] == (one["runs"] > 0) for one in listed)
    refused(run("runtimes", "sglang", "xdit"), "unknown argument 'xdit'")


@pytest.mark.parametrize("how", [{"engine": "sglang"}, {"gpus": 4}, {"compile": True}, {}])
def test_the_error_beside_an_answer_is_of_runs_of_such_a_runtime(how: dict[str, Any]) -> None:
    """Not that of eager runs, which is smaller."""
    guess = joulecast.estimate("pixart-sigma", "L4", **how)
    facts = joulecast.load_law().describe()
    of_stratum = {"reference": facts.errors, **facts.runtime_errors}[guess.runtime.stratum]
    time = of_stratum[guess.timed_familiarity].duration
    assert time is not None
    assert f"{time.p90:.0f} % (time)" in " ".join(str(guess).split())
    told = guess.to_dict()["law"]["held_out_error"]["duration"]
    assert told["p90"] == pytest.approx(time.p90)


def test_an_unseen_runtime_is_said(run: Command) -> None:
    law = joulecast.load_law()
    on = law.describe().fitted_on
    assert isinstance(on, FittedOn)
    runtime = Runtime("tensorrt", cache="t-gate")
    assert all(isinstance(kind, Kind) and kind.runtime != runtime.family for kind in on.kinds)
    done = run(*FLUX, "--engine", "tensorrt", "--cache", "t-gate")
    told = " ".join(done.out.split())
    assert f"no run under {runtime.family} was fitted on: {FROM_PARTS}" in told
    assert "the range is that for runtimes it has not seen" in told
    assert f"Error: no run of this runtime was fitted on, and {FROM_PARTS}" in told
