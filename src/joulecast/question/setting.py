"""A request: every key that can be asked for, typed, under one vocabulary, whatever door it came through."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

from joulecast.architecture.workload import PRECISIONS, check_precision, parse_size, whole_number
from joulecast.boundary import check_boundary
from joulecast.errors import InputError, UnknownNameError, fold, shown
from joulecast.question.vocabulary import NOTHING, PRECISION, WORK, key_meant, meant

if TYPE_CHECKING:
    from joulecast.compute.profile import ComputeProfile
    from joulecast.hardware import Gpu

    ModelChoice: TypeAlias = str | os.PathLike[str] | ComputeProfile
    GpuChoice: TypeAlias = str | os.PathLike[str] | Gpu

MOST_GUIDANCE: Final = 1000.0
DTYPE_PREFIXES: Final = ("torch.", "numpy.", "np.", "jax.numpy.", "jnp.", "mlx.core.", "mx.")
_WORDS: Final[Mapping[str, bool]] = {
    **dict.fromkeys(("yes", "true", "1", "on"), True),
    **dict.fromkeys(NOTHING, False),
}


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
    negative_prompt : whether one is given, or its text; some pipelines make a second pass only then, some
        encode it.
    batch_size : images generated together.
    precision : ``fp16``, ``bf16`` or ``fp32``, or torch's name of it.
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

        ``size`` (``"WIDTHxHEIGHT"`` or a pair) stands for `width` and `height`, and the names of
        `joulecast.question.vocabulary` for their keys. Raises UnknownNameError for a key that no setting
        has, InputError for one that is given twice or asks for what is not predicted, and what the setting
        raises.
        """
        values: dict[str, object] = {}
        for name, value in given.items():
            if value is None:
                continue
            key = key_of(name)
            if key is None:
                refuse_work(name, value)
                continue
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
    """The key that a name of a column, option or argument means; None when it means none.

    Case, blanks and punctuation do not matter.
    """
    return own_key_of(name) or key_meant(name)


def own_key_of(name: str) -> str | None:
    """The key that is called so here, whatever the case and punctuation; None without one."""
    return FOLDED_KEYS.get(fold(name))


def refuse_work(
    name: str, value: object, kind: str = "setting", choices: Sequence[str] = (), hint: str = ""
) -> None:
    """Refuse what no key is called, unless it is known and asks for nothing.

    Raises InputError for a value that asks for what is not predicted, UnknownNameError, which takes `kind`,
    `choices` (KEYS without any) and `hint`, for a name that no vocabulary has.
    """
    known = meant(WORK, name)
    if known is None:
        raise UnknownNameError(kind, name, choices or KEYS, hint)
    refusal = known.refusal(value)
    if refusal:
        raise InputError(refusal)


def read_size(size: object) -> tuple[int, int]:
    """Width and height [pixels] from ``"WIDTHxHEIGHT"`` or a pair. Raises InputError."""
    if isinstance(size, str):
        return parse_size(size)
    if not isinstance(size, tuple | list) or len(size) != 2:
        raise InputError(f"size {shown(size)} is not a pair of pixels or WIDTHxHEIGHT, e.g. '1024x768'")
    return whole_number("width", size[0]), whole_number("height", size[1])


def read_precision(value: object) -> str:
    """A precision by its name or another's (``torch.bfloat16``, ``half``), or torch's own object.

    Raises InputError for one that is known and not predicted, UnknownNameError for others.
    """
    if isinstance(value, str) and value in PRECISIONS:
        return value
    if type(value).__name__ != "dtype" and not isinstance(value, str):
        return check_precision(value)
    name = str(value).strip().casefold()
    for prefix in DTYPE_PREFIXES:
        name = name.removeprefix(prefix)
    known = meant(PRECISION, name)
    if known is not None and known.words:
        raise InputError(f"precision {shown(value)}: {known.words}; known: {', '.join(PRECISIONS)}")
    return check_precision(known.means if known else name)


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
    """Whether there is a negative prompt: yes or no, 1 or 0, or its text. Raises InputError."""
    found = value if isinstance(value, bool) else _WORDS.get(str(value).strip().casefold())
    if found is not None:
        return found
    if isinstance(value, str) and any(map(str.isalpha, value)):
        return True  # as pipelines take it: the prompt itself
    raise InputError(f"negative_prompt is yes or no, or the prompt itself, not {shown(value)}")


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
FOLDED_KEYS: Final = {fold(key): key for key in KEYS}
