"""The parts of an estimate as JSON has them, for type checkers and for descriptions of answers.

Apart from what makes them: to declare a key takes some microseconds, and no estimate needs it.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

from joulecast.law.scores import ScoresData


class ClipData(TypedDict):
    """What is said of a clip alone: energy of a second of video [J], length [s], frames a second."""

    energy_per_second_of_video_j: float | None
    energy_per_second_of_video_low_j: float | None
    energy_per_second_of_video_high_j: float | None
    clip_s: float | None
    frame_rate: float | None
    frame_rate_source: str | None


class WorkloadData(TypedDict):
    """What was estimated, defaults filled in; `rendered_width` and `rendered_height` are what is made."""

    model: str
    hub_id: str | None
    pipeline: str
    origin: str
    parameters: int
    width: int
    height: int
    steps: int
    passes: int
    batch_size: int
    precision: str
    text_tokens: int
    frames: int
    rendered_width: int
    rendered_height: int
    rendered_frames: NotRequired[int]
    guidance: float | None
    true_cfg_scale: float | None
    negative_prompt: bool
    strength: NotRequired[float]
    steps_asked: NotRequired[int]
    control: NotRequired[str]
    lora: NotRequired[int]
    lora_rank: NotRequired[int]
    lora_fused: NotRequired[bool]


class GpuData(TypedDict):
    """One GPU, of several that share the work too: power limit and idle power [W], memory [byte]."""

    name: str
    tdp_w: float
    idle_power_w: float
    memory_bytes: float


class LawData(TypedDict):
    """The law that answers, what it knew of this model and GPU, and its published error for that."""

    name: str
    form: str
    familiarity: str
    timed_familiarity: str
    held_out_error: ScoresData
