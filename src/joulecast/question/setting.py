"""A request: every key that can be asked for, typed, under one vocabulary, whatever door it came through."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

from joulecast.architecture.workload import check_precision, parse_size, whole_number
from joulecast.boundary import check_boundary
from joulecast.errors import InputError, UnknownNameError, shown

if TYPE_CHECKING:
    from joulecast.compute.profile import ComputeProfile
    from joulecast.hardware import Gpu

    ModelChoice: TypeAlias = str | os.PathLike[str] | ComputeProfile
    GpuChoice: TypeAlias = str | os.PathLike[str] | Gpu

MOST_GUIDANCE: Final = 1000.0

# Other names of a key: of joulecast's own options, of diffusers' arguments, of torch.
ALIASES: Final[Mapping[str, str]] = {
    "batch": "batch_size",
    "num_inference_steps": "steps",
    "guidance_scale": "guidance",
    "dtype": "precision",
    "torch_dtype": "precision",
}
PRECISION_ALIASES: Final[Mapping[str, str]] = {
    "float16": "fp16",
    "half": "fp16",
    "bfloat16": "bf16",
    "float32": "fp32",
}
_WORDS: Final[Mapping[str, bool]] = {
    "yes": True, "true": True, "1": True, "no": False, "false": False, "0": False,
}  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """What was asked; None is what was not, and takes its default in `joulecast.question.question.ask`.

    Values may be given as text (``"28"``); they are kept as the numbers they say.

    Attributes
    ----------
    model : name, alias or hub id of a catalogue model, the path of a profile file, or a loaded profile.
    gpu : name or alias of a catalogue GPU, the path of a GPU file, or a GPU; None where the work is
        measured on whatever GPU there is.
    width, height : pixels; both or neither.
    steps : denoising steps, as given to the pipeline.
    passes : denoiser passes a step, 1 or 2; by default what the pipeline does at its scales of guidance.
    guidance : the pipeline's ``guidance_scale``; in a model distilled to take it as an input (FLUX) it
        makes no second pass.
    true_cfg_scale : the scale of classifier-free guidance where the pipeline has another for it than
        ``guidance_scale``; the same as `guidance` where it has not.
    negative_prompt : whether one is given; some pipelines make a second pass only then, some encode it.
    batch_size : images generated together.
    precision : ``fp16``, ``bf16`` or ``fp32``.
    text_tokens : text tokens the denoiser attends to.
    boundary : ``gross`` (all the board draws) or ``dynamic`` (idle power subtracted).

    Raises
    ------
    InputError
        A value is out of range, or only one side of the size is given.
    UnknownNameError
        An unknown precision or boundary.
    """

    model: ModelChoice
    gpu: GpuChoice | None = None
    width: int | None = None
    height: int | None = None
    steps: int | None = None
    passes: int | None = None
    guidance: float | None = None
    true_cfg_scale: float | None = None
    negative_prompt: bool | None = None
    batch_size: int | None = None
    precision: str | None = None
    text_tokens: int | None = None
    boundary: str | None = None

    def __post_init__(self) -> None:
        for name, read in _READERS.items():
            value = getattr(self, name)
            if value is not None and (known := read(value)) is not value:
                object.__setattr__(self, name, known)
        if (self.width is None) != (self.height is None):
            missing = "width" if self.width is None else "height"
            raise InputError(f"{missing} is missing; give both, or size, or neither")

    @classmethod
    def of(cls, given: Mapping[str, object]) -> Setting:
        """A setting of keys and values as people and programs write them; None is not given.

        ``size`` (``"WIDTHxHEIGHT"`` or a pair) stands for `width` and `height`, and the ALIASES for their
        keys. Raises UnknownNameError for a key that no setting has, InputError for one that is given
        twice, and what the setting raises.
        """
        values: dict[str, object] = {}
        for name, value in given.items():
            if value is None:
                continue
            key = key_of(name)
            if key is None:
                raise UnknownNameError("setting", name, KEYS)
            if key in values:
                raise InputError(f"{key} is given twice, as {name} too")
            values[key] = value
        if "model" not in values:
            raise InputError("a setting needs a model, e.g. 'flux.1-dev'")
        size = values.pop("size", None)
        if size is not None:
            if "width" in values or "height" in values:
                raise InputError("give either size or width and height, not both")
            values["width"], values["height"] = read_size(size)
        return cls(**values)  # type: ignore[arg-type]

    def given(self) -> dict[str, object]:
        """What was given, by key, in the order of the attributes; the size is one key."""
        pairs = ((name, getattr(self, name)) for name in FIELDS if name != "height")
        known = {name: value for name, value in pairs if value is not None}
        return {
            "size" if k == "width" else k: f"{v}x{self.height}" if k == "width" else v
            for k, v in known.items()
        }


@lru_cache(maxsize=1024)
def key_of(name: str) -> str | None:
    """The key that a name of a column, option or argument means; None when it means none."""
    key = name.strip().casefold().replace("-", "_")
    key = ALIASES.get(key, key)
    return key if key in KEYS else None


def read_size(size: object) -> tuple[int, int]:
    """Width and height [pixels] from ``"WIDTHxHEIGHT"`` or a pair. Raises InputError."""
    if isinstance(size, str):
        return parse_size(size)
    if not isinstance(size, tuple | list) or len(size) != 2:
        raise InputError(f"size {shown(size)} is not a pair of pixels or WIDTHxHEIGHT, e.g. '1024x768'")
    return whole_number("width", size[0]), whole_number("height", size[1])


def read_precision(value: object) -> str:
    """A precision by its name or torch's (``torch.bfloat16``). Raises UnknownNameError."""
    if not isinstance(value, str):
        return check_precision(value)
    name = value.strip().casefold().removeprefix("torch.")
    return check_precision(PRECISION_ALIASES.get(name, name))


def read_guidance(value: object, name: str = "guidance") -> float:
    """A guidance scale. Raises InputError."""
    try:
        scale = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        scale = math.nan
    if isinstance(value, bool) or not 0 <= scale <= MOST_GUIDANCE:
        raise InputError(
            f"{name} must be a number from 0 to {MOST_GUIDANCE:g}, not {shown(value)}; above 1 it guides"
        )
    return scale


def read_boundary(value: object) -> str:
    """``gross`` or ``dynamic``. Raises UnknownNameError."""
    return check_boundary(value.strip().casefold() if isinstance(value, str) else value)


def read_negative_prompt(value: object) -> bool:
    """Whether there is a negative prompt: yes or no, true or false, 1 or 0. Raises InputError."""
    found = value if isinstance(value, bool) else _WORDS.get(str(value).strip().casefold())
    if found is None:
        raise InputError(f"negative_prompt is yes or no, not {shown(value)}")
    return found


def _scale(name: str) -> Callable[[object], float]:
    return lambda value: read_guidance(value, name)


def _whole(name: str) -> Callable[[object], int]:
    return lambda value: whole_number(name, value)


_READERS: Final[Mapping[str, Callable[[object], object]]] = {
    **{name: _whole(name) for name in ("width", "height", "steps", "passes")},
    **{name: _scale(name) for name in ("guidance", "true_cfg_scale")},
    "negative_prompt": read_negative_prompt,
    "batch_size": _whole("batch_size"),
    "precision": read_precision,
    "text_tokens": _whole("text_tokens"),
    "boundary": read_boundary,
}
FIELDS: Final = tuple(field.name for field in dataclasses.fields(Setting))
KEYS: Final = (*FIELDS, "size")
