"""FLOP of one call of a video model's denoiser, against a count that is not this project's.

``denoiser_calls.csv`` holds what torch's FlopCounterMode counted of the class in its last column, of
diffusers 0.42.1 with the model's config, on the meta device, for one video and the text padded as the
pipeline pads it, to a GFLOP. Those of Wan 1.3B and 14B, HunyuanVideo and CogVideoX-2b agree with earlier
counts by others.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from joulecast.architecture.catalogue import model_entry, model_names
from joulecast.architecture.workload import Workload
from joulecast.compute.profile_file import packaged_profile

with (Path(__file__).parent / "denoiser_calls.csv").open(encoding="utf-8", newline="") as _file:
    ROWS = list(csv.DictReader(_file))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['model']}-{row['width']}-{row['frames']}")
def test_a_call_of_the_denoiser_has_the_flop_that_torch_counts(row: dict[str, str]) -> None:
    profile = packaged_profile(row["model"])
    workload = Workload(
        width=int(row["width"]), height=int(row["height"]), frames=int(row["frames"]), steps=1
    ).columns()
    (part,) = profile.denoisers
    flop = profile.flop(workload, "bf16")[part.name].item() / profile.calls(workload)[part.name].item()
    assert part.class_name == row["counted"].partition(" ")[0]
    assert flop / 1e12 == pytest.approx(float(row["tflop"]), abs=0.0005)


def test_every_video_model_has_a_count() -> None:
    videos = {name for name in model_names() if "default_frames" in model_entry(name)}
    assert videos == {row["model"] for row in ROWS} | {"ltx-video-13b-distilled", "skyreels-v2-t2v-14b-720p"}
