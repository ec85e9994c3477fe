"""Words about images, said of clips."""

from __future__ import annotations

import pytest

from clip_model import clip_profile
from joulecast.compute.output import CLIP, EITHER, IMAGE, said_of, together
from joulecast.compute.profile_file import packaged_profile


@pytest.mark.parametrize(
    ("words", "of_clips", "of_either"),
    [
        ("carbon of an image", "carbon of a clip", "carbon of an image or clip"),
        ("5 images in 4 h", "5 clips in 4 h", "5 images or clips in 4 h"),
        ("g CO2e/image", "g CO2e/clip", "g CO2e/image or clip"),
        ("image size outside", "frame size outside", "image size outside"),
        ("imagery and time of a batch", "imagery and time of a batch", "imagery and time of a batch"),
    ],
)
def test_words_about_images(words: str, of_clips: str, of_either: str) -> None:
    assert (said_of(IMAGE, words), said_of(CLIP, words), said_of(EITHER, words)) == (
        words,
        of_clips,
        of_either,
    )


def test_what_several_models_make() -> None:
    assert together([]) == IMAGE
    assert together([CLIP, CLIP]) == CLIP
    assert together([CLIP, IMAGE]) == EITHER


def test_what_a_model_makes() -> None:
    assert packaged_profile("sdxl").output == IMAGE
    assert clip_profile().output == CLIP
