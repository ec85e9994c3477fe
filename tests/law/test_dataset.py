"""Runs made ready: looked up, grouped, and refused when they make no sense."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from joulecast import data
from joulecast.compute.profile_file import packaged_profile, write_profile
from joulecast.errors import FitError, JoulecastError
from joulecast.law.dataset import Dataset
from joulecast.law.forms import known_forms
from joulecast.law.own_runs import check, fitted_runs, load_run_profile, named, usable
from joulecast.runs import MeasuredRun, RunTable, packaged_runs, packaged_tables

BASE: dict[str, Any] = {
    "model": "sdxl", "gpu": "H100", "batch_size": 1, "width": 1024, "height": 1024, "steps": 25, "passes": 2,
    "precision": "fp16", "energy_j": 500.0, "boundary": "gross", "duration_s": 2.0,
}  # fmt: skip


def run(number: int, **values: Any) -> MeasuredRun:
    return MeasuredRun(**{**BASE, "run_id": f"r{number}", "steps": 20 + number, **values})


def table(*runs: MeasuredRun) -> RunTable:
    return RunTable(runs)


def build(*runs: MeasuredRun) -> Dataset:
    return Dataset.build(table(*runs), packaged_profile)


# --- dataset -------------------------------------------------------------------------------------


def test_groups_hold_every_run_once(dataset: Dataset) -> None:
    rows = np.concatenate([group.rows for group in dataset.groups])
    assert sorted(rows) == list(range(len(dataset.runs)))
    for group in dataset.groups:
        for place, row in enumerate(group.rows):
            one = dataset.runs[row]
            assert (one.model, one.precision) == (group.profile.name, group.precision)
            assert group.workloads.steps[place] == one.steps
            assert group.gpus.gpus[group.gpus.index[place]].name == dataset.gpus[row].name


def test_columns_are_the_runs() -> None:
    data = build(run(1), run(2, energy_j=None, boundary=None), run(3, boundary="dynamic", duration_s=None))
    assert np.isnan(data.energy_j).tolist() == [False, True, False]
    assert np.isnan(data.duration_s).tolist() == [False, False, True]
    assert data.is_dynamic.tolist() == [False, False, True]
    assert data.own.all()
    assert data.fitted_on().ranges["steps"] == (21.0, 23.0)


def test_a_negative_prompt_is_of_the_workload() -> None:
    data = build(run(1, steps=25), run(2, steps=25, negative_prompt=True))
    (group,) = data.groups
    assert group.workloads.negative_prompt.tolist() == [0, 1]
    without, given = group.profile.total_flop(group.workloads, "fp16")
    assert given > without


def test_what_was_timed_alone_is_not_known_by_its_energy() -> None:
    fitted = build(run(1), run(2, gpu="T4", model="sd1.5", energy_j=None, boundary=None)).fitted_on()
    assert (fitted.models, fitted.gpus) == (("sdxl",), ("H100-SXM5-80GB",))
    assert (fitted.timed_models, fitted.timed_gpus) == (("sd1.5", "sdxl"), ("H100-SXM5-80GB", "T4"))


def test_no_runs() -> None:
    with pytest.raises(FitError, match="there are no runs"):
        build()


def test_a_size_the_pipeline_refuses() -> None:
    with pytest.raises(FitError, match="run r1: sdxl refuses 1000x1023"):
        build(run(1, width=1000, height=1023))


def test_two_gpus_of_the_same_name(tmp_path: Path) -> None:
    files = [tmp_path / "gpu.toml", tmp_path / "other.toml"]
    for file, watts in zip(files, (90, 91), strict=True):
        figures = "memory_gb = 16\nbandwidth_gb_per_s = 300\nfp16_tflops = 60\n"
        file.write_text(f'name = "mine"\ntdp_w = {watts}\n{figures}')
    with pytest.raises(FitError, match="two different GPUs are named mine"):
        build(run(1, gpu=str(files[0])), run(2, gpu=str(files[1])))


def test_a_gpu_with_a_catalogues_name_is_another(tmp_path: Path) -> None:
    file = tmp_path / "gpu.toml"
    file.write_text('name = "T4"\ntdp_w = 90\nmemory_gb = 16\nbandwidth_gb_per_s = 300\nfp16_tflops = 60\n')
    found = build(run(1, gpu="T4"), run(2, gpu=str(file)))
    assert [gpu.name for gpu in found.gpus] == ["T4", "T4 (gpu.toml)"]


# --- a user's runs -------------------------------------------------------------------------------


def test_models_take_their_catalogue_names() -> None:
    found = named(table(run(1, model="SDXL"), run(2, model="stabilityai/stable-diffusion-xl-base-1.0")))
    assert [one.model for one in found] == ["sdxl", "sdxl"]


def test_a_model_may_be_a_profile_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    write_profile(dataclasses.replace(packaged_profile("sdxl"), name="mine"), path)
    found = named(table(run(1, model=str(path))))
    assert found[0].model == str(path)
    assert load_run_profile(str(path)).name == "mine"


@pytest.mark.parametrize("model", ["sdlx", "no-such.json", "/tmp", "x" * 300])
def test_an_unknown_model(model: str) -> None:
    with pytest.raises(FitError, match="run r1: unknown model"):
        named(table(run(1, model=model)))


def test_a_damaged_profile_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text("{")
    with pytest.raises(FitError, match=r"run r1: .*not valid JSON"):
        named(table(run(1, model=str(path))))


def test_what_no_law_can_use_is_left_out() -> None:
    kept, left_out = usable(
        table(
            run(1),
            run(2, compile=True),
            run(3, gpu_count=2),
            run(4, engine="xdit"),
            run(5, engine="sglang"),
            run(6, quantization="fp8"),
            run(7, cache="fbcache"),
            run(8, tf32="on"),
            run(9, power_limit_w=300.0),
            run(10, trust="C"),
            run(11, trust="B"),
            run(12, model="nobody-knows-it"),
            run(13, gpu_count=2, parallel="ulysses=2"),
            run(14, gpu_count=4, parallel="data=4", batch_size=16),
            run(15, gpu_count=4, parallel="data=4", batch_size=6),
        )
    )
    assert [one.run_id for one in kept] == ["r1", "r2", "r4", "r5", "r6", "r7", "r9", "r11", "r13", "r14"]
    assert left_out == {
        "several GPUs that share the work in no stated way": 1,
        "tf32 on: laws are of torch's default": 1,
        "trust C: not stated well enough to fit on": 1,
        "model nobody-knows-it: no profile of it": 1,
        "batches beside each other that are not of one size": 1,
    }
    assert [one.runtime.gpus for one in kept][-2:] == [2, 1]
    assert [one.shared_batch_size for one in kept][-2:] == [1, 4]


def test_laws_that_know_no_runtimes_have_images_by_eager_diffusers_on_one_gpu() -> None:
    some = table(
        run(1),
        run(2, engine="xdit"),
        run(3, compile=True),
        run(4, gpu_count=2, parallel="ulysses=2"),
        run(5, power_limit_w=300.0),
        run(6, model="wan2.1-t2v-1.3b", width=832, height=480, frames=81),
    )
    kept, left_out = usable(some, knows_runtimes=False)
    assert [one.run_id for one in kept] == ["r1", "r2"]
    assert left_out == {
        "diffusers, compiled: such laws are of eager diffusers on one GPU": 1,
        "diffusers, 2 GPUs (ulysses=2): such laws are of eager diffusers on one GPU": 1,
        "diffusers, at 300 W: such laws are of eager diffusers on one GPU": 1,
        "a video: such laws are of images": 1,
    }


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ((), "0 runs that a law can use; expected at least 3"),
        ((run(1), run(2)), "2 runs that a law can use"),
        ((run(1),), "1 run that a law can use"),
        (tuple(run(i, steps=25, energy_j=400.0 + i) for i in range(4)), "all of one workload"),
        ((run(1), run(2), run(3, boundary="dynamic")), "mix boundaries: 1 dynamic and 2 gross energies"),
        (
            (run(1), run(2), run(3, energy_j=5000.0)),
            "run r3: 2,500 W on average, on a board limited to 700 W",
        ),
        (
            (run(1), run(2), run(3, energy_j=0.5)),
            "0.25 W on average, on a board limited to 700 W",
        ),
        ((run(1), run(2), run(3), run(4, steps=21)), "runs r1 and r4 are the same measurement"),
    ],
)
def test_runs_that_cannot_be_fitted(runs: tuple[MeasuredRun, ...], words: str) -> None:
    with pytest.raises(FitError) as error:
        check(table(*runs), RunTable(), alone=False)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_packaged_measurement_under_another_name() -> None:
    packaged = packaged_runs()
    copy = dataclasses.replace(packaged[0], run_id="mine")
    with pytest.raises(FitError, match=f"{packaged[0].run_id} and mine are the same measurement"):
        check(table(run(1), run(2), copy), packaged, alone=False)


def test_one_gpu_alone() -> None:
    runs = table(*(run(i) for i in range(4)))
    check(runs, RunTable(), alone=False)
    with pytest.raises(FitError, match=r"all runs are on H100-SXM5-80GB.*without --alone"):
        check(runs, RunTable(), alone=True)
    check(table(*runs, run(9, gpu="T4", duration_s=20.0)), RunTable(), alone=True)


@pytest.mark.parametrize("value", [float("nan"), -1.0, 0.0, float("inf")])
@pytest.mark.parametrize("column", ["energy_j", "duration_s"])
def test_values_no_measurement_has(column: str, value: float) -> None:
    with pytest.raises(JoulecastError, match=f"{column} is "):
        run(1, **{column: value})


def test_packaged_laws_are_fitted_on_what_they_are_made_for() -> None:
    """The roofline law on all that says enough; the others on images by eager diffusers on one GPU."""
    shipped = Counter(row["law"] for row in data.read_table("held_out.csv") if row["holdout"] == "seen")
    for name, form in known_forms().items():
        fitted, _ = fitted_runs(form)
        rows = [row for row in data.read_table("held_out.csv") if row["law"] == name]
        assert {run.run_id for run in fitted} == {row["run_id"] for row in rows}
        assert shipped[name] == len(fitted)
    assert shipped["roofline"] > 4 * shipped["paper"]
    fitted, left_out = fitted_runs()
    tables = {name for name, runs in packaged_tables().items() if any(run in fitted for run in runs)}
    assert tables == set(packaged_tables())
    assert not any("laws are of torch's default" in reason for reason in left_out)


def test_packaged_runs_pass_their_own_checks() -> None:
    kept, left_out = fitted_runs()
    assert len(kept) + sum(left_out.values()) == len(packaged_runs())
    with pytest.raises(FitError, match="mix boundaries"):  # they are converted, a user's are not
        check(kept, RunTable(), alone=True)
