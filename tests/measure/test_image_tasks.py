"""Tasks whose pipeline is given an image: run as they are predicted, on the CPU, with the replay meter."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parents[1] / "compute"))

from tiny import PIPELINES, library_of  # noqa: E402

from command import Command, refused  # noqa: E402
from joulecast.architecture.catalogue import model_entry  # noqa: E402
from joulecast.architecture.pipeline_config import ComponentConfig, PipelineConfig  # noqa: E402
from joulecast.compute.profile_file import packaged_profile  # noqa: E402
from joulecast.measure.campaign import run_campaign  # noqa: E402
from joulecast.measure.campaign_plan import make_spec, parse_plan  # noqa: E402
from joulecast.measure.export import runs_of  # noqa: E402
from joulecast.measure.meter import SystemClock  # noqa: E402
from joulecast.measure.pipelines import PipelineSubject  # noqa: E402
from joulecast.measure.protocol import Settings  # noqa: E402
from joulecast.measure.records import TaskSpec  # noqa: E402
from joulecast.measure.replay import ReplayMeter, packaged_trace  # noqa: E402
from joulecast.measure.store import NewTask, Store  # noqa: E402
from joulecast.question.question import ask  # noqa: E402
from joulecast.question.setting import Setting  # noqa: E402

QUICK = Settings(window_s=0.01, repeats=2, most_repeats=2, idle_s=0.02, settle_s=0)
GPU = "H100-SXM5-80GB"
CONTROLNET = {  # beside the tiny U-Net of Stable Diffusion 1.5
    "block_out_channels": [32, 32, 64, 64],
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "layers_per_block": 2,
    "attention_head_dim": 4,
    "cross_attention_dim": 32,
    "norm_num_groups": 32,
    "conditioning_embedding_out_channels": [8, 8, 8, 16],
}
# A tiny pipeline of the family, and what is asked of the catalogue's model.
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "sd1.5-img2img": ("sd", "sd1.5", {"steps": 5, "strength": 0.5}),
    "sdxl-img2img": ("sdxl", "sdxl", {"steps": 3, "input_image": "64x64"}),
    "flux.1-dev-img2img": ("flux", "flux.1-dev", {"steps": 5, "strength": 0.5}),
    "sd1.5-controlnet": ("sd", "sd1.5", {"steps": 2, "control": "canny"}),
}


def tiny_config(model: str) -> PipelineConfig:
    """The pipeline of a catalogue entry, with the tiny components of its family."""
    _, components, settings = PIPELINES[CASES[model][0]]
    parts = {n: ComponentConfig(library_of(kind), kind, config) for n, (kind, config) in components.items()}
    if model.endswith("controlnet"):
        parts["controlnet"] = ComponentConfig("diffusers", "ControlNetModel", CONTROLNET)
    entry = model_entry(model)
    own = entry["components"]["scheduler"]  # which decides how often the denoiser is called
    parts["scheduler"] = ComponentConfig(own["library"], own["class"], own["config"])
    return PipelineConfig(model, entry["pipeline"], parts, settings)


def asked(entry: str, **more: Any) -> dict[str, Any]:
    _, model, keys = CASES[entry]
    return {"model": model, "size": "64x64", "precision": "fp32", **keys, **more}


@pytest.mark.trace
@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("entry", CASES)
def test_a_task_runs_as_it_is_predicted(entry: str, batch: int, tmp_path: Path) -> None:
    """The calls that are made are those of the profile, and its run is of the workload that is predicted."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    spec = make_spec(asked(entry, components=True, batch_size=batch))
    expected = ask(Setting.of({**asked(entry, batch_size=batch), "gpu": GPU}))
    assert (spec.model, spec.workload) == (entry, expected.workload)
    try:
        with Store(tmp_path / "s.db") as store:
            store.add([NewTask(spec)])
            told: list[Any] = []
            meter = ReplayMeter(packaged_trace(), SystemClock())
            subject = PipelineSubject("cpu", config_of=tiny_config)
            assert run_campaign(store, subject, meter, QUICK, on_progress=told.append) == 1, told
            (result,) = store.results()
            (run,) = runs_of(store, gpu=GPU)
    finally:
        torch.set_num_threads(before)
    assert TaskSpec.from_json(spec.to_json()) == spec
    made = Counter[str]()
    for part in result.result.components:
        made[part.name] += part.calls
    profile = packaged_profile(entry)
    columns = spec.workload.columns()
    names = ("unet", "transformer", "controlnet", "vae", "vae.encode")
    calls = {name: int(count[0]) for name, count in profile.calls(columns).items() if name in names}
    assert {name: made[name] for name in calls} == calls
    assert (run.model, run.steps, run.batch_size) == (entry, spec.steps, batch)


@pytest.mark.parametrize(
    ("given", "model", "steps", "strength", "steps_asked"),
    [
        ({"model": "sdxl", "strength": 0.6, "steps": 30}, "sdxl-img2img", 18, 0.6, 30),
        ({"model": "sdxl", "input_image": "1024x1024"}, "sdxl-img2img", 50, None, None),
        ({"model": "sdxl", "strength": 1}, "sdxl", 50, None, None),
        ({"model": "sdxl", "control": "depth"}, "sdxl-controlnet", 50, None, None),
        ({"model": "flux.1-kontext-dev"}, "flux.1-kontext-dev", 28, None, None),
    ],
)
def test_what_a_task_is_of(
    given: dict[str, Any], model: str, steps: int, strength: float | None, steps_asked: int | None
) -> None:
    spec = make_spec(given)
    found = (spec.model, spec.steps, spec.strength, spec.steps_asked)
    assert found == (model, steps, strength, steps_asked)
    assert ("strength" in json.loads(spec.to_json())) is (strength is not None)


def test_a_plan_varies_strengths() -> None:
    grid = "[[grid]]\nmodel = 'sdxl'\nsteps = 20\nstrength = [0.3, 0.6, 'default']\n"
    made = {(task.spec.model, task.spec.steps) for task in parse_plan(grid, "p.toml").tasks}
    assert made == {("sdxl-img2img", 6), ("sdxl-img2img", 12), ("sdxl", 20)}


def test_the_command_line_measures_an_image(run: Command) -> None:
    dry = ("--dry-run", "--json")
    found = json.loads(run("measure", "sdxl", "--strength", "0.6", "--steps", "30", *dry).out)
    assert (found["spec"]["model"], found["spec"]["steps"]) == ("sdxl-img2img", 18)
    found = json.loads(run("measure", "sdxl", "--control", "canny", *dry).out)
    assert found["spec"]["model"] == "sdxl-controlnet"
    refused(run("measure", "pixart-sigma", "--strength", "0.5", *dry), "takes no image as input")
    refused(run("measure", "sdxl", "--strength", "0.001", *dry), "leaves none of 50 steps")
    refused(run("measure", "sdxl", "--control", "sound", *dry), "it has canny, depth")
