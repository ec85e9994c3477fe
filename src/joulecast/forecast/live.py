"""A diffusers pipeline that a program holds: which model of the catalogue it is, and on which GPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from joulecast.architecture.live import config_of, is_compiled, name_of, uncompiled
from joulecast.architecture.workload import PRECISIONS
from joulecast.compute.profile import ComputeProfile
from joulecast.errors import InputError, JoulecastError, shown
from joulecast.question.models import catalogue_name, load_profile
from joulecast.question.unlisted import base_of
from joulecast.runtime import MODEL_OFFLOAD

MODEL_HOOK: Final = "CpuOffload"  # of accelerate: a module comes when it is called, and goes when the next is
DTYPES: Final = dict(zip(("float16", "bfloat16", "float32"), PRECISIONS, strict=True))


def profile_of(pipeline: Any, model: str | None = None) -> tuple[ComputeProfile, tuple[str, ...]]:
    """The profile of a pipeline's model, and what was taken for it.

    The `model` that is named, else that of the name the pipeline was loaded by, else the one whose layers it
    has. Raises UnknownNameError for a name that there is not, InputError where no model is told, and for
    what is no pipeline.
    """
    if not isinstance(getattr(pipeline, "components", None), Mapping):
        raise InputError(f"a diffusers pipeline is expected, with its components, not {shown(pipeline)}")
    name = name_of(pipeline)
    known = model or catalogue_name(name) or catalogue_name(name.rstrip("/").rpartition("/")[2])
    if known is not None:
        return load_profile(known), ()
    try:
        found, words = base_of(config_of(pipeline))
    except JoulecastError:  # parts that cannot be compared, of others than diffusers and transformers
        found, words = None, ""
    if found is None:
        raise InputError(
            f"the catalogue does not know the pipeline {shown(name)}; name its `model`, or give the profile "
            "file that `joulecast profile FOLDER` makes of it"
        )
    return found, (words,)


def denoiser_of(pipeline: Any, profile: ComputeProfile) -> Any:
    """The module that denoises first. Raises InputError where the pipeline is another than the profile's."""
    name = profile.denoising_modules[0]
    part = pipeline.components.get(name)
    if part is None:
        raise InputError(
            f"{profile.name} denoises with {name}, which this {type(pipeline).__name__} lacks: is it that?"
        )
    return uncompiled(part)


def precision_of(module: Any) -> str:
    """The number format of a module. Raises InputError for one that no law predicts."""
    dtype = str(module.dtype).removeprefix("torch.")
    if dtype not in DTYPES:
        raise InputError(f"no law predicts a denoiser in {dtype}; known: {', '.join(DTYPES)}")
    return DTYPES[dtype]


def state_of(pipeline: Any, profile: ComputeProfile) -> dict[str, object]:
    """How a pipeline denoises, by keys of a setting: its number format, where it is not quantised, whether it
    is compiled or offloaded, and its LoRAs. Raises what `denoiser_of` and `precision_of` raise."""
    denoiser = denoiser_of(pipeline, profile)
    return {
        "precision": None if is_quantised(denoiser) else precision_of(denoiser),
        "compile": is_compiled(pipeline.components[profile.denoising_modules[0]]) or None,
        "offload": MODEL_OFFLOAD if is_offloaded(pipeline) else None,
        **_adapters(denoiser),
    }


def is_offloaded(pipeline: Any) -> bool:
    """Whether all hooks that move its components are those of ``enable_model_cpu_offload``."""
    return {type(hook).__name__ for hook in hooks_of(pipeline)} == {MODEL_HOOK}


def hooks_of(pipeline: Any) -> list[Any]:
    """The hooks by which accelerate moves components of a pipeline."""
    parts = map(uncompiled, pipeline.components.values())
    found = [part._hf_hook for part in parts if hasattr(part, "_hf_hook")]
    return [hook for one in found for hook in getattr(one, "hooks", (one,))]


def is_quantised(module: Any) -> bool:
    """Whether a module's weights are quantised, as its config says."""
    return getattr(getattr(module, "config", None), "quantization_config", None) is not None


def _adapters(denoiser: Any) -> dict[str, object]:
    """The LoRAs of a denoiser, of the mean of their ranks: beside its layers, or fused into them."""
    layers = [one for one in denoiser.modules() if hasattr(one, "merged_adapters")]  # as peft has them
    at_work = [one for one in layers if not one.disable_adapters]
    names = dict.fromkeys(name for one in at_work for name in one.active_adapters)
    ranks = [rank for name in names if (rank := getattr(denoiser.peft_config.get(name), "r", None))]
    if not ranks:
        return {}
    are_fused = all(one.merged_adapters for one in at_work)
    mean = round(sum(ranks) / len(ranks))
    return {"lora": len(ranks), "lora_rank": mean, "lora_fused": are_fused or None}


def gpu_name_of(pipeline: Any) -> str:
    """The driver's name of the GPU that a pipeline runs on. Raises InputError where it runs on none."""
    device = _device_of(pipeline)
    if not str(device).startswith("cuda"):
        raise InputError(
            f"the pipeline is on {device}: name the GPU that it will run on, e.g. gpu='RTX 4090'"
        )
    import torch

    return str(torch.cuda.get_device_name(device))


def synchronize_of(pipeline: Any) -> Callable[[], None]:
    """What waits until the pipeline's GPU has done all it was given; nothing on a processor."""
    if not str(_device_of(pipeline)).startswith("cuda"):
        return lambda: None
    import torch

    return lambda: torch.cuda.synchronize()


def _device_of(pipeline: Any) -> Any:
    """Where a pipeline computes; with offloading its weights are elsewhere between calls."""
    return getattr(pipeline, "_execution_device", None) or getattr(pipeline, "device", "cpu")
