"""The configuration of a pipeline that a program holds, as its folder would tell it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from joulecast.architecture.pipeline_config import ComponentConfig, PipelineConfig, is_tokenizer

LENGTH = "model_max_length"


def config_of(pipeline: Any) -> PipelineConfig:
    """The classes and configs of a diffusers pipeline and of the components that it has."""
    parts = {name: part for name, part in pipeline.components.items() if part is not None}
    settings = {name: value for name, value in dict(pipeline.config).items() if _is_setting(name, value)}
    return PipelineConfig(
        name=name_of(pipeline) or type(pipeline).__name__,
        pipeline=type(pipeline).__name__,
        components={name: _component(name, uncompiled(part)) for name, part in parts.items()},
        settings={name: value for name, value in settings.items() if name not in pipeline.components},
    )


def name_of(pipeline: Any) -> str:
    """The folder or hub id that a pipeline was loaded from; nothing where it does not tell."""
    return str(getattr(pipeline, "name_or_path", "") or "")


def uncompiled(part: Any) -> Any:
    """A module as it was before torch.compile wrapped it."""
    return getattr(part, "_orig_mod", part)


def is_compiled(part: Any) -> bool:
    """Whether torch.compile makes a module's kernels, or those of its blocks."""
    return part is not uncompiled(part) or any(
        getattr(one, "_compiled_call_impl", None) is not None for one in part.modules()
    )


def _is_setting(name: str, value: object) -> bool:
    return not name.startswith("_") and not isinstance(value, tuple | list)


def _component(name: str, part: Any) -> ComponentConfig:
    package, class_name = type(part).__module__.partition(".")[0], type(part).__name__
    if is_tokenizer(name, class_name):
        return ComponentConfig(package, class_name, {LENGTH: getattr(part, LENGTH, None)})
    return ComponentConfig(package, class_name, _values(getattr(part, "config", {})))


def _values(config: Any) -> dict[str, Any]:
    """A component's config without what the library keeps for itself."""
    whole: Mapping[str, Any] = config.to_dict() if hasattr(config, "to_dict") else dict(config)
    return {key: value for key, value in whole.items() if not key.startswith("_")}
