"""How long a clip is: frames, frames a second and seconds, of a setting and of a table's rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clip_model import FRAMES, RATE, clip_profile, write_clip_model
from joulecast.compute.profile import ComputeProfile
from joulecast.compute.profile_rules import IRREGULAR, REFUSE, ROUND_DOWN, ROUND_UP, WHOLE_STEPS, FrameRule
from joulecast.errors import InputError
from joulecast.question.lengths import frames_of
from joulecast.question.question import Question, ask
from joulecast.question.setting import Setting
from joulecast.question.table import TableReader

OFF_GRIDS = [REFUSE, IRREGULAR, ROUND_DOWN, ROUND_UP, WHOLE_STEPS]


def asked(profile: ComputeProfile, **keys: object) -> Question:
    return ask(Setting.of({"model": profile, "gpu": "H100-SXM5-80GB", **keys}))


def test_what_is_not_given_is_the_authors() -> None:
    work = asked(clip_profile()).work
    assert (work.workload.frames, work.frame_rate, work.rate_source) == (FRAMES, RATE, "the model's authors")
    assert work.notes == ()


def test_a_rate_changes_no_frames() -> None:
    work = asked(clip_profile(), fps=24).work
    assert (work.workload.frames, work.frame_rate, work.rate_source) == (FRAMES, 24.0, "given")


@pytest.mark.parametrize("off_grid", OFF_GRIDS)
@pytest.mark.parametrize(
    ("seconds", "fps", "frames"),
    [
        (2, None, 33),
        (2, 24, 49),
        (0.1, 24, 1),
        (2.5, 1, 1),
        (3, 1, 5),
        (5.0625, None, 81),
        (401.5, 1, 401),
        (2.125, None, 33),
        (2.1875, None, 37),
        (2.25, None, 37),
    ],
)
def test_a_length_is_the_nearest_number_of_frames_that_is_made(
    off_grid: str, seconds: float, fps: float | None, frames: int
) -> None:
    """Whatever the pipeline does with others: it makes 1 frame and every 4 more, up to 401."""
    question = asked(clip_profile(off_grid), seconds=seconds, fps=fps)
    assert question.workload.frames == question.work.frames_made == frames


def test_a_length_says_what_it_was_taken_for() -> None:
    given, own = (asked(clip_profile(), seconds=2, fps=fps).notes for fps in (24, None))
    assert given == ("2 s at 24 frames a second are 48 frames: 49 is the nearest number that it makes",)
    assert own == (
        "2 s at 16 frames a second, the rate of the model's authors, are 32 frames: "
        "33 is the nearest number that it makes",
    )


@pytest.mark.parametrize("off_grid", OFF_GRIDS)
@pytest.mark.parametrize(
    ("largest", "wanted", "nearest"),
    [(None, 402, 401), (401, 402, 401), (401, 403, 403), (400, 400, 397), (400, 399, 397), (400, 401, 401)],
)
def test_no_more_frames_than_are_accepted_are_nearest(
    off_grid: str, largest: int | None, wanted: int, nearest: int
) -> None:
    """A number beyond the largest stays one that is refused: it is not what was wanted."""
    rule = FrameRule(4, 1, off_grid, largest)
    assert rule.nearest_made(wanted) == nearest
    assert rule.refused(np.array([nearest])).tolist() == [largest is not None and nearest > largest]


@pytest.mark.parametrize(
    ("rate", "keys", "words"),
    [
        (None, {"seconds": 2}, "no frame rate of made-up-clips is known: give fps beside seconds, or frames"),
        (RATE, {"seconds": 2, "frames": 9}, "frames and seconds both say how long the clip is"),
        (RATE, {"seconds": 700}, "700 seconds at 16 frames a second are 11,200 frames; expected 1 to 10,000"),
        (RATE, {"seconds": 0.03}, "0.03 seconds at 16 frames a second are 0 frames"),
        (RATE, {"frames": 402}, "refuses 402 frames; it takes 1 frame and every 4 more up to 401, e.g. 401"),
        (RATE, {"frames": 0}, "frames must be between 1 and 10000"),
        (RATE, {"frames": -5}, "frames must be between 1 and 10000"),
        (RATE, {"frames": 10**12}, "frames must be between 1 and 10000"),
        (RATE, {"frames": 80.5}, "frames must be a whole number"),
        (RATE, {"frames": True}, "frames must be a whole number"),
        (RATE, {"fps": 0}, "fps must be a positive number of at most 1000"),
        (RATE, {"fps": -24}, "fps must be a positive number"),
        (RATE, {"fps": 1001}, "fps must be a positive number of at most 1000"),
        (RATE, {"fps": "fast"}, "fps must be a positive number"),
        (RATE, {"fps": 16, "frame_rate": 24}, "fps is given twice"),
        (RATE, {"seconds": 0}, "seconds must be a positive number of at most 86400"),
        (RATE, {"seconds": 86_401}, "seconds must be a positive number of at most 86400"),
        (RATE, {"seconds": float("inf")}, "seconds must be a positive number"),
        (RATE, {"seconds": float("nan")}, "seconds must be a positive number"),
    ],
)
def test_lengths_that_cannot_be_are_one_line(rate: float | None, keys: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words.replace("+", "\\+")) as told:
        asked(clip_profile(rate=rate), **keys)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("off_grid", "made"), [(ROUND_DOWN, 77), (ROUND_UP, 81), (WHOLE_STEPS, 81), (REFUSE, 80), (IRREGULAR, 80)]
)
def test_what_a_rule_makes_of_80_frames(off_grid: str, made: int) -> None:
    assert FrameRule(4, 1, off_grid).rendered(np.array([80])).tolist() == [made]


def test_two_lengths_are_refused_before_anything_else() -> None:
    with pytest.raises(InputError, match="both say how long"):
        frames_of(clip_profile(), frames=9, seconds=2)


# --- tables --------------------------------------------------------------------------------------


def test_a_table_may_mix_images_and_clips(tmp_path: Path) -> None:
    clips = write_clip_model(tmp_path)
    table = {
        "model": [clips, clips, clips, "sdxl", "sdxl", "sdxl", "sdxl"],
        "gpu": ["H100-SXM5-80GB"] * 7,
        "num_frames": ["33", "", "", "", "1", "16", ""],
        "frame_rate": ["", "24", "8", "", "", "", "16"],
        "seconds": ["", "2", "", "", "", "", ""],
    }
    found = TableReader().read(table)
    assert found.error[:5].tolist() == [""] * 5
    assert found.frames[:5].tolist() == [33, 49, FRAMES, 1, 1]
    np.testing.assert_array_equal(found.frame_rate[:5], [RATE, 24, 8, np.nan, np.nan])
    assert found.error[6] == "sdxl makes images; fps is of videos: leave it out"
    assert found.assumed[:4].tolist() == [
        "512x512; 16 frames a second; 50 steps; 2 denoiser passes a step; bf16",
        "2 s at 24 frames a second are 48 frames: 49 is the nearest number that it makes; 512x512; 50 steps; "
        "2 denoiser passes a step; bf16",
        "512x512; 81 frames; 50 steps; 2 denoiser passes a step; bf16",
        "1024x1024; 50 steps; 2 denoiser passes a step; fp16",
    ]


def test_a_users_own_durations_say_nothing_of_images(tmp_path: Path) -> None:
    """A label may be the user's own column: of clips it is read, of images it is not."""
    table = {
        "model": [write_clip_model(tmp_path), "sdxl"],
        "gpu": ["H100-SXM5-80GB"] * 2,
        "duration": [2, 7.5],
    }
    found = TableReader().read(table)
    assert found.error.tolist() == ["", ""]
    assert found.frames.tolist() == [33, 1]


def test_a_length_alone_is_among_what_was_assumed(tmp_path: Path) -> None:
    whole = {"steps": 9, "passes": 1, "precision": "bf16", "size": "512x512", "fps": 16}
    table = {"model": write_clip_model(tmp_path), "gpu": "L4", **whole}
    rows = {name: [value, value] for name, value in table.items()}
    found = TableReader().read({**rows, "seconds": ["2.0625", ""]}).assumed
    assert found.tolist() == ["2.0625 s at 16 frames a second are 33 frames", "81 frames"]


def test_a_length_without_a_unit_is_refused_of_clips_alone(tmp_path: Path) -> None:
    table = {"model": [write_clip_model(tmp_path), "sdxl"], "gpu": ["L4", "L4"], "length": ["5", "5"]}
    words = "length is '5': it may be frames, as in ComfyUI, or seconds: name it frames or seconds"
    assert TableReader().read(table).error.tolist() == [words, ""]
    for key in ("frames", "seconds"):
        said = TableReader().read({**table, key: ["5", ""]})
        assert said.error.tolist() == ["", ""]
    with pytest.raises(InputError, match=words):
        asked(clip_profile(), length="5")


def test_seconds_of_a_clip_are_those_that_are_made(tmp_path: Path) -> None:
    table = {"model": [write_clip_model(tmp_path), "sdxl"], "gpu": ["L4", "L4"], "frames": [80, 1]}
    np.testing.assert_array_equal(TableReader().read(table).clip_s(), [77 / 16, np.nan])


def test_a_table_without_models_is_read() -> None:
    found = TableReader().read({"model": ["nope"], "gpu": ["L4"], "frames": ["9"], "seconds": ["x"]})
    assert "unknown model 'nope'" in found.error[0]
