"""Which frames a pipeline makes, by what its modules are given: also with sound beside the picture."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from joulecast.compute.capture import Call
from joulecast.compute.frames import FrameProbe
from joulecast.compute.operators import DECODER, DENOISER
from joulecast.compute.profile_rules import IRREGULAR, WHOLE_STEPS, FrameRule

ROLES = {"transformer": DENOISER, "vae": DECODER}


def calls(latents: int, sound: int, frames: int) -> list[Call]:
    def call(name: str, shapes: tuple[tuple[int, ...], ...], output: tuple[int, ...]) -> Call:
        return Call(name, shapes, (), (), output, (), 0, {})

    return [
        call("transformer", ((1, 16 * latents, 8), (1, sound, 8)), (1, 16 * latents, 8)),
        call("vae", ((1, 8, latents, 4, 4),), (1, 3, frames, 32, 32)),
    ]


def with_sound(frames: int) -> list[Call]:
    """A latent frame for each eight, and 25 pieces of sound a second of 24 frames, rounded."""
    latents = (frames - 1) // 8 + 1
    return calls(latents, round(frames / 24 * 25), 8 * latents - 7)


def without_sound(frames: int) -> list[Call]:
    frames = max(frames // 4 * 4 + 1, 1)
    return calls((frames - 1) // 4 + 1, 0, frames)


def test_sound_that_rises_in_rounds_does_not_hide_the_steps_of_the_picture() -> None:
    probe = FrameProbe(with_sound, 25, ROLES, "a pipeline")
    assert probe.rule == FrameRule(step=8, first=1, off_grid=IRREGULAR)


def test_a_picture_alone_rises_in_a_line() -> None:
    probe = FrameProbe(without_sound, 25, ROLES, "a pipeline")
    assert probe.rule == FrameRule(step=4, first=1, off_grid=WHOLE_STEPS)
