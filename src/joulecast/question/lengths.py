"""How long a clip is: the frames and the rate that are asked for, and the frames of a length in seconds."""

from __future__ import annotations

import math

from joulecast.architecture.workload import LIMITS
from joulecast.compute.profile import ComputeProfile
from joulecast.errors import InputError
from joulecast.question.setting import TWO_LENGTHS
from joulecast.units import counted


def frames_of(
    profile: ComputeProfile,
    frames: int | None = None,
    fps: float | None = None,
    seconds: float | None = None,
) -> int:
    """Frames to ask the pipeline for: as given, by the length of the clip, or the model's own.

    A length is that of the nearest number of frames that the pipeline makes. Raises InputError for a
    rate or a length of an image, a length without a rate, and one of no frame or too many.
    """
    if frames is not None and seconds is not None:
        raise InputError(TWO_LENGTHS)
    if profile.frames is None:
        for name, given in (("fps", fps), ("seconds", seconds)):
            if given is not None:
                raise InputError(f"{profile.name} makes images; {name} is of videos: leave it out")
    if seconds is None:
        return profile.defaults.frames if frames is None else frames
    exact = _length_in_frames(profile, seconds, fps)
    found = math.floor(exact + 0.5)
    least, most = LIMITS["frames"]
    if not least <= found <= most:
        rate = f"{frame_rate_of(profile, fps):g} frames a second"
        raise InputError(f"{seconds:g} seconds at {rate} are {found:,} frames; expected {least} to {most:,}")
    return found if profile.frames is None else profile.frames.nearest_made(exact)


def _length_in_frames(profile: ComputeProfile, seconds: float, fps: float | None) -> float:
    """How many frames a length [s] is, in full. Raises InputError without a rate."""
    rate = frame_rate_of(profile, fps)
    if rate is None:
        raise InputError(f"no frame rate of {profile.name} is known: give fps beside seconds, or frames")
    return seconds * rate


def frame_rate_of(profile: ComputeProfile, fps: float | None = None) -> float | None:
    """Frames a second of a clip: as given, else those of the model's authors, if any; None of an image."""
    if profile.frames is None:
        return None
    return profile.defaults.frame_rate if fps is None else fps


def length_note(profile: ComputeProfile, seconds: float, fps: float | None, frames: int) -> str:
    """What a length in seconds, at a rate or the model's own, was taken for."""
    exact = math.floor(_length_in_frames(profile, seconds, fps) + 0.5)
    of_authors = ", the rate of the model's authors," if fps is None else ""
    told = f"{seconds:g} s at {frame_rate_of(profile, fps):g} frames a second{of_authors}"
    nearest = "" if exact == frames else f": {frames} is the nearest number that it makes"
    return f"{told} are {counted(exact, 'frame')}{nearest}"
