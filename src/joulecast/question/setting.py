"""A request: every key that can be asked for, typed, under one vocabulary, whatever door it came through."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

from joulecast.architecture.workload import LIMITS, PRECISIONS, check_precision, parse_size, whole_number
from joulecast.boundary import check_boundary
from joulecast.errors import InputError, UnknownNameError, fold, shown
from joulecast.files.numbers import positive, whole
from joulecast.question.additions import read_control, read_lora, read_lora_fused, read_lora_rank
from joulecast.question.runtimes import READERS as OF_RUNTIMES
from joulecast.question.vocabulary import PRECISION, key_meant, meant, refused_name, yes_or_no
from joulecast.records import Record
from joulecast.runtime import NONE, written

if TYPE_CHECKING:
    from joulecast.compute.profile import ComputeProfile
    from joulecast.hardware import Gpu
    from joulecast.runtime import Split

    ModelChoice: TypeAlias = str | os.PathLike[str] | ComputeProfile
    GpuChoice: TypeAlias = str | os.PathLike[str] | Gpu

MOST_GUIDANCE: Final = 1000.0
MOST_FPS: Final = 1000.0
MOST_CLIP_S: Final = 86_400.0
MOST_INPUT_IMAGES: Final = 100
# The sizes of a setting, each with its sides.
SIDES: Final[Mapping[str, tuple[str, str]]] = {
    "size": ("width", "height"),
    "input_image": ("input_width", "input_height"),
}
TWO_LENGTHS: Final = "frames and seconds both say how long the clip is: give one of them"
DTYPE_PREFIXES: Final = ("torch.", "numpy.", "np.", "jax.numpy.", "jnp.", "mlx.core.", "mx.")


class Setting(Record):
    """What was asked; None is what was not, and takes its default in `joulecast.question.question.ask`.

    Values may be given as text (``"28"``); they are kept as the numbers they say.

    Attributes
    ----------
    model : name, alias or hub id of a catalogue model, the path of a profile file, or a loaded profile.
    gpu : name or alias of a catalogue GPU, the path of a GPU file, or a GPU; None where the work is
        measured on whatever GPU there is.
    width, height : pixels; both or neither.
    steps : denoising steps, as given to the pipeline.
    passes : denoiser passes a step, 1 or 2; by default those that guidance makes.
    guidance : the pipeline's ``guidance_scale``; of a distilled model (FLUX) it makes no second pass.
    true_cfg_scale : the pipeline's other scale, of classifier-free guidance; where it has none, the same as
        `guidance`.
    negative_prompt : whether one is given, or its text; some pipelines make a second pass only then, some
        encode it.
    batch_size : images generated together.
    precision : ``fp16``, ``bf16`` or ``fp32``, or torch's name of it.
    text_tokens : text tokens the denoiser attends to.
    frames : of a clip of video; 1 of an image.
    fps : frames a second of the clip; by default that of the model's authors, if any.
    seconds : length of the clip [s] in place of `frames`, at that rate.
    strength : of an input image's noise, above 0 up to 1: the share of the steps that is made.
    input_width, input_height : of the image that the pipeline is given [pixels]; both or neither.
    input_images : how many it is given.
    control : the kind of a ControlNet beside the denoiser, e.g. ``canny``.
    lora : LoRA adapters that are loaded; not fused into the weights unless `lora_fused` says so.
    lora_rank : their rank.
    lora_fused : whether they were fused into the weights, which costs nothing.
    engine : what runs the pipeline, e.g. ``sglang``; ``diffusers`` unless given, ``-compiled`` behind it for
        torch.compile.
    compile : whether torch.compile made the denoiser's kernels.
    quantization : of the denoiser, e.g. ``fp8``, or ``int8-weights`` of its weights alone.
    cache : of denoising steps, e.g. ``cache-dit``.
    offload : ``model``, where weights wait in the host's memory; none by default.
    gpus : GPUs that share the work, as the name of the GPU may say (``8xH100``).
    parallel : how they share it, e.g. ``ulysses=4,cfg=2``, or pairs.
    power_limit_w : what each board may draw [W]; by default its own limit.
    boundary : ``gross`` (all the board draws) or ``dynamic`` (idle power subtracted).

    Raises
    ------
    InputError
        A value is out of range, only one side of the size is given, or a length in frames and in seconds.
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
    frames: int | None = None
    fps: float | None = None
    seconds: float | None = None
    strength: float | None = None
    input_width: int | None = None
    input_height: int | None = None
    input_images: int | None = None
    control: str | None = None
    lora: int | None = None
    lora_rank: int | None = None
    lora_fused: bool | None = None
    engine: str | None = None
    compile: bool | None = None
    quantization: str | None = None
    cache: str | None = None
    offload: str | None = None
    gpus: int | None = None
    parallel: Split | None = None
    power_limit_w: float | None = None
    boundary: str | None = None

    def __post_init__(self) -> None:
        for name, read in _READERS.items():
            value = getattr(self, name)
            if value is not None and (known := read(value)) is not value:
                object.__setattr__(self, name, known)
        for size, (width, height) in SIDES.items():
            if (getattr(self, width) is None) != (getattr(self, height) is None):
                missing = width if getattr(self, width) is None else height
                raise InputError(f"{missing} is missing; give both, or {size}, or neither")
        if self.frames is not None and self.seconds is not None:
            raise InputError(TWO_LENGTHS)

    @classmethod
    def of(cls, given: Mapping[str, object]) -> Setting:
        """A setting of keys and values as people and programs write them; None is not given.

        ``size`` (``"WIDTHxHEIGHT"`` or a pair) stands for `width` and `height`, ``input_image`` for the two
        of the input image, and the names of
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
        for name, (width, height) in SIDES.items():
            size = values.pop(name, None)
            if size is not None:
                if width in values or height in values:
                    raise InputError(f"give either {name} or {width} and {height}, not both")
                values[width], values[height] = read_size(size)
        return cls(**values)  # type: ignore[arg-type]

    def given(self) -> dict[str, object]:
        """What was given, by key, in the order of the attributes; the size is one key."""
        known = {name: getattr(self, name) for name in FIELDS if getattr(self, name) is not None}
        if self.parallel is not None:
            known["parallel"] = written(self.parallel) or NONE
        sizes = {
            width: (size, f"{known[width]}x{known[height]}")
            for size, (width, height) in SIDES.items()
            if width in known
        }
        heights = [height for _, height in SIDES.values()]
        return dict(sizes.get(name, (name, value)) for name, value in known.items() if name not in heights)


@lru_cache(maxsize=1024)
def key_of(name: str) -> str | None:
    """The key that a name of a column, option or argument means; None when it means none.

    Case, blanks and punctuation do not matter.
    """
    return own_key_of(name) or key_meant(name)


def own_key_of(name: str) -> str | None:
    """The key that is called so here, whatever the case and punctuation; None without one."""
    return None if is_gpu_time(name) else FOLDED_KEYS.get(fold(name))


def is_gpu_time(name: str) -> bool:
    """Whether a name is of seconds of a GPU, ``gpu_s``, and not of GPUs."""
    return name.strip().casefold().replace(" ", "_").replace("-", "_") == "gpu_s"


def refuse_work(
    name: str, value: object, kind: str = "setting", choices: Sequence[str] = (), hint: str = ""
) -> None:
    """Refuse what no key is called, unless it is known and asks for nothing.

    Raises InputError for a value that asks for what is not predicted, UnknownNameError, which takes `kind`,
    `choices` (KEYS without any) and `hint`, for a name that no vocabulary has.
    """
    known = refused_name(name)
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


def read_fps(value: object) -> float:
    """Frames a second. Raises InputError."""
    return positive(value, "fps", MOST_FPS)


def read_seconds(value: object) -> float:
    """The length of a clip [s]. Raises InputError."""
    return positive(value, "seconds", MOST_CLIP_S)


def read_strength(value: object) -> float:
    """The share of the steps that is made of an input image, above 0 up to 1. Raises InputError."""
    return positive(value, "strength", 1.0)


def read_input_width(value: object) -> int:
    """The width of an input image [pixels]. Raises InputError."""
    return whole(value, "input_width", *LIMITS["width"])


def read_input_height(value: object) -> int:
    """The height of an input image [pixels]. Raises InputError."""
    return whole(value, "input_height", *LIMITS["height"])


def read_input_images(value: object) -> int:
    """How many input images there are. Raises InputError."""
    return whole(value, "input_images", 0, MOST_INPUT_IMAGES)


def read_boundary(value: object) -> str:
    """``gross`` or ``dynamic``. Raises UnknownNameError."""
    return check_boundary(value.strip().casefold() if isinstance(value, str) else value)


def read_negative_prompt(value: object) -> bool:
    """Whether there is a negative prompt: yes or no, 1 or 0, or its text. Raises InputError."""
    found = yes_or_no(value)
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
    **{name: _whole(name) for name in ("text_tokens", "frames")},
    "fps": read_fps,
    "seconds": read_seconds,
    "strength": read_strength,
    "input_width": read_input_width,
    "input_height": read_input_height,
    "input_images": read_input_images,
    "control": read_control,
    "lora": read_lora,
    "lora_rank": read_lora_rank,
    "lora_fused": read_lora_fused,
    **OF_RUNTIMES,
    "boundary": read_boundary,
}
FIELDS: Final = tuple(field.name for field in dataclasses.fields(Setting))
KEYS: Final = (*FIELDS, *SIDES)
WORK_KEYS: Final = tuple(key for key in KEYS if key not in ("gpu", "boundary", *OF_RUNTIMES))
FOLDED_KEYS: Final = {fold(key): key for key in KEYS}
