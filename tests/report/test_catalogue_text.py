"""Lists of models and GPUs, and profiles in short."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clip_model import clip_profile
from joulecast import gpus, load_profile, models
from joulecast.compute.profile_file import packaged_profile
from joulecast.question.models import _model, denoiser_pass_flop
from joulecast.report.catalogue_text import _shortest, gpus_text, models_text, profile_data, profile_text


def test_lists_name_everything() -> None:
    assert all(model.name in models_text(models()) for model in models())
    assert all(gpu.name in gpus_text(gpus()) for gpu in gpus())


@pytest.mark.parametrize("text", [models_text(models()), gpus_text(gpus())], ids=["models", "gpus"])
def test_no_line_of_a_list_is_too_long(text: str) -> None:
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(
    ("aliases", "kept"),
    [
        (["a" * 12, "b" * 12], ["a" * 12, "b" * 12]),
        (["a" * 13, "b" * 12], ["b" * 12]),
        (["c" * 20, "bb", "a"], ["bb", "a"]),
        (["a" * 26], ["a" * 26]),
        (["a" * 27], []),
        ([], []),
    ],
)
def test_the_shortest_aliases_are_shown(aliases: list[str], kept: list[str]) -> None:
    assert _shortest(aliases) == kept


def test_a_list_with_videos_says_what_models_make() -> None:
    image = next(one for one in models() if one.name == "auraflow-v0.3")
    listed = (image, _model(clip_profile(), ("clips",)))
    header, first, second, _, *words = models_text(listed).splitlines()
    assert header.split()[:3] == ["model", "params", "size"]
    assert first.split()[:4] == ["auraflow-v0.3", "8.17", "B", "1024x1024"]
    assert second.split()[0] == "made-up-clips"
    assert second.split()[3].endswith("x81")
    assert "of a video width x height x frames" in " ".join(map(str.strip, words))
    assert "of a video" not in models_text(listed[:1])


def test_a_profile_of_videos_in_short() -> None:
    profile = clip_profile()
    text = profile_text(profile, 1e12)
    assert "one denoiser pass at 512x512 and 81 frames: 1.00 TFLOP" in text
    assert "  frames: 1 frame and every 4 more up to 401" in text
    known = profile_data(profile, 1e12)
    assert (known["default_frames"], known["default_frame_rate"]) == (81, 16.0)
    assert "frames" not in profile_data(packaged_profile("sdxl"), 1e12)
    one = replace(profile, defaults=replace(profile.defaults, frames=1))
    assert denoiser_pass_flop(profile) == pytest.approx(
        21 * denoiser_pass_flop(one)
    )  # 1 frame and 20 times 4


def test_a_profile_in_short() -> None:
    text = profile_text(load_profile("flux.1-dev"), 74.3847e12)
    for words in ("FluxPipeline", "T5EncoderModel", "11.90 B", "74.4 TFLOP", "multiples of 16"):
        assert words in text
