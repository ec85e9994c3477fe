"""Build the real diffusers and transformers modules of a pipeline on torch's meta device.

No weights are read or allocated. Tokenizers are stand-ins that return token ids of a chosen
length: what a pipeline computes depends on how many tokens there are, not on which.
Needs the extra `trace`.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.metadata
import inspect
import itertools
import os
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from joulecast.architecture.pipeline_config import (
    LIBRARIES,
    PIPELINE_MODULES,
    ComponentConfig,
    PipelineConfig,
    is_scheduler,
    is_tokenizer,
)
from joulecast.errors import MissingExtraError, TraceError, UnknownNameError, kind_in_short, shown

os.environ.setdefault("HF_HUB_OFFLINE", "1")
try:
    import torch
except ImportError:  # pragma: no cover - exercised in an environment without the extra
    raise MissingExtraError("trace", "tracing a pipeline") from None

TORCH_DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
DEFAULT_CLIP_TOKENS = 77
PROMPT_TOKENS = 96  # of a prompt that is not padded, with its template
CHARACTERS_PER_TOKEN = 5.1  # of instructions in English, in the vocabularies of current text encoders
MOST_MODULES = 100_000  # a mixture of experts in use has 20,000
# Where modules of `PIPELINE_MODULES` lie: model folders name them alike before and after a pipeline retires.
PIPELINE_PACKAGES = ("diffusers.pipelines", "diffusers.pipelines.deprecated")
UNBOUNDED_TOKENS = 1_000_000  # tokenizers without a limit carry 10^30 as model_max_length
PROMPT = "an image of a red fox in the snow"


class StandInTokenizer:
    """Returns token ids of the length a pipeline asks for, or of the prompt's length where it asks for none.

    Texts that hold one of `prompts` have `length` tokens, with any template around them; other texts
    have as many as their characters suggest. Padded ids come with a mask: it ends the prompt after
    `fills` tokens, and leaves at least one of padding, because modules treat a padded prompt in
    another way than a full one and drop its padding where they can.
    """

    pad_token_id = 0
    eos_token_id = 2
    bos_token_id = 1
    pad_token = "<pad>"
    eos_token = "</s>"
    bos_token = "<s>"
    unk_token = "<unk>"
    padding_side = "right"
    image_token = "<image>"
    chat_template = ""
    added_tokens_encoder: Mapping[str, int] = {}

    def __init__(self, model_max_length: int, length: int) -> None:
        self.model_max_length = model_max_length
        self.length = length
        self.prompts: tuple[str, ...] = (PROMPT,)
        self.fills: int | None = None  # tokens of a padded prompt; None for all but one

    def __call__(
        self,
        text: Any = None,
        *args: Any,
        padding: Any = False,
        max_length: int | None = None,
        return_tensors: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Token ids of shape (prompts, tokens), int64, and their mask; lists if no tensors are asked for."""
        from transformers import BatchEncoding

        several = isinstance(text, (list, tuple))
        texts = list(text) if several else [text]
        tokens = max((self._tokens(one) for one in texts), default=1)
        if padding == "max_length":
            tokens = max_length or self.model_max_length
        ids = torch.ones(len(texts), min(tokens, UNBOUNDED_TOKENS), dtype=torch.int64)
        ids[:, -1] = self.eos_token_id
        mask = torch.ones_like(ids)
        if padding == "max_length":
            longest = max(1, ids.shape[1] - 1)
            mask[:, min(longest, self.fills or longest) :] = 0
        content = {"input_ids": ids, "attention_mask": mask}
        if return_tensors is None:
            content = {key: x.tolist() if several else x[0].tolist() for key, x in content.items()}
        return BatchEncoding(content)

    def _tokens(self, text: Any) -> int:
        if not isinstance(text, str) or not text or any(prompt in text for prompt in self.prompts):
            return self.length
        return len(self.encode(text))

    def pad(
        self, encoded: Any, *args: Any, padding: Any = True, max_length: int | None = None, **kwargs: Any
    ) -> Any:
        """Lists of ids as tensors with their mask, padded to the longest or to `max_length`."""
        from transformers import BatchEncoding

        rows = [list(row) for row in encoded["input_ids"]]
        longest = max(map(len, rows))
        tokens = max_length if padding == "max_length" and max_length else longest
        ids = torch.tensor([row + [self.pad_token_id] * (tokens - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (tokens - len(row)) for row in rows])
        return BatchEncoding({"input_ids": ids, "attention_mask": mask})

    @property
    def tokenizer(self) -> StandInTokenizer:
        """Itself: a processor holds a tokenizer."""
        return self

    def encode(self, text: str, **kwargs: Any) -> list[int]:
        """As many ids as English text of this length has tokens, about."""
        return [1] * max(1, round(len(text) / CHARACTERS_PER_TOKEN))

    def tokenize(self, text: str, **kwargs: Any) -> list[str]:
        """The words of the text."""
        return text.split()

    def apply_chat_template(self, messages: Any, *args: Any, tokenize: bool = True, **kwargs: Any) -> Any:
        """The messages as text, or as the ids this stand-in gives any text."""
        conversations = messages if messages and isinstance(messages[0], list) else [messages]
        texts = [str(conversation) for conversation in conversations]
        if not tokenize:
            return texts if conversations is messages else texts[0]
        as_dict = kwargs.pop("return_dict", True)
        encoded = self(texts, **kwargs)
        return encoded if as_dict else encoded["input_ids"]

    def batch_decode(self, ids: Any, **kwargs: Any) -> list[str]:
        """Some text for each sequence."""
        return ["text" for _ in ids]

    def decode(self, ids: Any, **kwargs: Any) -> str:
        """Some text."""
        return "text"


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
        traced = _on_processor(pipeline_class)
        accepted = constructor_parameters(pipeline_class)
        missing = {name: None for name in accepted if name not in parts and name not in config.settings}
        optional = {name: None for name in missing if name in nullable_parts(pipeline_class)}
        settings = {name: value for name, value in config.settings.items() if name in accepted}
        try:
            pipeline = traced(**parts, **optional, **settings)
        except Exception as error:
            raise TraceError(
                f"{config.pipeline} cannot be built from these components: {kind_in_short(error)}"
            ) from error
        for part in _with_inner_pipelines(pipeline, diffusers.DiffusionPipeline):
            part.__class__ = _on_processor(type(part))
            part.set_progress_bar_config(disable=True)
    return pipeline


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
    if is_tokenizer(name, part.class_name):
        return StandInTokenizer(_most_tokens(name, part), length=PROMPT_TOKENS)
    found = class_of(part.package, part.class_name)
    # A copy: classes write into the mappings they are given.
    config = copy.deepcopy({key: value for key, value in part.config.items() if not key.startswith("_")})
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
            module = found(found.config_class(**config))
        else:
            module = found.from_config(dict(config))
    module.eval().requires_grad_(False)
    return _cast(module, dtype)


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
