"""Bodies in the shape of OpenAI's API for images and videos, with the fields that served engines add.

The shapes are those of ``POST /v1/images/generations``, ``/v1/images/edits`` and ``/v1/videos`` in OpenAI's
reference, vLLM-Omni (``vllm_omni/entrypoints/openai/protocol``) and SGLang
(``sglang/multimodal_gen/runtime/entrypoints/openai/protocol.py``). What a field means is looked up in the one
vocabulary; here is only what is particular to these bodies. A prompt is never decoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from joulecast.errors import InputError, as_name, shown
from joulecast.question.setting import key_of
from joulecast.question.vocabulary import refused_name
from joulecast.web.asking import check_keys
from joulecast.web.safety import decoded

RawBody = dict[str, msgspec.Raw]

_BLOCK: Final[msgspec.json.Decoder[RawBody | None]] = msgspec.json.Decoder(RawBody | None)
_VALUE: Final = msgspec.json.Decoder()
PROMPT: Final = "prompt"
NESTED: Final = "video_params"  # vLLM-Omni's block of what may also stand beside it
OF_IMAGES: Final = ("image", "images", "input_reference", "image_reference", "reference_url", "url")
ANY_SIZE: Final = ("", "auto")
MOST_NAMED: Final = 20
TEXT_NOTE: Final = "the prompt was not read: the model's usual number of text tokens was taken"
IMAGE_NOTE: Final = (
    "the size of the input image is not in the body: it was taken as the pipeline scales it, or as that of "
    "the output"
)
RATE_NOTE: Final = (
    "a length in seconds and no fps: engines then take a rate of their own (vLLM-Omni 24 frames a second), "
    "here it is the model's"
)


class Read(msgspec.Struct):
    """What a body asks, by keys of a setting, and what must be said of how it was read."""

    asked: dict[str, object]
    notes: list[str]


def read(body: RawBody) -> Read:
    """What a body asks. Raises InputError for what asks for work that is not predicted."""
    given = _flat(body)
    asked: dict[str, object] = {}
    notes: list[str] = []
    ignored: list[str] = []
    images = 0
    for name, value in given.items():
        if value is None or name == PROMPT:
            continue
        if name == "negative_prompt":
            asked[name] = _is_text(value)
        elif name == "n":
            asked["batch_size"] = value
            if value != 1:
                notes.append(f"n {shown(value)}: generated together, as one batch")
        elif name == "size" and isinstance(value, str) and value.strip().casefold() in ANY_SIZE:
            notes.append("size is left to the model")
        elif name == "enable_teacache":
            asked |= {"cache": "teacache"} if value is True else {}
        elif name.removesuffix("[]") in OF_IMAGES:
            images += len(value) if isinstance(value, list) else 1
        elif key_of(name) is not None:
            asked[name] = value
        else:
            _refuse(name, value)
            ignored.append(name)
    if images:
        asked["input_images"] = images
        notes.append(IMAGE_NOTE)
    return Read(_settled(asked, notes), [*notes, *_said(given, asked, ignored)])


def _flat(body: RawBody) -> dict[str, object]:
    """The fields of a body; those of the nested block too, where they do not stand beside it."""
    block: RawBody | None = decoded(body[NESTED], _BLOCK) if NESTED in body else None
    inner = block or {}
    check_keys([*body, *inner])
    fields = {**inner, **{name: raw for name, raw in body.items() if name != NESTED}}
    return {name: None if name == PROMPT else decoded(raw, _VALUE) for name, raw in fields.items()}


def _is_text(value: object) -> bool | None:
    """Whether a negative prompt is one, whatever it says; an empty one is none."""
    return value if isinstance(value, bool) else (True if str(value) else None)


def _settled(asked: dict[str, object], notes: list[str]) -> dict[str, object]:
    """What is asked where a body says one thing in two ways, as the engines' code settles it."""
    if "num_frames" in asked and "seconds" in asked:
        notes.append("num_frames was taken, and not seconds")
        del asked["seconds"]
    elif "seconds" in asked and "fps" not in asked:
        notes.append(RATE_NOTE)
    if "size" in asked and {"width", "height"} & asked.keys():
        notes.append("size was taken, and not width and height")
        asked = {name: value for name, value in asked.items() if name not in ("width", "height")}
    return asked


def _refuse(name: str, value: object) -> None:
    known = refused_name(name)
    if known is not None and (words := known.refusal(value)):
        raise InputError(words)


def _said(given: Mapping[str, object], asked: Mapping[str, object], ignored: list[str]) -> list[str]:
    """What of a body was not read."""
    told = [TEXT_NOTE] if PROMPT in given and not any(key_of(name) == "text_tokens" for name in asked) else []
    if not ignored:
        return told
    named = [as_name(name) for name in sorted(ignored)[:MOST_NAMED]]
    more = f" and {len(ignored) - MOST_NAMED} more" if len(ignored) > MOST_NAMED else ""
    return [*told, f"not read: {', '.join(named)}{more}"]
