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
from joulecast.question.vocabulary import refused_name, yes_or_no
from joulecast.web.asking import check_keys
from joulecast.web.safety import decoded

RawBody = dict[str, msgspec.Raw]

_BLOCK: Final[msgspec.json.Decoder[RawBody | None]] = msgspec.json.Decoder(RawBody | None)
_VALUE: Final = msgspec.json.Decoder()
PROMPT: Final = "prompt"
COUNT: Final = "n"
TEACACHE: Final = "enable_teacache"  # SGLang's
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
    for name, value in given.items():
        if value is None or name in (PROMPT, COUNT, TEACACHE) or _is_image(name):
            continue
        if name == "negative_prompt":
            asked[name] = _is_text(value)
        elif name == "size" and isinstance(value, str) and value.strip().casefold() in ANY_SIZE:
            notes.append("size is left to the model")
        elif key_of(name) is not None:
            asked[name] = value
        else:
            _refuse(name, value)
            ignored.append(name)
    _understood(given, asked, notes)
    return Read(_settled(asked, notes), [*notes, *_said(given, asked, ignored)])


def _understood(given: Mapping[str, object], asked: dict[str, object], notes: list[str]) -> None:
    """Take what fields of these bodies say of keys that they do not name. Raises InputError."""
    count = given.get(COUNT)
    if count is not None:
        _take(asked, "batch_size", COUNT, count)
        if count != 1:
            notes.append(f"{COUNT} {shown(count)}: generated together, as one batch")
    if _is_yes(given.get(TEACACHE, False)):
        _take(asked, "cache", TEACACHE, "teacache")
    images = [value for name, value in given.items() if value is not None and _is_image(name)]
    if number := sum(len(value) if isinstance(value, list) else 1 for value in images):
        _take(asked, "input_images", "the body's image", number)
        notes.append(IMAGE_NOTE)


def _take(asked: dict[str, object], key: str, name: str, value: object) -> None:
    """Take a value for a key, which the body may also give by the key's own names, if alike."""
    for other in [other for other in asked if key_of(other) == key]:
        if str(asked.pop(other)).strip().casefold() != str(value):
            raise InputError(f"{name} and {other} both say {key}, and not alike: give one of them")
    asked[key] = value


def _is_image(name: str) -> bool:
    return name.removesuffix("[]") in OF_IMAGES


def _is_yes(value: object) -> bool:
    said = yes_or_no(False if value is None else value)
    if said is None:
        raise InputError(f"{TEACACHE} is yes or no, not {shown(value)}")
    return said


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
