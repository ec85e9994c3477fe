"""Which model of the catalogue a pipeline is: a fine-tune has its layers, with weights of its own.

Two components are alike where their classes are and every value of their configs that decides what is
computed, defaults of the class filled in. Needs the extra `trace`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, Final

from joulecast.architecture.build import (
    build_component,
    class_of,
    constructor_parameters,
    quiet,
)
from joulecast.architecture.catalogue import listed_fine_tunes, model_entry, model_names
from joulecast.architecture.pipeline_config import (
    IGNORED_COMPONENTS,
    OF_IMAGES,
    ComponentConfig,
    PipelineConfig,
    is_scheduler,
    is_tokenizer,
    pipeline_config_from_catalogue,
)
from joulecast.architecture.stand_ins import UNBOUNDED_TOKENS
from joulecast.errors import JoulecastError
from joulecast.records import Record

# Values of configs that decide neither a shape nor an operator.
NO_COST_NAMES: Final = """
    scaling_factor shift_factor latents_mean latents_std norm_eps layer_norm_eps layer_norm_epsilon
    rms_norm_eps eps initializer_factor initializer_range dropout dropout_rate attention_dropout
    classifier_dropout bos_token_id eos_token_id pad_token_id decoder_start_token_id sep_token_id
    rope_theta rope_parameters rope_scaling tie_word_embeddings architectures torch_dtype dtype
    transformers_version use_cache name_or_path requires_safety_checker is_encoder_decoder
"""
NO_COST: Final = frozenset(NO_COST_NAMES.split())
ANY_SIZE: Final = ("UNet", "Autoencoder")  # classes whose sample_size is that of their training alone
STEPS: Final = (1, 2, 3, 5, 9, 17)  # of which a scheduler is asked for its times


class Alike(Record):
    """A model of the catalogue whose layers a pipeline has, and what its scheduler is called."""

    model: str
    scheduler: str


def model_alike(config: PipelineConfig) -> Alike | None:
    """The model of the catalogue with the layers and denoiser calls of a pipeline; None without one.

    Of several one whose scheduler it has, else of whose class it is, then the one of which most fine-tunes
    are known.
    """
    with quiet():
        found = [(name, own) for name, own in _entries(config.pipeline) if _has_layers(config, own)]
        scheduler = config.components.get("scheduler")
        known = [
            (name, own) for name, own in found if _calls_alike(scheduler, own.components.get("scheduler"))
        ]
        if not known or scheduler is None:
            return None
        tuned, values = listed_fine_tunes(), _decides(scheduler)

        def rank(one: tuple[str, PipelineConfig]) -> tuple[bool, bool, int, int]:
            name, theirs = one[0], _decides(one[1].components["scheduler"])
            return theirs != values, theirs[0] != values[0], -tuned.count(name), len(name)

        return Alike(min(known, key=rank)[0], scheduler.class_name)


def _entries(pipeline: str) -> Iterator[tuple[str, PipelineConfig]]:
    for name in model_names():
        entry = model_entry(name)
        if entry["pipeline"] == pipeline:
            yield name, pipeline_config_from_catalogue(entry)


def _has_layers(config: PipelineConfig, own: PipelineConfig) -> bool:
    """Whether all components but the scheduler, and the pipeline's settings, are those of a model."""
    further = config.components.keys() - own.components.keys()
    if further - {*IGNORED_COMPONENTS, *OF_IMAGES} or own.components.keys() - config.components.keys():
        return False
    if _settings(config) != _settings(own):
        return False
    parts = ((name, part, config.components[name]) for name, part in own.components.items())
    try:
        return all(_are_alike(name, one, two) for name, one, two in parts)
    except (JoulecastError, TypeError, ValueError):  # a class or a value that there is not: tracing says so
        return False


def _settings(config: PipelineConfig) -> dict[str, Any]:
    """What the pipeline's constructor is given beside components, defaults filled in."""
    pipeline_class = class_of("diffusers", config.pipeline)
    taken = set(constructor_parameters(pipeline_class)) - {
        *config.components,
        *IGNORED_COMPONENTS,
        *OF_IMAGES,
    }
    whole = _defaults(pipeline_class) | dict(config.settings)
    return {
        key: _plain(value) for key, value in whole.items() if key in taken - NO_COST and value is not None
    }


def _are_alike(name: str, one: ComponentConfig, other: ComponentConfig) -> bool:
    """Whether two components compute the same. Schedulers are compared by their calls, elsewhere; where a
    tokenizer sets no limit to a text, the pipeline does."""
    if is_scheduler(one.class_name):
        return is_scheduler(other.class_name)
    if is_tokenizer(name, one.class_name):
        lengths = {part.config.get("model_max_length") for part in (one, other)}
        return len(lengths) == 1 or any(n is not None and n >= UNBOUNDED_TOKENS for n in lengths)
    return _decides(one) == _decides(other)


def _decides(part: ComponentConfig) -> tuple[str, dict[str, Any]]:
    """What decides what a module computes: its class, and values of its config."""
    found = class_of(part.package, part.class_name)
    if hasattr(found, "config_class"):  # of transformers
        whole = found.config_class(**part.arguments).to_dict()
    else:
        known = _defaults(found)
        whole = known | {key: value for key, value in part.config.items() if key in known}
    left_out = {*NO_COST, *(["sample_size"] if part.class_name.startswith(ANY_SIZE) else [])}
    kept = {key: _plain(value) for key, value in whole.items() if key not in left_out and key[:1] != "_"}
    return part.class_name, kept


def _defaults(found: Any) -> dict[str, Any]:
    parameters = inspect.signature(found.__init__).parameters
    return {
        name: None if one.default is inspect.Parameter.empty else one.default
        for name, one in parameters.items()
        if name != "self" and one.kind is not inspect.Parameter.VAR_KEYWORD
    }


def _plain(value: Any) -> Any:
    """Lists in place of tuples, whole numbers as such."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if key not in NO_COST}
    return value


def _calls_alike(one: ComponentConfig | None, other: ComponentConfig | None) -> bool:
    """Whether two schedulers make a denoiser be called as often, at every number of steps."""
    if one is None or other is None:
        return False
    return one == other or _times(one) == _times(other)


def _times(part: ComponentConfig) -> list[int] | None:
    """How many times of denoising a scheduler makes of numbers of steps; None where it refuses them all."""
    try:
        scheduler = build_component("scheduler", part, "fp32")
    except JoulecastError:
        return None
    return [_times_of(scheduler, steps) for steps in STEPS]


def _times_of(scheduler: Any, steps: int) -> int:
    wanted = {"mu": 1.0} if scheduler.config.get("use_dynamic_shifting") else {}
    try:
        scheduler.set_timesteps(steps, **wanted)
    except Exception:  # of that many steps: some take no fewer than two
        return 0
    return len(scheduler.timesteps)
