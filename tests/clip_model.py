"""A model that makes clips of video: an image model of the catalogue whose work rises with the frames."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from joulecast.architecture.catalogue import find_listed, find_model
from joulecast.compute.operators import DENOISER, Component, OperatorTable
from joulecast.compute.polynomial import ONE
from joulecast.compute.profile import ComputeProfile
from joulecast.compute.profile_file import packaged_profile, write_profile
from joulecast.compute.profile_rules import ROUND_DOWN, FrameRule
from joulecast.question.models import load_profile

NAME, BASE, FRAMES, RATE, LARGEST = "made-up-clips", "cogview4-6b", 81, 16.0, 401


def clip_profile(off_grid: str = ROUND_DOWN, rate: float | None = RATE, name: str = NAME) -> ComputeProfile:
    """81 frames at 16 a second by default; it makes 1 frame and every 4 more, up to 401."""
    base = packaged_profile(BASE)
    return replace(
        base,
        name=name,
        hub_id=None,
        origin=f"{name}.json",
        components=tuple(map(_of_frames, base.components)),
        frames=FrameRule(step=4, first=1, off_grid=off_grid, largest=LARGEST),
        defaults=replace(base.defaults, width=512, height=512, frames=FRAMES, frame_rate=rate),
    )


def write_clip_model(folder: Path, off_grid: str = ROUND_DOWN, rate: float | None = RATE) -> str:
    """The path of its profile file."""
    path = folder / f"{NAME}.json"
    write_profile(clip_profile(off_grid, rate), path)
    return str(path)


def _of_frames(part: Component) -> Component:
    """A denoiser whose every cost but those that never vary is so many times as large."""
    if part.role != DENOISER:
        return part
    return replace(part, tables={name: tuple(map(_rising, tables)) for name, tables in part.tables.items()})


def _rising(table: OperatorTable) -> OperatorTable:
    return replace(
        table, monomials=tuple(name if name == ONE else f"frames*{name}" for name in table.monomials)
    )


def list_clip_model(patch: pytest.MonkeyPatch, path: str = NAME) -> None:
    """Let the catalogue know the model, by its name and its path: tasks are of listed models."""
    clips = replace(clip_profile(), origin="catalogue") if path == NAME else load_profile(path)
    known = {NAME: clips, path: clips}
    looking_up = {
        "find_model": lambda name: NAME if name in known else find_model(name),
        "find_listed": lambda name: NAME if name in known else find_listed(name),
        "packaged_profile": lambda name: known.get(name) or packaged_profile(name),
        "load_profile": lambda name: known[name] if str(name) in known else load_profile(name),
    }
    for room in (
        "measure.campaign_plan",
        "measure.expected_time",
        "measure.once",
        "question.models",
        "question.question",
        "question.table",
    ):
        module = import_module(f"joulecast.{room}")
        for name, look_up in looking_up.items():
            if hasattr(module, name):
                patch.setattr(module, name, look_up)
