"""The cost of a call of a user's own diffusers pipeline, before it is made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from joulecast.architecture.live import uncompiled
from joulecast.errors import InputError
from joulecast.forecast.call_arguments import CallArguments
from joulecast.forecast.estimate import Estimate, LawChoice, estimate_of
from joulecast.forecast.live import (
    denoiser_of,
    gpu_name_of,
    hooks_of,
    is_offloaded,
    is_quantised,
    profile_of,
    state_of,
)
from joulecast.question.question import ask
from joulecast.question.setting import Setting
from joulecast.question.vocabulary import refused_name

if TYPE_CHECKING:
    from joulecast.question.setting import GpuChoice


def predict_call(
    pipeline: Any,
    *args: Any,
    gpu: GpuChoice | None = None,
    model: str | None = None,
    quantization: str | None = None,
    cache: str | None = None,
    offload: str | bool | None = None,
    power_limit_w: float | None = None,
    law: LawChoice = None,
    **kwargs: Any,
) -> Estimate:
    """What calling a diffusers pipeline so would cost: nothing is run.

    >>> expected = joulecast.predict_call(pipe, "a red fox", num_inference_steps=30)  # doctest: +SKIP
    >>> images = pipe("a red fox", num_inference_steps=30).images  # doctest: +SKIP

    What is not given takes the pipeline's own default, as the call would. Arguments that cost nothing are
    ignored; what changes the cost and is not counted is among the estimate's warnings.

    Parameters
    ----------
    pipeline : a diffusers pipeline, on any device.
    args, kwargs : what it will be called with.
    gpu : name or alias of a catalogue GPU, or the path of a GPU file; by default the one the pipeline is on.
    model : its name in the catalogue, or the path of its profile file; by default told by the name it was
        loaded by, else by its layers.
    quantization, cache, offload, power_limit_w : how it runs, as of `joulecast.estimate`; hooks of
        ``enable_model_cpu_offload`` are told by themselves.
    law : the law that predicts; the default law by default.

    Raises
    ------
    UnknownNameError
        An unknown model, GPU, quantisation, cache, way of offloading or law.
    InputError
        The catalogue does not know the pipeline, it would refuse the call, or what is asked for is not
        predicted.
    """
    profile, notes = profile_of(pipeline, model)
    denoiser = denoiser_of(pipeline, profile)
    _check_scheduler(pipeline)
    arguments = CallArguments.of(pipeline, profile, args, kwargs)
    doubts = (*arguments.doubts(), *_state_doubts(pipeline, denoiser, quantization, cache, offload))
    told = {} if offload is None else {"offload": offload}
    known = {
        **arguments.setting(),
        **state_of(pipeline, profile),
        **told,
        "model": profile,
        "gpu": gpu if gpu is not None else gpu_name_of(pipeline),
        "quantization": quantization,
        "cache": cache,
        "power_limit_w": power_limit_w,
    }
    return estimate_of(ask(Setting.of(known), notes), law, doubts)


def _check_scheduler(pipeline: Any) -> None:
    """Raise InputError for a scheduler that calls the denoiser more often than once a step."""
    known = refused_name("scheduler_class")
    words = known.refusal(type(getattr(pipeline, "scheduler", None)).__name__) if known else ""
    if words:
        raise InputError(words)


def _state_doubts(
    pipeline: Any,
    denoiser: Any,
    quantization: str | None,
    cache: str | None,
    offload: str | bool | None,
) -> Iterator[str]:
    """What a pipeline was told to do that is not counted."""
    parts = {name: uncompiled(part) for name, part in pipeline.components.items()}
    if hooks_of(pipeline) and not is_offloaded(pipeline) and offload is None:
        yield (
            "its components are moved by other hooks than those of enable_model_cpu_offload, whose time and "
            "energy are not counted"
        )
    if is_quantised(denoiser) and quantization is None:
        yield "the denoiser is quantised, and counted as if not: give quantization, e.g. 'nf4-weights'"
    if getattr(denoiser, "is_cache_enabled", False) and cache is None:
        yield "steps are taken from a cache, and all are counted: give cache, e.g. 'fbcache'"
    if any(getattr(part, "use_tiling", False) for part in parts.values()):
        yield "the decoder works in tiles, and is counted as a whole"
    if parts.get("safety_checker") is not None:
        yield "the safety checker is not counted"
