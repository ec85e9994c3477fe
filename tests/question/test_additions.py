"""LoRAs and controls: one answer at every door, or what would work."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import joulecast
from asking import GPU, asked, asked_in_a_table
from command import Command, refused
from joulecast.architecture.catalogue import control_of, model_entry, model_names
from joulecast.compute.adapters import adapted_layers, lora_parameters, with_lora
from joulecast.compute.profile import ComputeProfile
from joulecast.compute.profile_file import packaged_profile, read_profile, write_profile
from joulecast.errors import FileFormatError, InputError
from joulecast.plan.demand import demand_of
from joulecast.plan.whatif import what_if
from joulecast.question.question import Question
from joulecast.question.setting import Setting
from joulecast.question.table import TableReader

CONTROLLED = {name: other for name in model_names() if (other := control_of(name))}


def launches(profile: ComputeProfile, question: Question, name: str) -> float:
    """Operators launched in one call of a component."""
    costs = profile.costs(question.workload.columns(), question.workload.precision)
    return next(float(one.launches[0]) for one in costs if one.component.name == name)


# --- LoRA -----------------------------------------------------------------------------------------


def test_a_lora_costs_two_thin_products_a_layer() -> None:
    """By hand: FLUX.1-dev has 266 layers of attention from 3072 to 3072 numbers; at 1024x1024 76 of them work
    on 4096 rows of the image, 76 on 512 of the text and 114 on both."""
    plain, one, three = (
        asked("flux.1-dev", steps=1, **k) for k in ({}, {"lora": 1}, {"lora": 3, "lora_rank": 32})
    )
    flop = [q.profile.flop(q.workload.columns(), "bf16")["transformer"][0] for q in (plain, one, three)]
    rows = 76 * 4096 + 76 * 512 + 114 * (4096 + 512)
    assert flop[1] - flop[0] == 2 * 16 * rows * (3072 + 3072)
    assert flop[2] - flop[0] == 3 * 2 * 32 * rows * (3072 + 3072)
    more = launches(one.profile, one, "transformer") - launches(plain.profile, plain, "transformer")
    assert more == 4 * 266
    (before,), (after,) = (
        [part.parameters for part in q.profile.components if part.name == "transformer"] for q in (plain, one)
    )
    assert after - before == 266 * 16 * (3072 + 3072)


def test_what_is_taken_is_said() -> None:
    (note,) = [note for note in asked("flux.1-dev", lora=1).notes if "LoRA" in note]
    assert note.startswith(
        "1 LoRA of rank 16 (assumed: no rank was given), not fused, as diffusers has it after "
        "load_lora_weights: beside each of 266 linear layers of the denoiser's attention"
    )
    (note,) = [note for note in asked("flux.1-dev", lora=2, lora_rank=8).notes if "LoRA" in note]
    assert note.startswith("2 LoRAs of rank 8, not fused")


def test_a_fused_lora_costs_nothing_and_says_so() -> None:
    fused = asked("sdxl", lora=1, lora_fused=True)
    assert fused.profile == asked("sdxl").profile
    assert "a LoRA that is fused (fuse_lora) is part of the weights: it costs nothing" in fused.notes
    assert asked("pixart-sigma", lora_fused="yes").profile == packaged_profile("pixart-sigma")
    assert asked("sdxl", lora=0, lora_rank=8).profile == asked("sdxl").profile


def test_a_lora_goes_with_an_image_and_with_a_control() -> None:
    for keys, name in (({"strength": 0.5}, "sdxl-img2img"), ({"control": "canny"}, "sdxl-controlnet")):
        profile = asked("sdxl", lora=1, **keys).profile
        assert profile.name == name
        by_name = {part.name: part.parameters for part in profile.components}
        own = {part.name: part.parameters for part in packaged_profile(name).components}
        layers = {part.name: part for part in packaged_profile("sdxl").components}["unet"]
        assert {n: by_name[n] - own[n] for n in own if by_name[n] != own[n]} == {
            "unet": lora_parameters(layers, 16)
        }


@given(
    st.integers(1, 4),
    st.integers(1, 256),
    st.sampled_from(["sd1.5", "sdxl", "flux.1-dev", "wan2.1-t2v-1.3b"]),
)
@settings(max_examples=25, deadline=None)
def test_a_lora_never_costs_less(adapters: int, rank: int, model: str) -> None:
    """In FLOP, bytes, launches and memory, in every precision, and more adapters cost more."""
    own, more = packaged_profile(model), with_lora(packaged_profile(model), adapters, rank)
    work = asked(model).workload.columns()
    for precision in ("fp16", "bf16", "fp32"):
        assert more.total_flop(work, precision)[0] > own.total_flop(work, precision)[0]
        before, after = own.peak_bytes(work, precision), more.peak_bytes(work, precision)
        assert (before is None) == (after is None)
        if before is not None and after is not None:
            assert after[0] > before[0]
            assert after[0] < 1.35 * before[0] or rank > 64
    assert adapted_layers(more) == adapted_layers(own)


@pytest.mark.parametrize(
    ("value", "adapters"),
    [("1", 1), (2, 2), ("yes", 1), ("none", 0), ("pixel-art.safetensors", 1), (True, 1), ("1e1", 10)],
)
def test_a_lora_by_its_number_or_its_name(value: object, adapters: int) -> None:
    assert Setting("sdxl", lora=value).lora == adapters  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["NaN", "null", "N/A", "unknown", "-", "1.5", "inf"])
def test_what_tables_write_of_nothing_is_no_lora(value: str) -> None:
    with pytest.raises(InputError, match="lora"):
        Setting("sdxl", lora=value)  # type: ignore[arg-type]


def test_nobody_measured_a_model_with_adapters() -> None:
    plain, with_lora = (joulecast.estimate("flux.1-dev", GPU, lora=lora) for lora in (None, 1))
    assert (plain.familiarity, plain.timed_familiarity) == ("seen", "seen")
    assert (with_lora.familiarity, with_lora.timed_familiarity) == ("unseen_model", "unseen_model")
    assert any("no run of flux.1-dev with LoRA adapters" in words for words in with_lora.warnings)
    fused = joulecast.estimate("flux.1-dev", GPU, lora=1, lora_fused=True)
    assert fused.familiarity == "seen"


@pytest.mark.parametrize("change", [{"lora": 2}, {"lora": 1, "lora_rank": 64}])
def test_no_pair_of_runs_tells_how_surely_a_lora_costs(change: dict[str, object]) -> None:
    found = what_if({"model": "flux.1-dev", "gpu": GPU}, change)
    assert found.basis.energy is None
    for measure in found.deltas:
        assert measure.ratio.low < 1 < measure.ratio.value < measure.ratio.high


# --- controls -------------------------------------------------------------------------------------


def test_several_models_have_a_control() -> None:
    assert set(CONTROLLED) == {"sd1.5", "sdxl", "flux.1-dev", "sd3.5-large"}


@pytest.mark.parametrize("model", CONTROLLED)
def test_a_control_has_the_layers_of_its_model(model: str) -> None:
    entry, own = model_entry(CONTROLLED[model]), model_entry(model)
    components = dict(entry["components"])
    del components["controlnet"]
    assert components == own["components"]
    for key in ("hub_id", "default_width", "default_steps", "default_precision"):
        assert entry[key] == own[key]
    assert asked(own["hub_id"]).profile.name == model
    profile = asked(model, control="canny").profile
    assert profile.name == CONTROLLED[model]
    net = next(part for part in profile.components if part.name == "controlnet")
    assert profile.parameters == packaged_profile(model).parameters + net.parameters


@pytest.mark.parametrize("model", CONTROLLED)
def test_a_control_costs_its_calls_beside_the_denoisers(model: str) -> None:
    """A call of the ControlNet for each of the denoiser, with the same passes."""
    question = asked(model, control="depth")
    calls = question.profile.calls(question.workload.columns())
    denoiser = "unet" if "unet" in calls else "transformer"
    assert calls["controlnet"] == calls[denoiser] > 0
    plain = asked(model)
    flop = [
        q.profile.flop(q.workload.columns(), q.workload.precision)[denoiser][0] for q in (question, plain)
    ]
    assert 1 <= flop[0] / flop[1] < 1.001  # it adds what the other makes to what it makes


@pytest.mark.parametrize(
    ("kind", "known"),
    [("canny", "canny"), ("OpenPose", "pose"), ("hed", "softedge"), ("none", "none"), (" Depth ", "depth")],
)
def test_kinds_by_the_names_of_preprocessors(kind: str, known: str) -> None:
    assert Setting("sd1.5", control=kind).control == known


def test_a_control_by_its_hub_id() -> None:
    by_id = asked("sdxl", controlnet="diffusers/controlnet-canny-sdxl-1.0")
    assert by_id.profile == asked("sdxl", control="canny").profile
    assert asked("sdxl", control="none") == asked("sdxl")
    assert any("with the layers of diffusers/controlnet-canny-sdxl-1.0" in note for note in by_id.notes)


# --- what is wrong --------------------------------------------------------------------------------

WRONG: list[tuple[str, dict[str, object], str]] = [
    (
        "sdxl-controlnet",
        {"control": "none"},
        "sdxl-controlnet always has a control: control must be canny, depth, pose, scribble or tile, "
        "not none; sdxl is the model without",
    ),
    ("sdxl", {"lora": -1}, "lora must be between 0 and 32"),
    ("sdxl", {"lora": 1.5}, "lora must be"),
    ("sdxl", {"lora": 10**9}, "lora must be"),
    ("sdxl", {"lora": 1, "lora_rank": 0}, "lora_rank must be between 1 and 4096"),
    ("sdxl", {"lora": 1, "lora_rank": "big"}, "lora_rank must be"),
    ("sdxl", {"lora": 1, "lora_fused": "maybe"}, "lora_fused is yes or no, not 'maybe'"),
    ("pixart-sigma", {"lora": 1}, "which layers of pixart-sigma a LoRA adapts is not known"),
    ("sdxl", {"control": "sound"}, "control 'sound' is not listed for sdxl; it has canny, depth, pose"),
    ("sd3.5-large", {"control": "pose"}, "it has canny, depth, blur"),
    ("pixart-sigma", {"control": "canny"}, "no ControlNet of pixart-sigma is listed; of the listed models"),
    ("pixart-sigma", {"control": "canny"}, "flux.1-dev, sd1.5, sd3.5-large and sdxl have one"),
    ("sdxl", {"control": "canny", "strength": 0.5}, "sdxl-controlnet takes no strength"),
    (
        "sdxl",
        {"control": "canny", "input_image": "512x512"},
        "the input image is 512x512 and what is made of",
    ),
    ("sdxl", {"control_image": "fox.png"}, "give it as control (canny, depth, pose)"),
    ("sdxl", {"ip_adapter": "plus"}, "not predicted"),
]


@pytest.mark.parametrize(("model", "keys", "words"), WRONG)
def test_what_cannot_be_is_one_line(model: str, keys: dict[str, object], words: str) -> None:
    with pytest.raises(InputError) as told:
        asked(model, **keys)
    assert words in str(told.value)
    assert "\n" not in str(told.value)
    rows = TableReader().read(
        {"model": [model], "gpu": [GPU], **{key: [value] for key, value in keys.items()}}
    )
    assert words in rows.error[0]


def test_a_control_is_a_kind() -> None:
    with pytest.raises(InputError, match=r"control is the kind of a ControlNet, .* not 3"):
        Setting("sdxl", control=3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "linears",
    [
        [0, 8, 1, [["batch", 1]]],
        [8, 8, 1.5, [["batch", 1]]],
        [8, 8, 1, [["no*monomial", 1]]],
        [8, 8, 1, []],
        [8, 8, 1, [["batch", 1]], "often"],
        [8, 8, 1],
        [2**40, 8, 1, [["batch", 1]]],
        "all",
    ],
)
def test_a_profile_of_absurd_layers_is_refused(linears: Any, tmp_path: Path) -> None:
    from joulecast.files import signed_json

    path = tmp_path / "p.json"
    write_profile(packaged_profile("sd1.5"), path)
    content = json.loads(path.read_text())
    next(part for part in content["components"] if "linears" in part)["linears"] = [linears]
    for key in ("format", "version", "sha256"):
        content.pop(key, None)
    signed_json.write(content, "profile", 3, path)
    with pytest.raises(FileFormatError):
        read_profile(path)


# --- doors ----------------------------------------------------------------------------------------

REQUESTS = st.fixed_dictionaries(
    {"model": st.sampled_from(["sdxl", "flux.1-dev", "pixart-sigma", "sd1.5-img2img"])},
    optional={
        "lora": st.sampled_from([0, 1, 2]),
        "lora_rank": st.sampled_from([4, 64]),
        "lora_fused": st.booleans(),
        "control": st.sampled_from(["none", "canny", "openpose"]),
        "strength": st.sampled_from([0.5, 1.0]),
        "steps": st.integers(1, 30),
    },
)


@given(st.lists(REQUESTS, min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_a_table_asks_what_settings_ask(requests: list[dict[str, object]]) -> None:
    names = ["model", "lora", "lora_rank", "lora_fused", "control", "strength", "steps"]
    for found, row, question in asked_in_a_table(requests, names):
        profile = found.profiles[found.model[row]]
        assert profile == question.profile
        assert int(found.steps[row]) == question.workload.steps
        for note in question.notes:
            assert "LoRA" not in note or note in found.assumed[row]


def test_the_command_line(run: Command) -> None:
    options = ("--gpu", GPU, "--steps", "10")
    done = run("estimate", "flux.1-dev", "--lora", "1", *options)
    assert "1 LoRA of rank 16 (assumed" in " ".join(done.out.split())
    answer = json.loads(
        run("estimate", "flux.1-dev", "--lora", "2", "--lora-rank", "8", *options, "--json").out
    )
    workload = answer["workload"]
    assert [workload[key] for key in ("lora", "lora_rank", "lora_fused")] == [2, 8, False]
    answer = json.loads(run("estimate", "sdxl", "--control", "canny", *options, "--json").out)
    assert answer["workload"]["control"] == "canny"
    refused(run("estimate", "sdxl", "--control", "sound", *options), "it has canny, depth")
    Path("w.csv").write_text("model,gpu,steps,lora,control\nsdxl,L4,9,1,\nsdxl,L4,9,,canny\nsdxl,L4,9,,\n")
    rows = list(csv.DictReader(run("predict", "w.csv").out.splitlines()))
    energies = [float(row["energy_j"]) for row in rows]
    assert energies[1] > 1.2 * energies[2]
    assert energies[0] > energies[2]
    run("predict", "w.csv", "--out", "p.csv")
    card = run("card", "p.csv").out
    assert "| sdxl, LoRA 1 |" in card
    assert "| sdxl, control canny |" in card
    assert [row["error"] for row in rows] == ["", "", ""]


def test_python_takes_them() -> None:
    plain = joulecast.estimate("sdxl", GPU, steps=10)
    unfused = joulecast.estimate("sdxl", GPU, steps=10, lora=1, lora_rank=64)
    assert unfused.energy_j > plain.energy_j
    assert joulecast.estimate("sdxl", GPU, steps=10, lora=1, lora_fused=True).energy_j == plain.energy_j
    table = joulecast.predict(
        {"model": ["sdxl"], "gpu": [GPU], "steps": [10], "lora": [1], "lora_rank": [64]}
    )
    assert np.isclose(table["energy_j"][0], unfused.energy_j, rtol=1e-12)


def energy_ratio(change: Any) -> float:
    """The energy after a change over that before."""
    (delta,) = [one for one in change.deltas if one.measure == "energy_j"]
    return float(delta.ratio.value)


def test_decisions_take_them(run: Command) -> None:
    change = what_if({"model": "sdxl", "gpu": GPU, "lora": 1}, {"lora_fused": True})
    assert [(one.key, one.before, one.after) for one in change.keys] == [("lora_fused", None, True)]
    assert energy_ratio(change) < 1
    change = what_if({"model": "sdxl", "gpu": GPU}, {"control": "canny"})
    assert [(one.key, one.before, one.after) for one in change.keys] == [("control", None, "canny")]
    assert energy_ratio(change) > 1.2
    words = ("pareto", "sdxl", "--gpu", GPU, "--steps", "10", "--lora", "0,1,2", "--all", "--json")
    found = json.loads(run(*words).out)["settings"]
    assert [one["lora"] for one in found] == [0, 1, 2]
    configuration = {"model": "sdxl", "control": "canny", "lora": 1, "batch_sizes": [1]}
    plan = {
        "services": [{"images_per_day": 10, "configurations": [configuration]}],
        "gpus": [{"name": "L4"}],
        "regions": [{"name": "FR"}],
    }
    assert demand_of(plan).problem.options[0].label
