"""The arithmetic of a request alone: what engines divide by time and peak for their utilisation (MFU)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulecast.compute.operators import ROLES
from joulecast.errors import UnknownNameError
from joulecast.question.question import work_of
from joulecast.question.setting import Setting

if TYPE_CHECKING:
    from joulecast.question.setting import ModelChoice


def flop(
    model: ModelChoice,
    height: int | None = None,
    width: int | None = None,
    frames: int | None = None,
    *,
    steps: int | None = None,
    passes: int | None = None,
    guidance: float | None = None,
    true_cfg_scale: float | None = None,
    negative_prompt: bool | None = None,
    batch_size: int | None = None,
    text_tokens: int | None = None,
    strength: float | None = None,
    control: str | None = None,
    lora: int | None = None,
    lora_rank: int | None = None,
    lora_fused: bool | None = None,
    role: str | None = None,
) -> float:
    """FLOP of a whole batch; 1 multiply-accumulate is 2 FLOP. What is not given takes the model's default.

    Evaluates the model's profile with numpy; reads no file after the first call for a model.

    Parameters
    ----------
    model : name, alias or hub id of a catalogue model, the path of a profile file, or a loaded profile.
    height, width : pixels; both or neither.
    frames : of a clip.
    steps, passes, guidance, true_cfg_scale, negative_prompt, batch_size, text_tokens, strength, control,
        lora, lora_rank, lora_fused : as of `joulecast.estimate`.
    role : of the components that are counted, ``denoiser``, ``text_encoder``, ``image_encoder`` or
        ``decoder``; all by default.

    Raises
    ------
    UnknownNameError
        An unknown model or role; carries near matches.
    InputError
        A value is out of range, or the pipeline would refuse the workload.
    FileFormatError
        A profile file is damaged.
    """
    if role is not None and role not in ROLES:
        raise UnknownNameError("role", role, ROLES, f"known: {', '.join(ROLES)}")
    work = work_of(
        Setting(
            model,
            width=width,
            height=height,
            steps=steps,
            passes=passes,
            guidance=guidance,
            true_cfg_scale=true_cfg_scale,
            negative_prompt=negative_prompt,
            batch_size=batch_size,
            text_tokens=text_tokens,
            frames=frames,
            strength=strength,
            control=control,
            lora=lora,
            lora_rank=lora_rank,
            lora_fused=lora_fused,
        )
    )
    by_component = work.profile.flop(work.workload.columns(), work.workload.precision)
    return sum(
        float(by_component[part.name][0]) for part in work.profile.components if role in (None, part.role)
    )
