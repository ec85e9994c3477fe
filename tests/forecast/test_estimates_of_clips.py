"""Estimates and predictions of clips of video: what they are of, a second of it, and what to doubt."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clip_model import FRAMES, RATE, clip_profile, write_clip_model
from joulecast import estimate, predict
from joulecast.compute.profile_rules import IRREGULAR, REFUSE, ROUND_DOWN, ROUND_UP, WHOLE_STEPS
from joulecast.errors import InputError
from joulecast.footprint.account import footprint_of
from joulecast.footprint.site import site
from joulecast.forecast.estimate import Estimate
from joulecast.law.dataset import Dataset
from joulecast.law.fitted import BEYOND_RANGE, NO_VIDEO
from joulecast.law.load import load_law
from joulecast.report.estimate_text import estimate_text
from joulecast.report.notebook import html_of

EXACT = 1e-12  # a few roundings of float64
OF_CLIPS = {
    "energy_per_second_of_video_j", "energy_per_second_of_video_low_j", "energy_per_second_of_video_high_j",
    "clip_s", "frame_rate", "frame_rate_source",
}  # fmt: skip


def clip(**given: Any) -> Estimate:
    profile = given.pop("profile", None) or clip_profile()
    return estimate(profile, "H100-SXM5-80GB", **given)


OF_IMAGES = "paper"  # a law that is fitted on images alone


def test_the_energy_is_that_of_a_clip() -> None:
    """Work rises with the frames, so twice the steps of frames are nearly twice the energy."""
    some, more = clip(frames=161), clip(frames=321)
    assert some.output == "clip"
    assert more.energy_j == pytest.approx(2 * some.energy_j, rel=0.02)
    assert more.energy_per_second_of_video is not None
    assert some.energy_per_second_of_video is not None
    assert more.energy_per_second_of_video.value == pytest.approx(
        some.energy_per_second_of_video.value, rel=0.02
    )


def test_a_second_of_video_is_of_the_frames_that_are_made() -> None:
    guess = clip(frames=80, fps=24)
    assert guess.rendered_frames == 77
    assert guess.clip_s == pytest.approx(77 / 24, rel=EXACT)
    per_s = guess.energy_per_second_of_video
    assert per_s is not None
    assert per_s.value == pytest.approx(guess.energy_j * 24 / 77, rel=EXACT)
    assert per_s.low == pytest.approx(guess.energy_low_j * 24 / 77, rel=EXACT)


def test_python_takes_a_rate_by_either_name() -> None:
    assert clip(frame_rate=24).to_dict() == clip(fps=24).to_dict()
    assert clip(seconds=2, frame_rate=24).workload.frames == 49
    with pytest.raises(InputError, match="fps is given twice, as frame_rate too"):
        clip(fps=24, frame_rate=24)


def test_json_of_a_clip_has_more_keys_and_none_of_an_image_is_changed() -> None:
    image = estimate("sdxl", "H100-SXM5-80GB").to_dict()
    video = json.loads(json.dumps(clip(fps=24).to_dict(), allow_nan=False))
    assert (image["output"], video["output"]) == ("image", "clip")
    assert video.keys() - image.keys() == OF_CLIPS
    assert video["workload"].keys() - image["workload"].keys() == {"rendered_frames"}
    assert (video["workload"]["frames"], video["workload"]["rendered_frames"]) == (FRAMES, FRAMES)
    assert (video["clip_s"], video["frame_rate"], video["frame_rate_source"]) == (FRAMES / 24, 24.0, "given")
    assert clip().to_dict()["frame_rate_source"] == "the model's authors"


def test_without_a_rate_nothing_is_said_of_a_second() -> None:
    guess = clip(profile=clip_profile(rate=None))
    assert {name: guess.to_dict()[name] for name in OF_CLIPS} == dict.fromkeys(OF_CLIPS)
    text = estimate_text(guess)
    assert "per second of video" not in text
    assert "no frame rate is known: give fps" in " ".join(text.split())


def test_text_never_says_image_of_a_clip() -> None:
    guess = clip(frames=81, batch_size=2)
    text = str(guess)
    assert "image" not in text + estimate_text(guess, sources=True) + html_of(guess)
    for label in ("energy per clip", "per second of video", "time per batch of 2", "compute per clip"):
        assert f"\n  {label}" in text
    assert "512x512, 81 frames, 50 steps x 2 passes, bf16, batch 2" in text.partition("\n")[0]
    assert "81 frames at 16 frames a second (the model's authors), 5.06 s to watch." in " ".join(text.split())
    assert "time per clip" in str(clip())
    assert "(given), 3.38 s to watch." in " ".join(str(clip(fps=24)).split())


def test_text_of_an_image_says_nothing_of_frames() -> None:
    text = str(estimate("sdxl", "H100-SXM5-80GB"))
    assert "energy per image" in text
    assert not {"frames", "clip", "video"} & set(text.split())


@pytest.mark.parametrize(
    ("off_grid", "made", "way"),
    [(ROUND_DOWN, 77, "down"), (ROUND_UP, 81, "up"), (WHOLE_STEPS, 81, "up or down")],
)
def test_another_number_of_frames_is_told(off_grid: str, made: int, way: str) -> None:
    profile = clip_profile(off_grid)
    rounds = f"made-up-clips makes 1 frame and every 4 more up to 401, and rounds others {way}"
    told = f"80 frames are made as {made}: {rounds}"
    assert told in clip(profile=profile, frames=80).warnings
    assert not any("are made as" in words for words in clip(profile=profile, frames=81).warnings)
    assert clip(profile=profile, frames=80).energy_j == clip(profile=profile, frames=made).energy_j


@pytest.mark.parametrize("off_grid", [REFUSE, IRREGULAR])
def test_a_number_of_frames_that_is_not_taken_is_refused(off_grid: str) -> None:
    with pytest.raises(
        InputError, match=r"80 frames; it (takes|holds for) 1 frame and every 4 more up to 401, e"
    ):
        clip(profile=clip_profile(off_grid), frames=80)


# --- tables --------------------------------------------------------------------------------------


def test_a_table_says_what_a_second_of_video_takes(tmp_path: Path) -> None:
    clips, silent = write_clip_model(tmp_path), write_clip_model(_folder(tmp_path), rate=None)
    table = {
        "model": [clips, clips, silent, "sdxl"],
        "gpu": ["H100-SXM5-80GB"] * 4,
        "frames": [80, None, 81, None],
        "fps": [None, 24, None, None],
    }
    found = predict(table)
    ones = [clip(frames=80), clip(fps=24), clip(profile=clip_profile(rate=None)), None]
    assert found["error"].tolist() == [""] * 4
    for i, one in enumerate(ones):
        per_s = one and one.energy_per_second_of_video
        assert found["energy_per_second_of_video_j"][i] == pytest.approx(
            per_s.value if per_s else math.nan, rel=EXACT, nan_ok=True
        )
    assert (
        "made-up-clips makes 1 frame and every 4 more up to 401, and rounds others down"
        in found["warning"][0]
    )
    assert not any(NO_VIDEO in words for words in found["warning"])
    of_images = predict(table, law=OF_IMAGES)
    assert NO_VIDEO in of_images["warning"][1]
    assert NO_VIDEO not in of_images["warning"][3]


def test_parquet_may_mix_images_and_clips(tmp_path: Path) -> None:
    """Columns of numbers whose cells of images are null."""
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {
        "model": [write_clip_model(tmp_path), "sdxl"],
        "gpu": ["L4", "L4"],
        "seconds": pa.array([2.0, None]),
        "fps": pa.array([24, None], pa.int32()),
    }
    parquet.write_table(pa.table(columns), tmp_path / "w.parquet")
    found = predict(tmp_path / "w.parquet")
    assert found["error"].tolist() == ["", ""]
    assert found["energy_j"][0] == pytest.approx(estimate(clip_profile(), "L4", frames=49).energy_j)
    assert np.isnan(found["energy_per_second_of_video_j"]).tolist() == [False, True]


def _folder(parent: Path) -> Path:
    (parent / "silent").mkdir()
    return parent / "silent"


# --- the law -------------------------------------------------------------------------------------


def test_a_law_of_images_says_that_it_has_seen_no_video() -> None:
    told = clip(law=OF_IMAGES, frames=321).warnings
    assert "the law has seen no run of a video, so the range is wider" in told
    assert any(words.startswith("compute per clip outside the fitted") for words in told)
    assert NO_VIDEO not in clip(law=OF_IMAGES, frames=1).warnings


def test_a_law_that_has_seen_videos_says_where_they_are_longer() -> None:
    longest = load_law().fitted_on.ranges["frames"][1]
    assert not any("frames" in words or NO_VIDEO in words for words in clip().warnings)
    told = f"frames outside the fitted 1 to {longest:g}, so the range is wider"
    assert told in clip(frames=321).warnings


def test_ranges_widen_by_the_frames() -> None:
    """Of two models that differ in nothing but that one counts its work in frames."""
    law, profile = load_law(OF_IMAGES), clip_profile()
    on = law.fitted_on
    wide = {**on.ranges, "flop": (1.0, 1e30)}  # so that the frames alone lie outside
    unseen = dataclasses.replace(law, fitted_on=dataclasses.replace(on, ranges=wide))
    seen = dataclasses.replace(law, fitted_on=dataclasses.replace(on, ranges={**wide, "frames": (1.0, 81.0)}))
    a, b = (estimate(profile, "H100-SXM5-80GB", law=one) for one in (unseen, seen))
    assert a.energy_j == b.energy_j
    beyond = BEYOND_RANGE * math.log(FRAMES / 1.1)
    widths = [math.log(one.energy_high_j / one.energy_j) for one in (a, b)]
    assert widths[0] == pytest.approx(math.hypot(widths[1], beyond), rel=1e-9)
    assert NO_VIDEO not in b.warnings
    longer = estimate(profile, "H100-SXM5-80GB", law=seen, frames=161)
    assert "frames outside the fitted 1 to 81, so the range is wider" in longer.warnings


def test_a_law_that_was_fitted_on_images_says_no_range_of_frames(dataset: Dataset) -> None:
    assert "frames" not in dataset.fitted_on().ranges
    assert "frames" not in load_law(OF_IMAGES).fitted_on.ranges


# --- footprints ----------------------------------------------------------------------------------


def test_a_footprint_is_of_clips() -> None:
    guess, at = clip(), site(region="FR")
    found = footprint_of(guess, at, 10)
    assert found.to_dict()["output"] == "clip"
    assert "image" not in str(found).replace("image services", "")
    assert "10 clips in France" in str(found)
    assert "carbon of one clip (SCI)" in str(found)
    assert "gpu_energy_kwh [kWh] = energy_j * clips / 3600000" in found.explain()
    assert "no figure for image services is published" in found.explain()  # a source stays
    both = found + footprint_of(estimate("sdxl", "H100-SXM5-80GB"), at)
    assert (both.output, both.images) == ("image or clip", 11)


def test_the_energies_of_components_add_up() -> None:
    guess = clip()
    assert sum(part.energy_j for part in guess.components) == pytest.approx(guess.energy_j, rel=1e-9)
    assert np.isfinite(guess.power_w)
    assert guess.question.work.frame_rate == RATE
