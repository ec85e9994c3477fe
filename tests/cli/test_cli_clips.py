"""Commands asked for videos: options, units, what is refused, and never a word about images."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from clip_model import write_clip_model
from command import Command, refused
from joulecast.cli.commands import COMMANDS
from joulecast.forecast.predictor import OF_CLIPS
from joulecast.law.load import load_law
from joulecast.question.models import models

GPU = ("--gpu", "H100-SXM5-80GB")
PLAN = """
[plan]
hours = 4
[[services]]
name = "studio"
images_per_day = 500
[[services.configurations]]
model = "made-up-clips.json"
{asked}
[[gpus]]
name = "H100-SXM5-80GB"
[[regions]]
name = "FR"
"""


@pytest.fixture
def clips(run: Command) -> str:
    """A profile file in the folder where commands run."""
    write_clip_model(Path())
    return "made-up-clips.json"


def test_estimates_take_a_length(run: Command, clips: str) -> None:
    by_frames = run("estimate", clips, *GPU, "--frames", "49", "--fps", "24")
    by_length = run("estimate", clips, *GPU, "--seconds", "2.05", "--frame-rate", "24")
    assert by_frames.status == by_length.status == 0
    note = "  Note: 2.05 s at 24 frames a second are 49 frames\n"
    assert by_length.out == by_frames.out + note
    assert "per second of video" in by_frames.out
    assert "image" not in by_frames.out


def test_the_error_of_images_is_not_told_of_a_video(run: Command, clips: str) -> None:
    of_images = (*GPU, "--law", "paper")
    on = load_law("paper").fitted_on
    told = " ".join(run("estimate", clips, *of_images).out.split())
    assert (
        f"Error: not known for videos: the law was fitted on {on.runs} runs of {len(on.models)} models on "
        f"{len(on.gpus)} GPUs" in told
    )
    assert "9 in 10" not in told
    sources = " ".join(run("estimate", clips, *of_images, "--sources").out.split())
    assert "Error of videos is not known; of images on models that it had not seen" in sources
    one_frame = " ".join(run("estimate", clips, *of_images, "--frames", "1").out.split())
    assert "9 in 10 runs were within" in one_frame
    of_both = " ".join(run("estimate", clips, *GPU).out.split())
    assert "not known for videos" not in of_both
    assert "9 in 10 runs were within" in of_both


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--frames", "0"), "frames must be between 1 and 10000, not '0'"),
        (("--frames", "80.5"), "frames must be a whole number, not '80.5'"),
        (
            ("--frames", "500"),
            "made-up-clips refuses 500 frames; it takes 1 frame and every 4 more up to 401",
        ),
        (("--fps", "-1"), "fps must be a positive number of at most 1000, not '-1'"),
        (("--seconds", "1e9"), "seconds must be a positive number of at most 86400, not '1e9'"),
        (("--seconds", "2", "--frames", "9"), "frames and seconds both say how long the clip is"),
        (("--num-frames", "9"), "did you mean --frames"),
        (("--duration", "9"), "did you mean --seconds"),
        (("--export-fps", "9"), "did you mean --fps"),
        (("--clip-length", "9"), "it may be frames or seconds: name it frames or seconds"),
        (("--size", "768x512x161"), "has a third number: give WIDTHxHEIGHT, and frames beside it (--frames)"),
    ],
)
def test_bad_lengths_are_one_line(run: Command, clips: str, options: tuple[str, ...], words: str) -> None:
    refused(run("estimate", clips, *GPU, *options), words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--frames", "16"), "sdxl makes images; frames must be 1, not 16"),
        (("--fps", "16"), "sdxl makes images; fps is of videos: leave it out"),
        (("--seconds", "2"), "sdxl makes images; seconds is of videos: leave it out"),
    ],
)
@pytest.mark.parametrize("command", ["estimate", "measure", "pareto"])
def test_lengths_of_images_are_one_line(
    run: Command, command: str, options: tuple[str, ...], words: str
) -> None:
    place = () if command == "measure" else GPU
    refused(run(command, "sdxl", *place, *options), words)


def test_the_header_shows_the_frames_that_are_made(run: Command, clips: str) -> None:
    done = run("estimate", clips, *GPU, "--frames", "80")
    assert done.out.startswith(
        "made-up-clips on H100-SXM5-80GB: 512x512, 77 frames, 50 steps x 2 passes, bf16"
    )
    assert "80 frames are made as 77: " in " ".join(done.out.split())


def test_more_frames_than_the_authors_is_told(run: Command, clips: str) -> None:
    words = "more than the 81 frames that the authors of made-up-clips recommend"
    more, as_many = (run("estimate", clips, *GPU, "--frames", frames) for frames in ("85", "81"))
    assert words in " ".join(more.out.split())
    assert words not in " ".join(as_many.out.split())
    Path("w.csv").write_text(f"model,gpu,frames\n{clips},L4,82\n{clips},L4,84\n{clips},L4,85\n")
    told = list(csv.DictReader(run("predict", "w.csv").out.splitlines()))
    assert [words in row["warning"] for row in told] == [False, False, True]  # 81 are made of 82 and 84


def test_json_says_what_is_made(run: Command, clips: str) -> None:
    made = json.loads(run("estimate", clips, *GPU, "--json", "--region", "FR").out)
    assert (made["output"], made["footprint"]["output"]) == ("clip", "clip")
    assert made["energy_per_second_of_video_j"] == pytest.approx(made["energy_j"] * 16 / 81)
    assert json.loads(run("estimate", "sdxl", *GPU, "--json").out)["output"] == "image"


def test_a_footprint_is_of_clips(run: Command, clips: str) -> None:
    done = run("estimate", clips, *GPU, "--region", "FR", "--images", "10")
    assert "10 clips in France" in done.out
    assert "g CO2e/clip" in done.out
    assert "image" not in done.out


def test_what_if_of_lengths(run: Command, clips: str) -> None:
    """Frames and seconds speak of the same: each change alone, and not together."""
    done = run(
        "what-if", clips, *GPU, "--seconds", "2", "--to", "frames=49", "--to", "seconds=4", "--to", "fps=8"
    )
    assert done.status == 0
    assert "GPU energy of a clip" in done.out
    assert "image" not in done.out
    changes = [line for line in done.out.splitlines() if line.startswith("  Change: ")]
    assert changes == [
        "  Change: frames 33 to 49",
        "  Change: seconds 2 to 4",
        "  Change: fps 16 to 8",
    ]
    shorter = run("what-if", clips, *GPU, "--to", "seconds=2").out
    assert "  Change: seconds 5.0625 to 2\n" in shorter
    of_images = run("what-if", clips, *GPU, "--to", "frames=33", "--law", "paper").out
    assert "were taken as independent" in " ".join(of_images.split())
    data = json.loads(run("what-if", clips, *GPU, "--to", "frames=33", "--json").out)
    assert data["changes"][0]["output"] == "clip"
    refused(run("what-if", clips, *GPU, "--to", "model=sdxl"), "an image and a clip are two things")


def test_what_if_of_a_rate_is_told_of_the_seconds(run: Command, clips: str) -> None:
    """The frames stay: so do energy and time of the clip, which is played for a shorter time."""
    done = run("what-if", clips, *GPU, "--to", "fps=24")
    rows = {line.split("  ")[0]: line for line in map(str.strip, done.out.splitlines())}
    assert rows["GPU energy of a clip"].endswith(" stays")
    assert rows["time of a batch"].endswith(" stays")
    assert rows["length of a clip"].split() == [
        "length", "of", "a", "clip", "5.06", "s", "3.38", "s", "falls", "by", "33", "%"
    ]  # fmt: skip
    assert rows["GPU energy of a second of video"].endswith(" rises by 50 %")
    (one,) = json.loads(run("what-if", clips, *GPU, "--to", "fps=24", "--json").out)["changes"]
    per_s = one["measures"]["energy_per_second_of_video_j"]
    assert per_s["ratio"]["value"] == pytest.approx(1.5)
    assert per_s["ratio"]["low"] == per_s["ratio"]["high"]
    assert one["measures"]["clip_s"]["after"]["value"] == 81 / 24
    assert "of a second of video" not in run("what-if", "sdxl", *GPU, "--to", "steps=20").out


def test_pareto_varies_lengths(run: Command, clips: str) -> None:
    done = run("pareto", clips, *GPU, "--frames", "17-33:16", "--steps", "20,30", "--out", "all.csv")
    assert done.status == 0
    assert "1 of 4 settings: no other is as good in GPU energy of a clip" in " ".join(done.out.split())
    assert "the fewest frames and the fewest steps" in " ".join(done.out.split())
    assert "image" not in done.out
    rows = list(csv.DictReader(Path("all.csv").read_text().splitlines()))
    assert {row["frames"] for row in rows} == {"17", "33"}
    both = run("pareto", clips, "sdxl", *GPU)
    assert "GPU energy of an image or clip" in " ".join(both.out.split())
    found = json.loads(run("pareto", clips, "sdxl", *GPU, "--json").out)["settings"]
    assert [one["output"] for one in found] == ["clip", "image"]
    timed = json.loads(run("pareto", clips, *GPU, "--seconds", "1,2", "--fps", "24", "--json").out)
    assert [(one["clip_seconds"], one["fps"]) for one in timed["settings"]] == [(1.0, 24.0), (2.0, 24.0)]
    assert all(one["seconds"] > 5 for one in timed["settings"])  # of the GPU: a measure


def test_a_table_becomes_a_card_and_a_budget_of_clips(run: Command, clips: str) -> None:
    head = "model,gpu,width,height,frames,fps\n"
    Path("w.csv").write_text(f"{head}{clips},H100-SXM5-80GB,512,512,33,\n{clips},H100-SXM5-80GB,512,512,,8\n")
    assert run("predict", "w.csv", "--out", "p.csv").status == 0
    rows = list(csv.DictReader(Path("p.csv").read_text().splitlines()))
    for row, rate, frames in zip(rows, (16, 8), (33, 81), strict=True):
        per_s = float(row["energy_per_second_of_video_j"])
        assert per_s == pytest.approx(float(row["energy_j"]) * rate / frames)
        assert (row["rendered_frames"], float(row["clip_s"])) == (str(frames), frames / rate)
    card = run("card", "p.csv").out
    assert card.startswith("## Energy of a clip\n")
    assert "| Wh per clip | range | Wh per second of video | range | obtained |" in card
    assert "| 512x512, 33 frames |" in card
    assert "| 512x512, 81 frames |" in card
    assert "image" not in card
    assert json.loads(run("card", "p.csv", "--format", "json").out)["entries"][1]["output"] == "clip"
    hub = run("card", "p.csv", "--row", "1", "--region", "FR", "--format", "huggingface").out
    assert "# g CO2e of one clip" in hub
    boamps = run("card", "p.csv", "--row", "1", "--infrastructure", "other", "--format", "boamps").out
    task = json.loads(boamps)["task"]
    assert (task["taskFamily"], task["dataset"][1]["dataType"]) == ("videoGeneration", "video")
    assert task["dataset"][1]["shape"] == "(512, 512, 33)"
    assert "each clip is of 33 frames, played for 2.06 s" in task["taskDescription"]
    assert "Wh of the GPU a clip, held" in run("budget", "check", "p.csv", "--max-wh-per-image", "100").out


def test_a_table_has_what_an_estimate_says_of_a_clip(run: Command, clips: str) -> None:
    Path("w.csv").write_text(f"model,gpu,frames\n{clips},L4,33\nsdxl,L4,\n{clips},L4,-1\n")
    assert run("predict", "w.csv", "--out", "p.csv").status == 1
    clip, image, wrong = csv.DictReader(Path("p.csv").read_text().splitlines())
    alone = json.loads(run("estimate", clips, "--gpu", "L4", "--frames", "33", "--json").out)
    assert clip["rendered_frames"] == str(alone["workload"]["rendered_frames"])
    for name in OF_CLIPS[1:]:
        assert float(clip[name]) == pytest.approx(alone[name])
    assert {one[name] for one in (image, wrong) for name in OF_CLIPS} == {""}


def test_a_card_has_the_size_that_was_taken_by_default(run: Command, clips: str) -> None:
    Path("w.csv").write_text(f"model,gpu\n{clips},L4\nsdxl,L4\n")
    run("predict", "w.csv", "--out", "p.csv")
    card = run("card", "p.csv").out
    assert "| 512x512, 81 frames |" in card
    assert "| 1024x1024 |" in card
    boamps = run("card", "p.csv", "--row", "1", "--infrastructure", "other", "--format", "boamps").out
    assert json.loads(boamps)["task"]["dataset"][1]["shape"] == "(512, 512, 81)"


def test_a_card_has_three_significant_digits(run: Command) -> None:
    Path("p.csv").write_text(
        "model,gpu,energy_j,energy_low_j,energy_high_j,duration_s,law\nsdxl,L4,72000,36000,7e6,9,x\n"
    )
    card = run("card", "p.csv", "--region", "FR").out
    assert "| 20.0 | 10.0 to 1,940 | predicted" in card
    assert "- life 5.00 year (3.00 to 6.00)" in card


def test_one_boamps_report_goes_to_a_folder_or_a_file(run: Command) -> None:
    Path("w.csv").write_text("model,gpu\nsdxl,L4\n")
    run("predict", "w.csv", "--out", "p.csv")
    asked = ("card", "p.csv", "--format", "boamps", "--infrastructure", "other", "--out")
    assert run(*asked, "new/").err == "1 report in new/\n"
    assert run(*asked, "new/one.json").status == 0
    assert {path.name for path in Path("new").iterdir()} == {"boamps-1.json", "one.json"}
    refused(run(*asked, "p.csv/x"), "cannot make the folder 'p.csv/x'")


def test_a_card_of_images_is_as_it_was(run: Command) -> None:
    Path("w.csv").write_text("model,gpu\nsdxl,L4\n")
    run("predict", "w.csv", "--out", "p.csv")
    assert "| batch | Wh per image | range | obtained |" in run("card", "p.csv").out
    (entry,) = json.loads(run("card", "p.csv", "--format", "json").out)["entries"]
    assert entry["output"] == "image"
    assert "energy_per_second_of_video_j" not in entry


@pytest.mark.parametrize(
    ("asked", "frames"), [("frames = 16", 16), ("seconds = 2\nfps = 8", 17), ("num_frames = 16", 16)]
)
def test_a_plan_of_clips(run: Command, clips: str, asked: str, frames: int) -> None:
    pytest.importorskip("scipy")
    Path("demand.toml").write_text(PLAN.format(asked=asked))
    done = run("plan", "demand.toml")
    assert done.status == 0
    assert "g CO2e a clip." in done.out
    assert "83 clips in 4 h" in done.out
    assert f"made-up-clips 512x512, {frames} frames, 50 steps x 2 passes, bf16" in done.out
    assert "image" not in done.out
    assert json.loads(run("plan", "demand.toml", "--json").out)["output"] == "clip"


def test_a_length_of_a_plan_that_cannot_be_says_where(run: Command, clips: str) -> None:
    Path("demand.toml").write_text(PLAN.format(asked="frames = 500"))
    refused(run("plan", "demand.toml"), "services[0].configurations[0]: made-up-clips refuses 500 frames")
    Path("demand.toml").write_text(
        PLAN.format(asked="frames = 17").replace("images_per_day", "clips_per_day")
    )
    refused(run("plan", "demand.toml"), "needs images_per_day", "clips count as images")


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_that_speaks_of_images_speaks_of_clips(run: Command, command: str | None) -> None:
    """Options are named after images alone; what is for images alone says so itself."""
    told = " ".join(run(*(() if command is None else (command,)), "--help").out.split())
    for found in re.finditer(r"(?:\b[Aa]n|\bone|\beach) image\b(.{0,12})", told):
        assert found[1].startswith((" or clip", " service")), found[0]


def test_models_by_what_they_make(run: Command) -> None:
    images = json.loads(run("models", "--task", "image", "--json").out)
    videos = json.loads(run("models", "--task", "video", "--json").out)
    assert [one["task"] for one in images] == ["image"] * len(images)
    assert {one["task"] for one in videos} <= {"video"}
    assert len(images) + len(videos) == len(models())
    assert images[0]["frames"] is None
    assert (images[0]["default_frames"], images[0]["default_frame_rate"]) == (1, None)
    refused(run("models", "--task", "vide"), "did you mean video")
