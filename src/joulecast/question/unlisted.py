"""Models that the catalogue does not list, by their hub id: the base that they are a fine-tune of, or traced.

Needs the extra `trace`, and the network or the hub's cache.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from joulecast.architecture.hub import HubId, hub_id_of, read_hub_pipeline
from joulecast.architecture.pipeline_config import PipelineConfig
from joulecast.compute.profile import ComputeProfile
from joulecast.compute.profile_file import has_profile, packaged_profile
from joulecast.errors import InputError, UnknownNameError
from joulecast.question.models import load_profile
from joulecast.question.setting import Setting

Progress = Callable[[str], object]
SHOWN = 12  # letters of a commit


def with_unlisted(
    setting: Setting, progress: Progress = lambda words: None
) -> tuple[Setting, tuple[str, ...]]:
    """A setting whose model may be a hub id that nobody lists, with its profile, and what was taken for it.

    Raises UnknownNameError, and InputError where the hub has it not or cannot be asked.
    """
    asked = hub_id_of(setting.model) if isinstance(setting.model, str) else None
    if asked is None:
        return setting, ()
    try:
        load_profile(setting.model)
    except UnknownNameError as unknown:
        profile, note = _found(asked, unknown, progress)
        return replace(setting, model=profile), (note,)
    return setting, ()


def _found(asked: HubId, unknown: UnknownNameError, progress: Progress) -> tuple[ComputeProfile, str]:
    try:
        config = read_hub_pipeline(asked)
    except InputError as error:
        raise InputError(f"{unknown}; as a hub id: {error}") from None
    base, words = base_of(config)
    if base is not None:
        return base, words
    progress(f"{asked}: not in the catalogue, traced; `joulecast profile {asked} --out FILE.json` keeps it")
    return traced(
        config, progress
    ), f"{asked} was traced from its configs at revision {(config.revision or '')[:SHOWN]}"


def base_of(config: PipelineConfig) -> tuple[ComputeProfile | None, str]:
    """The catalogue's profile of a model with the same layers and calls, and that it was taken; None and
    nothing without one."""
    from joulecast.architecture.fine_tunes import model_alike

    alike = model_alike(config)
    if alike is None or not has_profile(alike.model):
        return None, ""
    at = "" if config.revision is None else f" at revision {config.revision[:SHOWN]}"
    return packaged_profile(alike.model), (
        f"{config.hub_id or config.name}{at} has the layers of {alike.model}, so the same cost, and its "
        f"{alike.scheduler} makes as many denoiser calls; what was not given is as {alike.model}'s authors "
        "recommend"
    )


def traced(config: PipelineConfig, progress: Progress) -> ComputeProfile:
    """The profile of a pipeline that has none, of its configs. Raises TraceError."""
    from joulecast.compute.profiler import make_profile
    from joulecast.compute.second_process import processors

    made = make_profile(config, progress=progress, processes=min(2, processors()))
    return replace(made, origin=f"{config.hub_id or config.name}@{config.revision or 'unknown'}")
