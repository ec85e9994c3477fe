"""What the arguments of a diffusers pipeline's call ask for, and what of them is not counted."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from joulecast.architecture.live import uncompiled
from joulecast.compute.profile import ComputeProfile
from joulecast.compute.profile_rules import TRUE_CFG
from joulecast.errors import InputError, did_you_mean, near_matches, shown
from joulecast.question.vocabulary import CALL, meant, refused_name

# By what they are called in diffusers' calls.
SCHEDULES: Final = ("timesteps", "sigmas")  # lists; the first that is given says how many steps there are
STEPS: Final = (*SCHEDULES, "num_inference_steps")
FRAMES: Final = ("num_frames", "frames", "video_length")
IMAGES: Final = ("image", "control_image", "mask_image", "init_image")
ENCODED: Final = ("prompt_embeds", "image_embeds")
EACH: Final = ("num_images_per_prompt", "num_videos_per_prompt")
LENGTH, NEGATIVE, NEGATIVE_ENCODED = "max_sequence_length", "negative_prompt", "negative_prompt_embeds"
UNDERSTOOD: Final = frozenset(
    {*STEPS, *FRAMES, *IMAGES, *EACH, LENGTH, NEGATIVE, TRUE_CFG, "prompt", "guidance_scale"}
    | {"max_guidance_scale", "height", "width", "strength", "frame_rate", "fps"}
)
FACTORS: Final = ("vae_scale_factor", "vae_scale_factor_spatial")  # pixels of a latent's side
SIZED_BY_IMAGE: Final = ("StableDiffusionControlNet", "StableDiffusionXLControlNet", "Flux2")


@dataclass(frozen=True)
class CallArguments:
    """The arguments of one call.

    Attributes
    ----------
    pipeline, profile : what is called, and its model's compute.
    values : of all parameters, the pipeline's own defaults filled in.
    given : names of those that are not left to their defaults.
    ignored : names that the pipeline takes and has no use for.
    """

    pipeline: Any
    profile: ComputeProfile
    values: Mapping[str, Any]
    given: frozenset[str]
    ignored: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, pipeline: Any, profile: ComputeProfile, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> CallArguments:
        """The arguments as the pipeline takes them. Raises InputError for those that it would refuse."""
        signature = inspect.signature(pipeline.__call__)
        rest = [name for name, one in signature.parameters.items() if one.kind is one.VAR_KEYWORD]
        ignored = tuple(name for name in kwargs if name not in signature.parameters)
        if ignored and not rest:
            near = did_you_mean(ignored[0], list(signature.parameters), "it has")
            raise InputError(f"{type(pipeline).__name__} has no argument {shown(ignored[0])}; {near}")
        try:
            bound = signature.bind_partial(*args, **kwargs)
        except TypeError as error:
            raise InputError(f"{type(pipeline).__name__} cannot be called so: {error}") from None
        own = {
            name: one.default for name, one in signature.parameters.items() if one.default is not one.empty
        }
        values = own | {name: value for name, value in bound.arguments.items() if name not in rest}
        changed = {name for name, value in values.items() if name not in own or not _same(value, own[name])}
        return cls(pipeline, profile, values, frozenset(changed), ignored)

    def setting(self) -> dict[str, object]:
        """What is asked for, by the keys of a setting. Raises InputError where that is not told."""
        width, height = self._size()
        return {
            "width": width,
            "height": height,
            "steps": self._steps(),
            "batch_size": self._prompts() * self._first(EACH, 1),
            "frames": self._frames(),
            "fps": self.values.get("frame_rate") if self.profile.frames is not None else None,
            "negative_prompt": bool(self.given & {NEGATIVE, NEGATIVE_ENCODED}),
            "text_tokens": self._text_tokens(),
            "strength": self.values.get("strength") if self.profile.images.strength else None,
            "input_images": self._input_images(),
            **self._guidance(),
        }

    def doubts(self) -> Iterator[str]:
        """What changes the cost and is not counted. Raises InputError for what is refused at every door."""
        for name in self.ignored:
            if meant(CALL, name) is None:
                near = near_matches(name, list(self.values), most=1)
                meant_it = f": did you mean {near[0]}?" if near else ""
                yield f"{type(self.pipeline).__name__} ignores the argument {shown(name)}{meant_it}"
        for name, value in self.values.items():
            known = meant(CALL, name)
            if name in UNDERSTOOD or name == "self":
                continue
            if known is not None:
                if known.words and value is not None and known.changes(value) and not _is_scale(value):
                    yield f"{name}: {known.words}"
            elif name in self.given and value is not None:
                refused = refused_name(name)
                if refused is None:
                    yield f"{name}: it is not known whether it changes the cost, and it is not counted"
                elif words := refused.refusal(_plain(value)):
                    raise InputError(words)

    def _first(self, names: tuple[str, ...], default: Any) -> Any:
        return next((self.values[name] for name in names if self.values.get(name) is not None), default)

    def _prompts(self) -> int:
        """How many prompts there are, or images where a pipeline takes no prompt."""
        for name in ("prompt", *ENCODED[:1], "image"):
            value = self.values.get(name)
            if value is not None:
                return _count(value, 4 if name == "image" else 3)
        raise InputError("the call has no prompt; give it as the pipeline will have it")

    def _steps(self) -> Any:
        """How many, as it was given. Raises InputError for a schedule that is no list."""
        name = next((one for one in STEPS if self.values.get(one) is not None), STEPS[-1])
        found = self.values.get(name)
        if found is None or name not in SCHEDULES:
            return found
        try:
            return len(found)
        except TypeError:
            raise InputError(f"{name} must be a list of numbers, one a step, not {shown(found)}") from None

    def _frames(self) -> int | None:
        if self.profile.frames is None:
            return None
        own = next((_config(part, "sample_frames", "num_frames") for part in self._denoisers), None)
        found: int | None = self._first(FRAMES, own)
        return found

    def _guidance(self) -> dict[str, object]:
        """The scales of guidance, those that the profile's rule asks for."""
        parameter = self.profile.guidance.parameter
        if parameter is None:
            return {}
        held = getattr(getattr(self.pipeline, "guider", None), parameter, None)
        scale = self.values.get(parameter, held)
        return {TRUE_CFG if parameter == TRUE_CFG else "guidance": scale}

    def _text_tokens(self) -> int | None:
        """Tokens that the denoiser attends to, where a text is padded to the length that is given."""
        rule, length = self.profile.text, self.values.get(LENGTH)
        if length is None or not (rule.adjustable and rule.padded):
            return None
        return int(length) + rule.denoiser_offset

    def _input_images(self) -> int | None:
        """Images that one picture is made of; several lists of one each are a batch."""
        counts = [_count(self.values[name], 4) for name in IMAGES if self.values.get(name) is not None]
        if not counts:
            return None
        return 1 if max(counts) in (1, self._prompts()) else max(counts)

    # --- size -------------------------------------------------------------------------------------

    def _size(self) -> tuple[int, int]:
        """Width and height of what is made [pixels]. Raises InputError where the pipeline does not tell."""
        width, height = self.values.get("width"), self.values.get("height")
        if width is not None and height is not None:
            return width, height
        by_image = self._on_grid(self._image_size()) if self._is_sized_by_image else None
        found = by_image or self._own_size()
        if found is None:
            raise InputError(f"{type(self.pipeline).__name__} {self._wants()}")
        return width or found[0], height or found[1]

    def _wants(self) -> str:
        """What a call must say where nothing tells the size."""
        if "height" in self.values:
            return "does not tell which size it makes where none is given; give width and height"
        return "makes the size of its image: give `image` as the pipeline will have it, of Pillow or an array"

    @property
    def _is_sized_by_image(self) -> bool:
        name = type(self.pipeline).__name__
        return "height" not in self.values or name.startswith(SIZED_BY_IMAGE)

    def _on_grid(self, size: tuple[int, int] | None) -> tuple[int, int] | None:
        """An image's size as its processor cuts it: down to the sizes that the pipeline makes."""
        unit = self.profile.size.unit
        return None if size is None else (size[0] // unit * unit, size[1] // unit * unit)

    def _image_size(self) -> tuple[int, int] | None:
        image = self._first(IMAGES, None)
        while isinstance(image, list | tuple) and image:
            image = image[0]
        if hasattr(image, "size") and isinstance(image.size, tuple):  # of Pillow
            return image.size if len(image.size) == 2 else None
        shape: Sequence[int] = getattr(image, "shape", ())
        if len(shape) < 3:
            return None
        height, width = shape[-2:] if shape[-1] not in (1, 3, 4) else shape[-3:-1]
        return int(width), int(height)

    def _own_size(self) -> tuple[int, int] | None:
        """The size of the pipeline's own, in latents, times their size in pixels; of some it is not that."""
        if "height" not in self.values or self.profile.images.side is not None:
            return None
        factor = next((found for name in FACTORS if (found := getattr(self.pipeline, name, None))), None)
        own = getattr(self.pipeline, "default_sample_size", None)
        sides = own or next((_sides(part) for part in self._denoisers), None)
        if factor is None or sides is None:
            return None
        high, wide = sides if isinstance(sides, list | tuple) else (sides, sides)
        return wide * factor, high * factor

    @cached_property
    def _denoisers(self) -> list[Any]:
        parts = self.pipeline.components
        names = [name for name in self.profile.denoising_modules if parts.get(name) is not None]
        return [uncompiled(parts[name]) for name in names]


def _sides(part: Any) -> Any:
    """Height and width of a denoiser's own size [latents]; None where it has none."""
    high, wide = _config(part, "sample_height"), _config(part, "sample_width")
    return (high, wide) if high and wide else _config(part, "sample_size")


def _config(part: Any, *names: str) -> Any:
    config = getattr(part, "config", None)
    return next((found for name in names if (found := getattr(config, name, None)) is not None), None)


def _count(value: Any, dimensions: int) -> int:
    """How many there are of what may be one, a list, or an array of so many dimensions with them first."""
    if isinstance(value, list | tuple):
        return len(value)
    shape = getattr(value, "shape", None)
    return int(shape[0]) if shape is not None and len(shape) >= dimensions else 1


def _plain(value: Any) -> object:
    """A value as words may show it; of others that there is one."""
    return value if isinstance(value, str | int | float) else type(value).__name__


def _is_scale(value: Any) -> bool:
    """Whether attention is only told the scale of its adapters."""
    return isinstance(value, Mapping) and set(value) <= {"scale"}


def _same(value: Any, other: Any) -> bool:
    """Whether a value is the default; arrays are none."""
    if value is other:
        return True
    known = (str, int, float, list, tuple, dict)
    return isinstance(value, known) and isinstance(other, known) and bool(value == other)
