"""Images that a pipeline is given, and strengths: one answer at every door, or what would work."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import joulecast
from asking import GPU, asked, asked_in_a_table
from command import Command
from joulecast.architecture.catalogue import image_to_image_of, model_entry, model_names
from joulecast.compute.output import IMAGE
from joulecast.compute.profile_file import packaged_profile, write_profile
from joulecast.errors import InputError
from joulecast.plan.demand import demand_of
from joulecast.plan.whatif import what_if
from joulecast.question.table import TableReader

SIBLINGS = {name: other for name in model_names() if (other := image_to_image_of(name))}


def test_several_models_have_an_image_to_image_pipeline() -> None:
    assert {"sdxl", "sd1.5", "flux.1-dev", "sd3.5-large", "qwen-image"} <= set(SIBLINGS)


@pytest.mark.parametrize("model", SIBLINGS)
def test_an_image_to_image_pipeline_has_the_layers_of_its_model(model: str) -> None:
    own, given_image = packaged_profile(model), packaged_profile(SIBLINGS[model])
    assert given_image.parameters == own.parameters
    assert given_image.images.arguments == ("image",)
    assert given_image.images.strength
    assert given_image.defaults == own.defaults
    assert given_image.size == own.size
    entry, other = model_entry(model), model_entry(SIBLINGS[model])
    for key in ("components", "hub_id", "default_width", "default_steps", "default_precision"):
        assert entry[key] == other[key]
    assert asked(entry["hub_id"]).profile == own


@pytest.mark.parametrize(
    ("model", "steps", "strength", "made"),
    [
        ("sdxl", 30, 0.6, 18),
        ("sd1.5", 50, 0.75, 37),  # rounds what is made down
        ("flux.1-dev", 28, 0.6, 17),  # rounds what is not made down
        ("flux.1-fill-dev", 50, 0.85, 43),
        ("sdxl", 30, 0.999, 29),
    ],
)
def test_a_strength_makes_a_share_of_the_steps(model: str, steps: int, strength: float, made: int) -> None:
    work = asked(model, steps=steps, strength=strength).work
    assert (work.workload.steps, work.steps_asked, work.strength) == (made, steps, strength)
    assert f"strength {strength:g}: {made} of {steps} steps are made" in work.notes
    rows = TableReader().read({"model": [model], "gpu": [GPU], "steps": [steps], "strength": [strength]})
    assert rows.steps.tolist() == [made]
    assert f"strength {strength:g}: {made} of {steps} steps are made" in rows.assumed[0]


def test_a_strength_costs_its_steps_and_an_image_its_encoder() -> None:
    whole, some, none = (
        joulecast.estimate("sdxl", GPU, steps=30, **keys)
        for keys in ({"input_image": "1024x1024"}, {"strength": 0.6}, {})
    )
    by_name = {part.name: part.flop for part in whole.components}
    assert whole.flop == pytest.approx(none.flop + by_name["vae.encode"])
    assert some.flop == pytest.approx(whole.flop - 0.4 * by_name["unet"])
    assert [one.workload.steps for one in (whole, some, none)] == [30, 18, 30]


def test_a_strength_of_one_alone_is_text_to_image() -> None:
    """As a table of both kinds of requests has it."""
    assert asked("sdxl", strength=1) == asked("sdxl")
    assert asked("pixart-sigma", strength=1) == asked("pixart-sigma")
    assert asked("sdxl", strength=1, input_image="1024x1024").profile.name == "sdxl-img2img"


def test_an_image_that_is_scaled_to_an_area_may_have_any_size() -> None:
    question = asked("qwen-image-edit", size="1024x768", input_image="3000x2000")
    assert question.workload == asked("qwen-image-edit", size="1024x768").workload


def test_what_is_taken_is_said() -> None:
    notes = asked("sdxl", input_image=(1024, 1024)).notes
    assert notes == (
        "image to image: sdxl-img2img was taken, the pipeline StableDiffusionXLImg2ImgPipeline",
        "no strength was given: all 50 steps are made",
    )
    assert asked("sdxl-img2img").profile == asked("sdxl", input_images=1).profile


@pytest.mark.parametrize(
    ("model", "keys", "words"),
    [
        ("sdxl", {"strength": 0}, "strength must be a positive number of at most 1, not 0"),
        ("sdxl", {"strength": 1.1}, "strength must be a positive number of at most 1"),
        ("sdxl", {"strength": 0.01}, "strength 0.01 leaves none of 50 steps to be made: the least is 0.02"),
        ("pixart-sigma", {"strength": 0.5}, "pixart-sigma takes no image as input and no strength; of the"),
        ("pixart-sigma", {"input_images": 1}, "flux.1-kontext-dev, qwen-image, qwen-image-edit, qwen"),
        ("flux.1-kontext-dev", {"strength": 0.5}, "flux.1-kontext-dev takes no strength: leave it out; of"),
        ("flux.1-kontext-dev", {"input_images": 0}, "is given an image: input_images must be 1, not 0"),
        ("flux.1-kontext-dev", {"input_images": 2}, "one input image is predicted, not 2"),
        ("sdxl", {"input_image": "512x512"}, "the input image is 512x512 and what is made of it 1024x1024"),
        ("sdxl", {"input_width": 512}, "input_height is missing; give both, or input_image, or neither"),
        ("sdxl", {"input_width": 8, "input_height": 8}, "input_width must be between 16 and 16384, not 8"),
        ("sdxl", {"input_image": "512"}, "is not WIDTHxHEIGHT"),
        ("sdxl", {"init_image": "fox.png"}, "give it as input_image"),
    ],
)
def test_what_no_pipeline_takes_is_one_line(model: str, keys: dict[str, object], words: str) -> None:
    with pytest.raises(InputError) as told:
        asked(model, **keys)
    assert words in str(told.value)
    assert "\n" not in str(told.value)
    rows = TableReader().read({"model": [model], "gpu": [GPU], **{k: [v] for k, v in keys.items()}})
    assert words.replace(", not 0", "").replace(", not 8", "") in rows.error[0]


REQUESTS = st.fixed_dictionaries(
    {
        "model": st.sampled_from(
            ["sdxl", "flux.1-fill-dev", "flux.1-dev", "pixart-sigma", "flux.1-kontext-dev"]
        )
    },
    optional={
        "steps": st.integers(1, 40),
        "size": st.sampled_from(["512x512", "1024x1024"]),
        "strength": st.sampled_from([0.05, 0.5, 1.0]),
        "input_image": st.sampled_from(["512x512", "1024x1024"]),
        "input_images": st.integers(0, 2),
        "guidance": st.sampled_from([1.0, 5.0]),
    },
)


@given(st.lists(REQUESTS, min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_a_table_asks_what_settings_ask(requests: list[dict[str, object]]) -> None:
    names = ["model", "steps", "size", "strength", "input_image", "input_images", "guidance"]
    for found, row, question in asked_in_a_table(requests, names):
        assert found.profiles[found.model[row]] == question.profile
        w = question.workload
        made = tuple(int(getattr(found, name)[row]) for name in ("width", "height", "steps", "passes"))
        assert made == (w.width, w.height, w.steps, w.passes)


def test_rows_that_are_no_question_make_no_steps() -> None:
    table = {"model": ["sdxl", "nope"], "gpu": ["L4", "L4"], "steps": ["x", "9"], "strength": [0.5, 0.5]}
    wrong = TableReader().read(table).error
    assert wrong[0] == "steps must be a whole number, not 'x'"
    assert wrong[1].startswith("unknown model 'nope'")
    alone = {"model": ["nope"], "gpu": ["L4"], "strength": [0.5]}
    assert TableReader().read(alone).error[0].startswith("unknown model 'nope'")


def test_a_users_own_profile_takes_a_strength(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    write_profile(replace(packaged_profile("sdxl-img2img"), name="mine", origin="mine.json"), path)
    assert asked(str(path), strength=0.5).workload.steps == 25
    assert asked(str(path)).workload.steps == 50


def test_the_command_line_takes_an_image(run: Command) -> None:
    options = ("--gpu", GPU, "--strength", "0.6", "--input-image", "1024x1024", "--steps", "30")
    done = run("estimate", "sdxl", *options)
    assert done.out.startswith(f"sdxl-img2img on {GPU}: 1024x1024, 18 steps x 2 passes, fp16\n")
    assert "strength 0.6: 18 of 30 steps are made" in done.out
    workload = json.loads(run("estimate", "sdxl", *options, "--json").out)["workload"]
    assert (workload["steps"], workload["steps_asked"], workload["strength"]) == (18, 30, 0.6)
    assert "strength" not in json.loads(run("estimate", "sdxl", "--gpu", GPU, "--json").out)["workload"]
    measured = run("measure", "sdxl-img2img", "--steps", "30", "--strength", "0.6", "--dry-run", "--json")
    assert json.loads(measured.out)["spec"]["steps"] == 18
    Path("w.csv").write_text(
        "model,gpu,strength,input_width,input_height\nsdxl,L4,0.5,1024,1024\nsdxl,L4,,,\n"
    )
    rows = list(csv.DictReader(run("predict", "w.csv").out.splitlines()))
    assert [row["error"] for row in rows] == ["", ""]
    assert float(rows[0]["energy_j"]) < 0.6 * float(rows[1]["energy_j"])
    Path("s.csv").write_text("model,gpu,size,steps,strength\nsdxl,L4,1024x1024,30,0.6\n")
    run("predict", "s.csv", "--out", "p.csv")
    assert "| 30 at strength 0.6 |" in run("card", "p.csv").out
    boamps = run("card", "p.csv", "--region", "FR", "--infrastructure", "other", "--format", "boamps").out
    assert "30 denoising steps; of which a strength of 0.6 makes a share" in boamps


def test_decisions_take_a_strength(run: Command) -> None:
    change = what_if({"model": "sdxl", "gpu": GPU, "strength": 0.6}, {"strength": 0.3})
    assert change.output == IMAGE
    assert [(one.key, one.before, one.after) for one in change.keys] == [("strength", 0.6, 0.3)]
    steps = what_if({"model": "sdxl", "gpu": GPU, "strength": 0.6}, {"steps": 20})
    assert [(one.key, one.before, one.after) for one in steps.keys] == [("steps", 50, 20)]
    told = run("what-if", "sdxl", "--gpu", GPU, "--to", "strength=0.5").out
    assert "Change: strength none to 0.5" in told
    found = json.loads(run("pareto", "sdxl", "--gpu", GPU, "--strength", "0.3,0.6", "--json").out)["settings"]
    assert [one["strength"] for one in found] == [0.3, 0.6]
    configuration = {"model": "sdxl", "strength": 0.5, "input_image": "1024x1024", "batch_sizes": [1]}
    plan = {
        "services": [{"images_per_day": 10, "configurations": [configuration]}],
        "gpus": [{"name": "L4"}],
        "regions": [{"name": "FR"}],
    }
    assert "25 steps" in demand_of(plan).problem.options[0].label
