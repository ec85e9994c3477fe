"""Build the real diffusers and transformers modules of a pipeline on torch's meta device.

No weights are read or allocated. Tokenizers are stand-ins that return token ids of a chosen
length: what a pipeline computes depends on how many tokens there are, not on which.
Needs the extra `trace`.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from joulecast.architecture.pipeline_config import ComponentConfig, PipelineConfig
from joulecast.errors import MissingExtraError, TraceError, UnknownNameError

os.environ.setdefault("HF_HUB_OFFLINE", "1")
try:
    import torch
except ImportError:  # pragma: no cover - exercised in an environment without the extra
    raise MissingExtraError("trace", "tracing a pipeline") from None

TORCH_DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
DEFAULT_CLIP_TOKENS = 77
PROMPT_TOKENS = 96  # of a prompt that is not padded, with its template
CHARACTERS_PER_TOKEN = 5.1  # of instructions in English, in the vocabularies of current text encoders
UNBOUNDED_TOKENS = 1_000_000  # tokenizers without a limit carry 10^30 as model_max_length


class StandInTokenizer:
    """Returns token ids of the length a pipeline asks for, or of `length` where it asks for none.

    Padded ids come with a mask that ends in padding, as those of a real prompt do.
    """

    pad_token_id = 0
    eos_token_id = 2
    bos_token_id = 1
    pad_token = "<pad>"
    eos_token = "</s>"
    bos_token = "<s>"
    unk_token = "<unk>"
    padding_side = "right"
    added_tokens_encoder: Mapping[str, int] = {}

    def __init__(self, model_max_length: int, length: int) -> None:
        self.model_max_length = model_max_length
        self.length = length

    def __call__(
        self, text: Any = None, *args: Any, padding: Any = False, max_length: int | None = None, **kwargs: Any
    ) -> Any:
        """Token ids of shape (prompts, tokens), int64, and their mask."""
        from transformers import BatchEncoding

        prompts = len(text) if isinstance(text, (list, tuple)) else 1
        tokens = (max_length or self.model_max_length) if padding == "max_length" else self.length
        ids = torch.ones(prompts, min(tokens, UNBOUNDED_TOKENS), dtype=torch.int64)
        ids[:, -1] = self.eos_token_id
        mask = torch.ones_like(ids)
        if padding == "max_length":
            mask[:, ids.shape[1] // 2 :] = 0
        return BatchEncoding({"input_ids": ids, "attention_mask": mask})

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
        return self(texts, **kwargs) if tokenize else texts if conversations is messages else texts[0]

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
        pipeline_class = _class("diffusers", config.pipeline)
        parts = {name: _build_component(name, part, precision) for name, part in config.components.items()}
        traced = type(pipeline_class.__name__, (pipeline_class,), {"_execution_device": torch.device("cpu")})
        accepted = _constructor_parameters(pipeline_class)
        missing = {name: None for name in accepted if name not in parts and name not in config.settings}
        optional = {name: None for name in missing if name in _nullable(pipeline_class)}
        settings = {name: value for name, value in config.settings.items() if name in accepted}
        try:
            pipeline = traced(**parts, **optional, **settings)
        except Exception as error:
            raise TraceError(
                f"{config.pipeline} cannot be built from these components: {one_line(error)}"
            ) from error
        pipeline.set_progress_bar_config(disable=True)
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


def one_line(error: BaseException) -> str:
    """The first line of an exception, short enough for an error message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def _class(library: str, name: str) -> Any:
    module = __import__(library)
    found = getattr(module, name, None) if not name.startswith("_") else None
    if not isinstance(found, type):
        raise UnknownNameError(
            f"{library} class", name, dir(module), f"{library} {module.__version__} has none"
        )
    return found


def _constructor_parameters(pipeline_class: Any) -> list[str]:
    import inspect

    return [name for name in inspect.signature(pipeline_class.__init__).parameters if name != "self"]


def _nullable(pipeline_class: Any) -> list[str]:
    """Constructor parameters that have no default but may be None: the optional components."""
    import inspect

    optional = set(getattr(pipeline_class, "_optional_components", []))
    parameters = inspect.signature(pipeline_class.__init__).parameters
    return [n for n, p in parameters.items() if n in optional and p.default is inspect.Parameter.empty]


def _build_component(name: str, part: ComponentConfig, precision: str) -> Any:
    if name.startswith("tokenizer") or "Tokenizer" in part.class_name or "Processor" in part.class_name:
        length = part.config.get("model_max_length", DEFAULT_CLIP_TOKENS)
        return StandInTokenizer(min(int(length), UNBOUNDED_TOKENS), length=PROMPT_TOKENS)
    found = _class(part.library, part.class_name)
    config = {key: value for key, value in part.config.items() if not key.startswith("_")}
    try:
        if name.startswith("scheduler"):
            return found.from_config(config)
        return _build_module(found, part.library, config, TORCH_DTYPES[precision])
    except Exception as error:
        raise TraceError(
            f"component {name} ({part.class_name}) cannot be built: {one_line(error)}"
        ) from error


def _build_module(found: Any, library: str, config: Mapping[str, Any], dtype: torch.dtype) -> Any:
    with torch.device("meta"):
        if library == "diffusers":
            module = found.from_config(dict(config))
        else:
            module = found(found.config_class(**config))
    module.eval().requires_grad_(False)
    return _cast(module, dtype)


def _cast(module: Any, dtype: torch.dtype) -> Any:
    """Cast as loading with this dtype would: fp16 leaves the modules that overflow in fp32."""
    kept = getattr(module, "_keep_in_fp32_modules", None) or [] if dtype == torch.float16 else []
    kept = list(kept) + list(getattr(module, "_keep_in_fp32_modules_strict", None) or [])
    torch.nn.Module.to(module, dtype)
    for name, part in module.named_modules():
        if any(piece in kept for piece in name.split(".")):
            torch.nn.Module.to(part, torch.float32)
    return module
