"""Measured clips: tasks, run ids, exports, comparisons and what pipelines are called with."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from task_samples import SPEC

from clip_model import NAME, clip_profile, list_clip_model
from joulecast.errors import InputError
from joulecast.forecast.estimate import resolve_law
from joulecast.forecast.preregistered import predict_plan, write_predictions
from joulecast.law.dataset import Dataset
from joulecast.measure import compare, export
from joulecast.measure.campaign import run_campaign
from joulecast.measure.campaign_plan import make_spec, parse_plan
from joulecast.measure.once import check_task
from joulecast.measure.records import TaskSpec
from joulecast.measure.replay import ReplayMeter, VirtualClock, packaged_trace
from joulecast.measure.store import Store
from joulecast.measure.virtual import VirtualSubject
from joulecast.report.measured_text import describe
from joulecast.runs import RunTable

PLAN = f'[[grid]]\nmodel = "{NAME}"\nsize = "256x256"\nsteps = 10\nframes = [17, 33]\n'


@pytest.fixture(autouse=True)
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    list_clip_model(monkeypatch)


def measured(store: Store) -> None:
    clock = VirtualClock()
    plan = parse_plan(PLAN, "x")
    store.add(plan.tasks)
    run_campaign(store, VirtualSubject(clock), ReplayMeter(packaged_trace(), clock), plan.settings)


@pytest.mark.parametrize("length", [{"frames": 48}, {"seconds": 3}, {"seconds": 2, "fps": 24}, {"fps": 24}])
def test_a_task_takes_a_length(length: dict[str, float]) -> None:
    spec = make_spec({"model": NAME, **length})
    assert spec.frames == (81 if list(length) == ["fps"] else 49 if "seconds" in length else 48)
    assert spec.workload.frames == spec.frames
    assert TaskSpec.from_json(spec.to_json()) == spec


def test_a_task_of_an_image_is_the_same_as_before_there_were_frames() -> None:
    assert "frames" not in json.loads(SPEC.to_json())
    assert json.loads(make_spec({"model": NAME}).to_json())["frames"] == 81


def test_a_run_id_says_the_frames() -> None:
    spec = make_spec({"model": NAME, "steps": 10})
    assert export.run_id("x", spec, "H200") == "x-made-up-clips-h200-512x512-81f-s10-p2-b1-bf16"
    assert "81f" not in export.run_id("x", make_spec({"model": "sdxl"}), "H200")
    assert describe(spec) == "made-up-clips: 512x512, 81 frames, 10 steps x 2 passes, bf16"


def test_one_measurement_is_asked_by_the_names_of_others() -> None:
    """And a key that none has is not left out in silence."""
    assert check_task({"model": NAME, "num_frames": 33, "num_inference_steps": 4}, None).frames == 33
    with pytest.raises(InputError, match="unknown key 'stepz' in what is to be measured; did you mean steps"):
        check_task({"model": NAME, "stepz": 4}, None)


def test_a_grid_gives_one_length() -> None:
    with pytest.raises(InputError, match="frames and seconds both say how long the clip is"):
        parse_plan(PLAN + "seconds = 2\n", "x")


def test_clips_are_measured_exported_compared_and_predicted(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        measured(store)
        export.export(store, tmp_path / "runs.csv", gpu="H200")
        found = compare.compare(store, "frames=17", "frames=33")
        text = str(store.results()[0])
    assert "energy per clip" in text
    assert "image" not in text
    assert [pair.spec.frames for pair in found.pairs] == [17]
    runs = RunTable.read(tmp_path / "runs.csv")
    assert sorted(run.frames for run in runs) == [17, 33]
    predictions = predict_plan("plan", parse_plan(PLAN, "x").tasks, "H200", resolve_law(None))
    write_predictions(predictions, tmp_path / "p.csv")
    with (tmp_path / "p.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["frames"] for row in rows) == ["17", "33"]
    by_frames = {row["frames"]: float(row["energy_j"]) for row in rows}
    assert by_frames["33"] > 1.5 * by_frames["17"]
    made = Dataset.build(runs, lambda name: clip_profile())
    assert made.fitted_on().ranges["frames"] == (17.0, 33.0)


def test_what_is_tracked_of_a_clip() -> None:
    torch = pytest.importorskip("torch")
    from joulecast.measure.phases import track_phases

    part = SimpleNamespace(parameters=list, decode=lambda latents: torch.zeros(2, 3, 33, 64, 96))
    clock = VirtualClock()
    meter = ReplayMeter(packaged_trace(), clock)
    with track_phases(SimpleNamespace(components={"vae": part}), meter) as found:
        part.decode(None)
        clock.sleep(5)
    seen = found.observed
    assert (seen.images, seen.sizes, seen.frames) == (2, {(96, 64)}, {33})


@pytest.mark.trace
@pytest.mark.parametrize("name", ["num_frames", "frames", "video_length"])
def test_pipelines_are_asked_for_frames_by_their_own_name(name: str) -> None:
    pytest.importorskip("torch")
    from joulecast.measure.pipelines import arguments_for

    spec = make_spec({"model": NAME, "frames": 33})
    assert arguments_for(_pipeline(name), spec, clip_profile())[name] == 33
    assert name not in arguments_for(_pipeline(name), make_spec({"model": "sdxl"}), _image())


def _pipeline(name: str) -> Any:
    made: dict[str, Any] = {}
    exec(f"def call(self, prompt, width, height, {name}=16): ...", made)
    return type("Pipeline", (), {"__call__": made["call"], "components": {}})()


def _image() -> Any:
    from joulecast.compute.profile_file import packaged_profile

    return packaged_profile("sdxl")
