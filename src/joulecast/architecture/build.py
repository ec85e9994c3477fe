"""Build the real diffusers and transformers modules of a pipeline on torch's meta device.

No weights are read or allocated; tokenizers and image processors are `joulecast.architecture.stand_ins`.
Needs the extra `trace`.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import inspect
import itertools
import os
import sys
import types
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from joulecast.architecture.pipeline_config import (
    LIBRARIES,
    PIPELINE_MODULES,
    ComponentConfig,
    PipelineConfig,
    is_image_processor,
    is_scheduler,
    is_tokenizer,
    is_vision_processor,
)
from joulecast.architecture.stand_ins import (
    UNBOUNDED_TOKENS,
    StandInImageProcessor,
    StandInSafetyChecker,
    StandInTokenizer,
    StandInVisionProcessor,
)
from joulecast.errors import TraceError, UnknownNameError, kind_in_short, shown

import torch  # isort: skip - after stand_ins, which says so when the extra is missing

os.environ.setdefault("HF_HUB_OFFLINE", "1")

TORCH_DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
DEFAULT_CLIP_TOKENS = 77
PROMPT_TOKENS = 96  # of a prompt that is not padded, with its template
FOR_TOKENIZERS = ("sentencepiece",)  # packages that tokenizers alone need, which are stood in for
MOST_MODULES = 100_000  # a mixture of experts in use has 20,000
# Where modules of `PIPELINE_MODULES` lie: model folders name them alike before and after a pipeline retires.
PIPELINE_PACKAGES = ("diffusers.pipelines", "diffusers.pipelines.deprecated")


def build_pipeline(config: PipelineConfig, precision: str) -> Any:
    """A diffusers pipeline object whose modules are on the meta device, in `precision`.

    Raises
    ------
    UnknownNameError
        A class that diffusers or transformers does not have.
    TraceError
        A component's class refuses its config.
    """
    with quiet():
        import diffusers

        pipeline_class = class_of("diffusers", config.pipeline)
        if not issubclass(pipeline_class, diffusers.DiffusionPipeline):
            raise TraceError(f"{config.pipeline} is no diffusers pipeline")
        parts = {name: build_component(name, part, precision) for name, part in config.components.items()}
        share_image_tokens(parts)
        traced = _on_processor(pipeline_class)
        _stand_in_for_cleaning(pipeline_class)
        _stand_in_for_checking(pipeline_class)
        accepted = constructor_parameters(pipeline_class)
        missing = {name: None for name in accepted if name not in parts and name not in config.settings}
        optional = {name: None for name in missing if name in nullable_parts(pipeline_class)}
        settings = {name: value for name, value in config.settings.items() if name in accepted}
        try:
            with _states_left_out():
                pipeline = traced(**parts, **optional, **settings)
        except Exception as error:
            raise TraceError(
                f"{config.pipeline} cannot be built from these components: {kind_in_short(error)}"
            ) from error
        for part in _with_inner_pipelines(pipeline, diffusers.DiffusionPipeline):
            part.__class__ = _on_processor(type(part))
            part.set_progress_bar_config(disable=True)
        for part in parts.values():
            if isinstance(part, torch.nn.Module) and not all(x.is_meta for x in part.parameters()):
                _cast(part.to("meta"), TORCH_DTYPES[precision])  # the pipeline gave it a module of its own
    return pipeline


@contextlib.contextmanager
def _states_left_out() -> Iterator[None]:
    """Let pipelines copy weights from one module to another: on meta there are none to copy."""
    original = torch.nn.Module.load_state_dict
    torch.nn.Module.load_state_dict = lambda *_, **__: None
    try:
        yield
    finally:
        torch.nn.Module.load_state_dict = original


def share_image_tokens(parts: Mapping[str, Any]) -> None:
    """Tell processors of texts and images which token stands for a patch of an image."""
    ids = [getattr(getattr(part, "config", None), "image_token_id", None) for part in parts.values()]
    known = next((one for one in ids if isinstance(one, int)), None)
    visions = [getattr(getattr(part, "config", None), "vision_config", None) for part in parts.values()]
    vision = next((one for one in visions if one is not None), None)
    for part in parts.values():
        if isinstance(part, StandInVisionProcessor):
            part.image_token_id = part.image_token_id if known is None else known
            part.take_sizes(vision)


def count_parameters(module: Any) -> int:
    """Parameters of a module; tied parameters count once."""
    return sum(parameter.numel() for parameter in module.parameters())


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence the warnings of diffusers and transformers about what does not matter on meta."""
    import diffusers.utils.logging as diffusers_logging
    import transformers.utils.logging as transformers_logging

    levels = diffusers_logging.get_verbosity(), transformers_logging.get_verbosity()
    diffusers_logging.set_verbosity(50)
    transformers_logging.set_verbosity(50)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        diffusers_logging.set_verbosity(levels[0])
        transformers_logging.set_verbosity(levels[1])


def class_of(library: str, name: str) -> Any:
    """A class of diffusers, of transformers, or of a module of diffusers.pipelines.

    Raises
    ------
    UnknownNameError
        There is none.
    TraceError
        It is there, but needs a package that is not installed.
    """
    module = _library(library)
    found = getattr(module, name, None) if not name.startswith("_") else None
    if found is None and library == "diffusers" and not name.startswith("_"):
        # Saved folders name diffusers alone for the classes of modules that it has retired.
        found = next((there for module in PIPELINE_MODULES if (there := _in_pipelines(module, name))), None)
    needed = getattr(found, "_backends", None)
    if needed is not None and set(needed) <= {*LIBRARIES, "torch", *FOR_TOKENIZERS}:
        # Its own module has it all the same, where only tokenizers need the package.
        found = next((there for module in PIPELINE_MODULES if (there := _in_pipelines(module, name))), found)
        needed = getattr(found, "_backends", None)
    if needed is not None:
        raise TraceError(f"{name} needs other packages to be installed: {', '.join(map(str, needed))}")
    if not isinstance(found, type) or found.__module__.partition(".")[0] not in LIBRARIES:
        raise UnknownNameError(
            f"{library} class",
            name,
            dir(module),
            f"(not in {' and '.join(f'{one} {_version(one)}' for one in LIBRARIES)}, which are installed)",
        )
    return found


def _stand_in_for_cleaning(pipeline_class: Any) -> None:
    """Take prompts as they are where the package that mends their letters is not installed."""
    module = sys.modules[pipeline_class.__module__]
    if not hasattr(module, "ftfy"):
        module.__dict__["ftfy"] = types.SimpleNamespace(fix_text=lambda text: text)


def _stand_in_for_checking(pipeline_class: Any) -> None:
    """Check nothing where the package that would is not installed and its class says so alone."""
    module = sys.modules[pipeline_class.__module__]
    for name, found in list(vars(module).items()):
        if name.endswith("SafetyChecker") and getattr(found, "__module__", None) == module.__name__:
            module.__dict__[name] = StandInSafetyChecker


def _on_processor(pipeline_class: Any) -> Any:
    """The pipeline's class, but its tensors lie on the processor wherever its modules are."""
    if "_execution_device" in vars(pipeline_class):
        return pipeline_class
    return type(pipeline_class.__name__, (pipeline_class,), {"_execution_device": torch.device("cpu")})


def _with_inner_pipelines(pipeline: Any, kind: type) -> Iterator[Any]:
    """A pipeline and those it holds: pipelines of several stages run one for each."""
    yield pipeline
    for value in vars(pipeline).values():
        if isinstance(value, kind):
            yield from _with_inner_pipelines(value, kind)


def _library(name: str) -> Any:
    if name in LIBRARIES:
        return importlib.import_module(name)
    for package in PIPELINE_PACKAGES:
        with contextlib.suppress(ModuleNotFoundError):
            return importlib.import_module(f"{package}.{name}")
    raise TraceError(f"diffusers {_version('diffusers')}, which is installed, has no pipelines.{name}")


def _in_pipelines(module: str, name: str) -> Any:
    """A class of a module of diffusers.pipelines, or None."""
    try:
        return getattr(_library(module), name, None)
    except TraceError:
        return None


def _version(library: str) -> str:
    return importlib.metadata.version(library)


def constructor_parameters(pipeline_class: Any) -> list[str]:
    """What a pipeline is made from, by name."""
    return [name for name in inspect.signature(pipeline_class.__init__).parameters if name != "self"]


def nullable_parts(pipeline_class: Any) -> list[str]:
    """Constructor parameters that have no default but may be None: the optional components."""
    optional = set(getattr(pipeline_class, "_optional_components", []))
    parameters = inspect.signature(pipeline_class.__init__).parameters
    return [n for n, p in parameters.items() if n in optional and p.default is inspect.Parameter.empty]


def build_component(name: str, part: ComponentConfig, precision: str) -> Any:
    """A module on the meta device, a stand-in tokenizer, or a scheduler. Raises TraceError."""
    if is_vision_processor(part.class_name):
        return StandInVisionProcessor(_most_tokens(name, part), PROMPT_TOKENS, part.config)
    if is_tokenizer(name, part.class_name):
        return StandInTokenizer(_most_tokens(name, part), length=PROMPT_TOKENS)
    if is_image_processor(part.class_name):
        return StandInImageProcessor(part.config)
    found = class_of(part.package, part.class_name)
    config = part.arguments
    try:
        if is_scheduler(part.class_name) or not issubclass(found, torch.nn.Module):
            return found.from_config(config)
        return _build_module(found, config, TORCH_DTYPES[precision])
    except Exception as error:
        cause = str(error) if isinstance(error, TraceError) else kind_in_short(error)
        raise TraceError(f"component {name} ({part.class_name}) cannot be built: {cause}") from error


def _most_tokens(name: str, part: ComponentConfig) -> int:
    """The tokens that a tokenizer's config allows a text."""
    length = part.config.get("model_max_length", DEFAULT_CLIP_TOKENS)
    if isinstance(length, bool) or not isinstance(length, (int, float)) or not length >= 1:
        raise TraceError(
            f"component {name}: model_max_length is {shown(length)}; expected how many tokens a text may "
            f"have, e.g. {DEFAULT_CLIP_TOKENS}"
        )
    return int(min(length, UNBOUNDED_TOKENS))


def _build_module(found: Any, config: Mapping[str, Any], dtype: torch.dtype) -> Any:
    with torch.device("meta"), _counted_modules():
        if hasattr(found, "config_class"):  # of transformers
            takes_device = "device" in inspect.signature(found.__init__).parameters
            place = {"device": "meta"} if takes_device else {}  # else it allocates on the processor
            module = found(found.config_class(**config), **place)
        else:
            module = found.from_config(dict(config))
    module.eval().requires_grad_(False)
    _move_to_meta(module)
    return _cast(module, dtype)


def _move_to_meta(module: Any) -> None:
    """Parameters that were made on the processor in spite of all, as torch.Tensor([...]) is."""
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None and not parameter.is_meta:
                part._parameters[name] = torch.nn.Parameter(parameter.to("meta"), requires_grad=False)


@contextlib.contextmanager
def _counted_modules() -> Iterator[None]:
    """Refuse a config that asks for modules without end."""
    from torch.nn.modules.module import register_module_module_registration_hook

    count = itertools.count(1)

    def check(*_: Any) -> None:
        if next(count) > MOST_MODULES:
            raise TraceError(f"it has more than {MOST_MODULES} modules: no architecture in use has so many")

    handle = register_module_module_registration_hook(check)
    try:
        yield
    finally:
        handle.remove()


def _cast(module: Any, dtype: torch.dtype) -> Any:
    """Cast as loading with this dtype would: fp16 leaves the modules that overflow in fp32."""
    kept = getattr(module, "_keep_in_fp32_modules", None) or [] if dtype == torch.float16 else []
    kept = list(kept) + list(getattr(module, "_keep_in_fp32_modules_strict", None) or [])
    torch.nn.Module.to(module, dtype)
    for name, part in module.named_modules():
        if any(piece in kept for piece in name.split(".")):
            torch.nn.Module.to(part, torch.float32)
    return module
